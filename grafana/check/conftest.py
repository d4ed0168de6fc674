"""What the checks share: the files as they stand, and promtool. R06."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).resolve().parent
GRAFANA = HERE.parent
sys.path[:0] = [str(HERE), str(GRAFANA)]


def run(*command):
    """A command's whole output; fails with it."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def parse_all(expressions, path):
    """Fails where promtool can't read one of {name: expression}: as a rule, the only thing that it parses without a server."""
    rules = [{"record": f"check:{index}", "expr": text} for index, text in enumerate(expressions.values())]
    path.write_text(yaml.safe_dump({"groups": [{"name": "check", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True)
    names = list(expressions)
    said = re.sub(r'"?check:(\d+)"?', lambda found: names[int(found.group(1))], done.stdout + done.stderr)
    assert done.returncode == 0, said


@pytest.fixture(scope="session")
def dashboards():
    return [json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))]


@pytest.fixture(scope="session")
def rules():
    groups = [yaml.safe_load(path.read_text())["groups"] for path in sorted((GRAFANA / "rules").glob("*.yaml"))]
    return [rule for file in groups for group in file for rule in group["rules"]]


@pytest.fixture(scope="session")
def alerts(rules):
    return [rule for rule in rules if "alert" in rule]


@pytest.fixture(scope="session")
def records(rules):
    return {rule["record"] for rule in rules if "record" in rule}


@pytest.fixture(scope="session")
def runbooks():
    return {path.stem: path.read_text() for path in sorted((GRAFANA / "runbooks").glob("*.md"))}


@pytest.fixture(scope="session")
def panels(dashboards):
    """(dashboard's uid, panel) of each panel, also inside collapsed rows; rows are none."""
    return [(one["uid"], panel) for one in dashboards for panel in flat(one["panels"])]


def flat(panels):
    for panel in panels:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel
