"""Writes the tables of the chart's README from what they describe: values.yaml's comments and files/settings.yaml.

A comment above a key is its meaning. A value of `worker` or `scheduler` that has none means what it means at `api`.
"""

import json
import pathlib
import re

import yaml

CHART = pathlib.Path(__file__).resolve().parent / "switchboard"
KEY = re.compile(r"^( *)([A-Za-z][A-Za-z0-9]*):( |$)")


def meanings(text):
    """Path of each key in values.yaml → the comment right above it, as one line."""
    found, path, comment = {}, [], []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# "):
            comment.append(stripped[2:])
            continue
        key = KEY.match(line)
        if key:
            depth = len(key[1]) // 2
            path = path[:depth] + [key[2]]
            if comment:
                found[".".join(path)] = " ".join(comment)
        comment = []
    return found


def leaves(values, path=""):
    """Each value with its path; a mapping whose keys nobody has to know (labels, resources) is one value."""
    for key, value in values.items():
        here = f"{path}.{key}" if path else key
        if isinstance(value, dict) and value and not {"requests", "periodSeconds", "grafana_dashboard"} & value.keys():
            yield from leaves(value, here)
        else:
            yield here, value


def meaning_of(path, known):
    """The meaning of a value: its own, the one at `api`, or that of an image's part."""
    for other in (path, re.sub(r"^(worker|scheduler)\.", "api.", path)):
        if other in known:
            return known[other]
    raise SystemExit(f"values.yaml says nothing about {path}: put a comment above it")


def values_table():
    """The table of values."""
    text = (CHART / "values.yaml").read_text()
    known = meanings(text)
    rows = ["| value | default | meaning |", "| --- | --- | --- |"]
    for path, value in leaves(yaml.safe_load(text)):
        rows.append(f"| `{path}` | `{json.dumps(value)}` | {cell(meaning_of(path, known))} |")
    return "\n".join(rows)


def settings_table():
    """The table of settings: what becomes of a value."""
    files = yaml.safe_load((CHART / "files" / "settings.yaml").read_text())
    rows = ["| setting | from | of |", "| --- | --- | --- |"]
    for kind in ("settings", "by_template", "by_library"):
        for entry in files[kind]:
            source = f"`{entry['value']}`" if "value" in entry else entry["from"]
            rows.append(f"| `{entry['name']}` | {cell(source)} | {', '.join(entry['for'])} |")
    for entry in files["left_out"]:
        rows.append(f"| `{entry['name']}` | left out: {cell(entry['why'])} | |")
    return "\n".join(rows)


def cell(text):
    """Text that may stand in a table."""
    return text.replace("|", "\\|")


def readme(text):
    """The README with its tables written anew."""
    for name, table in (("values", values_table()), ("settings", settings_table())):
        text, count = re.subn(
            rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)", lambda match: f"{match[1]}{table}{match[2]}", text, flags=re.S
        )
        if count != 1:
            raise SystemExit(f"README.md has no place for the table of {name}")
    return text


if __name__ == "__main__":
    file = CHART / "README.md"
    file.write_text(readme(file.read_text()))
