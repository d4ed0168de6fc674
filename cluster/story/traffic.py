"""Messages that go on while the cluster is worked on, and the count at the end: nothing lost, nothing doubled."""

import itertools
import threading
import time
from dataclasses import dataclass, field

from .gateway import Gateway, Phones
from .tell import Broken, check, say


@dataclass
class Desk:
    """A paired account, its own phone's number, and the number that it writes to."""

    account: str
    own: str
    reader: str


@dataclass
class Ledger:
    """What was accepted: the texts that each reader must show, and how long the acceptance took."""

    accepted: list[tuple[str, str]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class Traffic:
    """Sends a text from one desk after the other, so many each second, until it is stopped."""

    def __init__(self, gateway: Gateway, desks: list[Desk], per_second: float) -> None:
        self.gateway, self.desks, self.pause = gateway, desks, 1 / per_second
        self.ledger = Ledger()
        self.broken: list[str] = []
        self.over = threading.Event()
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._send, args=(n,), daemon=True) for n in range(4)]

    def start(self) -> "Traffic":
        for thread in self.threads:
            thread.start()
        return self

    def _send(self, lane: int) -> None:
        desks = self.desks[lane :: len(self.threads)]
        for desk in itertools.cycle(desks) if desks else ():
            if self.over.wait(self.pause * len(self.threads)):
                return
            text = f"text {next(self.numbers)} of {desk.own}"
            began = time.monotonic()
            try:
                self.gateway.send(desk.account, desk.reader, text)
            except Broken as error:
                self.broken.append(str(error))
                continue
            with self.lock:
                self.ledger.accepted.append((desk.reader, text))
                self.ledger.seconds.append(time.monotonic() - began)

    def stop(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(150)


def judge(ledger: Ledger, phones: Phones, seconds: float) -> None:
    """Waits until every accepted text is shown, then counts: each text on its phone as often as it was asked for, which is
    once, and no other text."""
    readers = sorted({reader for reader, _ in ledger.accepted})
    wanted = set(ledger.accepted)
    deadline = time.monotonic() + seconds
    while True:
        shown: dict[tuple[str, str], int] = {}
        arrivals = 0
        for reader in readers:
            for bubble in phones.inbox(reader):
                shown[reader, bubble["text"]] = shown.get((reader, bubble["text"]), 0) + 1
                arrivals += bubble["times_arrived"]
        lost = [text for text in wanted if text not in shown]
        if not lost or time.monotonic() > deadline:
            break
        time.sleep(1)
    doubled = [text for text, times in shown.items() if times > 1]
    strange = [text for text in shown if text not in wanted]
    say(f"   accepted {len(wanted)}, shown {sum(shown.values())}, lost {len(lost)}, doubled {len(doubled)}, arrived again under the same id "
        f"{arrivals - sum(shown.values())}")
    check(wanted and not lost, f"nothing was lost {lost[:3]}")
    check(not doubled and not strange, f"nothing was doubled {doubled[:3]} {strange[:3]}")
