"""The tables of `grafana/README.md`, between their marks."""

from .slo import OBJECTIVES, WINDOWS
from .themes import THEMES


def filled(text, dashboards):
    tables = {"dashboards": dashboard_table(dashboards), "objectives": slo_table(), "alerts": alert_table()}
    for name, table in tables.items():
        start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, rest = text.split(start)
        _, after = rest.split(end)
        text = f"{before}{start}\n{table}\n{end}{after}"
    return text


def dashboard_table(dashboards):
    lines = ["| dashboard | for whom and what | panels |", "| --- | --- | --- |"]
    for one in dashboards:
        lines.append(f"| [{one.title}](dashboards/{one.name}.json) | {one.text} | {len(one.panels())} |")
    return "\n".join(lines)


def slo_table():
    lines = ["| objective | target in 30 days | alert | no alert below |", "| --- | --- | --- | --- |"]
    for one in OBJECTIVES:
        least = f"{one.least} accounts" if one.unit == "accounts" else f"{one.least} {one.unit} an hour"
        name = f"Switchboard{one.alert}"
        lines.append(f"| {one.title} | {one.target:.1%} | [{name}](runbooks/{name}.md) | {least} |")
    windows = "; ".join(f"{rate} times over {long} and {short}: {severity}" for long, short, rate, severity in WINDOWS)
    return "\n".join([*lines, "", f"Burn rates: {windows}."])


def alert_table():
    lines = ["| alert | severity | says |", "| --- | --- | --- |"]
    for theme in THEMES:
        for alert in theme.alerts:
            name = alert.full_name
            summary = alert.summary.replace("{{ $labels.", "*").replace(" }}", "*")
            lines.append(f"| [{name}](runbooks/{name}.md) | {alert.severity} | {summary} |")
    return "\n".join(lines)
