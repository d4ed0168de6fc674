"""R06: each constraint of values.schema.json refuses what it is there for, said by real Helm.

The negatives are made from the schema itself: for each keyword at each path a value that breaks it and nothing else. Helm names every broken
constraint in one answer, so values that don't touch each other are tried together, and each path must be named with its keyword.
"""

import copy
import json
import re

import chart

SCHEMA = json.loads((chart.CHART / "values.schema.json").read_text())
STRANGERS = {"object": "text", "array": "text", "string": 7, "integer": [], "number": [], "boolean": "text"}
SAYS = {
    "type": r"got \w+, want",
    "enum": "value must be one of",
    "const": "value must be",
    "minimum": "minimum: got",
    "maximum": "maximum: got",
    "minLength": "minLength: got",
    "maxLength": "maxLength: got",
    "pattern": "does not match pattern",
    "uniqueItems": "are equal",
    "required": "missing propert(y|ies)",
    "additionalProperties": "additional properties 'surprise' not allowed",
}


def resolved(node):
    """The node that a `$ref` means."""
    while "$ref" in node:
        node = SCHEMA["definitions"][node["$ref"].rpartition("/")[2]]
    return node


def negatives(node, path=()):
    """Each constraint below `path`: (keyword, path that Helm names, path that is set, value)."""
    node = resolved(node)
    kinds = [node["type"]] if isinstance(node.get("type"), str) else node.get("type", [])
    if kinds:
        stranger = STRANGERS[kinds[0]] if len(kinds) == 1 else (True if "integer" in kinds or "number" in kinds else 7)
        yield "type", path, path, stranger
    if "enum" in node:
        yield "enum", path, path, "nonsense"
    if "const" in node:
        yield "const", path, path, (not node["const"]) if isinstance(node["const"], bool) else node["const"] + 1
    if "minimum" in node:
        yield "minimum", path, path, node["minimum"] - 1
    if "maximum" in node:
        yield "maximum", path, path, node["maximum"] + 1
    if "minLength" in node:
        yield "minLength", path, path, ""
    if "maxLength" in node:
        yield "maxLength", path, path, "a" * (node["maxLength"] + 1)
    if "pattern" in node:
        yield "pattern", path, path, "no such {thing} §"
    if node.get("uniqueItems"):
        (good,) = [good_item(node["items"])]
        yield "uniqueItems", path, path, [good, good]
    for name, child in node.get("properties", {}).items():
        yield from negatives(child, (*path, name))
    more = node.get("additionalProperties")
    if more is False:
        yield "additionalProperties", path, (*path, "surprise"), 1
    elif isinstance(more, dict):
        yield from negatives(more, (*path, "surprise"))
    if "required" in node and path:
        yield "required", path, path, {}
    if "items" in node:
        for keyword, named, at, value in negatives(node["items"], (*path, 0)):
            yield keyword, named, at, value


def good_item(node):
    """Something that an array takes."""
    node = resolved(node)
    for good in (443, "10.0.0.0/8", "a"):
        if ("pattern" not in node or (isinstance(good, str) and re.search(node["pattern"], good))) and (
            (node["type"] == "integer") == isinstance(good, int)
        ):
            return good
    raise AssertionError(node)


def setting(document, path, value):
    """The document with a value at a path; items of arrays are laid out as far as they are needed."""
    if not path:
        return value
    key, *rest = path
    if key == 0:
        below = document[0] if isinstance(document, list) and document else {}
        return [setting(below, rest, value)]
    below = document.get(key, {}) if isinstance(document, dict) else {}
    return {**(document if isinstance(document, dict) else {}), key: setting(below, rest, value)}


def rounds(todo):
    """The negatives in as few groups as it takes for no two of a group to touch each other."""
    groups = []
    for case in todo:
        at = case[2]
        for group in groups:
            if not any(at[: len(other)] == other or other[: len(at)] == at for _, _, other, _ in group):
                group.append(case)
                break
        else:
            groups.append([case])
    return groups


def test_each_constraint_refuses():
    """R06: for each keyword at each path Helm refuses a value that breaks it, and names both."""
    todo = [case for case in negatives(SCHEMA) if case[1] or case[0] != "type"]
    assert {keyword for keyword, *_ in todo} == set(SAYS)
    quiet = []
    groups = rounds(todo)
    for group in groups:
        values = {}
        for _, _, at, value in group:
            values = setting(values, at, copy.deepcopy(value))
        before = chart.counts["refusals"]
        said = chart.refused(values).splitlines()
        chart.counts["refusals"] = before + len(group)
        for keyword, named, at, value in group:
            place = f"at '{''.join('/' + str(part) for part in named)}'"
            if not any(place in line and re.search(SAYS[keyword], line) for line in said):
                quiet.append((keyword, place, value))
    assert not quiet, quiet
    assert len(todo) > 750 and len(groups) < 40, (len(todo), len(groups))


def test_production_refuses_trials():
    """R06: `production: true` refuses each of dev.*, and a simulator's build that talks to public addresses."""
    for extra, place in (
        ({"dev": {"postgres": {"enabled": True}}}, "/dev/postgres/enabled"),
        ({"dev": {"redis": {"enabled": True}}}, "/dev/redis/enabled"),
        ({"dev": {"simulator": {"enabled": True}}}, "/dev/simulator/enabled"),
        ({"worker": {"allowPublicSimulator": True}}, "/worker/allowPublicSimulator"),
    ):
        assert f"at '{place}': value must be false" in chart.refused({**extra, "production": True})


def test_only_other_peoples_objects_are_open():
    """R06: every object of the schema is closed, but `global` and what Kubernetes itself defines."""
    closed = {"volumes", "mounts"}

    def look(node, where):
        if isinstance(node, dict):
            if "properties" in node and node.get("type") == "object" and where not in ("/global",):
                passed_on = any(f"/definitions/{name}" in where for name in closed) or "parentRefs" in where
                assert node.get("additionalProperties") is False or passed_on, where
            for key, child in node.items():
                look(child, where if key == "properties" else f"{where}/{key}")

    look(SCHEMA["properties"], "")
    look(SCHEMA["definitions"], "/definitions")
    assert SCHEMA["additionalProperties"] is False
