"""R06: everything that is rendered is what Kubernetes and the operators' CRDs take, with no field that they don't know."""

import functools
import importlib.resources
import json
import pathlib

import chart
import jsonschema
import pytest
from referencing import Registry, Resource

CORE = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema"
OLDEST = (1, 29)


def versions():
    """The versions of Kubernetes whose schemas are at hand, from the oldest that the chart names."""
    found = {tuple(map(int, folder.name[1:].split("-")[0].split("."))) for folder in CORE.iterdir() if folder.name.startswith("v1.")}
    return [".".join(map(str, version)) for version in sorted(found) if version[:2] >= OLDEST]


@functools.lru_cache(maxsize=None)
def definitions(version):
    """Where the schemas of a version look up what they share."""
    folder = CORE / f"v{version}-local-strict"
    shared = Resource.from_contents(json.loads((folder / "_definitions.json").read_text()))
    return folder, Registry().with_resource("_definitions.json", shared).crawl()


@functools.lru_cache(maxsize=None)
def validator(version, api, kind):
    """Strict: unknown fields are errors. None for kinds of operators."""
    group, _, name = api.rpartition("/")
    if "." in group and not group.endswith(".k8s.io"):
        return None
    if group == "gateway.networking.k8s.io":
        return None
    folder, registry = definitions(version)
    part = group.split(".")[0]
    file = folder / f"{kind.lower()}-{part + '-' if part else ''}{name}.json"
    return jsonschema.Draft202012Validator(json.loads(file.read_text()), registry=registry)


@functools.lru_cache(maxsize=None)
def custom(kind):
    """The schema of an operator's kind."""
    file = pathlib.Path(__file__).parent / "crds" / f"{kind}.json"
    return jsonschema.Draft7Validator(json.loads(file.read_text()))


seen = set()


@pytest.mark.parametrize("version", versions())
def test_kubernetes_takes_it(version, scenario):
    """R06: strict schemas of each version from 1.29 to the newest; an object that was looked at for it is not looked at again."""
    checked = 0
    for item in chart.objects_of(scenario, version):
        check = validator(version, item["apiVersion"], item["kind"])
        key = (version, json.dumps(item, sort_keys=True))
        if check is None:
            continue
        checked += 1
        if key not in seen:
            problems = [f"{error.json_path}: {error.message}" for error in check.iter_errors(item)]
            assert not problems, f"{chart.title(item)}: {problems}"
            seen.add(key)
    assert checked >= 9


def test_operators_take_it(objects, scenario):
    """R06: monitors, rules, scalers and routes are what their CRDs say."""
    kinds = set()
    for item in objects:
        if validator(versions()[-1], item["apiVersion"], item["kind"]) is None:
            problems = [f"{error.json_path}: {error.message}" for error in custom(item["kind"]).iter_errors(item)]
            assert not problems, f"{chart.title(item)}: {problems}"
            kinds.add(item["kind"])
    wanted = {"PodMonitor", "ServiceMonitor", "ScaledObject"}
    assert kinds >= {"ha": wanted, "everything": wanted, "gateway": {"HTTPRoute"}}.get(scenario, set())


def test_these_schemas_find_a_misspelt_field():
    """R06: the checks above can fail: a field that nobody knows is found in a Deployment and in each custom object."""
    for version in versions():
        for item in chart.objects_of("default", version):
            if item["kind"] == "Deployment":
                bad = json.loads(json.dumps(item))
                bad["spec"]["template"]["spec"]["containers"][0]["readOnlyRootFilesystem"] = True
                assert not validator(version, "apps/v1", "Deployment").is_valid(bad), version
    for item in chart.objects_of("everything") + chart.objects_of("gateway"):
        if validator(versions()[-1], item["apiVersion"], item["kind"]) is None:
            assert not custom(item["kind"]).is_valid({**item, "spec": {**item["spec"], "surprise": 1}}), chart.title(item)


def test_helm_lints_it(scenario):
    """R06: `helm lint --strict` has nothing to say."""
    done = chart.run(["lint", "--strict"], chart.scenarios()[scenario])
    assert done.returncode == 0 and "[WARNING]" not in done.stdout, done.stdout + done.stderr
    chart.counts["renders"] += 1
