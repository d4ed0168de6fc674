#!/usr/bin/env python3
"""Writes common/schedule/tests/it/oracle.txt: when random rules fire, according to python-dateutil.

    pip install python-dateutil==2.9.0.post0 tzdata==2026.6
    dev/oracle.py [seed [cases]] > common/schedule/tests/it/oracle.txt

A line is `rule zone start after first+delta+delta… [.]`. The start is wall-clock time, after and first are minutes since
1970 in UTC, deltas are minutes, and `.` means that the rule ends there. No clock changes on any of the dates; tests of
changes are written by hand. Rules that dateutil and RFC 5545 interpret differently are left out: plain and numbered days
in one BYDAY, BYSETPOS in a first week that the start cuts, and BYWEEKNO without BYDAY (dateutil takes all days of the
week, the RFC only the start's).
"""
import datetime as module
import random
import sys
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from itertools import islice
from zoneinfo import ZoneInfo, reset_tzpath

import tzdata
from dateutil.rrule import rrulestr

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 5545
CASES = int(sys.argv[2]) if len(sys.argv) > 2 else 6000
END = datetime(2060, 1, 1)
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
ZONES = """UTC America/New_York America/Los_Angeles America/Sao_Paulo America/Santiago America/St_Johns America/Phoenix
America/Havana America/Caracas America/Mexico_City America/Nuuk Europe/London Europe/Berlin Europe/Dublin Europe/Moscow
Europe/Istanbul Europe/Chisinau Asia/Kuala_Lumpur Asia/Kolkata Asia/Kathmandu Asia/Tokyo Asia/Tehran Asia/Gaza Asia/Beirut
Asia/Pyongyang Australia/Lord_Howe Australia/Sydney Australia/Adelaide Australia/Eucla Africa/Casablanca Africa/Cairo
Africa/Lagos Africa/Johannesburg Pacific/Apia Pacific/Kiritimati Pacific/Chatham Pacific/Auckland Pacific/Norfolk
Antarctica/Troll Atlantic/Azores""".split()

random.seed(SEED)
reset_tzpath(to=[])  # the data of the package, not of this machine


def chance(p):
    return random.random() < p


def some(values, most):
    return sorted(random.sample(list(values), random.randint(1, min(most, len(values)))))


def text(values):
    return ",".join(str(value) for value in values)


def signed(most, count):
    return text(some([n for n in range(-most, most + 1) if n], count))


def apart(minutes):
    """Whether minutes are at least five apart, also across the hour."""
    return all((b - a) % 60 >= 5 for a, b in zip(minutes, minutes[1:] + minutes[:1])) if len(minutes) > 1 else True


def random_rule(start):
    freq = random.choices(["MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"], [14, 4, 2, 3, 5, 5])[0]
    by = {}
    interval = random.choice([1, 1, 1, 2, 3, 4, 5, 7, 12, random.randint(1, 40)])
    if freq == "MINUTELY":
        interval = random.choice([5, 7, 10, 15, 20, 30, 45, 60, 90, random.randint(5, 400)])
    real = freq in ("MINUTELY", "HOURLY")
    if chance(0.05 if real else 0.25):
        by["BYMONTH"] = text(some(range(1, 13), 4))
    if freq in ("MONTHLY", "YEARLY") and chance(0.5):
        most = 53 if freq == "YEARLY" and "BYMONTH" not in by else 5
        days = {(random.choice([n for n in range(-most, most + 1) if n]), d) for d in some(range(7), 3)}
        by["BYDAY"] = text(f"{n}{DAYS[d]}" for n, d in sorted(days))
    elif chance(0.5 if freq != "WEEKLY" else 0.8):
        by["BYDAY"] = text(DAYS[d] for d in some(range(7), 4))
    if freq != "WEEKLY" and chance(0.1 if real else 0.3):
        by["BYMONTHDAY"] = signed(31, 6)
    if freq == "YEARLY" and chance(0.2) or real and chance(0.06):
        by["BYYEARDAY"] = signed(366, 10)
    plain = "BYDAY" in by and not any(c.isdigit() for c in by["BYDAY"])
    if freq == "YEARLY" and plain and chance(0.4):
        by["BYWEEKNO"] = signed(53, 5)
    if chance(0.3 if real else 0.2):
        by["BYHOUR"] = text(some(range(24), 5))
    if chance(0.25):
        minutes = some(range(0, 60), 4)
        if freq == "MINUTELY" or apart(minutes):
            by["BYMINUTE"] = text(minutes)
    week_start = random.choice(DAYS) if chance(0.3) else None
    if freq == "HOURLY" and "BYMINUTE" in by and chance(0.5):
        by["BYSETPOS"] = signed(3, 2)
    if not real and by and chance(0.25):
        first = DAYS.index(week_start or "MO")
        if freq != "WEEKLY" or start.weekday() == first:
            by["BYSETPOS"] = signed(6, 3)
    parts = [f"FREQ={freq}"]
    if interval != 1:
        parts.append(f"INTERVAL={interval}")
    parts += [f"{name}={value}" for name, value in by.items()]
    if week_start:
        parts.append(f"WKST={week_start}")
    if chance(0.2) and not ("BYDAY" in by and "BYMONTHDAY" in by):
        parts.append(f"COUNT={random.choice([1, 2, 3, 5, 10, 30, 200])}")
    elif chance(0.15):
        until = start + timedelta(days=random.choice([1, 10, 100, 1000, 5000]), minutes=random.randint(0, 1439))
        parts.append(f"UNTIL={until:%Y%m%dT%H%M%S}")
    return ";".join(parts), freq


