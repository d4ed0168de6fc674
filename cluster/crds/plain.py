"""Writes custom resource definitions without descriptions: `plain.py FOLDER FILE…`. An API server takes them all the same."""

import pathlib
import sys
from typing import Any

import yaml


def plain(part: Any) -> Any:
    """The same without descriptions. (A property of that name is an object, not a text.)"""
    if isinstance(part, dict):
        return {key: plain(value) for key, value in part.items() if not (key == "description" and isinstance(value, str))}
    return [plain(value) for value in part] if isinstance(part, list) else part


for file in map(pathlib.Path, sys.argv[2:]):
    text = yaml.safe_dump(plain(yaml.safe_load(file.read_text())), sort_keys=False, width=160, default_flow_style=None)
    (pathlib.Path(sys.argv[1]) / file.name.split("_")[1]).write_text(text)
