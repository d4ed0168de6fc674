"""R06: how the components are rolled out, stopped and scaled."""

import math

import chart
import pytest

OWN = ("api", "worker", "scheduler")


def values_of(scenario):
    """The scenario's values on top of the chart's."""
    from test_objects import merge

    values = chart.yaml.safe_load((chart.CHART / "values.yaml").read_text())
    for file in chart.scenarios()[scenario]:
        values = merge(values, chart.yaml.safe_load(file.read_text()))
    return values


def test_a_worker_has_time_to_hand_over(objects, scenario):
    """R06: STOP_TIMEOUT_S is at least accounts / CONNECTS_PER_S + 20 (README, Operate it), and the grace period longer."""
    worker = values_of(scenario)["worker"]
    accounts = worker["accountsWhenStopped"] or worker["capacity"]
    needed = 20 + (math.ceil(accounts / worker["connectsPerS"]) if worker["connectsPerS"] else 0)
    spec = chart.deployment(objects, "worker")["spec"]["template"]["spec"]
    env = {entry["name"]: entry.get("value") for entry in spec["containers"][0]["env"]}
    assert int(env["STOP_TIMEOUT_S"]) >= max(needed, 25)
    assert spec["terminationGracePeriodSeconds"] >= int(env["STOP_TIMEOUT_S"]) + 5


def test_the_others_have_time_to_stop(objects):
    """R06: the api's 25 s come after the sleep before its stop; the scheduler's are 15."""
    for name, stop in (("api", 25), ("scheduler", 15)):
        spec = chart.deployment(objects, name)["spec"]["template"]["spec"]
        sleep = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert spec["terminationGracePeriodSeconds"] >= sleep + stop + 5, name
        assert sleep == 0 or name == "api"


def test_a_new_worker_is_up_before_an_old_one_stops(objects):
    """R06: surge, nothing unavailable, ready for longer than a lease lives, and a release of its own for each rollout."""
    worker = chart.deployment(objects, "worker")["spec"]
    rolling = worker["strategy"]["rollingUpdate"]
    assert rolling["maxUnavailable"] == 0 and rolling["maxSurge"] in (1, "50%")
    env = {entry["name"]: entry for entry in worker["template"]["spec"]["containers"][0]["env"]}
    field = env["WORKER_RELEASE"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert field == "metadata.labels['pod-template-hash']"
    assert worker["minReadySeconds"] * 1000 >= int(env["LEASE_TTL_MS"]["value"])


def test_one_owner_of_the_number_of_pods(objects, scenario):
    """R06: where an autoscaler owns the number, the Deployment says none; the scaler means that Deployment."""
    scaled = {}
    for item in chart.of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        scaled[item["spec"]["scaleTargetRef"]["name"]] = item
    assert len(scaled) == (2 if scenario in ("ha", "everything") else 0)
    for name in OWN:
        item = chart.deployment(objects, name)
        assert ("replicas" in item["spec"]) != (item["metadata"]["name"] in scaled), name
    for item in scaled.values():
        spec = item["spec"]
        low, high = (spec.get(f"min{word}", 0) or spec.get(f"max{word}") for word in ("Replicas", "ReplicaCount"))
        assert low or high


def test_workers_go_slowly(objects, scenario):
    """R06: KEDA looks at held accounts and the oldest waiting message, and takes one pod in two minutes after ten of calm."""
    scalers = chart.of_kind(objects, "ScaledObject")
    assert len(scalers) == (scenario in ("ha", "everything"))
    for item in scalers:
        down = item["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
        assert down == {"stabilizationWindowSeconds": 600, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 120}]}
        series = 'cluster="a"' if scenario == "everything" else f'namespace="{chart.NAMESPACE}"'
        queries = [trigger["metadata"]["query"] for trigger in item["spec"]["triggers"]]
        assert queries == [
            f"sum(switchboard_leases_held{{{series}}})",
            f'max(switchboard_waiting_oldest_seconds{{kind="message",reason="ready",{series}}})',
        ]
        assert {trigger["metadata"]["ignoreNullValues"] for trigger in item["spec"]["triggers"]} == {"false"}


