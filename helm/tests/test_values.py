"""R06: values, their schema, their documentation and the binaries' settings say the same."""

import re

import chart
import docs

VALUES = chart.yaml.safe_load((chart.CHART / "values.yaml").read_text())
SETTINGS = chart.yaml.safe_load((chart.CHART / "files" / "settings.yaml").read_text())


def test_the_tables_are_fresh():
    """R06: the README's tables are what values.yaml's comments and files/settings.yaml say (`dev/helm docs`)."""
    text = (chart.CHART / "README.md").read_text()
    assert docs.readme(text) == text


def test_schema_and_values_have_the_same_keys():
    """R06: each value has a place in the schema, and the schema names no value that there isn't."""
    from test_schema_refusals import SCHEMA, resolved

    def look(node, value, where):
        node = resolved(node)
        if node.get("type") == "object" and "properties" in node and where != "global":
            assert isinstance(value, dict) and set(node["properties"]) == set(value), where
            for key, child in node["properties"].items():
                look(child, value[key], f"{where}.{key}".strip("."))

    look(SCHEMA, VALUES, "")


def test_everything_is_rendered_at_another_value():
    """R06: ci/everything sets a value of each part of the chart that the default leaves alone."""
    everything = chart.yaml.safe_load((chart.CHART / "ci" / "everything-values.yaml").read_text())
    missing = set(VALUES) - set(everything) - {"global", "fullnameOverride", "namespaceOverride", "commonAnnotations", "production", "dev"}
    assert not missing
    for part in ("postgres", "redis", "credentialKeys", "config"):
        assert set(VALUES[part]) == set(everything[part]), part
    elsewhere = {"replicas", "image", "httpRoute", "progressDeadlineSeconds", "revisionHistoryLimit", "resources", "probes", "topologySpread"}
    assert not set(VALUES["api"]) - set(everything["api"]) - elsewhere


def known_settings():
    """The names of the binaries' settings: the table that they print (docs/configuration.md), or until that is there the list beside this file;
    and the simulator's, from its code."""
    page = chart.ROOT / "docs" / "configuration.md"
    rest = chart.ROOT / "helm" / "tests" / "settings.txt"
    assert page.exists() != rest.exists(), "docs/configuration.md is the list of settings now: remove helm/tests/settings.txt"
    simulator = set(re.findall(r'env = "([A-Z_]+)"', (chart.ROOT / "simulator" / "src" / "flags.rs").read_text()))
    assert simulator
    if page.exists():
        rows = [line for line in page.read_text().splitlines() if line.startswith("|")]
        return simulator | {name for row in rows for name in re.findall(r"`(TZDIR|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`", row)}
    return simulator | set(rest.read_text().split())


def names_of(*kinds):
    """The names in these parts of files/settings.yaml."""
    return {entry["name"] for kind in kinds for entry in SETTINGS[kind]}


def test_each_setting_can_be_reached():
    """R06: every setting that a binary has comes from a value, is made by a template, or is left out with a reason; and no other is set."""
    known = known_settings()
    assert not names_of("settings", "by_template") - known, "no binary has these settings"
    assert not known - names_of("settings", "by_template", "left_out"), "the chart can't reach these: add them to files/settings.yaml"


def test_only_known_variables_are_set(objects, scenario):
    """R06: what stands in the environment of our containers is in files/settings.yaml, for that component, or the operator's own."""
    own = {"everything": {"SSL_CERT_FILE", "NODE_NAME"}}.get(scenario, set())
    for item, _, _, spec in chart.pods(objects):
        role = chart.component(item)
        role = {"dev-simulator": "simulator"}.get(role, role)
        if role.startswith("dev-"):
            continue
        for container in chart.containers(spec):
            role_here = "migrations" if container["name"] == "wait-for-schema" else role
            allowed = {
                entry["name"] for kind in ("settings", "by_template", "by_library") for entry in SETTINGS[kind] if role_here in entry["for"]
            }
            names = {entry["name"] for entry in container["env"]}
            assert names <= allowed | own, f"{chart.title(item)}: {sorted(names - allowed)}"


