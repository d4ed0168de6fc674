"""Starts each image with podman in the way of the chart, and checks its user, limits, root and signals. R06.

Run by `dev/images run`, with a Postgres and a Redis on loopback whose addresses are in the environment."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

TAG = os.environ["IMAGE_TAG"]
# Explicit limits, so that podman does not try to raise those of this process.
ULIMITS = ["--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096"]
HARDENED = [*ULIMITS, "--network", "host", "--read-only", "--tmpfs", "/tmp", "--user", "65532:65532", "--cap-drop", "all",
            "--security-opt", "no-new-privileges"]
# From the chart: memory, and seconds of grace after SIGTERM.
MEMORY = {"api": "256Mi", "worker": "512Mi", "scheduler": "128Mi", "simulator": "512Mi", "worker-simulator": "512Mi"}
GRACE = {"api": 30, "worker": 40, "scheduler": 20, "simulator": 10, "worker-simulator": 40}
SECRETS = "/run/switchboard"


def image(name):
    return f"localhost/switchboard-{name}:{TAG}"


def podman(*args, check=True):
    done = subprocess.run(["podman", *args], capture_output=True, text=True, timeout=180)
    if check and done.returncode != 0:
        raise AssertionError(f"podman {' '.join(args)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url):
    """Returns the status and the body, or (0, error)."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


class Container:
    """A running container of one image."""

    def __init__(self, name, secrets, environment):
        self.name = name
        self.id = f"switchboard-run-{name}-{os.getpid()}"
        envs = [word for pair in environment.items() for word in ("--env", f"{pair[0]}={pair[1]}")]
        podman("run", "--detach", "--name", self.id, *HARDENED, "--memory", MEMORY[name].replace("Mi", "m"),
               "--pids-limit", "256", "--volume", f"{secrets}:{SECRETS}:ro", *envs, image(name))

    def state(self):
        return json.loads(podman("inspect", self.id).stdout)[0]["State"]

    def logs(self):
        done = podman("logs", self.id, check=False)
        return done.stdout + done.stderr

    def until(self, url, status, limit=90):
        """Waits until a URL answers with this status, and returns the body."""
        end, seen = time.monotonic() + limit, None
        while time.monotonic() < end:
            seen = get(url)
            if seen[0] == status:
                return seen[1]
            if not self.state()["Running"]:
                break
            time.sleep(0.2)
        raise AssertionError(f"{self.name}: {url} answered {seen}\n{self.logs()[-3000:]}")

    def stop(self):
        """Stops it with SIGTERM and the chart's grace period. Returns (seconds, exit code)."""
        start = time.monotonic()
        podman("stop", "--time", str(GRACE[self.name]), self.id)
        return time.monotonic() - start, self.state()["ExitCode"]

    def remove(self):
        podman("rm", "--force", "--time", "0", self.id, check=False)


