"""How long phones' devices were without a socket, out of the simulator's audit."""

import time
from typing import Any

from .gateway import Phones
from .tell import quantile, say


class Watch:
    """Take-overs since a moment: every device that lost its socket and logged in again."""

    def __init__(self, phones: Phones) -> None:
        self.phones = phones
        # The simulator's clock is this machine's: a pod has no other.
        self.began_us = time.time_ns() // 1000

    def gaps(self) -> list[float]:
        """Seconds from the end of a socket to the next login of the same device."""
        return [gap for device in self.phones.audit()["devices"] for gap in gaps(device["sockets"], self.began_us)]

    def told(self, what: str) -> list[float]:
        found = self.gaps()
        say(f"   take-overs by {what}: {len(found)}, seconds without a socket: p50 {quantile(found, 0.5):.2f}, "
            f"p99 {quantile(found, 0.99):.2f}, max {max(found, default=0):.2f}")
        return found


def gaps(sockets: list[Any], since_us: int) -> list[float]:
    logged_in = sorted((socket for socket in sockets if socket["login_ok_at_us"]), key=lambda socket: socket["login_ok_at_us"])
    found = []
    for before, after in zip(logged_in, logged_in[1:]):
        closed = before["closed_at_us"]
        if closed and closed >= since_us:
            found.append(max(0.0, (after["login_ok_at_us"] - closed) / 1e6))
    return found


def overlaps(phones: Phones) -> int:
    """How often two sockets of one device were logged in at once."""
    return phones.audit()["overlap_count"]
