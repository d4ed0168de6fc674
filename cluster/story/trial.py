"""The chart as a newcomer tries it: its own Postgres, Redis and WhatsApp, migrations as a plain Job that pods wait for."""

import pathlib

from .gateway import Phones, pair
from .install import KEYS, gateway, sent
from .kube import Release, is_ready
from .reach import Way
from .tell import check
from .traffic import Desk

VALUES = pathlib.Path(__file__).parent / "trial-values.yaml"


def tried() -> None:
    release = Release("trial", "sb", VALUES)
    release.make("restricted")
    release.secret("credential-keys", CREDENTIAL_KEYS=KEYS)
    release.install()
    check(all(is_ready(pod) for component in ("api", "worker", "scheduler") for pod in release.pods(component)), "with dev.* everything is ready")
    check(len(release.items("jobs")) == 1, "the migrations are a plain Job")
    api, world = gateway(release), Phones(Way(release, "sb-switchboard-dev-simulator", 7700))
    own, reader = world.phone("15551230001"), world.phone("16661230001")
    sent(api, world, Desk(pair(api, world, own), own, reader))
    release.uninstall()
    left = [item for kind in ("deployments", "statefulsets", "services", "pods") for item in release.items(kind) if "deletionTimestamp" not in item["metadata"]]
    check(not left, "an uninstall leaves nothing that runs")
    release.remove()
