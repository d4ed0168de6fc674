#!/usr/bin/env python3
"""Prints dashboards, rules, tests of the rules and the README's tables from `grafana/source`. R06.

`build.py` writes the files; `build.py --check` changes nothing and fails when one of them differs. Needs PyYAML (dev/grafana).
"""

import sys
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from source import accounts, alerting, capacity, internals, overview, readme, render, themes  # noqa: E402

DASHBOARDS = [overview.DASHBOARD, capacity.DASHBOARD, accounts.DASHBOARD, internals.DASHBOARD]
HEAD = "# Written by grafana/build.py from grafana/source: change it there.\n"


class Writer(yaml.SafeDumper):
    """Blocks for texts of several lines, and no aliases."""

    def ignore_aliases(self, _):
        return True


def block(writer, text):
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Writer.add_representer(str, block)


def yaml_text(what):
    return HEAD + yaml.dump(what, Dumper=Writer, sort_keys=False, allow_unicode=True, width=1000)


def files():
    """Path below grafana/ → text."""
    found = {f"dashboards/{one.name}.json": render.text_of(one, DASHBOARDS) for one in DASHBOARDS}
    for theme in themes.THEMES:
        found[f"rules/{theme.name}.yaml"] = yaml_text(alerting.rules(theme))
        found[f"tests/{theme.name}.yaml"] = yaml_text(alerting.tests(theme))
    found["README.md"] = readme.filled((HERE / "README.md").read_text(), DASHBOARDS)
    return found


def strangers(wanted):
    """Files that nothing here prints any more."""
    there = [*HERE.glob("dashboards/*.json"), *HERE.glob("rules/*"), *HERE.glob("tests/*")]
    return [str(path.relative_to(HERE)) for path in there if str(path.relative_to(HERE)) not in wanted]


def main():
    wanted = files()
    differ = [name for name, text in wanted.items() if not (HERE / name).exists() or (HERE / name).read_text() != text]
    if "--check" in sys.argv[1:]:
        for name in [*differ, *strangers(wanted)]:
            print(f"grafana/{name} is not what grafana/build.py prints: run `dev/grafana build`", file=sys.stderr)
        return 1 if differ or strangers(wanted) else 0
    for name in differ:
        (HERE / name).parent.mkdir(exist_ok=True)
        (HERE / name).write_text(wanted[name])
    for name in strangers(wanted):
        (HERE / name).unlink()
    print(f"{len(wanted)} files, {len(differ)} of them changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
