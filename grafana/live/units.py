"""Pure. Numbers as Grafana writes them. R06."""

import math


def text(value, unit, decimals=None):
    if value is None or math.isnan(value):
        return "No data"
    if math.isinf(value):
        return "∞"
    if unit == "percentunit":
        return f"{value * 100:.{1 if decimals is None else decimals}f} %"
    if unit == "s":
        return seconds(value)
    if unit == "bytes":
        return scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"])
    per_second = {"ops": " ops/s", "reqps": " req/s"}.get(unit, "")
    return scaled(value, 1000, ["", "k", "M"], decimals) + per_second


def seconds(value):
    size = abs(value)
    for least, divisor, name in [(86400, 86400, "d"), (3600, 3600, "h"), (60, 60, "min"), (1, 1, "s"), (1e-3, 1e-3, "ms")]:
        if size >= least:
            return f"{value / divisor:.3g} {name}"
    return "0 s" if value == 0 else f"{value * 1e6:.3g} µs"


def ticks(top, unit):
    """A distance of marks on an axis that reads well: minutes are sixty seconds, and a KiB is 1,024 bytes. None: let others choose."""
    if unit == "s" and top > 20:
        steps = [5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400]
        return next((step for step in steps if top / step <= 5), None)
    if unit == "bytes" and top > 0:
        return 2.0 ** math.ceil(math.log2(top / 5))
    return None


def scaled(value, base, names, decimals=None):
    power = 0
    while abs(value) >= base and power < len(names) - 1:
        value, power = value / base, power + 1
    number = f"{value:.{decimals}f}" if decimals is not None else f"{value:.3g}"
    return f"{number} {names[power]}".strip()
