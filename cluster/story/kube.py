"""kubectl and helm, as an operator types them."""

import json
import pathlib
import subprocess
from typing import Any

from .tell import Broken, until

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "switchboard"


def run(*words: str, text: str | None = None, seconds: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, input=text, capture_output=True, text=True, timeout=seconds)


def must(*words: str, text: str | None = None, seconds: float = 300) -> str:
    """A command that has to succeed; answers what it printed."""
    done = run(*words, text=text, seconds=seconds)
    if done.returncode != 0:
        raise Broken(f"{' '.join(words)[:200]}: {done.stderr.strip()[-2000:]} {done.stdout.strip()[-500:]}")
    return done.stdout


def refused(*words: str, text: str | None = None) -> str:
    """A command that has to fail; answers what it complained of."""
    done = run(*words, text=text)
    if done.returncode == 0:
        raise Broken(f"was not refused: {' '.join(words)[:300]}")
    return done.stderr + done.stdout


class Namespace:
    """One namespace."""

    def __init__(self, name: str) -> None:
        self.name = name

    def kubectl(self, *words: str, text: str | None = None, seconds: float = 300) -> str:
        return must("kubectl", "-n", self.name, *words, text=text, seconds=seconds)

    def get(self, kind: str, *words: str) -> Any:
        return json.loads(self.kubectl("get", kind, *words, "-o", "json"))

    def items(self, kind: str, selector: str = "") -> list[Any]:
        return self.get(kind, *(["-l", selector] if selector else []))["items"]

    def apply(self, documents: str) -> None:
        self.kubectl("apply", "--server-side", "-f", "-", text=documents)

    def secret(self, name: str, **values: str) -> None:
        data = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
        self.apply(json.dumps(data))

    def make(self, security: str) -> None:
        """Makes the namespace, with this level of Pod Security enforced."""
        labels = {"pod-security.kubernetes.io/enforce": security}
        document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}}
        must("kubectl", "apply", "--server-side", "-f", "-", text=json.dumps(document))

    def remove(self) -> None:
        run("kubectl", "delete", "namespace", self.name, "--ignore-not-found", "--wait=false")

    def events(self) -> str:
        return run("kubectl", "-n", self.name, "get", "events", "--sort-by=.lastTimestamp").stdout


class Release(Namespace):
    """The chart, installed in a namespace of its own."""

    def __init__(self, namespace: str, name: str, values: pathlib.Path) -> None:
        super().__init__(namespace)
        self.release = name
        self.values = values

    def helm(self, verb: str, *words: str, seconds: float = 400) -> str:
        return must("helm", *verb.split(), self.release, *words, "-n", self.name, seconds=seconds)

    def chart(self, *settings: str) -> list[str]:
        """The chart with the story's values and these settings."""
        return [str(CHART), "-f", str(self.values), *(word for setting in settings for word in ("--set", setting))]

    def install(self, *settings: str, wait: str = "240s") -> str:
        return self.helm("install", *self.chart(*settings), "--wait", "--timeout", wait)

    def upgrade(self, *settings: str, wait: str = "240s") -> str:
        return self.helm("upgrade", *self.chart(*settings), "--wait", "--timeout", wait)

    def uninstall(self) -> None:
        run("helm", "uninstall", self.release, "-n", self.name, "--wait", "--timeout", "120s", "--ignore-not-found")

    def selector(self, component: str) -> str:
        return f"app.kubernetes.io/instance={self.release},app.kubernetes.io/component={component}"

    def pods(self, component: str) -> list[Any]:
        return [pod for pod in self.items("pods", self.selector(component)) if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, component: str) -> list[str]:
        """The names of the pods that are ready."""
        return [pod["metadata"]["name"] for pod in self.pods(component) if is_ready(pod)]

    def object(self, component: str) -> str:
        """The name that the chart gives the objects of a component."""
        return self.items("deployments", self.selector(component))[0]["metadata"]["name"]

    def rolled(self, component: str, seconds: float = 240) -> None:
        self.kubectl("rollout", "status", f"deployment/{self.object(component)}", f"--timeout={seconds:.0f}s", seconds=seconds + 20)

    def settled(self, component: str, count: int) -> None:
        """Waits until so many pods are ready, and no other is there."""
        until(f"{count} {component} pods", lambda: len(self.items("pods", self.selector(component))) == count == len(self.ready(component)))


def is_ready(pod: Any) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def restarts(pods: list[Any]) -> int:
    return sum(status["restartCount"] for pod in pods for status in pod["status"].get("containerStatuses", []))
