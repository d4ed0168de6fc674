"""Steps with their times, waiting with a deadline, and what must hold."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

STARTED = time.monotonic()
# Long enough for a loaded machine; nothing waits so long when all is well.
DEADLINE = 120.0

checks = 0


class Broken(Exception):
    """Something that must hold does not."""


def say(text: str) -> None:
    print(f"{time.monotonic() - STARTED:7.1f} s  {text}", flush=True)


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    """A step of the story: said before and after, with how long it took."""
    began = time.monotonic()
    say(f"-- {name}")
    try:
        yield
    except BaseException:
        say(f"   BROKE after {time.monotonic() - began:.1f} s: {name}")
        raise
    say(f"   done in {time.monotonic() - began:.1f} s")


def check(holds: object, what: str) -> None:
    """Something that must hold; said when it does."""
    global checks
    if not holds:
        raise Broken(what)
    checks += 1
    say(f"   ok: {what}")


def until(what: str, look: Callable[[], T], seconds: float = DEADLINE, pause: float = 0.25) -> T:
    """Looks until there is something, and answers it."""
    deadline = time.monotonic() + seconds
    last: Exception | None = None
    while time.monotonic() < deadline:
        try:
            if found := look():
                return found
        except (OSError, KeyError, IndexError, ValueError, Broken) as error:
            last = error
        time.sleep(pause)
    raise Broken(f"waited {seconds:.0f} s for {what}" + (f"; last: {last}" if last else ""))


def quantile(values: list[float], share: float) -> float:
    """The value below which this share of all lies; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round((len(ordered) - 1) * share))] if ordered else 0.0


def warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)