def test_values_become_settings():
    """R06: each value of files/settings.yaml arrives, as a binary reads it: lists by commas, numbers whole, what is empty left out."""
    everything = chart.objects_of("everything")
    wanted = {
        "api": {"LOG_FORMAT": "text", "RUST_LOG": "info,worker=debug", "OTEL_TRACES_SAMPLER_ARG": "0.25", "TRACE_PARENT": "child"}
        | {"WEBHOOK_ALLOW_PRIVATE": "10.1.0.0/16,fd00::/8", "WEBHOOK_ALLOW_HTTP": "true", "DATABASE_CONNECTIONS": "8"}
        | {"REDIS_PREFIX": "one:", "PGSSLMODE": "require", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.monitoring:4318"}
        | {"API_LISTEN": "[::]:8080", "OPS_LISTEN": "[::]:9090"},
        "worker": {"WORKER_CAPACITY": "1000000", "CONNECTS_PER_S": "150", "STOP_TIMEOUT_S": "45", "LEASE_TTL_MS": "20000", "PRE_KEYS": "50"}
        | {"REACHOUT_HOLD_S": "600", "WHATSAPP_VERSION": "2.3000.1023223821", "ALLOW_PUBLIC_SIMULATOR": "true"}
        | {"WHATSAPP_URL": "wss://web.whatsapp.com/ws/chat", "DATABASE_CONNECTIONS": "32", "OPS_LISTEN": "[::]:9091"},
        "scheduler": {"RING_AGAIN_S": "10", "EVENTS_KEPT_DAYS": "30", "RUNS_KEPT_DAYS": "365", "MESSAGES_KEPT_DAYS": "30", "AUDIT_KEPT_DAYS": "730", "OPS_LISTEN": "[::]:9092"},
    }
    for name, pairs in wanted.items():
        container = chart.deployment(everything, name)["spec"]["template"]["spec"]["containers"][0]
        env = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert pairs.items() <= env.items(), (name, pairs.items() - env.items())
    bare = chart.deployment(chart.objects_of("bare"), "worker")["spec"]["template"]["spec"]["containers"][0]
    env = {entry["name"]: entry.get("value") for entry in bare["env"]}
    assert env["CONNECTS_PER_S"] == "0" and env["STOP_TIMEOUT_S"] == "25", "0 is a value"
    absent = {"WEBHOOK_ALLOW_HTTP", "WEBHOOK_ALLOW_PRIVATE", "WHATSAPP_VERSION", "WHATSAPP_URL", "OTEL_EXPORTER_OTLP_ENDPOINT"}
    assert not absent & env.keys()


def test_zone_data_comes_from_a_volume():
    """R85: api, worker and scheduler read zone data from the volume of `zoneData`, and nobody else; without one no setting names a folder."""
    for item, _, _, spec in chart.pods(chart.objects_of("everything")):
        for container in spec["containers"]:
            mounts = [mount for mount in container.get("volumeMounts", []) if mount["name"] == "zoneinfo"]
            env = {entry["name"]: entry.get("value") for entry in container.get("env", [])}
            if chart.component(item) in ("api", "worker", "scheduler") and item["kind"] == "Deployment":
                assert mounts == [{"name": "zoneinfo", "mountPath": env["TZDIR"], "readOnly": True, "subPath": "2026f"}]
                assert {"name": "zoneinfo", "persistentVolumeClaim": {"claimName": "zoneinfo"}} in spec["volumes"]
            else:
                assert not mounts and "TZDIR" not in env
    for _, _, _, spec in chart.pods(chart.objects_of("bare")):
        assert all("TZDIR" not in [entry["name"] for entry in container.get("env", [])] for container in spec["containers"])


def test_images_come_from_the_mirror():
    """R06: a registry for all charts goes before the chart's, a digest before a tag, a component's tag before the chart's."""
    objects = chart.objects_of("gateway")
    images = {}
    for name in ("api", "worker", "scheduler"):
        images[name] = chart.deployment(objects, name)["spec"]["template"]["spec"]["containers"][0]["image"]
    assert images == {
        "api": "registry.example.com/mirror/switchboard-api@sha256:" + "a" * 64,
        "worker": "registry.example.com/mirror/switchboard-worker:0.1.2",
        "scheduler": "registry.example.com/mirror/switchboard-scheduler:0.1.1",
    }
    for item, _, _, spec in chart.pods(objects):
        assert spec["imagePullSecrets"] == [{"name": "mirror-login"}, {"name": "extra-login"}], chart.title(item)
