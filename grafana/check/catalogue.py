"""What the binaries serve (`docs/metrics.md`, which is printed from the code), and what an expression asks for. R06."""

import re
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "metrics.md"

#: Labels that Prometheus or a target brings.
BROUGHT = {"job", "instance", "cluster", "namespace", "le", "__name__"}
#: What is not ours: Prometheus's own, of the process, and Kubernetes's; with the labels that we use of them.
OTHERS = {
    "up": set(), "ALERTS": {"alertname", "alertstate", "severity"},
    "scrape_samples_scraped": set(), "scrape_duration_seconds": set(),
    "process_cpu_seconds_total": set(), "process_resident_memory_bytes": set(), "process_open_fds": set(),
    "process_max_fds": set(), "process_start_time_seconds": set(),
    "kube_deployment_spec_replicas": {"deployment"}, "kube_deployment_status_replicas_ready": {"deployment"},
    "kube_horizontalpodautoscaler_status_desired_replicas": {"horizontalpodautoscaler"},
    "kube_horizontalpodautoscaler_spec_max_replicas": {"horizontalpodautoscaler"},
    "kube_poddisruptionbudget_status_pod_disruptions_allowed": {"poddisruptionbudget"},
    "kube_pod_container_status_restarts_total": {"pod", "container"},
    "kube_pod_container_status_waiting_reason": {"pod", "container", "reason"},
    "kube_pod_container_status_last_terminated_reason": {"pod", "container", "reason"},
    "container_cpu_cfs_throttled_periods_total": {"pod", "container"},
}
NAME = r"\b(switchboard[_:][\w:]*|process_\w+|kube_\w+|container_\w+|scrape_\w+|up|ALERTS)\b"
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
GROUPING = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)")


@lru_cache
def served():
    """Name → {label: words, or None where the set is open}."""
    found = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)][1:-1]
        if len(cells) != 6 or not cells[0].startswith("`switchboard_"):
            continue
        labels = dict(re.findall(r"`(\w+)`: (.*?)(?=; `\w+`: |$)", cells[3]))
        found[cells[0].strip("`")] = (cells[1], {name: words(text) for name, text in labels.items()})
    assert len(found) > 50, f"{PAGE} holds {len(found)} metrics"
    return found


def words(text):
    """A closed set of words, or None."""
    parts = [re.sub(r"^(\w+: |else )", "", part.strip()) for part in re.split(r"[;,]", text)]
    return None if any(" " in part for part in parts) else set(parts)


def kind(name):
    """Its type and labels; a histogram also answers to its three series."""
    if name in served():
        return served()[name]
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    if base in served() and served()[base][0] == "histogram":
        return served()[base]
    return ("other", dict.fromkeys(OTHERS[name])) if name in OTHERS else None


def asked(expression):
    """Each selector of an expression: name and matchers."""
    for found in re.finditer(NAME + r"\s*(\{(?:[^}\"]|\"(?:[^\"\\]|\\.)*\")*\})?", bare(expression)):
        yield found.group(1), MATCHER.findall(found.group(2) or "")


def bare(expression):
    """Without what stands in groupings, whose words are no metrics."""
    return GROUPING.sub("", expression)


def faults(expression, records=()):
    """What an expression asks for that nobody serves."""
    labels = set(BROUGHT)
    for name, matchers in asked(expression):
        if ":" in name:
            labels |= {"slo"}
            if name not in records:
                yield f"no rule records {name}"
            continue
        known = kind(name)
        if known is None:
            yield f"nobody serves {name}"
            continue
        labels |= set(known[1])
        for label, operator, value in matchers:
            if label in BROUGHT:
                continue
            if label not in known[1]:
                yield f"{name} has no label {label}"
            elif known[1][label] is not None and operator in ("=", "!="):
                if value not in known[1][label]:
                    yield f"{name}: {label} is never {value!r}"
            elif known[1][label] is not None:
                unknown = set(value.split("|")) - known[1][label] if re.fullmatch(r"[\w|-]+", value) else set()
                if unknown:
                    yield f"{name}: {label} is never {sorted(unknown)}"
    for group in GROUPING.findall(expression):
        for label in filter(None, (part.strip() for part in group.split(","))):
            if label not in labels:
                yield f"nothing in it has the label {label}"
