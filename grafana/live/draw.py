"""A dashboard's panels as a picture: places, units, legends, titles and thresholds as in its JSON. R06.

No Grafana is to be had where this runs; so what the JSON says is drawn with matplotlib, close enough to judge layout and content.
"""

import datetime
import math
import re

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates
import matplotlib.pyplot as plt
import numpy
import units
from matplotlib.patches import Rectangle
from PIL import Image, ImageColor

COLOURS = {"green": "#56A64B", "yellow": "#E0B400", "red": "#E02F44", "blue": "#3274D9"}
LINES = ["#56A64B", "#E0B400", "#3274D9", "#E55400", "#E02F44", "#8F3BB8", "#37872D", "#5794F2", "#FF9830", "#A352CC", "#00A3A3", "#7A7A7A"]
INK, FAINT, GROUND, EDGE = "#24292E", "#6E7680", "#F4F5F5", "#DCDEE0"
DPI, WIDTH, UNIT, GAP = 100, 15.4, 0.30, 0.055  # inches; UNIT: height of one of Grafana's units
LARGEST = 250 * 1024  # bytes of a picture


def dashboard(one, series, start, end, path, names=None):
    """Draws it, collapsed rows opened. `names`: old name of an instance → a shorter one."""
    rows = list(opened(one["panels"]))
    height = max(at["y"] + at["h"] for _, at in rows) * UNIT + 0.55
    figure = plt.figure(figsize=(WIDTH, height), dpi=DPI, facecolor=GROUND)
    figure.text(0.008, 1 - 0.3 / height, one["title"], fontsize=14, color=INK, weight="bold", va="center")
    said = f"{one['description']}. {clock(start)} to {clock(end)} UTC"
    figure.text(0.992, 1 - 0.3 / height, said, fontsize=8.5, color=FAINT, va="center", ha="right")
    for panel, at in rows:
        box = place(at, height)
        if panel["type"] == "row":
            figure.text(box[0] + 0.004, box[1] + box[3] / 2, f"⌄ {panel['title']}", fontsize=10, color=INK, weight="bold", va="center")
            continue
        figure.add_artist(Rectangle(box[:2], box[2], box[3], facecolor="white", edgecolor=EDGE, linewidth=0.8, zorder=-1))
        figure.text(box[0] + 0.005, box[1] + box[3] - 0.15 / height, panel["title"], fontsize=8, color=INK, weight="bold", va="center")
        found = [
            (target, series.get((one["uid"], panel["id"], target["refId"]), [])) for target in panel["targets"]
        ]
        Panel(figure, panel, box, height, found, start, end, names or {}).draw()
    figure.savefig(path, facecolor=GROUND)
    plt.close(figure)
    shrink(path)


def shrink(path):
    """Few colours, so that the file is small enough for a repository: those that are drawn with, and their tints. A palette of what is
    most frequent would give thin lines the colour of others, and a legend could not be told."""
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(palette=palette(), dither=Image.Dither.NONE).save(path, optimize=True)


def palette():
    """The colours as they are, and on the way to white where that is not almost another one."""
    inks = [ImageColor.getrgb(ink) for ink in ("#FFFFFF", GROUND, EDGE, *LINES, *COLOURS.values(), INK, FAINT)]
    heat = [tuple(round(part * 255) for part in matplotlib.colormaps["Blues"](step / 11)[:3]) for step in range(12)]
    tints = [tuple(round(255 - (255 - part) * share) for part in ink) for ink in inks for share in (0.7, 0.5, 0.3, 0.15)]
    found = list(dict.fromkeys(inks))
    for colour in heat + tints:
        if all(max(abs(part - other) for part, other in zip(colour, one)) > 9 for one in found):
            found.append(colour)
    image = Image.new("P", (1, 1))
    image.putpalette([part for colour in found for part in colour])
    return image


def clock(moment):
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).strftime("%H:%M:%S")


