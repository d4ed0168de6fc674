"""`python3 -m story [--accounts N] [--only CHAPTER,…]`: run by `dev/cluster story`. The last line counts what was checked."""

import argparse
import os
import pathlib
import sys
import traceback

from . import day, fleet, install, refusals, scrape, tell, trial
from .explain import explain
from .gateway import Phones
from .kube import Release, must
from .reach import OWN, Way
from .takeover import overlaps
from .tell import check, say, step, warn
from .traffic import Traffic, judge

VALUES = pathlib.Path(__file__).parent / "values.yaml"
NAMESPACES = ["switchboard", "trial", "fleet", "stores"]
CHAPTERS = ["main", "trial", "fleet"]


def main_story(accounts: int, per_second: float) -> None:
    release = Release("switchboard", "sb", VALUES)
    with step("custom resources, Postgres, Redis and WhatsApp"):
        install.custom_resources()
        stores = install.stores()
    with step("install, with the migrations as a hook"):
        install.install(release)
    with step("what the specification promises is so"):
        install.secured(release)
    with step("helm test"):
        install.tested(release)
    with step(f"pair {accounts} phones through the Service, send, and a reminder fires"):
        api, world = install.gateway(release), Phones(Way(stores, "whatsapp", 7700))
        desks = install.desks(api, world, accounts)
        install.sent(api, world, desks[0])
        install.fired(api, install.reminded(api, world, desks[0], "Stand-up", 5))
    if OWN:
        with step("Prometheus scrapes what the monitors select"):
            scrape.scraped(release, {"api": 2, "worker": 3, "scheduler": 2})
    else:
        warn("no Prometheus here: pods of this cluster can't be reached from this machine")

    # Not the first desk: its phone already shows what was sent above.
    traffic = Traffic(api, desks[1:], per_second).start()
    try:
        with step("roll the workers"):
            day.restarted(release, world)
        with step("upgrade"):
            later = install.reminded(api, world, desks[0], "Time to go", 45)
            day.upgraded(release, world)
        with step("roll back"):
            day.rolled_back(release, world)
        with step("drain a node through the budgets"):
            nodes = {pod["spec"]["nodeName"] for pod in release.pods("worker")}
            day.drained(release, world, "node-2" if OWN else sorted(nodes)[-1])
        with step("a worker's pod is killed"):
            day.pod_killed(release, world)
        if OWN:
            with step("a worker's process is killed"):
                day.process_killed(release, world)
            with step("Postgres is away for a while"):
                day.store_away(release, stores, "postgres", "postgres")
        else:
            warn("no process is killed or frozen here: they run on nodes of their own")
        with step("scale up to 5 workers and down to 2"):
            day.scaled(release, world, 5)
            day.scaled(release, world, 2)
    finally:
        traffic.stop()
    with step("nothing lost, nothing doubled"):
        check(not traffic.broken, f"every request was accepted in the end {traffic.broken[:2]}")
        judge(traffic.ledger, world, seconds=90)
        install.fired(api, later)
        check([b["text"] for b in world.inbox(desks[0].reader)] == ["Good morning", "Stand-up", "Time to go"], "both reminders are shown, once each")
        check(overlaps(world) == 0, "no device ever had two sockets")
        say(f"   accepted after {tell.quantile(traffic.ledger.seconds, 0.5) * 1e3:.0f} ms (p50), {tell.quantile(traffic.ledger.seconds, 0.99):.2f} s (p99)")
    with step("what is refused"):
        refusals.by_the_chart(release)
        refusals.by_the_server(release)
    with step("uninstall"):
        release.uninstall()
        check(not release.items("deployments") and not release.items("services"), "nothing is left")


def clean() -> None:
    """Removes what the story made, on a cluster that stays; also what a run before this one left."""
    for namespace, name in (("switchboard", "sb"), ("trial", "sb"), ("fleet", "fleet")):
        Release(namespace, name, VALUES).uninstall()
    fleet.revoke()
    must("kubectl", "delete", "namespace", *NAMESPACES, "--ignore-not-found", "--timeout=120s")


def main() -> int:
    words = argparse.ArgumentParser(prog="dev/cluster story")
    words.add_argument("--accounts", type=int, default=int(os.environ.get("ACCOUNTS", 20)))
    words.add_argument("--per-second", type=float, default=4)
    words.add_argument("--only", default=",".join(CHAPTERS), help="chapters, of: " + ", ".join(CHAPTERS))
    asked = words.parse_args()
    chapters = asked.only.split(",")
    try:
        clean()
        if "main" in chapters:
            main_story(asked.accounts, asked.per_second)
        if "trial" in chapters:
            with step("a trial: the chart brings everything"):
                trial.tried()
        if "fleet" in chapters and OWN:
            with step("a hundred workers on nodes by decree"):
                install.custom_resources()
                fleet.decree()
                fleet.judged()
        elif "fleet" in chapters:
            warn("no nodes by decree here: kwok is part of the cluster of our own")
    except Exception as broken:
        say(f"BROKEN: {broken}")
        if not isinstance(broken, tell.Broken):
            traceback.print_exc(file=sys.stdout)
        explain(NAMESPACES)
        print(f"{tell.checks} passed, 1 failed", flush=True)
        return 1
    finally:
        # A cluster of our own ends with the story, or is left to be looked at.
        if not OWN and not os.environ.get("KEEP"):
            clean()
    print(f"{tell.checks} passed, 0 failed", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