def test_pods_are_spread(objects, scenario):
    """R06: pods of one revision are spread over nodes and zones; the old revision's don't count."""
    for name in OWN:
        item = chart.deployment(objects, name)
        spreads = item["spec"]["template"]["spec"].get("topologySpreadConstraints", [])
        if (scenario, name) in (("everything", "worker"), ("bare", "api")):
            assert not spreads
            continue
        assert [spread["topologyKey"] for spread in spreads] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        for spread in spreads:
            assert spread["matchLabelKeys"] == ["pod-template-hash"]
            assert chart.selects(spread["labelSelector"], item["spec"]["template"]["metadata"]["labels"]), name


def test_trials_have_one_pod_each(objects, scenario):
    """R06: databases and the simulator of a trial are single, talk only to their own, and the worker runs its build for it."""
    servers = {chart.component(item): item["spec"] for item in chart.of_kind(objects, "StatefulSet")}
    assert set(servers) == ({"dev-postgres", "dev-redis", "dev-simulator"} if scenario == "trial" else set())
    worker = chart.deployment(objects, "worker")["spec"]["template"]["spec"]["containers"][0]
    env = {entry["name"]: entry.get("value") for entry in worker["env"]}
    if servers:
        assert all(spec["replicas"] == 1 for spec in servers.values())
        assert worker["image"].startswith("switchboard-worker-simulator:")
        assert env["WHATSAPP_URL"] == "ws://sb-switchboard-dev-simulator:7700/ws/chat"
        (secret,) = chart.of_kind(objects, "Secret")
        url = "postgres://switchboard:p%40ss%20w%2Ford@sb-switchboard-dev-postgres:5432/switchboard"
        assert secret["stringData"]["DATABASE_URL"] == url
        redis = " ".join(servers["dev-redis"]["template"]["spec"]["containers"][0]["args"])
        assert "--protected-mode no" in redis, "or a Redis that is not the official image refuses other pods"
        (job,) = chart.of_kind(objects, "Job")
        assert job["spec"]["backoffLimit"] >= 6, "the trial's Postgres may come minutes after the Job"
    else:
        assert "simulator" not in worker["image"]


def test_the_second_render_is_the_same(scenario):
    """R06: nothing is looked up or made up: GitOps sees no change where there is none."""
    files = chart.scenarios()[scenario]
    assert chart.template(files) == chart.template(files)
    for file in chart.CHART.rglob("*.*"):
        if file.suffix in (".yaml", ".tpl", ".txt"):
            words = file.read_text()
            assert not any(word in words for word in ("lookup ", "randAlpha", "genCA", "genSelf", "uuidv4", "now |")), file


def roll(extra):
    """The worker's pod template with these values on top of the default scenario's."""
    return chart.deployment(chart.render(chart.scenarios()["default"], extra), "worker")["spec"]["template"]


@pytest.mark.parametrize("extra", [{"secretsRevision": "2"}, {"worker": {"capacity": 4000}}, {"image": {"tag": "9"}}])
def test_a_change_rolls_the_pods(extra):
    """R06: a new image, setting or secret changes the pod template, and with it WORKER_RELEASE."""
    assert roll(extra) != roll({})


def test_a_plain_migration_job_is_named_by_what_it_runs():
    """R06: a Job can't be changed: a new image makes a new Job, an equal one stays."""

    def job(tag):
        extra = {"migrations": {"mode": "job"}, "api": {"image": {"tag": tag}}}
        (found,) = chart.of_kind(chart.render(chart.scenarios()["default"], extra), "Job")
        return found["metadata"]["name"]

    assert job("1") == job("1") != job("2")


def test_the_sleep_is_left_out_where_kubernetes_lacks_it():
    """R06: Kubernetes 1.29 knows the sleeping hook only behind a gate that is closed."""
    for version, wanted in (("1.29.0", False), ("1.30.0", True)):
        container = chart.deployment(chart.objects_of("default", version), "api")["spec"]["template"]["spec"]["containers"][0]
        assert ("lifecycle" in container) == wanted