def opened(panels):
    """Panels with their places when every row is open."""
    down = 0
    for panel in panels:
        at = dict(panel["gridPos"])
        at["y"] += down
        yield panel, at
        inner = panel.get("panels") or []
        for one in inner:
            yield one, {**one["gridPos"], "y": one["gridPos"]["y"] + down}
        if inner:
            tops = [one["gridPos"]["y"] for one in inner]
            down += max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in inner) - min(tops)


def place(at, height):
    wide = (WIDTH - 0.1) / 24
    left, bottom = 0.05 + at["x"] * wide, height - 0.55 - (at["y"] + at["h"]) * UNIT
    return ((left + GAP / 2) / WIDTH, (bottom + GAP / 2) / height, (at["w"] * wide - GAP) / WIDTH, (at["h"] * UNIT - GAP) / height)


class Panel:
    """One panel; `found`: its targets with their series."""

    def __init__(self, figure, panel, box, height, found, start, end, names):
        self.figure, self.panel, self.box, self.height = figure, panel, box, height
        self.found, self.start, self.end, self.names = found, start, end, names
        self.defaults = panel["fieldConfig"]["defaults"]
        self.unit, self.decimals = self.defaults["unit"], self.defaults.get("decimals")
        self.steps = self.defaults["thresholds"]["steps"]

    def draw(self):
        if not any(series for _, series in self.found):
            return self.nothing()
        kind = self.panel["type"]
        {"timeseries": self.lines, "stat": self.stat, "bargauge": self.bars, "table": self.table, "heatmap": self.heatmap}[kind]()

    def axes(self, left=0.62, right=0.12, bottom=0.62, top=0.32):
        x, y, w, h = self.box
        at = (x + left / WIDTH, y + bottom / self.height, w - (left + right) / WIDTH, h - (bottom + top) / self.height)
        axes = self.figure.add_axes(at)
        axes.set_facecolor("white")
        for side in axes.spines.values():
            side.set_visible(False)
        axes.tick_params(labelsize=6.5, colors=FAINT, length=0)
        return axes

    def nothing(self):
        x, y, w, h = self.box
        self.figure.text(x + w / 2, y + h / 2, "No data", fontsize=9, color=FAINT, ha="center", va="center")

    def name(self, target, metric):
        text = re.sub(r"\{\{(\w+)\}\}", lambda found: metric.get(found.group(1), ""), target["legendFormat"])
        return self.short(text.strip())

    def short(self, text):
        for old, new in self.names.items():
            text = text.replace(old, new)
        return text

    def colour(self, value):
        found = COLOURS[self.steps[0]["color"]]
        for step in self.steps[1:]:
            if value >= step["value"]:
                found = COLOURS[step["color"]]
        return found

    def lines(self):
        axes, custom = self.axes(), self.defaults["custom"]
        grid = numpy.arange(self.start, self.end + 1, 2.0)
        named = [
            (self.name(target, one["metric"]), spread(one["values"], grid)) for target, series in self.found for one in series
        ]
        moments = [datetime.datetime.fromtimestamp(at, datetime.timezone.utc) for at in grid]
        stacked = custom["stacking"]["mode"] == "normal"
        base = numpy.zeros(len(grid))
        for index, (_, values) in enumerate(named):
            colour = LINES[index % len(LINES)]
            if stacked:
                top = base + numpy.nan_to_num(values)
                axes.fill_between(moments, base, top, color=colour, alpha=custom["fillOpacity"] / 100, linewidth=0)
                base = top
            else:
                axes.plot(moments, values, color=colour, linewidth=1.1)
        self.frame(axes, [base] if stacked else [values for _, values in named])
        self.legend([name for name, _ in named])

    def frame(self, axes, drawn):
        """Range, thresholds, grid and units."""
        low, high = self.defaults.get("min"), self.defaults.get("max")
        seen = numpy.concatenate(drawn)
        seen = seen[numpy.isfinite(seen)]
        most, least = (seen.max(), seen.min()) if len(seen) else (1, 0)
        bottom = low if low is not None else min(least * 1.1, 0)
        top = high if high is not None else (most * 1.12 if most > bottom else bottom + 1)
        axes.set_ylim(bottom, top + (top - bottom) * (0.04 if high is not None else 0))
        for step in self.steps[1:] if self.defaults["custom"]["thresholdsStyle"]["mode"] == "line" else []:
            if step["value"] <= top:
                axes.axhline(step["value"], color=COLOURS[step["color"]], linewidth=1, linestyle=(0, (4, 2)))
        axes.set_xlim(*(datetime.datetime.fromtimestamp(at, datetime.timezone.utc) for at in (self.start, self.end)))
        axes.xaxis.set_major_locator(matplotlib.dates.AutoDateLocator(minticks=4, maxticks=8))
        axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M"))
        distance = units.ticks(top, self.unit)
        nice = matplotlib.ticker.MaxNLocator(4, steps=[1, 2, 2.5, 5, 10])
        axes.yaxis.set_major_locator(matplotlib.ticker.MultipleLocator(distance) if distance else nice)
        axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: units.text(value, self.unit, 0 if self.unit == "percentunit" and top >= 0.05 else None)))
        axes.grid(True, color="#ECEDEE", linewidth=0.7)
        axes.set_axisbelow(True)

    def legend(self, names):
        """Below, as in Grafana; what has no room is counted."""
        x, y, w, _ = self.box
        left, row, room = x + 0.08 / WIDTH, 0, w * WIDTH - 0.16
        used, shown = 0.0, 0
        for index, name in enumerate(names):
            length = 0.21 + 0.060 * len(name)
            if used + length > room:
                row, used = row + 1, 0.0
            if row > 1 or (row == 1 and used + length > room - 0.5 and index < len(names) - 1):
                break
            at = (left + used / WIDTH, y + (0.24 - 0.14 * row) / self.height)
            self.figure.text(*at, "━", fontsize=7, color=LINES[index % len(LINES)], va="center")
            self.figure.text(at[0] + 0.12 / WIDTH, at[1], name, fontsize=6.5, color=INK, va="center")
            used, shown = used + length, index + 1
        if shown < len(names):
            at = (x + w - 0.08 / WIDTH, y + 0.10 / self.height)
            self.figure.text(*at, f"and {len(names) - shown} more", fontsize=6.5, color=FAINT, ha="right", va="center")

    def newest(self):
        for target, series in self.found:
            for one in series:
                yield self.name(target, one["metric"]), last(one["values"], self.end)

    def stat(self):
        x, y, w, h = self.box
        values = [(name, value) for name, value in self.newest() if value is not None]
        if not values:
            return self.nothing()
        top = 0.30 / self.height
        each = (h - top) / len(values)
        for index, (name, value) in enumerate(values):
            below = y + h - top - each * (index + 1)
            background = self.panel["options"]["colorMode"] == "background"
            if background:
                self.figure.add_artist(Rectangle((x, below), w, each, facecolor=self.colour(value), edgecolor="white", linewidth=0.8))
            size = min(20, each * self.height * 28, w * WIDTH * 9)
            ink = "white" if background else self.colour(value)
            label = units.text(value, self.unit, self.decimals)
            if len(values) > 1:
                self.figure.text(x + 0.1 / WIDTH, below + each / 2, name, fontsize=8.5, color=ink, va="center")
                self.figure.text(x + w - 0.1 / WIDTH, below + each / 2, label, fontsize=size, color=ink, va="center", ha="right", weight="bold")
            else:
                self.figure.text(x + w / 2, below + each / 2, label, fontsize=size, color=ink, va="center", ha="center", weight="bold")

    def bars(self):
        values = [(name, value) for name, value in self.newest() if value is not None]
        if not values:
            return self.nothing()
        if "sort_desc" in self.panel["targets"][0]["expr"]:
            values.sort(key=lambda pair: -pair[1])
        axes = self.axes(left=1.05, right=0.85, bottom=0.15)
        most = self.defaults.get("max") or max(max(value for _, value in values), 1)
        for index, (name, value) in enumerate(reversed(values)):
            axes.barh(index, most, color="#F0F1F2", height=0.7)
            axes.barh(index, min(max(value, 0), most), color=self.colour(value), height=0.7)
            axes.text(most * 1.02, index, units.text(value, self.unit, self.decimals), fontsize=8, color=self.colour(value), va="center", weight="bold")
        axes.set_xlim(0, most)
        axes.set_yticks(range(len(values)), [name for name, _ in reversed(values)])
        axes.tick_params(axis="y", labelsize=8, colors=INK)
        axes.set_xticks([])

    def table(self):
        hidden = self.panel["transformations"][-1]["options"]["excludeByName"]
        headings = self.panel["transformations"][-1]["options"]["renameByName"]
        rows = {}
        for index, (_, series) in enumerate(self.found):
            column = f"Value #{chr(65 + index)}" if len(self.found) > 1 else "Value"
            for one in series:
                value = last(one["values"], self.end)
                if value is None:
                    continue
                key = tuple(sorted((name, text) for name, text in one["metric"].items() if name not in hidden))
                rows.setdefault(key, {**dict(key)})[column] = units.text(value, self.unit, self.decimals)
        if not rows:
            return self.nothing()
        whole = [row for row in rows.values() if len(self.found) == 1 or len(row) == max(map(len, rows.values()))]
        columns = [name for name in dict.fromkeys(name for row in whole for name in row) if not hidden.get(name)]
        x, y, w, h = self.box
        room = max(int((h * self.height - 0.55) / 0.185), 1)
        widths = [max(len(headings.get(name, name)), *(len(self.short(row.get(name, ""))) for row in whole)) + 2 for name in columns]
        lefts = [x + 0.08 / WIDTH + w * 0.98 * sum(widths[:index]) / sum(widths) for index in range(len(widths))]
        for left, name in zip(lefts, columns):
            self.figure.text(left, y + h - 0.40 / self.height, headings.get(name, name), fontsize=7, color="#3274D9", va="center", weight="bold")
        for at, row in enumerate(sorted(whole, key=lambda row: [row.get(name, "") for name in columns])[:room]):
            for left, name in zip(lefts, columns):
                self.figure.text(left, y + h - (0.60 + at * 0.185) / self.height, self.short(row.get(name, "")), fontsize=7, color=INK, va="center")
        if len(whole) > room:
            self.figure.text(x + w - 0.08 / WIDTH, y + 0.1 / self.height, f"and {len(whole) - room} more", fontsize=6.5, color=FAINT, ha="right")

    def heatmap(self):
        axes = self.axes(bottom=0.35)
        [(_, series)] = self.found
        buckets = sorted(((float(one["metric"]["le"].replace("+Inf", "inf")), one) for one in series), key=lambda pair: pair[0])
        grid = numpy.arange(self.start, self.end + 1, 5.0)
        counts = numpy.array([numpy.nan_to_num(spread(one["values"], grid)) for _, one in buckets])
        counts = numpy.maximum(numpy.diff(counts, axis=0, prepend=0), 0)
        counts[counts == 0] = numpy.nan
        moments = matplotlib.dates.date2num([datetime.datetime.fromtimestamp(at, datetime.timezone.utc) for at in grid])
        axes.pcolormesh(moments, range(len(buckets)), counts, cmap="Blues", shading="nearest", vmin=0)
        axes.xaxis_date()
        axes.xaxis.set_major_locator(matplotlib.dates.AutoDateLocator(minticks=3, maxticks=8))
        axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M"))
        axes.set_yticks(range(len(buckets)), [units.text(bound, self.unit) for bound, _ in buckets])


def spread(values, grid):
    """A series on a grid of moments, with holes where it has none."""
    found = numpy.full(len(grid), numpy.nan)
    step = grid[1] - grid[0]
    for at, value in values:
        index = round((float(at) - grid[0]) / step)
        if 0 <= index < len(grid):
            number = float(value)
            found[index] = number if math.isfinite(number) else numpy.nan
    return found


def last(values, end):
    """The newest value, if it is from the end."""
    at, value = values[-1]
    return float(value) if end - float(at) < 15 else None
