"""Turns CustomResourceDefinitions into JSON schemas as the API server enforces them for strict clients: unknown fields are refused.

`strict.py FOLDER FILE…` writes FOLDER/<Kind>.json for the version that is stored.
"""

import json
import pathlib
import sys

import yaml


def strict(node):
    """A node of the CRD's schema, without texts and rules in CEL, and closed against unknown fields."""
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    kept = {}
    for key, value in node.items():
        if key == "properties":
            kept[key] = {name: strict(child) for name, child in value.items()}
        elif key not in ("description", "format", "default", "title") and not key.startswith("x-"):
            kept[key] = strict(value)
    if "properties" in kept and not node.get("x-kubernetes-preserve-unknown-fields"):
        kept.setdefault("additionalProperties", False)
    return kept


def main(folder, files):
    """Writes one schema for each file."""
    for file in files:
        crd = yaml.safe_load(pathlib.Path(file).read_text())
        names = crd["spec"]["names"]
        version = next(version for version in crd["spec"]["versions"] if version["storage"])
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        schema["properties"]["apiVersion"] = {"const": f"{crd['spec']['group']}/{version['name']}"}
        schema["properties"]["kind"] = {"const": names["kind"]}
        schema = {"$schema": "http://json-schema.org/draft-07/schema#", **schema}
        target = pathlib.Path(folder) / f"{names['kind']}.json"
        target.write_text(json.dumps(schema, separators=(",", ":"), sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
