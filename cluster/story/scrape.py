"""What the monitors select, scraped by a real Prometheus.

There is no Prometheus operator here, so its part is played: a monitor's selector is asked of the API server, and the
targets that come of it are written into a Prometheus' configuration with the labels that the operator would set.
"""

import json
import pathlib
import subprocess
import tempfile
import urllib.parse
import urllib.request
from typing import Any

from .kube import Release
from .tell import check, until

PORT = 19090


def selector(match: Any) -> str:
    return ",".join(f"{key}={value}" for key, value in match["matchLabels"].items())


def named(ports: list[Any], name: str, key: str) -> int:
    return next(port[key] for port in ports if port.get("name") == name)


def targets(release: Release) -> list[Any]:
    """A group of targets for each address that a monitor selects."""
    found = []
    for monitor in release.items("servicemonitors.monitoring.coreos.com"):
        endpoint = monitor["spec"]["endpoints"][0]
        for service in release.items("services", selector(monitor["spec"]["selector"])):
            name = service["metadata"]["name"]
            for part in release.items("endpointslices", f"kubernetes.io/service-name={name}"):
                port = named(part["ports"], endpoint["port"], "port")
                for place in part["endpoints"] or []:
                    labels = {"pod": place["targetRef"]["name"], "service": name, "job": name}
                    found.append(group(release, monitor, endpoint, f"{place['addresses'][0]}:{port}", labels))
    for monitor in release.items("podmonitors.monitoring.coreos.com"):
        endpoint = monitor["spec"]["podMetricsEndpoints"][0]
        for pod in release.items("pods", selector(monitor["spec"]["selector"])):
            if "podIP" not in pod["status"]:
                continue
            port = named(pod["spec"]["containers"][0]["ports"], endpoint["port"], "containerPort")
            labels = {"pod": pod["metadata"]["name"], "job": f"{release.name}/{monitor['metadata']['name']}"}
            found.append(group(release, monitor, endpoint, f"{pod['status']['podIP']}:{port}", labels))
    return found


def group(release: Release, monitor: Any, endpoint: Any, address: str, labels: dict[str, str]) -> Any:
    path = {"__metrics_path__": endpoint.get("path", "/metrics")}
    return {"targets": [address], "labels": {"namespace": release.name, "monitor": monitor["metadata"]["name"], **path, **labels}}


def ask(query: str) -> list[Any]:
    url = f"http://127.0.0.1:{PORT}/api/v1/query?query={urllib.parse.quote(query)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())["data"]["result"]


def scraped(release: Release, components: dict[str, int]) -> None:
    """Prometheus scrapes what the monitors select: every pod of every component, once, and says which component it is."""
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        (place / "targets.json").write_text(json.dumps(targets(release)))
        (place / "prometheus.yml").write_text(
            "global: {scrape_interval: 2s, scrape_timeout: 2s}\n"
            "scrape_configs:\n  - job_name: monitors\n    file_sd_configs: [{files: [targets.json]}]\n"
        )
        words = ["prometheus", f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/data", f"--web.listen-address=127.0.0.1:{PORT}"]
        with open(place / "log", "wb") as log:
            prometheus = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            total = sum(components.values())
            until(f"{total} targets up", lambda: len(ask("up == 1")) == total, 60, 1)
            check(len(ask("up")) == total, f"Prometheus scrapes {total} pods, and nothing else")
            spoken = {sample["metric"]["pod"] for sample in ask('count by (pod) ({__name__=~"switchboard_.+"})')}
            for component, count in components.items():
                wanted = {pod["metadata"]["name"] for pod in release.pods(component)}
                check(len(wanted) == count and wanted <= spoken, f"all {count} {component} pods give metrics of ours")
        finally:
            prometheus.terminate()
            prometheus.wait()
