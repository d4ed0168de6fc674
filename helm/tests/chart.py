"""The chart as the tests see it: rendered by real Helm, counted, and taken apart."""

import functools
import pathlib
import shutil
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "switchboard"
HELM = shutil.which("helm") or "helm"
RELEASE, NAMESPACE = "sb", "messaging-ns"

# What was done in this run, for the last line of the report.
counts = {"renders": 0, "invariants": 0, "refusals": 0}


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML in which a key must not stand twice: Kubernetes would keep one of the two and say nothing."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"twice: {sorted(twice)}", node.start_mark)
        return super().construct_mapping(node, deep)


def scenarios():
    """Name of each `ci/*-values.yaml` → its files of values: with `values-<name>.yaml` below it where there is one."""
    found = {}
    for file in sorted(CHART.glob("ci/*-values.yaml")):
        name = file.name.removesuffix("-values.yaml")
        base = CHART / f"values-{name}.yaml"
        found[name] = [base, file] if base.exists() else [file]
    return found


def run(command, values=(), extra=None, chart=CHART, args=()):
    """Runs `helm <command>` on the chart; `extra` is a further document of values, on standard input."""
    line = [HELM, *command, str(chart), "--namespace", NAMESPACE, *args]
    for file in values:
        line += ["-f", str(file)]
    if extra is not None:
        line += ["-f", "-"]
    text = None if extra is None else yaml.safe_dump(extra)
    return subprocess.run(line, input=text, capture_output=True, text=True, check=False)


def template(values=(), extra=None, chart=CHART, args=()):
    """The text that `helm template` makes of these values."""
    done = run(["template", RELEASE], values, extra, chart, args)
    assert done.returncode == 0, done.stderr
    counts["renders"] += 1
    return done.stdout


def render(values=(), extra=None, chart=CHART, args=()):
    """The objects that `helm template` makes of these values."""
    return [item for item in yaml.load_all(template(values, extra, chart, args), Loader) if item]


def refused(extra, values=None):
    """Helm's complaint about values that must be refused, on top of those that everybody must set."""
    done = run(["template", RELEASE], values or scenarios()["default"], extra)
    assert done.returncode != 0, f"accepted: {extra}"
    counts["refusals"] += 1
    return done.stderr


@functools.lru_cache(maxsize=None)
def objects_of(scenario, version=None):
    """The objects of a scenario, rendered once for each version of Kubernetes."""
    args = ("--kube-version", version) if version else ()
    return tuple(render(scenarios()[scenario], args=args))


def of_kind(objects, *kinds):
    """The objects of these kinds."""
    return [item for item in objects if item["kind"] in kinds]


def title(item):
    """How an object is named in a message."""
    return f"{item['kind']}/{item['metadata']['name']}"


def pods(objects):
    """Each pod or pod template: (its object, labels, annotations, spec)."""
    for item in objects:
        template_of = item if item["kind"] == "Pod" else item.get("spec", {}).get("template")
        if template_of and "spec" in template_of and item["kind"] != "ScaledObject":
            metadata = template_of["metadata"]
            yield item, metadata.get("labels", {}), metadata.get("annotations", {}), template_of["spec"]


def containers(spec):
    """All containers of a pod's spec."""
    return spec.get("initContainers", []) + spec["containers"]


def component(item):
    """The component that an object belongs to."""
    return item["metadata"].get("labels", {}).get("app.kubernetes.io/component")


def deployment(objects, name):
    """The Deployment of a component."""
    (found,) = [item for item in of_kind(objects, "Deployment") if component(item) == name]
    return found


def selects(selector, labels):
    """Whether a label selector chooses these labels."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(labels.get(rule["key"]) in rule["values"] for rule in selector.get("matchExpressions", []))


def copy_to(folder):
    """A copy of the chart that a test may change; what it links to is copied too."""
    return pathlib.Path(shutil.copytree(CHART, folder / "switchboard"))
