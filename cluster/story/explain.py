"""What an operator would look at first when something is broken, printed so that a log alone tells it."""

import collections
import os
import pathlib
from typing import Any

from .kube import Namespace, is_ready, restarts, run

LINES = 40
# Of each namespace, those that are not well first.
PODS = 15


def show(title: str, text: str, last: int = LINES, width: int = 300) -> None:
    lines = text.splitlines()[-last:]
    print(f"== {title}\n" + "\n".join(line[:width] for line in lines), flush=True)


def explain(namespaces: list[str]) -> None:
    show("pods", run("kubectl", "get", "pods", "-A", "-o", "wide", "--sort-by=.metadata.creationTimestamp").stdout)
    show("nodes", run("kubectl", "get", "nodes", "-o", "wide").stdout)
    for name in namespaces:
        namespace = Namespace(name)
        pods = namespace.items("pods")
        if pods:
            show(f"warnings in {name}", run("kubectl", "-n", name, "get", "events", "--field-selector=type=Warning", "--sort-by=.lastTimestamp").stdout)
            show(f"last events in {name}", namespace.events())
        for pod in sorted(pods, key=well)[:PODS]:
            tell(namespace, pod)
    if state := os.environ.get("SWITCHBOARD_CLUSTER_STATE"):
        parts(pathlib.Path(state) / "logs")


def well(pod: Any) -> bool:
    return is_ready(pod) or pod["status"]["phase"] == "Succeeded"


def tell(namespace: Namespace, pod: Any) -> None:
    """A pod's last words; and all that is known of one that is not well."""
    name = pod["metadata"]["name"]
    if not well(pod):
        show(f"{name} is not ready", run("kubectl", "-n", namespace.name, "describe", "pod", name).stdout, 80)
    if restarts([pod]):
        show(f"{name} before its restart", run("kubectl", "-n", namespace.name, "logs", name, "--previous", f"--tail={LINES}").stdout)
    show(f"{name} says", run("kubectl", "-n", namespace.name, "logs", name, "--all-containers", f"--tail={10 if well(pod) else LINES}").stdout)


def parts(logs: pathlib.Path) -> None:
    """Complaints of the cluster's own parts: lines of klog that begin with E or F, and others' errors."""
    for log in sorted(logs.glob("*.log")):
        with log.open(errors="replace") as lines:
            loud = collections.deque((line.rstrip("\n") for line in lines if line[:1] in "EF" or "level=error" in line or "panic" in line), 5)
        if loud:
            show(str(log), "\n".join(loud))
