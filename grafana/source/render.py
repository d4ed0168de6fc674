"""Pure. From the definitions in `schema` to the JSON that Grafana reads."""

import json

from .schema import COLUMNS, SCHEMA_VERSION, SELECTOR, SOURCE

DRAWN = {"line": "timeseries", "stack": "timeseries", "bars": "timeseries"}
VERSIONS = "sum by (component, version) (switchboard_build_info{%s})" % SELECTOR


def text_of(dashboard, others):
    """The file's text."""
    return json.dumps(dashboard_json(dashboard, others), indent=1, ensure_ascii=False) + "\n"


def dashboard_json(dashboard, others):
    return {
        "uid": dashboard.uid,
        "title": f"Switchboard / {dashboard.title}",
        "description": dashboard.text,
        "tags": ["switchboard"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": dashboard.since, "to": "now"},
        "timezone": "browser",
        "templating": {"list": variables()},
        "annotations": {"list": annotations()},
        "links": [link(other) for other in others if other.uid != dashboard.uid],
        "panels": list(placed(dashboard.rows)),
    }


def variables():
    """Data source, cluster, namespace. All is `.*`, which also matches series without the label (compose)."""
    chosen = {"text": "All", "value": "$__all"}
    labels = [("cluster", "switchboard_build_info"), ("namespace", 'switchboard_build_info{cluster=~"$cluster"}')]
    return [
        {
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
            "refresh": 1,
            "hide": 0,
        }
    ] + [
        {
            "name": name,
            "label": name.capitalize(),
            "type": "query",
            "datasource": SOURCE,
            "query": {"qryType": 1, "query": f"label_values({series}, {name})", "refId": name},
            "refresh": 2,
            "sort": 1,
            "includeAll": True,
            "allValue": ".*",
            "multi": True,
            "current": chosen,
            "hide": 0,
        }
        for name, series in labels
    ]


def annotations():
    """A mark where a version was seen for the first time within the last ten minutes: a deploy."""
    expr = f"{VERSIONS} unless {VERSIONS.replace('})', '} offset 10m)')}"
    return [
        {
            "name": "Deploys",
            "datasource": SOURCE,
            "enable": True,
            "hide": False,
            "iconColor": "blue",
            "target": {"refId": "Deploys", "expr": expr, "interval": "60s"},
            "expr": expr,  # where Grafana before 11 looks
            "step": "60s",
            "titleFormat": "{{component}} {{version}}",
            "textFormat": "a version that was not there ten minutes before",
        }
    ]


def link(other):
    return {
        "title": other.title,
        "tooltip": other.text,
        "type": "link",
        "url": f"/d/{other.uid}",
        "icon": "dashboard",
        "keepTime": True,
        "includeVars": True,
        "targetBlank": False,
        "asDropdown": False,
        "tags": [],
    }


def placed(rows):
    """Panels from left to right, then down; those of a collapsed row stand inside it."""
    top = 0
    for index, row in enumerate(rows):
        head = {
            "id": 1000 + index,
            "type": "row",
            "title": row.title,
            "collapsed": row.collapsed,
            "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": top},
            "panels": [],
        }
        panels, bottom = flow(row.panels, top + 1)
        if row.collapsed:
            head["panels"] = panels
            yield head
            top += 1
        else:
            yield head
            yield from panels
            top = bottom


def flow(panels, top):
    left, tallest, done = 0, 0, []
    for panel in panels:
        if left + panel.width > COLUMNS:
            left, top, tallest = 0, top + tallest, 0
        done.append(panel_json(panel, {"h": panel.height, "w": panel.width, "x": left, "y": top}))
        left, tallest = left + panel.width, max(tallest, panel.height)
    return done, top + tallest


def panel_json(panel, at):
    return {
        "id": panel.number,
        "type": DRAWN.get(panel.kind, panel.kind),
        "title": panel.title,
        "description": f"{panel.text} Healthy looks like {panel.good}.",
        "gridPos": at,
        "datasource": SOURCE,
        "targets": [target(panel, query, index) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": defaults(panel), "overrides": []},
        "options": options(panel),
        **tables(panel),
    }


def target(panel, query, index):
    newest = query.table or panel.kind in ("stat", "bargauge", "table")
    return {
        "refId": chr(ord("A") + index),
        "datasource": SOURCE,
        "editorMode": "code",
        "expr": query.expr.replace("$S", SELECTOR),
        "legendFormat": query.legend,
        "range": not newest,
        "instant": newest,
        "exemplar": panel.kind == "heatmap",
        "format": {"table": "table", "heatmap": "heatmap"}.get(panel.kind, "time_series"),
    }


def defaults(panel):
    steps = [{"value": None, "color": panel.base}, *({"value": at, "color": colour} for at, colour in panel.steps)]
    found = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    for name, value in [("decimals", panel.decimals), ("min", panel.low), ("max", panel.high)]:
        if value is not None:
            found[name] = value
    if panel.names:
        shown = {str(value): {"text": text, "color": colour} for value, (text, colour) in panel.names.items()}
        found["mappings"] = [{"type": "value", "options": shown}]
    if panel.kind in DRAWN:
        found["color"] = {"mode": "palette-classic"}
        found["custom"] = {
            "drawStyle": "bars" if panel.kind == "bars" else "line",
            "lineWidth": 0 if panel.kind == "stack" else 1,
            "fillOpacity": {"line": 0, "stack": 70, "bars": 70}[panel.kind],
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "none" if panel.kind == "line" else "normal", "group": "A"},
            "thresholdsStyle": {"mode": "line" if panel.steps else "off"},
        }
    else:
        found["color"] = {"mode": "thresholds"}
    return found


def options(panel):
    newest = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind in DRAWN:
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    if panel.kind == "stat":
        several = len(panel.queries) > 1 or "{{" in panel.queries[0].legend
        return {
            "reduceOptions": newest,
            "colorMode": "background" if panel.steps or panel.names else "value",
            "graphMode": "none",
            "textMode": "value_and_name" if several else "value",
            "justifyMode": "auto",
            "orientation": "auto",
        }
    if panel.kind == "bargauge":
        return {"reduceOptions": newest, "displayMode": "basic", "orientation": "horizontal", "showUnfilled": True}
    if panel.kind == "heatmap":
        return {
            "calculate": False,
            "color": {"mode": "scheme", "scheme": "Blues", "steps": 64},
            "yAxis": {"unit": panel.unit},
            "legend": {"show": True},
            "tooltip": {"mode": "single", "yHistogram": False},
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
        }
    return {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"]}}


def tables(panel):
    if panel.kind != "table":
        return {}
    hidden = {name: True for name in ("Time", "__name__", *panel.hidden)}
    steps = [{"id": "merge", "options": {}}] if len(panel.queries) > 1 else []
    organised = {"excludeByName": hidden, "indexByName": {}, "renameByName": panel.headings}
    return {"transformations": [*steps, {"id": "organize", "options": organised}]}
