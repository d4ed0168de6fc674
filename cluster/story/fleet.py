"""A hundred workers on three nodes that are Ready by decree (kwok): what one machine can't run, but a control plane can judge."""

import json
import pathlib
from collections import Counter
from typing import Any

from .install import secrets
from .kube import Release, must, run
from .tell import check, until

VALUES = pathlib.Path(__file__).parent / "fleet-values.yaml"
NODES = {"decreed-1": "zone-1", "decreed-2": "zone-2", "decreed-3": "zone-3"}
WORKERS = 100


def node(name: str, zone: str) -> Any:
    size = {"cpu": "32", "memory": "64Gi", "pods": "110"}
    labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone, "kind-of-node": "decreed"}
    metadata = {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": {"allocatable": size, "capacity": size}}


def decree() -> None:
    for name, zone in NODES.items():
        must("kubectl", "apply", "--server-side", "-f", "-", text=json.dumps(node(name, zone)))
    must("kubectl", "wait", "--for=condition=Ready", "node", "-l", "kind-of-node=decreed", "--timeout=60s")


def placed(release: Release, component: str, label: str) -> Counter[str]:
    """How many pods of a component each place has."""
    pods = Counter(pod["spec"].get("nodeName", "nowhere") for pod in release.pods(component))
    if label == "node":
        return Counter({name: pods[name] for name in NODES})
    return Counter({zone: pods[name] for name, zone in NODES.items()})


def evict(release: Release, pod: str) -> bool:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": release.name}}
    done = run("kubectl", "create", "--raw", f"/api/v1/namespaces/{release.name}/pods/{pod}/eviction", "-f", "-", text=json.dumps(body))
    return done.returncode == 0


def budget(release: Release) -> Any:
    return release.items("poddisruptionbudgets", release.selector("worker"))[0]["status"]


def judged() -> None:
    release = Release("fleet", "fleet", VALUES)
    release.make("restricted")
    secrets(release)
    release.install()
    release.kubectl("scale", f"deployment/{release.object('worker')}", f"--replicas={WORKERS}")
    release.settled("worker", WORKERS)
    for label in ("node", "zone"):
        counts = placed(release, "worker", label)
        check(sum(counts.values()) == WORKERS and max(counts.values()) - min(counts.values()) <= 1, f"{WORKERS} workers are spread by {label}: {sorted(counts.values())}")
    until("the budget's count", lambda: budget(release)["currentHealthy"] == WORKERS)
    found = budget(release)
    check((found["expectedPods"], found["desiredHealthy"], found["disruptionsAllowed"]) == (WORKERS, WORKERS - 1, 1), f"of {WORKERS} workers one may be disrupted")
    first, second = release.ready("worker")[:2]
    # Nodes by decree replace a pod at once; closed to new pods, as in a drain of many, they leave the budget used up.
    must("kubectl", "cordon", *NODES)
    check(evict(release, first), "one eviction is let through")
    check(not evict(release, second), "and no second one before the first is replaced")
    must("kubectl", "uncordon", *NODES)
    until("the budget again", lambda: budget(release)["disruptionsAllowed"] == 1)

    scaler = release.items("horizontalpodautoscalers")[0]
    check((scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (3, 9), "the HPA of the api is admitted")
    until("the HPA's look at its target", lambda: any(c["type"] == "AbleToScale" and c["status"] == "True" for c in release.items("horizontalpodautoscalers")[0]["status"].get("conditions", [])))
    scaled = release.items("scaledobjects.keda.sh")[0]["spec"]
    check(scaled["maxReplicaCount"] == WORKERS and len(scaled["triggers"]) == 2, "the ScaledObject of the workers is admitted")
    check(scaled["scaleTargetRef"]["name"] == release.object("worker"), "and names their Deployment")
    kept = release.get("deployment", release.object("worker"))["spec"]["replicas"]
    release.upgrade("config.logLevel=warn")
    check(release.get("deployment", release.object("worker"))["spec"]["replicas"] == kept == WORKERS, "an upgrade leaves the number of pods to the autoscaler")
    for kind in ("ingresses", "httproutes.gateway.networking.k8s.io", "prometheusrules.monitoring.coreos.com", "networkpolicies"):
        check(release.items(kind), f"admitted: {kind}")
    release.uninstall()
    release.remove()


def revoke() -> None:
    run("kubectl", "delete", "node", *NODES, "--ignore-not-found", "--wait=false")
