"""What must not get in: refused by the chart's schema, by its own rules, or by the API server."""

from .kube import Release, refused
from .tell import check

# Settings that Helm refuses before anything reaches the cluster, and a word of the reason.
BY_THE_CHART = [
    (["worker.replicas=three"], "replicas"),
    (["worker.replcas=3"], "replcas"),
    (["image.pullPolicy=Sometimes"], "pullPolicy"),
    (["migrations.mode=later"], "mode"),
    (["api.service.port=0"], "port"),
    (["worker.stopTimeoutS=5"], "stopTimeoutS"),
    (["worker.terminationGracePeriodSeconds=20"], "terminationGracePeriodSeconds"),
    (["worker.strategy.maxUnavailable=1"], "maxUnavailable"),
    (["credentialKeys.existingSecret="], "credentialKeys"),
    (["postgres.existingSecret="], "postgres"),
    (["production=true", "dev.simulator.enabled=true"], "/dev/simulator/enabled"),
    (["dev.postgres.enabled=true"], "postgres"),
    (["api.autoscaling.enabled=true", "api.autoscaling.minReplicas=5", "api.autoscaling.maxReplicas=2"], "maxReplicas"),
    (["worker.autoscaling.enabled=true"], "serverAddress"),
    (["api.ingress.enabled=true"], "hosts"),
    (["worker.extraEnv[0].name=WORKER_RELEASE", "worker.extraEnv[0].value=x"], "WORKER_RELEASE"),
]

# Objects that only the API server can judge, as an operator would slip them in, and a word of the reason.
BY_THE_SERVER = [
    ("a misspelt field", "apps/v1", "Deployment", "{replcas: 1, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: []}}}", "replcas"),
    ("HPA with max below min", "autoscaling/v2", "HorizontalPodAutoscaler", "{minReplicas: 5, maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: x}}", "maxReplicas"),
    ("an interval that is none", "monitoring.coreos.com/v1", "ServiceMonitor", "{selector: {}, endpoints: [{port: ops, interval: 15parsecs}]}", "interval"),
    ("replicas in words", "keda.sh/v1alpha1", "ScaledObject", "{scaleTargetRef: {name: x}, maxReplicaCount: ten, triggers: []}", "maxReplicaCount"),
    ("a rule without an expression", "monitoring.coreos.com/v1", "PrometheusRule", "{groups: [{name: g, rules: [{alert: A}]}]}", "expr"),
    ("a route with a port out of range", "gateway.networking.k8s.io/v1", "HTTPRoute", "{rules: [{backendRefs: [{name: x, port: 70000}]}]}", "port"),
    ("a budget that contradicts itself", "policy/v1", "PodDisruptionBudget", "{minAvailable: 1, maxUnavailable: 1, selector: {}}", "both set"),
    ("a pod as root", "v1", "Pod", "{containers: [{name: c, image: x}]}", "restricted"),
]


def by_the_chart(release: Release) -> None:
    for settings, word in BY_THE_CHART:
        reason = refused("helm", "upgrade", "--install", "--dry-run=client", release.release, *release.chart(*settings), "-n", release.name)
        check(word in reason, f"refused by the chart: {', '.join(settings)}")


def by_the_server(release: Release) -> None:
    before = release.helm("history", "-o", "json").count('"revision"')
    for what, version, kind, spec, word in BY_THE_SERVER:
        document = f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: refused}}\nspec: {spec}\n"
        reason = refused("kubectl", "-n", release.name, "apply", "--server-side", "--dry-run=server", "-f", "-", text=document)
        check(word in reason, f"refused by the API server: {what}")
    check(release.helm("history", "-o", "json").count('"revision"') == before, "no refusal left a revision")
