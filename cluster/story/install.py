"""From an empty cluster to a phone that gets a message."""

import base64
import concurrent.futures
import datetime
import json
import os
import pathlib

from . import processes
from .gateway import Gateway, Phones, pair
from .kube import ROOT, Namespace, Release, is_ready, must, refused, restarts, run
from .reach import OWN, Way
from .tell import check, say, until
from .traffic import Desk

HERE = pathlib.Path(__file__).parent
PASSWORD = "for-this-story-only"
KEYS = "1:" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
DATABASE_URL = f"postgres://switchboard:{PASSWORD}@postgres.stores:5432/switchboard"


def custom_resources() -> None:
    """The definitions of what the Prometheus operator, KEDA and the Gateway API bring along; those that are there stay."""
    for file in sorted((ROOT / "cluster" / "crds").glob("*.yaml")):
        must("kubectl", "apply", "--server-side", "-f", str(file))
    must("kubectl", "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")


def stores() -> Namespace:
    """Postgres, Redis and WhatsApp, which are there before the release."""
    own = {"POSTGRES": "localhost/postgres:dev", "REDIS": "localhost/redis:dev", "NODE_SELECTOR": "kubernetes.io/hostname: node-1"}
    away = {"POSTGRES": "docker.io/library/postgres:17", "REDIS": "docker.io/library/redis:7", "NODE_SELECTOR": "kubernetes.io/os: linux"}
    text = (HERE / "stores.yaml").read_text()
    for word, meaning in (own if OWN else away).items():
        text = text.replace(f" {word}\n", f" {meaning}\n").replace("{" + word + "}", "{" + meaning + "}")
    namespace = Namespace("stores")
    namespace.make("restricted")
    namespace.apply(text)
    until("Postgres, Redis and WhatsApp", lambda: sum(map(is_ready, namespace.items("pods"))) == 3)
    return namespace


def secrets(namespace: Namespace) -> None:
    namespace.secret("postgres", DATABASE_URL=DATABASE_URL)
    namespace.secret("redis", REDIS_URL="redis://redis.stores:6379")
    namespace.secret("credential-keys", CREDENTIAL_KEYS=KEYS)


def install(release: Release) -> None:
    """Installs with hooks; every pod is ready, none was restarted, the schema was there before them."""
    release.make("restricted")
    secrets(release)
    release.install()
    for component, count in (("api", 2), ("worker", 3), ("scheduler", 2)):
        pods = release.pods(component)
        check(len(pods) == count and all(map(is_ready, pods)), f"{count} {component} pods are ready")
        check(restarts(pods) == 0, f"no {component} pod was restarted: each waited for its schema")
    hooks = release.helm("get hooks")
    check("pre-install" in hooks and "migrate" in hooks, "the migrations are a hook")
    check("migrat" in release.events().lower() and not release.items("jobs"), "the hook's Job ran, and is gone since it succeeded")


def secured(release: Release) -> None:
    """What the specification promises is so; and the namespace lets in nothing less."""
    for component in ("api", "worker", "scheduler"):
        pod = release.pods(component)[0]
        container = pod["spec"]["containers"][0]
        probes = [container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
        check(probes == ["/livez", "/livez", "/readyz"], f"{component}: three probes by HTTP")
        if OWN:
            processes.confined(pod, component, [PASSWORD, KEYS])
    spec = "{containers: [{name: c, image: x, securityContext: {privileged: true}}]}"
    document = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: loud}}\nspec: {spec}\n"
    check("violates PodSecurity" in refused("kubectl", "-n", release.name, "apply", "-f", "-", text=document), "a privileged pod is refused here")


def tested(release: Release) -> None:
    out = release.helm("test", "--logs")
    check("Succeeded" in out, "helm test: the doctor finds nothing")
    for line in out.splitlines():
        if "postgres" in line.lower() or "redis" in line.lower():
            say(f"      {line.strip()[:150]}")


def gateway(release: Release) -> Gateway:
    """The api behind its Service, as a new tenant. The first key is made where an operator makes it: in a pod."""
    way = Way(release, release.object("api"), 80)
    admin = release.kubectl(
        "exec", f"deployment/{release.object('api')}", "--", "/usr/local/bin/switchboard-api", "keys", "create", "--admin", "--name", "story"
    )
    key = next(word for word in admin.split() if word.startswith("sb_"))
    return Gateway(way, key).tenant("Acme")


def desks(api: Gateway, world: Phones, count: int) -> list[Desk]:
    """So many paired accounts; each writes to a phone of its own."""

    def desk(n: int) -> Desk:
        own, reader = world.phone(f"1555{n:07}"), world.phone(f"1666{n:07}")
        return Desk(pair(api, world, own), own, reader)

    with concurrent.futures.ThreadPoolExecutor(8) as people:
        return list(people.map(desk, range(count)))


def sent(api: Gateway, world: Phones, desk: Desk) -> None:
    message = api.send(desk.account, desk.reader, "Good morning")
    until("the message is read", lambda: api.ask("GET", f"/v1/messages/{message}")["state"] == "read")
    check([bubble["text"] for bubble in world.inbox(desk.reader)] == ["Good morning"], "a message is sent, shown and read")


def reminded(api: Gateway, world: Phones, desk: Desk, text: str, seconds: int) -> str:
    """A reminder to a group, due in so many seconds; answers its id."""
    group = world.group(desk.own, [desk.reader])
    until("the group is known", lambda: any(one["jid"] == group for one in api.ask("GET", f"/v1/accounts/{desk.account}/groups")["data"]))
    start = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)).isoformat()
    body = {"name": text, "account_id": desk.account, "messages": [text], "targets": [group], "start": start,
            "timezone": "Europe/London", "recurrence": {"kind": "none"}}
    return api.ask("POST", "/v1/reminders", body)["id"]


def fired(api: Gateway, reminder: str) -> None:
    runs = until("the run's success", lambda: [run for run in api.ask("GET", f"/v1/reminders/{reminder}/runs")["data"] if run["status"] == "success"])
    check(len(runs) == 1, "the reminder fired, once")
