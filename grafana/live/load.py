"""The scripted load with its faults: what people do, and what goes wrong meanwhile. R06.

Every step is told with its moment, so that a picture can be read beside it.
"""

import contextlib
import datetime
import http.server
import os
import random
import signal
import subprocess
import threading
import time

from stack import http as ask
from stack import until

ACCOUNTS, MESSAGES_PER_S = 12, 6


class Receiver:
    """Somebody's webhook receiver: /ok takes it, /slow after a while, /bad breaks, /gone went away."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802
                self.rfile.read(int(self.headers.get("content-length", 0)))
                time.sleep(0.4 if self.path == "/slow" else 0)
                self.send_response({"/bad": 500, "/gone": 410}.get(self.path, 204))
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Load:
    """The whole story; `run` plays it once."""

    def __init__(self, stack):
        self.stack, self.start = stack, time.time()
        self.draw, self.over = random.Random(6), threading.Event()
        self.receiver, self.accounts, self.threads = Receiver(), [], []

    def tell(self, text):
        print(f"  {time.time() - self.start:5.0f} s  {text}", flush=True)

    # people

    def number(self, index):
        return f"44770090{index:04d}"

    def pair(self, index, method="qr"):
        """An account, its phone, and the line between them."""
        _, account = self.stack.ask("/v1/accounts", {"label": f"Account {index}"})
        account = account["id"]
        self.link(account, self.number(index))
        return account

    def link(self, account, number):
        self.stack.play("/phones", {"number": number, "name": "Ada", "auto_receipts": "read", "read_delay_ms": 300})
        self.stack.ask(f"/v1/accounts/{account}/pair", {"method": "qr"})
        path = f"{self.stack.api}/v1/accounts/{account}/qr?format=text"
        code = until("a code", 30, lambda: (lambda answer: answer[1] if answer[0] == 200 else None)(ask(path, self.stack.key)))
        self.stack.play(f"/mock-phone/scan-qr?phone={number}", text=str(code))

    def connected(self, account):
        return self.stack.ask(f"/v1/accounts/{account}")[1]["status"] == "connected"

    def send(self):
        """Messages at a steady pace, some into a group, some from phones."""
        while not self.over.wait(1 / MESSAGES_PER_S):
            account, to = self.draw.choice(self.accounts), self.number(self.draw.randrange(100, 110))
            with contextlib.suppress(Exception):
                self.stack.ask(f"/v1/accounts/{account}/messages", {"to": self.draw.choice([to, self.group]), "text": "Hello"})
                if self.draw.random() < 0.3:
                    self.stack.play(f"/phones/{to}/send", {"to": self.number(self.draw.randrange(ACCOUNTS)), "text": "Hi"})

    def look(self):
        """What a client's screens ask for, and what it gets wrong."""
        paths = ["/v1/accounts", "/v1/dashboard", "/v1/runs", "/v1/notifications", "/v1/reminders", "/v1/webhooks", "/v1/nothing"]
        while not self.over.wait(0.3):
            with contextlib.suppress(Exception):
                self.stack.ask(self.draw.choice(paths))
                if self.draw.random() < 0.1:
                    self.stack.ask(f"/v1/accounts/{self.accounts[0]}/messages", {"to": "nobody", "text": ""})

    def listen(self):
        """A live stream, opened again when it ends."""
        import urllib.request

        while not self.over.is_set():
            with contextlib.suppress(Exception):
                request = urllib.request.Request(f"{self.stack.api}/v1/events", headers={"authorization": f"Bearer {self.stack.key}"})
                with urllib.request.urlopen(request, timeout=20) as stream:
                    while not self.over.is_set() and stream.readline():
                        pass

    def remind(self, name, seconds, **more):
        """A reminder that fires in so many seconds."""
        start = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
        body = {
            "name": name, "account_id": self.draw.choice(self.accounts[:8]), "messages": [name], "targets": [self.group],
            "start": start.strftime("%Y-%m-%dT%H:%M:%S"), "timezone": "UTC", "recurrence": {"kind": "daily"}, **more,
        }  # fmt: skip
        return self.stack.ask("/v1/reminders", body)

    def remind_on(self):
        while not self.over.wait(4):
            with contextlib.suppress(Exception):
                self.remind("Stand-up", self.draw.randrange(3, 8))

    def probe(self):
        """Asks every process whether it is ready, as a kubelet would."""
        while not self.over.wait(2):
            for page in self.stack.pages.values():
                ask(f"http://{page}/readyz", timeout=3)

    def in_background(self, *what):
        for one in what:
            thread = threading.Thread(target=one, daemon=True)
            thread.start()
            self.threads.append(thread)

    def psql(self, text):
        command = ["psql", "-X", "-q", self.stack.servers["DATABASE_URL"], "-c", text]
        writing = {**os.environ, "PGOPTIONS": "-c default_transaction_read_only=off"}
        subprocess.run(command, capture_output=True, timeout=30, env=writing)

    # the story

    def run(self):
        for step in (self.people, self.usual_day, self.lines_break, self.worker_dies, self.redis_goes, self.postgres_refuses,
                     self.scheduler_dies, self.last_things):  # fmt: skip
            step()
        self.over.set()

    def people(self):
        self.in_background(self.probe)
        self.tell(f"{ACCOUNTS} accounts are paired; a phone scans twice, another code is never scanned")
        self.accounts = [self.pair(index) for index in range(ACCOUNTS)]
        until("all accounts to be connected", 90, lambda: all(map(self.connected, self.accounts)))
        members = [self.number(index) for index in [*range(1, ACCOUNTS), *range(100, 110)]]
        for member in members:
            self.stack.play("/phones", {"number": member})
        self.group = self.stack.play("/groups", {"subject": "Team", "owner": self.number(0), "members": members})[1]["jid"]
        for account in self.accounts:
            self.stack.ask(f"/v1/accounts/{account}/groups/sync", {})
        with contextlib.suppress(SystemExit, TypeError, KeyError):
            self.pair(0)  # a duplicate
        _, other = self.stack.ask("/v1/accounts", {"label": "Nobody scans"})
        self.stack.ask(f"/v1/accounts/{other['id']}/pair", {"method": "qr"})
        for path in ("ok", "slow", "bad", "gone"):
            self.stack.ask("/v1/webhooks", {"url": f"{self.receiver.base}/{path}"})

    def usual_day(self):
        self.tell("messages, screens, live streams and reminders")
        self.in_background(self.send, self.look, self.listen, self.listen, self.remind_on)
        time.sleep(40)
        self.stack.ask(f"/v1/accounts/{self.accounts[-1]}/unpair", {})
        time.sleep(5)
        self.tell("an account is paired again")
        self.link(self.accounts[-1], self.number(ACCOUNTS - 1))
        self.stack.ask(f"/v1/accounts/{self.accounts[-1]}/pair", {"method": "qr"})

    def lines_break(self):
        self.tell("connections drop, one is replaced, one banned, one logged out by its phone; acknowledgements fail")
        fault = lambda kind, index=None, **more: self.stack.play(  # noqa: E731
            "/faults", {"kind": kind, **({} if index is None else {"target": {"number": self.number(index)}}), **more}
        )
        for index in (1, 2, 3, 4):
            fault("drop", index)
        fault("stream_error", 5)
        fault("replace", 6)
        fault("temporary_ban", 9, expire_s=3600)
        fault("logout_device", 8)
        fault("ack_error", count=12)
        fault("swallow_acks", 7, count=1)
        fault("delay", ms=400, until_ms=8000)
        time.sleep(30)

    def worker_dies(self):
        self.tell("kill -9 of a worker; it comes back after 20 s")
        worker = self.stack.processes["worker-1"]
        worker.end(signal.SIGKILL)
        time.sleep(20)
        worker.start(self.stack.log("worker-1"))
        time.sleep(20)
        self.tell("another worker is asked to stop, and started again")
        worker = self.stack.processes["worker-2"]
        worker.end(signal.SIGTERM)
        time.sleep(12)
        worker.start(self.stack.log("worker-2"))
        time.sleep(15)

    def redis_goes(self):
        self.tell("Redis is emptied, then silent for 8 s")
        subprocess.run(["redis-cli", "-u", self.stack.servers["REDIS_URL"], "flushall"], capture_output=True, timeout=10)
        time.sleep(15)
        subprocess.run(["redis-cli", "-u", self.stack.servers["REDIS_URL"], "client", "pause", "8000", "all"], capture_output=True, timeout=10)
        time.sleep(25)

    def postgres_refuses(self):
        self.tell("Postgres ends every connection, then is read-only for 8 s")
        database = self.stack.servers["DATABASE_URL"].rsplit("/", 1)[1]
        end = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and usename = current_user"
        self.psql(end)
        time.sleep(10)
        self.psql(f"alter database {database} set default_transaction_read_only = on")
        self.psql(end)
        time.sleep(8)
        self.psql(f"alter database {database} reset default_transaction_read_only")
        self.psql(end)
        time.sleep(20)

    def scheduler_dies(self):
        self.tell("the scheduler is gone for 75 s: reminders that may not be late are missed")
        for _ in range(3):
            self.remind("On time or never", 4, misfire="skip", recurrence={"kind": "none"})
        scheduler = self.stack.processes["scheduler"]
        scheduler.end(signal.SIGKILL)
        time.sleep(75)
        scheduler.start(self.stack.log("scheduler"))

    def last_things(self):
        self.tell("a quiet end")
        time.sleep(45)
