"""R06: what must be true of every pod that the chart makes."""

import re

import chart

OWN = ("api", "worker", "scheduler")


def test_pod_security_restricted(objects):
    """R06: every pod, of a hook or a trial too, meets the level `restricted`, with a read-only root and no token."""
    seen = 0
    for item, _, _, spec in chart.pods(objects):
        name = chart.title(item)
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True and security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        trial = chart.component(item) in ("dev-postgres", "dev-redis")
        assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == (999 if trial else 65532), name
        assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        for container in chart.containers(spec):
            inside = container["securityContext"]
            assert inside["runAsNonRoot"] is True and inside["readOnlyRootFilesystem"] is True, name
            assert inside["allowPrivilegeEscalation"] is False and inside["privileged"] is False, name
            assert inside["capabilities"] == {"drop": ["ALL"]}, name
            assert inside["seccompProfile"] == {"type": "RuntimeDefault"}, name
            seen += 1
    assert seen >= 7, "three Deployments with an init container each, and the test's pod"


def test_only_harmless_volumes(objects):
    """R06: volumes are of the kinds that `restricted` allows; what is mounted exists, and /tmp may be written."""
    allowed = {"configMap", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
    for item, _, _, spec in chart.pods(objects):
        volumes = {volume["name"]: set(volume) - {"name"} for volume in spec.get("volumes", [])}
        assert len(volumes) == len(spec.get("volumes", [])), f"{chart.title(item)}: two volumes of one name"
        assert all(kinds <= allowed for kinds in volumes.values()), chart.title(item)
        claimed = {claim["metadata"]["name"] for claim in item["spec"].get("volumeClaimTemplates", [])}
        for container in chart.containers(spec):
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert set(mounts) <= set(volumes) | claimed, chart.title(item)
            assert mounts["tmp"] == "/tmp" and volumes["tmp"] == {"emptyDir"}, chart.title(item)


def test_every_server_has_three_probes(objects):
    """R06: what stays up has a startup, a liveness and a readiness probe at a port that it has; what ends has none."""
    for item, _, _, spec in chart.pods(objects):
        for container in spec["containers"]:
            probes = {key: container.get(key) for key in ("startupProbe", "livenessProbe", "readinessProbe")}
            if item["kind"] in ("Job", "Pod"):
                assert not any(probes.values()), chart.title(item)
                continue
            ports = {port["name"] for port in container["ports"]}
            for name, probe in probes.items():
                ask = probe.get("httpGet") or probe["tcpSocket"]
                assert ask["port"] in ports, f"{chart.title(item)} {name}"
            if chart.component(item) in OWN:
                paths = [probe["httpGet"]["path"] for probe in probes.values()]
                assert paths == ["/livez", "/livez", "/readyz"], chart.title(item)
                assert {probe["httpGet"]["port"] for probe in probes.values()} == {"ops"}, chart.title(item)


def test_resources_are_bounded(objects):
    """R06: every container asks for processor and memory and has a limit of memory."""
    for item, _, _, spec in chart.pods(objects):
        for container in chart.containers(spec):
            resources = container["resources"]
            assert {"cpu", "memory"} <= resources["requests"].keys() and "memory" in resources["limits"], chart.title(item)


def test_secrets_are_files(objects):
    """R06: no secret stands in a variable; each binary is told the file, and the file is mounted from the right key."""
    wanted = {
        "api": {"DATABASE_URL_FILE", "REDIS_URL_FILE"},
        "worker": {"DATABASE_URL_FILE", "REDIS_URL_FILE", "CREDENTIAL_KEYS_FILE"},
        "scheduler": {"DATABASE_URL_FILE", "REDIS_URL_FILE"},
        "migrations": {"DATABASE_URL_FILE"},
        "test": {"DATABASE_URL_FILE", "REDIS_URL_FILE"},
    }
    seen = set()
    for item, _, _, spec in chart.pods(objects):
        role = chart.component(item)
        if role not in wanted:
            continue
        seen.add(role)
        (secrets,) = [volume["projected"] for volume in spec["volumes"] if volume["name"] == "secrets"]
        assert secrets["defaultMode"] == 0o440, "the process reads it by its group alone"
        paths = {f"/etc/switchboard/secrets/{key['path']}" for source in secrets["sources"] for key in source["secret"]["items"]}
        for container in chart.containers(spec):
            env = {entry["name"]: entry.get("value") for entry in container["env"]}
            files = {name: value for name, value in env.items() if name.endswith("_FILE") and value.startswith("/etc/switchboard")}
            assert set(files.values()) <= paths, chart.title(item)
            assert set(files) == (wanted["migrations"] if container["name"] == "wait-for-schema" else wanted[role]), chart.title(item)
            assert not {"DATABASE_URL", "REDIS_URL", "CREDENTIAL_KEYS"} & env.keys(), chart.title(item)
            assert not any("secretKeyRef" in str(entry.get("valueFrom")) for entry in container["env"]), chart.title(item)
    assert seen >= {"api", "worker", "scheduler", "test"}


def test_every_pod_waits_for_its_schema(objects):
    """R06: the three start when the schema is at least theirs, asked with the api's image and its database alone."""
    for name in OWN:
        (wait,) = chart.deployment(objects, name)["spec"]["template"]["spec"]["initContainers"]
        assert wait["args"] == ["migrate", "--wait"], name
        api = chart.deployment(objects, "api")["spec"]["template"]["spec"]["containers"][0]
        assert wait["image"] == api["image"], name


def test_images_are_whole(objects):
    """R06: every image has a tag or a digest, and one policy of pulling."""
    for item, _, _, spec in chart.pods(objects):
        for container in chart.containers(spec):
            assert re.fullmatch(r"[a-z0-9./_-]+(:[A-Za-z0-9._-]+|@sha256:[0-9a-f]{64})", container["image"]), chart.title(item)
            assert not container["image"].endswith(":latest"), chart.title(item)
            assert container["imagePullPolicy"] in ("Always", "IfNotPresent"), chart.title(item)


def test_no_variable_stands_twice(objects):
    """R06: a variable that stood twice would be decided by its place."""
    for item, _, _, spec in chart.pods(objects):
        for container in chart.containers(spec):
            names = [entry["name"] for entry in container.get("env", [])]
            assert len(names) == len(set(names)), f"{chart.title(item)}: {sorted(names)}"
            for entry in container.get("env", []):
                assert isinstance(entry.get("value", ""), str), f"{chart.title(item)}: {entry}"