class Images(unittest.TestCase):
    """What an image is, before anything of it runs."""

    def files(self, name):
        """Returns the files under /licenses of an image, by name."""
        made = podman("create", *ULIMITS, image(name), "x").stdout.strip().splitlines()[-1]
        folder = tempfile.mkdtemp()
        try:
            podman("cp", f"{made}:/licenses/.", folder)
            return {path.name: path.read_text(errors="replace") for path in Path(folder).iterdir()}
        finally:
            podman("rm", made)
            shutil.rmtree(folder)

    def readelf(self, *args):
        done = subprocess.run(["readelf", *args], capture_output=True, text=True, errors="replace", check=True)
        return done.stdout

    def test_what_it_says_of_itself(self):
        for name in MEMORY:
            with self.subTest(name):
                config = json.loads(podman("image", "inspect", image(name)).stdout)[0]
                self.assertEqual(config["Config"]["User"], "65532:65532")
                self.assertEqual(config["Config"]["StopSignal"], "SIGTERM")
                self.assertIn("probe", config["Healthcheck"]["Test"])
                labels = config["Labels"]
                self.assertRegex(labels["org.opencontainers.image.revision"], r"^[0-9a-f]{40}(-changed)?$")
                self.assertRegex(labels["org.opencontainers.image.created"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
                self.assertNotIn("0.0.0", labels["org.opencontainers.image.version"])

    def test_it_has_no_shell(self):
        for name in MEMORY:
            done = podman("run", "--rm", *ULIMITS, "--network", "none", "--entrypoint", "/bin/sh", image(name), "-c", "true", check=False)
            self.assertIn(done.returncode, (126, 127), name)

    def test_licences_go_with_what_is_linked(self):
        for name in MEMORY:
            with self.subTest(name):
                files = self.files(name)
                combined = name not in ("api", "scheduler")
                self.assertEqual("AGPL-3.0-only.txt" in files, combined)
                self.assertEqual("==================== wacore-libsignal" in files["third-party.txt"], combined)
                self.assertEqual("Signal Messenger, LLC" in files["third-party.txt"], combined)
                self.assertIn("Apache License", files["LICENSE"])
                self.assertIn("==================== tokio-1", files["third-party.txt"])

    def test_stripped_and_its_symbols_found(self):
        """The debug link of each binary names the file in `symbols`, and both are of one build."""
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        made = podman("create", *ULIMITS, image("symbols"), "x").stdout.strip().splitlines()[-1]
        podman("cp", f"{made}:/symbols/.", str(folder))
        podman("rm", made)
        for name in ("api", "worker", "scheduler", "simulator"):
            made = podman("create", *ULIMITS, image(name), "x").stdout.strip().splitlines()[-1]
            podman("cp", f"{made}:/usr/local/bin/switchboard-{name}", str(folder))
            podman("rm", made)
            binary, debug = folder / f"switchboard-{name}", folder / f"switchboard-{name}.debug"
            sections = self.readelf("--sections", "--wide", binary)
            self.assertNotIn(".debug_info", sections)
            self.assertNotIn(".symtab", sections)
            self.assertIn(debug.name, self.readelf("--string-dump=.gnu_debuglink", binary))
            ids = [re.search(r"Build ID: (\w+)", self.readelf("--notes", path))[1] for path in (binary, debug)]
            self.assertEqual(ids[0], ids[1], name)
            self.assertGreater(debug.stat().st_size, binary.stat().st_size / 2)


class Running(unittest.TestCase):
    """The cluster of containers: migrated, ready, asked, stopped."""

    @classmethod
    def setUpClass(cls):
        cls.secrets = tempfile.mkdtemp(prefix="switchboard-secrets-")
        os.chmod(cls.secrets, 0o755)
        for name, text in (("database_url", os.environ["DATABASE_URL"]), ("redis_url", os.environ["REDIS_URL"]),
                           ("credential_keys", "1:" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")):
            path = Path(cls.secrets, name)
            path.write_text(text)
            path.chmod(0o444)
        cls.stores = {"DATABASE_URL_FILE": f"{SECRETS}/database_url", "REDIS_URL_FILE": f"{SECRETS}/redis_url"}
        for _ in range(2):  # the second time there is nothing to do
            cls.command("migrate")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.secrets)

    @classmethod
    def command(cls, *args, check=True, name="api", envs=None):
        """Runs a command of an image's program until it ends."""
        words = [word for pair in (cls.stores if envs is None else envs).items() for word in ("--env", f"{pair[0]}={pair[1]}")]
        return podman("run", "--rm", *HARDENED, "--memory", "256m", "--volume", f"{cls.secrets}:{SECRETS}:ro", *words,
                      image(name), *args, check=check)

    def start(self, name, environment):
        container = Container(name, self.secrets, environment)
        self.addCleanup(container.remove)
        return container

    def confined(self, container):
        """Checks its first process in the kernel: user, capabilities, privileges, root, memory."""
        state = container.state()
        status = Path(f"/proc/{state['Pid']}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        self.assertEqual(set(fields["Uid"].split()), {"65532"})
        self.assertEqual({fields[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")}, {"0" * 16})
        self.assertEqual(fields["NoNewPrivs"], "1")
        root = [line for line in Path(f"/proc/{state['Pid']}/mountinfo").read_text().splitlines() if line.split()[4] == "/"]
        self.assertTrue(root[-1].split()[5].split(",")[0] == "ro", root)
        limit = json.loads(podman("inspect", container.id).stdout)[0]["HostConfig"]["Memory"]
        self.assertEqual(limit, int(MEMORY[container.name].removesuffix("Mi")) << 20)
        print(f"\n{container.name}: {int(fields['VmRSS'].split()[0]) / 1024:.0f} MiB of {MEMORY[container.name]}", end=" ", flush=True)

    def serves(self, name, environment, health):
        """Starts a container, waits until it is ready, checks how it is confined, and runs its own probe. Returns it."""
        container = self.start(name, environment)
        container.until(health, 200)
        self.confined(container)
        self.assertEqual(podman("healthcheck", "run", container.id, check=False).returncode, 0, container.logs()[-2000:])
        return container

    def is_what_its_label_says(self, container, ops):
        """Checks that the program was built from the revision in the image's label."""
        labels = json.loads(podman("image", "inspect", image(container.name)).stdout)[0]["Labels"]
        built = re.search(r'switchboard_build_info\{[^}]*revision="([^"]*)"', container.until(f"http://127.0.0.1:{ops}/metrics", 200))
        self.assertEqual(built and built[1], labels["org.opencontainers.image.revision"], container.name)

    def stops(self, container):
        seconds, code = container.stop()
        print(f"stopped after {seconds:.1f} s", end=" ", flush=True)
        self.assertEqual(code, 0, container.logs()[-2000:])
        self.assertLess(seconds, GRACE[container.name])

    def test_the_cluster(self):
        """api, scheduler and the simulator's worker together: an account is added and a key works; all stop in time."""
        port, api_ops, worker_ops, scheduler_ops, whatsapp = (free_port() for _ in range(5))
        simulator = self.serves("simulator", {"SIMULATOR_LISTEN": f"127.0.0.1:{whatsapp}"}, f"http://127.0.0.1:{whatsapp}/admin/health")
        api = self.serves("api", {**self.stores, "API_LISTEN": f"127.0.0.1:{port}", "OPS_LISTEN": f"127.0.0.1:{api_ops}"},
                          f"http://127.0.0.1:{api_ops}/readyz")
        worker = self.serves("worker-simulator", {
            **self.stores, "CREDENTIAL_KEYS_FILE": f"{SECRETS}/credential_keys", "OPS_LISTEN": f"127.0.0.1:{worker_ops}",
            "WHATSAPP_URL": f"ws://127.0.0.1:{whatsapp}/ws/chat", "WHATSAPP_VERSION": "2.3000.1023223821"},
            f"http://127.0.0.1:{worker_ops}/readyz")
        scheduler = self.serves("scheduler", {**self.stores, "OPS_LISTEN": f"127.0.0.1:{scheduler_ops}"},
                                f"http://127.0.0.1:{scheduler_ops}/readyz")
        for container, ops in ((api, api_ops), (worker, worker_ops), (scheduler, scheduler_ops)):
            self.is_what_its_label_says(container, ops)
        self.assertEqual(get(f"http://127.0.0.1:{port}/health")[0], 200)
        key = self.command("keys", "create", "--admin", "--name", "images").stdout.strip().splitlines()[-1]
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/tenants", headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            self.assertEqual(answer.status, 200)
        for container in (scheduler, worker, api, simulator):
            self.stops(container)

    def test_the_released_worker(self):
        """Told a version of WhatsApp Web, it is ready before it has an account."""
        ops = free_port()
        worker = self.start("worker", {
            **self.stores, "CREDENTIAL_KEYS_FILE": f"{SECRETS}/credential_keys", "OPS_LISTEN": f"127.0.0.1:{ops}",
            "WHATSAPP_VERSION": "2.3000.1023223821"})
        worker.until(f"http://127.0.0.1:{ops}/readyz", 200)
        self.confined(worker)
        self.assertEqual(podman("healthcheck", "run", worker.id, check=False).returncode, 0)
        self.stops(worker)

    def test_an_unhealthy_one_says_so(self):
        """The probe is no ornament: with its database gone, a container is not healthy."""
        ops = free_port()
        nowhere = {**self.stores, "OPS_LISTEN": f"127.0.0.1:{ops}"}
        nowhere["DATABASE_URL"] = f"postgres://switchboard@127.0.0.1:{free_port()}/switchboard"
        del nowhere["DATABASE_URL_FILE"]
        container = self.start("scheduler", nowhere)
        time.sleep(3)
        self.assertNotEqual(podman("healthcheck", "run", container.id, check=False).returncode, 0)

    def test_what_is_missing_is_named(self):
        """R06: a missing setting, and a secret's file that is not there, end with 64 and name the setting."""
        for name in ("api", "worker", "scheduler"):
            done = self.command(name=name, check=False, envs={"REDIS_URL": "redis://127.0.0.1:1"})
            self.assertEqual(done.returncode, 64, name)
            self.assertIn("database-url", (done.stdout + done.stderr).lower().replace("_", "-"), name)
            done = self.command(name=name, check=False, envs={**self.stores, "DATABASE_URL_FILE": "/run/switchboard/none"})
            self.assertEqual(done.returncode, 64, name)

    def test_the_second_signal_is_not_needed(self):
        """The program is the container's first process and hears SIGTERM itself."""
        ops = free_port()
        container = self.start("scheduler", {**self.stores, "OPS_LISTEN": f"127.0.0.1:{ops}"})
        container.until(f"http://127.0.0.1:{ops}/readyz", 200)
        os.kill(container.state()["Pid"], signal.SIGTERM)
        end = time.monotonic() + GRACE["scheduler"]
        while container.state()["Running"] and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual((container.state()["Running"], container.state()["ExitCode"]), (False, 0))


if __name__ == "__main__":
    unittest.main()