def offset(local, zone):
    return local.replace(tzinfo=zone).utcoffset()


def certain(local, zone):
    """Whether no clock changes within two days of a wall-clock time."""
    return len({offset(local + timedelta(hours=h), zone) for h in range(-48, 49, 6)}) == 1


def steady(start, end, zone):
    """Whether no clock changes from one time to another."""
    local, first = start, offset(start, zone)
    while local < end:
        if offset(local, zone) != first:
            return False
        local += timedelta(hours=12)
    return offset(end, zone) == first


def minutes_of(local, zone):
    seconds = (local.replace(tzinfo=zone) - EPOCH).total_seconds()
    assert seconds % 60 == 0
    return int(seconds) // 60


def cases():
    """Yields one rule with one start in some zones, unless it has no answer or clocks change."""
    start = datetime(random.randint(1998, 2036), 1, 1) + timedelta(minutes=random.randint(0, 525599))
    rule, freq = random_rule(start)
    real = freq in ("MINUTELY", "HOURLY")
    whole = "COUNT" in rule or "UNTIL" in rule
    ahead = {"MINUTELY": 30, "HOURLY": 400}.get(freq, 7000)
    after = start + (timedelta(minutes=random.randint(0, ahead * 1440)) if chance(0.6) else timedelta(minutes=-1))
    end = after + timedelta(days={"MINUTELY": 40, "HOURLY": 400}.get(freq, 4000))
    # dateutil searches until this year for occurrences that never come
    module.MAXYEAR = min(end, END).year
    try:
        rows = rrulestr(rule if whole else f"{rule};UNTIL={end:%Y%m%dT%H%M%S}", dtstart=start)
        found = list(islice(rows.xafter(after, count=4), 4))
    except ValueError:
        return  # the rule never fires
    ends = len(found) < 4 and whole
    if len(found) < 4 and not ends or any(local.year >= module.MAXYEAR for local in found) or not found and chance(0.9):
        return
    if ends and "UNTIL" in rule and rule.split("UNTIL=")[1][:4] >= str(module.MAXYEAR):
        return
    if ends and "COUNT" in rule and sum(1 for _ in rows) < int(rule.split("COUNT=")[1]):
        return
    for name in random.sample(ZONES, 3):
        zone = ZoneInfo(name)
        if not all(certain(local, zone) for local in [start, after, *found]):
            continue
        last = max([start, after, *found])
        if real and not (steady(start if whole else min(after, last), last, zone)
                         and offset(start, zone) == offset(after, zone)):
            continue
        at = [minutes_of(local, zone) for local in found]
        shown = "+".join(map(str, [b - a for a, b in zip([0, *at], at)])) or "-"
        yield f"{rule} {name} {start:%Y-%m-%dT%H:%M} {minutes_of(after, zone)} {shown}{' .' if ends else ''}"


print(f"# python-dateutil {version('python-dateutil')}, tzdata {tzdata.IANA_VERSION}, seed {SEED}; see dev/oracle.py")
written = 0
while written < CASES:
    for line in cases():
        written += 1
        print(line)
