"""R06: values that don't fit each other are refused, with a message that says what to do."""

import chart
import pytest

KEDA = {"prometheus": {"serverAddress": "http://p:9090"}}

REFUSED = [
    ({"postgres": {"existingSecret": ""}}, "postgres.existingSecret is missing"),
    ({"redis": {"existingSecret": ""}}, "redis.existingSecret is missing"),
    ({"credentialKeys": {"existingSecret": ""}}, "openssl rand -base64 32"),
    ({"dev": {"postgres": {"enabled": True}}, "migrations": {"mode": "job"}}, "name two servers: choose one"),
    ({"dev": {"redis": {"enabled": True}}}, "redis.existingSecret and dev.redis.enabled name two servers"),
    ({"dev": {"postgres": {"enabled": True}}, "postgres": {"existingSecret": ""}}, "set migrations.mode to job"),
    ({"dev": {"simulator": {"enabled": True}}, "worker": {"whatsappUrl": "ws://x/ws/chat"}}, "name two WhatsApps"),
    ({"worker": {"stopTimeoutS": 69}}, "accounts / connectsPerS + 20 = 70 seconds"),
    ({"worker": {"stopTimeoutS": 25, "connectsPerS": 1000, "capacity": 5001}}, "= 26 seconds"),
    ({"worker": {"stopTimeoutS": 19, "connectsPerS": 0}}, "= 20 seconds"),
    ({"worker": {"terminationGracePeriodSeconds": 74}}, "worker.terminationGracePeriodSeconds is 74, but a stop takes up to 75"),
    ({"api": {"terminationGracePeriodSeconds": 34}}, "api.terminationGracePeriodSeconds is 34, but a stop takes up to 35"),
    ({"scheduler": {"terminationGracePeriodSeconds": 19}}, "scheduler.terminationGracePeriodSeconds is 19, but a stop takes up to 20"),
    ({"api": {"autoscaling": {"enabled": True, "minReplicas": 4, "maxReplicas": 3}}}, "maxReplicas (3) is less than minReplicas (4)"),
    ({"worker": {"autoscaling": {"enabled": True, "minReplicas": 4, "maxReplicas": 3, **KEDA}}}, "worker.autoscaling.maxReplicas (3)"),
    ({"worker": {"autoscaling": {"enabled": True}}}, "serverAddress is missing"),
    ({"api": {"ingress": {"enabled": True}}}, "api.ingress.hosts is empty"),
    ({"api": {"httpRoute": {"enabled": True}}}, "api.httpRoute.parentRefs is empty"),
    ({"worker": {"extraEnv": [{"name": "CONNECTS_PER_S", "value": "1"}]}}, "worker.extraEnv sets CONNECTS_PER_S"),
    ({"api": {"extraEnv": [{"name": "DATABASE_URL_FILE", "value": "x"}]}}, "api.extraEnv sets DATABASE_URL_FILE"),
    ({"scheduler": {"extraEnv": [{"name": "PGSSLMODE", "value": "x"}]}}, "scheduler.extraEnv sets PGSSLMODE"),
]


@pytest.mark.parametrize("extra, message", REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_what_does_not_fit_is_refused(extra, message):
    """R06: cross-field errors say which values, and what to do."""
    assert message in chart.refused(extra)


ACCEPTED = [
    {"worker": {"stopTimeoutS": 70}},
    {"worker": {"stopTimeoutS": 26, "connectsPerS": 1000, "capacity": 5001}},
    {"worker": {"terminationGracePeriodSeconds": 75}},
    {"api": {"terminationGracePeriodSeconds": 35}},
    {"scheduler": {"terminationGracePeriodSeconds": 20}},
    {"api": {"autoscaling": {"enabled": True, "minReplicas": 3, "maxReplicas": 3}}},
    {"api": {"extraEnv": [{"name": "CONNECTS_PER_S", "value": "1"}]}},
    {"production": True},
]


@pytest.mark.parametrize("extra", ACCEPTED, ids=str)
def test_what_just_fits_is_accepted(extra):
    """R06: the border of each refusal, on its good side."""
    assert chart.render(chart.scenarios()["default"], extra)


def test_an_old_kubernetes_is_refused():
    """R06: below 1.29 the chart says so before the server does."""
    done = chart.run(["template", chart.RELEASE], chart.scenarios()["default"], args=("--kube-version", "1.28.9"))
    assert done.returncode != 0 and "incompatible" in done.stderr
    chart.counts["refusals"] += 1


def test_a_dashboard_that_no_config_map_holds_is_refused(tmp_path):
    """R06: a dashboard of more than 1 MiB is found here and not by the server."""
    copy = chart.copy_to(tmp_path)
    (copy / "files" / "dashboards" / "huge.json").write_text('{"title": "' + "x" * 1_000_001 + '"}')
    extra = {"monitoring": {"dashboards": {"enabled": True}}}
    done = chart.run(["template", chart.RELEASE], chart.scenarios()["default"], extra, chart=copy)
    assert done.returncode != 0 and "less than 1 MiB" in done.stderr
    chart.counts["refusals"] += 1
