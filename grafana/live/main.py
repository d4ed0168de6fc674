#!/usr/bin/env python3
"""`dev/grafana live`: load with faults, every query asked, every dashboard drawn. Needs the stack that dev/run started. R06."""

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "check")]

import ask  # noqa: E402
import draw  # noqa: E402
from catalogue import asked, served  # noqa: E402
from load import Load  # noqa: E402
from stack import GRAFANA, Prometheus, Stack  # noqa: E402


def flat(panels):
    for panel in panels:
        yield from panel["panels"] if panel["type"] == "row" else [panel]


def blocks(text, language):
    return [line for block in re.findall(rf"```{language}\n(.*?)```", text, re.S) for line in block.strip().split("\n")]


def compare_with_page(prometheus):
    """What `docs/metrics.md` says and what was really served."""
    names = prometheus.get("label/__name__/values")["data"]
    real = {re.sub(r"_(bucket|sum|count)$", "", name) if name not in served() else name for name in names if name.startswith("switchboard_")}
    return [f"{name} is served and not on the page" for name in real - set(served())] + [
        f"{name} is on the page and not served" for name in set(served()) - real
    ]


def commands(data, runbooks):
    """Commands of ours in runbooks that the binaries don't know."""
    told = {found for text in runbooks.values() for line in blocks(text, "sh") for found in re.findall(r"^(switchboard-\w+) (\w+)(?: ([a-z]+))?", line)}
    for binary, *words in sorted(told):
        words = [word for word in words if word]
        done = subprocess.run([data / "bin" / binary, *words, "--help"], capture_output=True, text=True)
        if done.returncode:
            yield f"{binary} {' '.join(words)}: {done.stderr.strip().splitlines()[0]}"


def main():
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--data", required=True, type=Path)
    reader.add_argument("--pictures", required=True, type=Path)
    options = reader.parse_args()
    dashboards = [json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))]
    groups = [group for path in sorted((GRAFANA / "rules").glob("*.yaml")) for group in yaml.safe_load(path.read_text())["groups"]]
    rules = [rule for group in groups for rule in group["rules"]]
    runbooks = {path.stem: path.read_text() for path in sorted((GRAFANA / "runbooks").glob("*.md"))}

    stack = Stack(options.data)
    prometheus = Prometheus(stack)
    try:
        wrong = play_and_ask(stack, prometheus, dashboards, rules, runbooks, options)
    finally:
        prometheus.stop()
        stack.stop_children()
    for line in wrong:
        print(f"!! {line}")
    return 1 if wrong else 0


def play_and_ask(stack, prometheus, dashboards, rules, runbooks, options):
    load = Load(stack)
    print("The load:")
    load.run()
    end = time.time()
    questions = ask.Questions(prometheus, round(load.start), round(end))
    questions.panels(dashboards, flat)
    questions.annotations(dashboards)
    questions.rules(rules, asked)
    questions.runbooks(runbooks, blocks)
    count, sick = ask.health(prometheus)
    unexplained, superfluous = ask.explained(questions.found.empty)
    fired = {
        one["metric"]["alertname"]: one["metric"]["severity"]
        for one in questions.over_time('max by (alertname, severity) (ALERTS{alertstate="firing"})')["data"]["result"]
    }
    print(f"{questions.found.asked} queries asked, {len(questions.found.empty)} of them empty, {count} rules evaluated")
    print(f"alerts that fired meanwhile: {', '.join(sorted(fired)) or 'none'}")
    pictures(stack, dashboards, questions, options.pictures)
    return [
        *(f"error: {line}" for line in questions.found.errors),
        *(f"rule: {line}" for line in sick),
        *(f"empty: {line}" for line in unexplained),
        *(f"empty.yaml explains {line!r}, which is not empty" for line in superfluous),
        *compare_with_page(prometheus),
        *commands(options.data, runbooks),
    ]


def pictures(stack, dashboards, questions, folder):
    folder.mkdir(parents=True, exist_ok=True)
    names = {f"switchboard-{name.split('-')[0]} {page}": name for name, page in stack.pages.items()}
    names |= {page: name for name, page in stack.pages.items()}
    for one in dashboards:
        path = folder / f"{one['uid']}.png"
        draw.dashboard(one, questions.found.series, questions.start, questions.end, path, names)
        size = path.stat().st_size
        print(f"{path} ({size // 1024} KiB)")
        if size > draw.LARGEST:
            raise SystemExit(f"{path} is larger than {draw.LARGEST // 1024} KiB")


if __name__ == "__main__":
    sys.exit(main())
