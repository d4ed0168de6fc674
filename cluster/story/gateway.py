"""What a tenant asks of the api, and what phones do: HTTP through the Services."""

import json
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

from .reach import Way
from .tell import Broken, until


class Refused(Broken):
    """An answer that says no."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"{status} {words}")
        self.status = status


def call(way: Way, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, seconds: float = 10) -> Any:
    """One request; the answer as JSON where it is JSON. A status of 4xx or 5xx is `Refused`, no answer an `OSError`."""
    data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{way.address()}{path}", data, headers or {}, method=method)
    if data is not None:
        request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError as error:
        raise Refused(error.code, error.read().decode(errors="replace")) from None
    try:
        return json.loads(text)
    except ValueError:
        return text


class Gateway:
    """The api, with a tenant's key."""

    def __init__(self, way: Way, key: str) -> None:
        self.way, self.key = way, key

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        return call(self.way, method, path, body, {"authorization": f"Bearer {self.key}", **headers})

    def tenant(self, name: str) -> "Gateway":
        """A new tenant (asked with an admin's key), with a key of its own."""
        tenant = self.ask("POST", "/v1/tenants", {"name": name})["id"]
        return Gateway(self.way, self.ask("POST", f"/v1/tenants/{tenant}/keys", {"name": "story"})["secret"])

    def status(self, account: str) -> str:
        return self.ask("GET", f"/v1/accounts/{account}")["status"]

    def send(self, account: str, to: str, text: str, give_up_s: float = 120) -> str:
        """A message, asked for under one key until it is accepted, so that no try doubles it; answers its id."""
        key = str(uuid.uuid4())
        deadline = time.monotonic() + give_up_s
        while True:
            try:
                return self.ask("POST", f"/v1/accounts/{account}/messages", {"to": to, "text": text}, **{"idempotency-key": key})["id"]
            except (OSError, Refused) as error:
                if time.monotonic() > deadline or (isinstance(error, Refused) and error.status < 429):
                    raise Broken(f"not accepted: {error}") from error
                time.sleep(0.2)


class Phones:
    """The phones of the simulated WhatsApp."""

    def __init__(self, way: Way) -> None:
        self.way = way

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        return call(self.way, method, f"/admin{path}", body, seconds=30)

    def phone(self, number: str) -> str:
        self.ask("POST", "/phones", {"number": number, "name": f"Phone {number[-3:]}"})
        return number

    def group(self, owner: str, members: list[str]) -> str:
        return self.ask("POST", "/groups", {"subject": "Team", "owner": owner, "members": members})["jid"]

    def inbox(self, number: str) -> list[Any]:
        return self.ask("GET", f"/phones/{number}/inbox?limit=100000")

    def audit(self) -> Any:
        return self.ask("GET", "/audit")


def pair(gateway: Gateway, phones: Phones, number: str) -> str:
    """An account, paired by the QR code that the api shows; answers its id when it is connected."""
    account = gateway.ask("POST", "/v1/accounts", {"label": f"Desk {number[-3:]}"})["id"]
    gateway.ask("POST", f"/v1/accounts/{account}/pair", {"method": "qr"})
    code = until("a QR code", lambda: gateway.ask("GET", f"/v1/accounts/{account}/qr?format=text").strip())
    phones.ask("POST", f"/mock-phone/scan-qr?phone={number}", code)
    until("connected", lambda: gateway.status(account) == "connected")
    return account
