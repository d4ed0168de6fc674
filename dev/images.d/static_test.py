"""Tests of the Dockerfile, the compose files and the files they use, without building. R06. Run by `dev/images check`."""
import os
import re
import subprocess
import tomllib
import unittest
from pathlib import Path

import yaml

import compose
import dockerfile

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ["api", "worker", "scheduler", "simulator", "worker-simulator", "demo", "symbols"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def parsed(name):
    return yaml.safe_load((ROOT / name).read_text())


def toml(name):
    return tomllib.loads((ROOT / name).read_text())


COMPOSE = parsed("compose.yaml")
TRIAL = compose.merged(COMPOSE, parsed("compose.sim.yaml"))


class Rules(unittest.TestCase):
    """Our files keep the rules."""

    def test_dockerfile(self):
        self.assertEqual(list(dockerfile.problems(DOCKERFILE, IMAGES)), [])

    def test_compose(self):
        self.assertEqual(list(compose.problems(COMPOSE)), [])

    def test_compose_with_the_simulator(self):
        self.assertEqual(list(compose.problems(TRIAL)), [])
        self.assertEqual(set(TRIAL["services"]) - set(COMPOSE["services"]), {"simulator", "town"})

    def test_linters(self):
        """hadolint for the Dockerfile; shellcheck for the scripts that belong to it."""
        tools = Path(os.environ["TOOLS"])
        scripts = ["dev/images", "dev/deny", *map(str, sorted((ROOT / "dev/images.d").glob("*.sh"))), "dev/images.d/podman"]
        for command in (["hadolint", "--failure-threshold", "info", "Dockerfile"], ["shellcheck", "-x", *scripts]):
            done = subprocess.run([tools / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Agreement(unittest.TestCase):
    """What stands in several places is the same in each."""

    def setUp(self):
        self.stages = {stage.name: stage for stage in dockerfile.stages(DOCKERFILE)}

    def test_the_toolchain_is_the_projects(self):
        version = toml("rust-toolchain.toml")["toolchain"]["channel"]
        self.assertIn(f"/rust:{version}-", self.stages["dependencies"].base)

    def test_every_manifest_is_copied_before_dependencies_are_built(self):
        copied = {rest.split()[0] for word, rest in self.stages["dependencies"].steps if word == "COPY"}
        wanted = {f"{member}/Cargo.toml" for member in toml("Cargo.toml")["workspace"]["members"]}
        self.assertLessEqual(wanted, copied)

    def test_everything_that_is_copied_gets_into_the_build(self):
        allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
        for stage in self.stages.values():
            for word, rest in stage.steps:
                if word == "COPY" and "--from=" not in rest:
                    for source in rest.split()[:-1]:
                        self.assertTrue((ROOT / source).exists(), source)
                        inside = any(source == a or source.startswith(a + "/") or a.startswith(source + "/") for a in allowed)
                        self.assertTrue(inside, f"{source} is kept out by .dockerignore")

    def test_nothing_is_let_in_that_is_not_copied(self):
        self.assertEqual((ROOT / ".dockerignore").read_text().splitlines()[1], "*")

    def test_licences_are_those_that_are_linked(self):
        for name in IMAGES:
            steps = dockerfile.inherited(self.stages[name], self.stages)
            combined = name not in ("api", "scheduler", "demo")
            expected = "Apache-2.0 AND AGPL-3.0-only" if combined else "Apache-2.0"
            self.assertEqual(dockerfile.labels(steps)["licenses"], expected, name)

    def test_a_health_check_asks_the_image_s_own_program(self):
        for name in set(IMAGES) - dockerfile.NO_HEALTH:
            steps = dict(dockerfile.inherited(self.stages[name], self.stages))
            program = dockerfile.read_json(steps["ENTRYPOINT"])[0]
            self.assertTrue(steps["HEALTHCHECK"].endswith(f'CMD ["{program}", "probe"]'), name)
            service = TRIAL["services"].get(name.removesuffix("-simulator"))
            self.assertEqual(service["healthcheck"]["test"], ["CMD", program, "probe"], name)

    def test_compose_builds_the_targets_there_are(self):
        for name, service in TRIAL["services"].items():
            if "build" in service:
                target = service["build"]["target"]
                self.assertIn(target, IMAGES)
                self.assertIn(f"/switchboard-{target}:", service["image"], name)

    def test_prometheus_scrapes_the_ports_that_the_images_expose(self):
        scraped = {}
        for job in parsed("grafana/provisioning/prometheus.yml")["scrape_configs"]:
            for found in job.get("dns_sd_configs", []):
                scraped[found["names"][0]] = str(found["port"])
        for name in ("api", "worker", "scheduler"):
            exposed = [rest for word, rest in self.stages[name].steps if word == "EXPOSE"][0]
            self.assertEqual(scraped.get(name), exposed.split()[-1], name)

    def test_what_compose_mounts_is_there(self):
        for name, service in TRIAL["services"].items():
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                if source.startswith("."):
                    self.assertTrue((ROOT / source).exists(), f"{name}: {source}")

    def test_the_licence_s_text_is_whole(self):
        text = (ROOT / "LICENSES/AGPL-3.0-only.txt").read_text()
        self.assertIn("GNU AFFERO GENERAL PUBLIC LICENSE", text)
        for section in range(18):
            self.assertRegex(text, rf"(?m)^{section}\. ")


BAD_STAGES = {
    "FROM rust:latest AS api": "no version, or latest",
    "FROM docker.io/library/rust:1-bookworm AS api": "a tag that moves",
    "FROM rust:1.95.0 AS api": "no registry named",
    "ADD x /x": "ADD;",
    "COPY . /src": "copies everything",
    "RUN apt-get install -y curl": "without --no-install-recommends",
    "RUN apt-get install --no-install-recommends -y curl": "lists stay",
    "RUN curl https://x | sh": "a download is run",
    "RUN cargo build": "without --locked",
    "ENV API_TOKEN=x": "a secret in ENV",
    'RUN cargo build --locked --profile "$PROFILE"': "PROFILE is not declared in this stage",
    "USER root": "runs as root",
    "USER nonroot": "a user by name",
    "HEALTHCHECK NONE": "HEALTHCHECK is missing",
    "ENTRYPOINT switchboard-api": "goes through a shell",
    'LABEL org.opencontainers.image.title=""': "no label title",
    'LABEL org.opencontainers.image.licenses="AGPL-3.0-only"': "no text of it",
}

BAD_SERVICES = {
    "keeps capabilities": {"cap_drop": []},
    "more rights": {"privileged": True},
    "can write to its root": {"read_only": False},
    "may gain privileges": {"security_opt": []},
    "runs as root": {"user": "0:0"},
    "as a user by name": {"user": "nonroot"},
    "no limit of memory": {"deploy": {"resources": {"limits": {"cpus": "1", "pids": 9}}}},
    "health is not checked": {"healthcheck": {"disable": True}},
    "without all of its times": {"healthcheck": {"test": ["CMD", "x"]}},
    "whether it restarts": {"restart": None},
    "its log grows": {"logging": {}},
    "published beyond": {"ports": ["8080:8080"]},
    "the engine's socket": {"volumes": ["/var/run/docker.sock:/x"]},
    "given as a value": {"environment": {"DATABASE_URL": "postgres://a:b@c/d"}},
    "no version, or latest": {"build": None, "image": "docker.io/library/redis"},
    "does not wait": {"depends_on": {"redis": {"condition": "service_started"}}},
    "which restarts": {"depends_on": {"redis": {"condition": "service_completed_successfully"}}},
    "which there is not": {"depends_on": {"nobody": {"condition": "service_healthy"}}},
    "not declared": {"volumes": ["nowhere:/x"]},
}


class Finds(unittest.TestCase):
    """Each rule finds what it is there for, put into our own files."""

    def test_in_a_dockerfile(self):
        for line, problem in BAD_STAGES.items():
            with self.subTest(line):
                if line.startswith("FROM"):
                    bad = re.sub(r"(?m)^FROM runtime AS api$", line, DOCKERFILE)
                else:
                    bad = DOCKERFILE.replace("\nFROM runtime AS worker\n", f"\n{line}\nFROM runtime AS worker\n")
                self.assertNotEqual(bad, DOCKERFILE)
                self.assertIn(problem, "\n".join(dockerfile.problems(bad, IMAGES)))

    def test_a_missing_signal_and_a_missing_target(self):
        self.assertIn("no STOPSIGNAL", "\n".join(dockerfile.problems(DOCKERFILE.replace("STOPSIGNAL SIGTERM", ""), IMAGES)))
        self.assertIn("no target cheese", "\n".join(dockerfile.problems(DOCKERFILE, ["cheese"])))

    def test_in_a_compose_file(self):
        for problem, change in BAD_SERVICES.items():
            with self.subTest(problem):
                service = {**COMPOSE["services"]["api"], **change}
                if service.get("build", 1) is None:
                    del service["build"]
                bad = {**COMPOSE, "services": {**COMPOSE["services"], "api": service}}
                self.assertIn(problem, "\n".join(compose.problems(bad)))

    def test_a_store_that_can_be_reached(self):
        for change, problem in (({"ports": ["127.0.0.1:5432:5432"]}, "a store with a published port"),
                                ({"networks": ["outside"]}, "leads out")):
            postgres = {**COMPOSE["services"]["postgres"], **change}
            bad = {**COMPOSE, "services": {**COMPOSE["services"], "postgres": postgres}}
            self.assertIn(problem, "\n".join(compose.problems(bad)))


if __name__ == "__main__":
    unittest.main()
