"""Starts compose.yaml with compose.sim.yaml as a new user would, with podman-compose. R06. Run by `dev/images compose`."""
import json
import os
import subprocess
import time
import unittest
import urllib.request
from pathlib import Path

import yaml

from run_test import free_port, podman

ROOT = Path(__file__).resolve().parents[2]
PROJECT = f"switchboard-test-{os.getpid()}"
ONE_SHOT = {"secrets", "migrate"}


def call(url, method="GET", body=None, key=None):
    """Returns the answer of a URL, as JSON or as text."""
    headers = {"Content-Type": "application/json" if isinstance(body, dict) else "text/plain"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    data = json.dumps(body).encode() if isinstance(body, dict) else body.encode() if body is not None else None
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=30) as answer:
        text = answer.read().decode()
    return json.loads(text) if text[:1] in "{[" else text


def until(what, ask, limit=300, tell=str):
    """Calls `ask` until it returns a true value. `tell` adds details to the error."""
    end, seen = time.monotonic() + limit, None
    while time.monotonic() < end:
        try:
            seen = ask()
            if seen:
                return seen
        except (OSError, KeyError, ValueError) as error:
            seen = error
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {limit} s; last seen: {seen}\n{tell()}")


def container(service):
    return f"{PROJECT}_{service}_1"


def logs(service):
    done = podman("logs", container(service), check=False)
    return done.stdout + done.stderr


