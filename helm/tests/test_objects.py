"""R06: what must be true of the chart's objects together: names, labels, selectors, references, networks, hooks."""

import chart

OWN = ("api", "worker", "scheduler")


def test_no_two_objects_of_one_name(objects):
    """R06: an object is there once."""
    keys = [(item["apiVersion"], item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in objects]
    assert len(keys) == len(set(keys)), sorted(key for key in keys if keys.count(key) > 1)
    assert all(len(item["metadata"]["name"]) <= 63 for item in objects)


def test_labels_are_the_same_everywhere(objects, scenario):
    """R06: each object says what it is and where it belongs; pods carry neither the chart's version nor lack a common label."""
    common = {"gateway": {"team", "cost-center"}, "everything": {"team"}}.get(scenario, set())
    for item in objects:
        labels = item["metadata"].get("labels", {})
        if item["metadata"]["name"] in ("our-ca", "wa-proxy"):
            continue  # the operator's own
        wanted = {"name", "instance", "component", "part-of", "version", "managed-by"}
        assert {f"app.kubernetes.io/{word}" for word in wanted} | {"helm.sh/chart"} | common <= labels.keys(), chart.title(item)
        assert labels["app.kubernetes.io/instance"] == chart.RELEASE
        assert all(isinstance(value, str) for value in labels.values()), chart.title(item)
    for item, labels, _, _ in chart.pods(objects):
        assert common <= labels.keys() and (item["kind"] == "Pod" or "helm.sh/chart" not in labels), chart.title(item)
        assert labels["app.kubernetes.io/component"] == chart.component(item)


def test_everything_is_in_one_namespace(objects, scenario):
    """R06: the release's namespace, or the one that takes its place; dashboards go where Grafana's sidecar looks."""
    wanted = "messaging" if scenario == "gateway" else chart.NAMESPACE
    for item in objects:
        dashboards = item["kind"] == "ConfigMap" and scenario == "everything" and chart.component(item) == "monitoring"
        assert item["metadata"]["namespace"] == ("grafana" if dashboards else wanted), chart.title(item)


def test_selectors_choose_their_own_pods(objects):
    """R06: Deployments, budgets, Services and monitors choose the pods of one component, and no others."""
    found = [(chart.component(item), labels) for item, labels, _, _ in chart.pods(objects)]
    services = [(chart.component(item), item["metadata"]["labels"]) for item in chart.of_kind(objects, "Service")]
    seen = 0
    for item in chart.of_kind(objects, "Deployment", "StatefulSet", "PodDisruptionBudget", "Service", "PodMonitor", "ServiceMonitor"):
        selector = item["spec"]["selector"]
        selector = {"matchLabels": selector} if item["kind"] == "Service" else selector
        among = services if item["kind"] == "ServiceMonitor" else found
        chosen = [role for role, labels in among if chart.selects(selector, labels)]
        assert chosen == [chart.component(item)], chart.title(item)
        seen += 1
    assert seen >= 5


def test_budgets_let_a_drain_go_on(objects, scenario):
    """R06: each component has a budget of one pod at a time (or says that it wants none), never of none."""
    budgets = {chart.component(item): item["spec"] for item in chart.of_kind(objects, "PodDisruptionBudget")}
    assert set(budgets) == (set() if scenario in ("bare", "minimal") else set(OWN))
    for spec in budgets.values():
        assert spec["maxUnavailable"] in (1, "25%") and "minAvailable" not in spec
        assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_references_lead_somewhere(objects, scenario):
    """R06: each ConfigMap, Secret and ServiceAccount that a pod names is made by the chart or named in the values."""
    values = {}
    for file in chart.scenarios()[scenario]:
        values = merge(values, chart.yaml.safe_load(file.read_text()))
    given = {values.get(part, {}).get(key) for part in ("postgres", "redis", "credentialKeys") for key in ("existingSecret", "caSecret")}
    given |= {values.get(part, {}).get("serviceAccount", {}).get("name") for part in OWN} | {"default"}
    made = {(item["kind"], item["metadata"]["name"]) for item in objects}
    for item, _, _, spec in chart.pods(objects):
        for kind, name in references(spec):
            assert (kind, name) in made or name in given, f"{chart.title(item)} names {kind}/{name}"


def references(spec):
    """What a pod names."""
    yield "ServiceAccount", spec.get("serviceAccountName", "default")
    for volume in spec.get("volumes", []):
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"]
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        for source in volume.get("projected", {}).get("sources", []):
            yield "Secret", source["secret"]["name"]
    for container in chart.containers(spec):
        for source in container.get("envFrom", []):
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if key in source:
                    yield kind, source[key]["name"]


def merge(below, above):
    """Values on top of values, as Helm lays them."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{key: merge(below.get(key), value) for key, value in above.items()}}


def test_hooks_are_explicit(objects, scenario):
    """R06: each hook says when, in which order and when it goes; what the migration needs is there before it."""
    hooks = {}
    for item in objects:
        notes = item["metadata"].get("annotations", {})
        if "helm.sh/hook" in notes:
            assert notes["helm.sh/hook-delete-policy"].startswith("before-hook-creation"), chart.title(item)
            hooks.setdefault(notes["helm.sh/hook"], {}).setdefault(int(notes["helm.sh/hook-weight"]), set()).add(item["kind"])
    network = set() if scenario == "bare" else {"NetworkPolicy"}
    wanted = {"test": {0: {"Pod"}, **({-10: network} if network else {})}}
    if scenario in ("default", "ha", "minimal", "everything"):
        wanted["pre-install,pre-upgrade"] = {-10: {"ServiceAccount"} | network, 0: {"Job"}}
    assert hooks == wanted
    jobs = chart.of_kind(objects, "Job")
    assert len(jobs) == (0 if scenario == "bare" else 1)


def test_networks_are_closed(objects, scenario):
    """R06: each pod has a policy for both directions; it opens ports that the pod has, and the ports that it needs."""
    policies = [item for item in chart.of_kind(objects, "NetworkPolicy") if item["spec"]["podSelector"]]
    if scenario == "bare":
        assert not policies
        return
    for item, labels, _, spec in chart.pods(objects):
        (policy,) = [policy["spec"] for policy in policies if chart.selects(policy["spec"]["podSelector"], labels)]
        assert policy["policyTypes"] == ["Ingress", "Egress"], chart.title(item)
        has = {port["containerPort"] for container in spec["containers"] for port in container.get("ports", [])}
        own = {"from": [{"podSelector": {"matchLabels": {"app": "probe"}}}]}
        assert all(rule.get("ports") for rule in policy["ingress"] + policy["egress"] if rule != own), f"{chart.title(item)}: all ports"
        opened = {port["port"] for rule in policy["ingress"] for port in rule.get("ports", [])}
        if scenario == "gateway":
            has -= {9090, 9091, 9092}  # nobody may read metrics there
        assert opened == has, chart.title(item)
        needed = needs(chart.component(item), scenario)
        leaves = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
        assert leaves == needed, f"{chart.title(item)} reaches {sorted(leaves)}, needs {sorted(needed)}"
    deny = [item for item in chart.of_kind(objects, "NetworkPolicy") if not item["spec"]["podSelector"]]
    assert len(deny) == (scenario in ("ha", "gateway"))


def test_a_trials_pods_reach_each_other():
    """R06: with networks closed on both sides, each of ours reaches the trial's servers that it needs, and nobody else does."""
    objects = chart.objects_of("trial")
    policies = [item["spec"] for item in chart.of_kind(objects, "NetworkPolicy")]
    labels = {chart.component(item): labels for item, labels, _, _ in chart.pods(objects)}

    def allows(owner, direction, key, other, port):
        (policy,) = [policy for policy in policies if chart.selects(policy["podSelector"], labels[owner])]
        return any(
            port in [one["port"] for one in rule["ports"]] and any(chart.selects(peer["podSelector"], labels[other]) for peer in rule.get(key, []))
            for rule in policy[direction]
        )

    users = {"dev-postgres": {*OWN, "migrations", "test"}, "dev-redis": {*OWN, "test"}, "dev-simulator": {"worker"}}
    for server, wanted in users.items():
        port = {"dev-postgres": 5432, "dev-redis": 6379, "dev-simulator": 7700}[server]
        for role in set(labels) - set(users):
            both = allows(role, "egress", "to", server, port) and allows(server, "ingress", "from", role, port)
            assert both == (role in wanted), (role, server)


def needs(role, scenario):
    """The ports that a component connects to."""
    if role.startswith("dev-"):
        return set()
    postgres = {"gateway": 6432, "everything": 15432}.get(scenario, 5432)
    redis = {"gateway": 6380, "everything": 16379}.get(scenario, 6379)
    ports = {53, postgres} | (set() if role == "migrations" else {redis})
    if role == "worker":
        ports |= {443} | ({7700} if scenario == "trial" else set()) | ({8443} if scenario == "everything" else set())
    if scenario == "everything" and role in OWN:
        ports |= {4318} | ({8443} if role == "api" else set())
    return ports


def test_monitors_scrape_ports_that_are_there(objects, scenario):
    """R06: where monitors are wanted, Prometheus finds `ops` of all three, the api's by a Service of its own."""
    monitors = chart.of_kind(objects, "ServiceMonitor", "PodMonitor")
    if scenario not in ("ha", "everything"):
        assert not monitors and not chart.of_kind(objects, "PrometheusRule")
        return
    assert {(item["kind"], chart.component(item)) for item in monitors} == {
        ("ServiceMonitor", "api"),
        ("PodMonitor", "worker"),
        ("PodMonitor", "scheduler"),
    }
    for item in monitors:
        assert item["metadata"]["labels"]["release"] in ("kube-prometheus-stack", "prometheus")
        assert item["spec"]["namespaceSelector"] == {"matchNames": [item["metadata"]["namespace"]]}
        (end,) = item["spec"].get("endpoints") or item["spec"]["podMetricsEndpoints"]
        assert (end["port"], end["path"]) == ("ops", "/metrics")
    services = {item["metadata"]["name"].rpartition("-")[2]: item["spec"] for item in chart.of_kind(objects, "Service")}
    assert [port["name"] for port in services["api"]["ports"]] == ["http"], "the tenants' Service has the tenants' port alone"
    assert services["ops"]["clusterIP"] == "None" and services["ops"]["publishNotReadyAddresses"] is True
