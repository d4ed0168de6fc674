"""A dashboard's JSON (Grafana's schema 42) from compact definitions. R06.

`Dashboard` holds `Row`s, a row holds `Panel`s, a panel holds `Query`s. In queries `$S` stands for the selector of the
variables cluster and namespace; it matches what has no such labels, too, while the variable says All.
"""

from dataclasses import dataclass, field
from typing import Optional

SCHEMA_VERSION = 42
SELECTOR = 'cluster=~"$cluster",namespace=~"$namespace"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"


@dataclass(frozen=True)
class Query:
    """One expression and the name of its lines. `table`: the newest values alone, as rows."""

    expr: str
    legend: str
    table: bool = False


@dataclass(frozen=True)
class Panel:
    """One picture. `number` is its id for ever: alerts link to it. `good` ends the description: "Healthy looks like …"."""

    number: int
    title: str
    kind: str  # line, stack, bars, stat, bargauge, table, heatmap
    unit: str
    text: str
    good: str
    queries: list
    width: int = 8
    height: int = 8
    steps: tuple = ()  # thresholds: (from, colour), ascending; below the first it is `base`
    base: str = GREEN
    decimals: Optional[int] = None
    low: Optional[float] = 0
    high: Optional[float] = None
    names: dict = field(default_factory=dict)  # value → (text, colour)
    hidden: tuple = ()  # columns of a table that are not shown
    headings: dict = field(default_factory=dict)  # columns of a table by another name


@dataclass(frozen=True)
class Row:
    """A heading with panels; below the fold it is collapsed."""

    title: str
    panels: list
    collapsed: bool = False


@dataclass(frozen=True)
class Dashboard:
    """One file in `grafana/dashboards`."""

    name: str
    title: str
    text: str
    rows: list
    since: str = "now-3h"

    @property
    def uid(self):
        return f"switchboard-{self.name}"

    def panels(self):
        return [panel for row in self.rows for panel in row.panels]


def whole(metric, by="", match=""):
    """What every scheduler measures alike about one installation: read with `max`, then added over installations."""
    labels = ", ".join(filter(None, ["cluster", "namespace", by]))
    inner = f"max by ({labels}) ({metric}{{{match + ',' if match else ''}$S}})"
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"


def oldest(metric, by="", match=""):
    """The largest of what every scheduler measures alike."""
    return f"max{f' by ({by})' if by else ''} ({metric}{{{match + ',' if match else ''}$S}})"


def rate(metric, by="", match=""):
    """How often per second, over all processes."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{match + ',' if match else ''}$S}}[$__rate_interval]))"


def quantile(share, metric, by="", match=""):
    """A share of a histogram's observations took at most so long."""
    labels = ", ".join(filter(None, ["le", by]))
    return (
        f"histogram_quantile({share}, sum by ({labels}) "
        f"(rate({metric}_bucket{{{match + ',' if match else ''}$S}}[$__rate_interval])))"
    )


def quantiles(metric, by="", match="", shares=(0.5, 0.95, 0.99)):
    """Several shares as lines of one panel."""
    legend = f" {{{{{by}}}}}" if by else ""
    return [Query(quantile(share, metric, by, match), f"p{round(share * 100)}{legend}") for share in shares]
