"""The cluster that `dev/run stack` started, and its Prometheus: addresses, processes, and how to end and start them. Linux. R06."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

GRAFANA = Path(__file__).resolve().parents[1]
PROCESSES = {"api": "switchboard-api", "scheduler": "switchboard-scheduler", "worker": "switchboard-worker"}


def http(url, key=None, body=None, method=None, text=None, timeout=15):
    """(status, answer): JSON where it is JSON. 0 where nobody answered."""
    data = text.encode() if text is not None else json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data=data, method=method or ("POST" if data is not None else "GET"))
    if key:
        request.add_header("authorization", f"Bearer {key}")
    if body is not None:
        request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            status, said = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, said = error.code, error.read().decode()
    except (OSError, TimeoutError):
        return 0, None
    try:
        return status, json.loads(said)
    except ValueError:
        return status, said


def until(what, limit, done):
    """Asks again and again; fails after so many seconds."""
    end = time.monotonic() + limit
    while True:
        found = done()
        if found:
            return found
        if time.monotonic() > end:
            raise SystemExit(f"waited {limit} s in vain for {what}")
        time.sleep(0.2)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Process:
    """One of ours, by pid: can be ended and started again as it was."""

    def __init__(self, name, pid):
        self.name, self.pid = name, pid
        environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
        self.environment = dict(pair.split("=", 1) for pair in environment if "=" in pair)
        self.command = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
        self.child = None

    def page(self, address):
        """Where its metrics are."""
        listen = self.environment.get("OPS_LISTEN")
        for base in filter(None, [listen and f"http://{listen}", address]):
            status, said = http(f"{base}/metrics", timeout=3)
            if status == 200 and "switchboard_" in str(said):
                return base.removeprefix("http://")
        raise SystemExit(f"{self.name} shows no metrics")

    def end(self, how):
        os.kill(self.pid, how)

    def start(self, log):
        self.child = subprocess.Popen(self.command, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.pid = self.child.pid


def variables(path):
    """A file of shell variables; of two equal names the first."""
    found = {}
    for pair in shlex.split(path.read_text()):
        name, value = pair.split("=", 1)
        found.setdefault(name, value)
    return found


class Stack:
    """What runs."""

    def __init__(self, data):
        self.data = Path(data).resolve()
        self.env, self.servers = variables(self.data / "stack.env"), variables(self.data / "servers.env")
        self.api, self.key = self.env["API_URL"], self.env["TENANT_KEY"]
        self.simulator = self.env["SIMULATOR_ADMIN_URL"] + "/admin"
        names = [line.split()[:2] for line in (self.data / "pids").read_text().splitlines()]
        self.processes = {
            name: Process(name, int(pid)) for pid, name in names if re.match(r"(api|scheduler|worker-\d+)$", name)
        }
        address = lambda name: self.env[f"{name.replace('-', '_').upper()}_OPS_URL"]  # noqa: E731
        self.pages = {name: one.page(address(name)) for name, one in self.processes.items()}

    def ask(self, path, body=None, method=None, key=None):
        return http(f"{self.api}{path}", key or self.key, body, method)

    def play(self, path, body=None, method=None, text=None):
        """The simulator's admin API."""
        return http(f"{self.simulator}{path}", None, body, method, text)

    def stop_children(self):
        """Those that were started again here; the rest is stopped by dev/down."""
        started = [one.child for one in self.processes.values() if one.child and one.child.poll() is None]
        for child in started:
            child.terminate()
        for child in started:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()

    def log(self, name):
        return open(self.data / "logs" / f"{name}.again.log", "ab")


class Prometheus:
    """A real one with our rules, which scrapes every second."""

    def __init__(self, stack):
        self.home = stack.data / "prometheus"
        (self.home / "rules").mkdir(parents=True, exist_ok=True)
        for path in (GRAFANA / "rules").glob("*.yaml"):
            # rules that are made every five minutes, every two seconds like the rest
            (self.home / "rules" / path.name).write_text(re.sub(r"\n  interval: \w+", "", path.read_text()))
        jobs = {}
        for name, page in stack.pages.items():
            jobs.setdefault(PROCESSES[name.split("-")[0]], []).append(page)
        scrapes = [{"job_name": job, "static_configs": [{"targets": targets}]} for job, targets in jobs.items()]
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "2s"},
            "rule_files": [f"{self.home}/rules/*.yaml"],
            "scrape_configs": scrapes,
        }
        (self.home / "prometheus.yml").write_text(json.dumps(config))
        port = free_port()
        self.base = f"http://127.0.0.1:{port}"
        self.child = subprocess.Popen(
            [
                "prometheus", f"--config.file={self.home}/prometheus.yml", f"--storage.tsdb.path={self.home}/data",
                f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn", "--enable-feature=exemplar-storage",
            ],
            stdout=open(stack.data / "logs" / "prometheus.log", "wb"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        until("Prometheus", 60, lambda: http(f"{self.base}/-/ready")[0] == 200)

    def get(self, path, **query):
        text = "&".join(f"{name}={urllib.parse.quote(str(value))}" for name, value in query.items())
        _, said = http(f"{self.base}/api/v1/{path}?{text}", timeout=60)
        return said if isinstance(said, dict) else {"status": "error", "error": str(said)}

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        self.child.wait(30)
