"""What operators do to a cluster and what happens to it, while messages go on."""

import contextlib
import json
import time

from . import processes
from .gateway import Phones
from .kube import Namespace, Release, must, restarts
from .lookout import Lookout
from .takeover import Watch
from .tell import check, until


def rolled(release: Release, world: Phones, change: str, act) -> None:
    """A rollout of the workers by `act`: never fewer ready than wanted, one more at most, each device moved at most once or
    twice, and every stop within its grace."""
    before = {pod["metadata"]["name"] for pod in release.pods("worker")}
    count = len(before)
    watch = Watch(world)
    with Lookout(release, "worker") as lookout:
        act()
        release.rolled("worker")
        release.settled("worker", count)
    online(release, world)
    gaps = watch.told(change)
    after = {pod["metadata"]["name"] for pod in release.pods("worker")}
    check(not before & after, f"{change}: every worker is a new one")
    check(lookout.fewest >= count, f"{change}: never fewer than {count} workers were ready")
    check(lookout.most <= count + 1, f"{change}: one worker more than {count} at most")
    check(gaps, f"{change}: the accounts moved")
    killed = [line for line in release.events().splitlines() if "worker" in line and "ExceededGracePeriod" in line]
    check(not killed, f"{change}: each worker stopped within its grace")


def restarted(release: Release, world: Phones) -> None:
    rolled(release, world, "rollout restart", lambda: release.kubectl("rollout", "restart", f"deployment/{release.object('worker')}"))


def upgraded(release: Release, world: Phones) -> None:
    rolled(release, world, "helm upgrade", lambda: release.upgrade("config.logLevel=debug"))
    check(release.helm("history", "-o", "json").count('"revision"') == 2, "the upgrade is revision 2")


def rolled_back(release: Release, world: Phones) -> None:
    rolled(release, world, "helm rollback", lambda: release.helm("rollback", "1", "--wait", "--timeout", "240s"))
    last = release.helm("history", "--max", "1")
    check("Rollback to 1" in last and "deployed" in last, "the rollback to revision 1 is revision 3")


def drained(release: Release, world: Phones, node: str) -> None:
    """A node is drained as an operator drains it: budgets let one pod of each component go at a time."""
    watch = Watch(world)
    wanted = {component: len(release.pods(component)) for component in ("api", "worker", "scheduler")}
    there = len([pod for component in wanted for pod in release.pods(component) if pod["spec"]["nodeName"] == node])
    check(there, f"{there} pods of ours are on {node}")
    with contextlib.ExitStack() as stack:
        stack.callback(must, "kubectl", "uncordon", node)
        lookouts = [stack.enter_context(Lookout(release, component)) for component in wanted]
        must("kubectl", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=240s",
             "--pod-selector=app.kubernetes.io/component in (api,worker,scheduler)", seconds=260)
        for component, count in wanted.items():
            release.settled(component, count)
    for lookout in lookouts:
        check(lookout.fewest >= wanted[lookout.component] - 1, f"the drain took one {lookout.component} pod at a time")
    online(release, world)
    watch.told("draining a node")


def pod_killed(release: Release, world: Phones) -> None:
    """A worker's pod vanishes without a word, as with its node."""
    count = len(release.pods("worker"))
    watch = Watch(world)
    release.kubectl("delete", "pod", release.ready("worker")[0], "--grace-period=0", "--force", "--wait=false")
    release.settled("worker", count)
    until("the take-over", lambda: watch.gaps(), 60)
    online(release, world)
    watch.told("killing a pod")


def process_killed(release: Release, world: Phones) -> None:
    """A worker's process is killed; the kubelet starts it again in the same pod. Nothing else moves meanwhile: what the pod that
    was killed before has left uneven is even again."""
    even(release)
    pod = release.pods("worker")[0]
    before = restarts([pod])
    watch = Watch(world)
    processes.kill(pod, "switchboard-worker")
    until("the restart", lambda: restarts([release.get("pod", pod["metadata"]["name"])]) == before + 1)
    release.settled("worker", len(release.pods("worker")))
    online(release, world)
    watch.told("killing a process")


def scaled(release: Release, world: Phones, count: int) -> None:
    watch = Watch(world)
    release.kubectl("scale", f"deployment/{release.object('worker')}", f"--replicas={count}")
    release.settled("worker", count)
    even(release)
    online(release, world)
    check(watch.told(f"scaling to {count} workers"), f"each of {count} workers took its share")


def even(release: Release) -> None:
    """Waits until every worker holds its share. Who took what others had left lets go of nothing for a minute."""
    words = ["exec", f"deployment/{release.object('api')}", "--", "/usr/local/bin/switchboard-api", "workers", "list", "--json"]

    def shares() -> bool:
        held = [worker["held"] for worker in json.loads(release.kubectl(*words)) if worker["state"] == "live"]
        share = sum(held) / max(1, len(held))
        return share > 0 and len(held) == len(release.pods("worker")) and all(abs(one - share) <= share / 4 + 1 for one in held)

    until("equal shares", shares, 180, pause=1)


def online(release: Release, world: Phones) -> None:
    """Every linked device has its socket again."""

    def back() -> bool:
        linked = [phone for phone in world.ask("GET", "/phones") if phone["linked_devices"]]
        return bool(linked) and all(phone["sockets_now"] == phone["linked_devices"] for phone in linked)

    until("all devices online", back, 90)


def store_away(release: Release, stores: Namespace, name: str, program: str) -> None:
    """A store's process is frozen for a while: pods are taken out of their Service, none is restarted, all come back."""
    pod = next(pod for pod in stores.items("pods") if pod["metadata"]["name"].startswith(name))
    before = restarts([pod for component in ("api", "worker", "scheduler") for pod in release.pods(component)])
    with processes.frozen(pod, program):
        until("the api is not ready", lambda: not release.ready("api"), 60)
        time.sleep(15)
    for component in ("api", "worker", "scheduler"):
        release.settled(component, len(release.pods(component)))
    after = restarts([pod for component in ("api", "worker", "scheduler") for pod in release.pods(component)])
    check(after == before, f"without {name} for 15 s pods are unready, and none is restarted")