class Trial(unittest.TestCase):
    """One start for all tests: starting is what takes the time."""

    @classmethod
    def setUpClass(cls):
        cls.ports = {name: free_port() for name in ("API", "PROMETHEUS", "ALERTMANAGER", "GRAFANA")}
        cls.environment = {**os.environ, "SWITCHBOARD_VERSION": os.environ["IMAGE_TAG"], "TOWN_ACCOUNTS": "3",
                           **{f"{name}_PORT": str(port) for name, port in cls.ports.items()}}
        cls.services = ["secrets", "postgres", "redis", "migrate", "api", "worker", "scheduler", "simulator", "town",
                        "prometheus", "alertmanager"]
        grafana = cls.image("grafana")
        if podman("image", "exists", grafana, check=False).returncode == 0:
            cls.services.append("grafana")
        else:
            print(f"!! NOT STARTED: Grafana, because {grafana} can't be had here and nothing can stand in for it")
        cls.addClassCleanup(cls.compose, "down", "--volumes", check=False)
        start = time.monotonic()
        cls.compose("up", "--detach", "--no-build", *cls.services)
        for service in set(cls.services) - ONE_SHOT - {"town"}:
            until(f"{service} is healthy", lambda: podman("healthcheck", "run", container(service), check=False).returncode == 0,
                  tell=lambda: logs(service)[-2000:])
        print(f"all healthy after {time.monotonic() - start:.0f} s")

    @classmethod
    def image(cls, service):
        return yaml.safe_load((ROOT / "compose.yaml").read_text())["services"][service]["image"]

    @classmethod
    def compose(cls, *args, check=True):
        tools = Path(os.environ["TOOLS"])
        command = [tools / "python", tools / "podman-compose", "--podman-path", ROOT / "dev/images.d/podman", "-p", PROJECT,
                   "-f", "compose.yaml", "-f", "compose.sim.yaml", *args]
        done = subprocess.run(command, cwd=ROOT, env=cls.environment, capture_output=True, text=True, timeout=400)
        if check and done.returncode != 0:
            raise AssertionError(f"{args}: {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done

    def simulator(self):
        found = json.loads(podman("inspect", container("simulator")).stdout)[0]["NetworkSettings"]["Networks"]
        return f"http://{found[f'{PROJECT}_outside']['IPAddress']}:7700/admin"

    def test_what_ends_has_ended_well(self):
        for service in ONE_SHOT:
            state = json.loads(podman("inspect", container(service)).stdout)[0]["State"]
            self.assertEqual((state["Status"], state["ExitCode"]), ("exited", 0), logs(service))

    def test_each_is_confined(self):
        for service in set(self.services) - ONE_SHOT:
            about = json.loads(podman("inspect", container(service)).stdout)[0]
            host, status = about["HostConfig"], Path(f"/proc/{about['State']['Pid']}/status").read_text()
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            self.assertTrue(host["ReadonlyRootfs"], service)
            self.assertGreater(host["Memory"], 0, service)
            self.assertGreater(host["PidsLimit"], 0, service)
            self.assertEqual(fields["CapEff"], "0" * 16, service)
            self.assertEqual(fields["NoNewPrivs"], "1", service)
            self.assertNotIn("0", fields["Uid"].split(), service)

    def test_stores_are_reached_from_inside_alone(self):
        for service in ("postgres", "redis"):
            about = json.loads(podman("inspect", container(service)).stdout)[0]
            self.assertFalse(any(about["NetworkSettings"]["Ports"].values()), service)
            self.assertEqual(list(about["NetworkSettings"]["Networks"]), [f"{PROJECT}_inside"], service)

    def test_a_message_arrives(self):
        """The main job over the published port: a key, a tenant, an account, a phone that scans, a message that is read."""
        api, simulator = f"http://127.0.0.1:{self.ports['API']}", self.simulator()
        until("the api is ready", lambda: call(f"{api}/health")["status"] == "ok")
        made = podman("exec", container("api"), "/usr/local/bin/switchboard-api", "keys", "create", "--admin", "--name", "test")
        admin = made.stdout.strip().splitlines()[-1]
        tenant = call(f"{api}/v1/tenants", "POST", {"name": "Compose"}, admin)["id"]
        key = call(f"{api}/v1/tenants/{tenant}/keys", "POST", {"name": "compose"}, admin)["secret"]
        owner, friend = "447700900001", "447700900002"
        for number in (owner, friend):
            call(f"{simulator}/phones", "POST", {"number": number, "name": "Ada"})
        account = call(f"{api}/v1/accounts", "POST", {"label": "Front desk"}, key)["id"]
        call(f"{api}/v1/accounts/{account}/pair", "POST", {"method": "qr"}, key)
        code = until("a QR code", lambda: call(f"{api}/v1/accounts/{account}/qr?format=text", key=key))
        call(f"{simulator}/mock-phone/scan-qr?phone={owner}", "POST", code)
        until("connected", lambda: call(f"{api}/v1/accounts/{account}", key=key)["status"] == "connected")
        sent = call(f"{api}/v1/accounts/{account}/messages", "POST", {"to": friend, "text": "Hello"}, key)["id"]
        until("read", lambda: call(f"{api}/v1/messages/{sent}", key=key)["state"] == "read")

    def test_the_town_lives(self):
        until("the town talks", lambda: "messages a second from now on" in logs("town"), tell=lambda: logs("town")[-2000:])
        self.assertNotIn("not accepted", logs("town"))

    def test_prometheus_sees_everybody(self):
        base = f"http://127.0.0.1:{self.ports['PROMETHEUS']}/api/v1"

        def all_up():
            targets = call(f"{base}/targets")["data"]["activeTargets"]
            up = {target["labels"]["job"] for target in targets if target["health"] == "up"}
            return up >= {"switchboard-api", "switchboard-worker", "switchboard-scheduler"}

        until("all targets are up", all_up)
        until("an alertmanager", lambda: call(f"{base}/alertmanagers")["data"]["activeAlertmanagers"])
        groups = call(f"{base}/rules")["data"]["groups"]
        files = list((ROOT / "grafana/rules").glob("*.yaml"))
        self.assertEqual({Path(group["file"]).name for group in groups}, {path.name for path in files})

    def test_secrets_are_drawn_and_never_shown(self):
        password = podman("exec", container("postgres"), "cat", "/run/stores/postgres_password").stdout.strip()
        self.assertRegex(password, "^[0-9a-f]{48}$")
        for service in self.services:
            self.assertNotIn(password, logs(service), service)
            self.assertNotIn(password, podman("inspect", container(service)).stdout, service)


if __name__ == "__main__":
    unittest.main()
