"""Tests an upgrade on real processes. The previous release runs on the new schema, is rolled to the new release while
messages go both ways, and is rolled back. Standard library only. `dev/upgrade` starts it on servers of its own."""

import argparse
import collections
import http.server
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

DEADLINE = 90  # seconds; much longer than any step takes if all is well
ACCOUNTS = 3


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def http_call(method, url, body=None, headers=None, timeout=10):
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = {} if data is None or isinstance(body, bytes) else {"content-type": "application/json"}
    request = urllib.request.Request(url, data=data, method=method, headers={**kind, **(headers or {})})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        text = answer.read().decode()
    return json.loads(text) if text[:1] in ("{", "[") else text


def until(what, look, seconds=DEADLINE):
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = look()
        except (urllib.error.URLError, OSError):
            found = None
        if found:
            return found
        if time.monotonic() > deadline:
            sys.exit(f"waited in vain for {what}")
        time.sleep(0.05)


def check(holds, what):
    if not holds:
        sys.exit(f"wrong: {what}")
    print(f"  {what}", flush=True)


class Process:
    """One of our processes. Its ports are set under each name that a release may use."""

    def __init__(self, folder, part, number, logs, simulator):
        self.name = f"{part}-{number}"
        self.listen, self.ops = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        settings = {
            "API_LISTEN": self.listen, "OPS_LISTEN": self.ops, "WORKER_LISTEN": self.ops, "SCHEDULER_LISTEN": self.ops,
            "WHATSAPP_URL": f"ws://{simulator}/ws/chat", "WHATSAPP_VERSION": "2.3000.1023223821", "PRE_KEYS": "20",
            "CREDENTIAL_KEYS": "1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "WORKER_RELEASE": str(number),
            "WEBHOOK_ALLOW_PRIVATE": "127.0.0.0/8", "WEBHOOK_ALLOW_HTTP": "true",
        }
        self.log = open(logs / f"{self.name}.log", "w")
        self.child = subprocess.Popen([folder / f"switchboard-{part}"], env={**os.environ, **settings}, stdout=self.log, stderr=self.log)

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        status = self.child.wait(60)
        check(status == 0, f"{self.name} stops with 0" if status == 0 else f"{self.name} stopped with {status}, see {self.log.name}")


class Receiver:
    """Receives the posts of the webhook."""

    def __init__(self):
        self.bodies = bodies = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/"

    def messages(self):
        """Returns the ids of messages with posted events. A receipt that overtakes its acknowledgement causes events for both."""
        return {body["data"]["message_id"] for body in self.bodies}


class World:
    def __init__(self, before, after, logs):
        self.before, self.after, self.logs = before, after, logs
        self.simulator, self.children, self.number, self.apis = f"127.0.0.1:{free_port()}", [], 0, []
        log = open(logs / "simulator.log", "w")
        simulator = [after / "switchboard-simulator", "--listen", self.simulator]
        self.children.append(subprocess.Popen(simulator, stdout=log, stderr=log))
        until("the simulator", lambda: self.admin("GET", "/phones") is not None or True)

    def start(self, folder, part):
        self.number += 1
        process = Process(folder, part, self.number, self.logs, self.simulator)
        self.children.append(process.child)
        where = process.listen if part == "api" else process.ops
        path = "/health" if part == "api" else "/readyz"
        until(f"{process.name} of {folder}", lambda: http_call("GET", f"http://{where}{path}") or True)
        return process

    def run(self, folder, *words):
        done = subprocess.run([folder / "switchboard-api", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"switchboard-api {words[0]}: {done.stderr}")
        return done.stdout.strip()

    def admin(self, method, path, body=None):
        return http_call(method, f"http://{self.simulator}/admin{path}", body)

    def api(self, method, path, body=None, key=None, headers=None):
        """Calls any api that is up. A request may be repeated, since it has an idempotency key where that matters."""
        deadline = time.monotonic() + DEADLINE
        while True:
            for api in list(self.apis):
                try:
                    auth = {"authorization": f"Bearer {key or self.key}"}
                    return http_call(method, f"http://{api.listen}{path}", body, {**auth, **(headers or {})})
                except urllib.error.HTTPError as error:
                    if error.code < 500:
                        sys.exit(f"{method} {path}: {error.code} {error.read().decode()}")
                except (urllib.error.URLError, OSError):
                    pass
            if time.monotonic() > deadline:
                sys.exit(f"{method} {path}: no api answers")
            time.sleep(0.05)

    def tenant(self):
        admin = self.run(self.before, "keys", "create", "--admin", "--name", "upgrade")
        tenant = self.api("POST", "/v1/tenants", {"name": "Acme"}, admin)["id"]
        self.key = self.api("POST", f"/v1/tenants/{tenant}/keys", {"name": "upgrade"}, admin)["secret"]

    def pair(self, number):
        self.admin("POST", "/phones", {"number": number, "name": f"Phone {number}"})
        account = self.api("POST", "/v1/accounts", {"label": number})["id"]
        self.api("POST", f"/v1/accounts/{account}/pair", {})
        code = until("a code", lambda: self.code(account))
        self.admin("POST", f"/mock-phone/scan-qr?phone={number}", code.strip().encode())
        until("the phone", lambda: self.api("GET", f"/v1/accounts/{account}")["status"] == "connected")
        return account

    def code(self, account):
        try:
            return http_call("GET", f"http://{self.apis[0].listen}/v1/accounts/{account}/qr?format=text", headers={"authorization": f"Bearer {self.key}"})
        except urllib.error.HTTPError:
            return None

    def send(self, account, to, text):
        return self.api("POST", f"/v1/accounts/{account}/messages", {"to": to, "text": text}, headers={"idempotency-key": text})["id"]

    def state(self, message):
        return self.api("GET", f"/v1/messages/{message}")["state"]

    def remind(self, account, to, text, seconds):
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        wish = {"name": text, "account_id": account, "messages": [text], "targets": [to], "start": at, "timezone": "UTC"}
        return self.api("POST", "/v1/reminders", wish)["id"]

    def fired(self, reminder):
        runs = lambda: self.api("GET", f"/v1/reminders/{reminder}/runs?limit=10")["data"]
        until("the reminder", lambda: any(run["status"] == "success" for run in runs()))
        return len(runs()) == 1

    def received(self):
        """Counts the texts that the accounts have received, from their events."""
        url = os.environ["DATABASE_URL"]
        sql = "SELECT data ->> 'text' FROM events WHERE kind = 'message.received'"
        psql = [pathlib.Path(__file__).parent.parent / "servers", "psql", "-X", "-At", "-c", sql]
        out = subprocess.run(psql, capture_output=True, text=True, check=True, env={**os.environ, "DATABASE_URL": url}).stdout
        return collections.Counter(out.split("\n")[:-1])

    def inbox(self, number):
        return self.admin("GET", f"/phones/{number}/inbox")

    def close(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()


class Load:
    """Until it is stopped, sends a message to Bob every tenth of a second, from each account in turn. Every third is answered."""

    def __init__(self, world, accounts, bob):
        self.world, self.accounts, self.bob = world, accounts, bob
        self.sent, self.answered, self.over = {}, [], threading.Event()
        self.thread = threading.Thread(target=self.go, daemon=True)
        self.thread.start()

    def go(self):
        count = 0
        while not self.over.is_set():
            account, number = self.accounts[count % len(self.accounts)]
            text = f"load {count:05}"
            self.sent[text] = self.world.send(account, self.bob, text)
            if count % 3 == 0:
                answer = f"answer {count:05}"
                self.world.admin("POST", f"/phones/{self.bob}/send", {"to": number, "text": answer})
                self.answered.append(answer)
            count += 1
            time.sleep(0.1)

    def stop(self):
        self.over.set()
        self.thread.join(DEADLINE)


def roll(world, old, folder):
    """Replaces each process of `old` by one of `folder`. The new process is up before the old one stops."""
    new = []
    for process in old:
        part = process.name.split("-")[0]
        new.append(world.start(folder, part))
        if part == "api":
            world.apis.insert(0, new[-1])
            world.apis.remove(process)
        process.stop()
    return new


def story(world):
    print("the new release's schema, the release before on it", flush=True)
    world.run(world.after, "migrate")
    parts = [world.start(world.before, "api")]
    world.apis.append(parts[0])
    world.tenant()
    parts += [world.start(world.before, part) for part in ("worker", "worker", "scheduler")]
    receiver = Receiver()
    world.api("POST", "/v1/webhooks", {"url": receiver.url(), "kinds": ["message.sent", "message.delivered", "message.read"]})
    bob = "15550009999"
    world.admin("POST", "/phones", {"number": bob, "name": "Bob"})
    accounts = [(world.pair(number), number) for number in (f"1555000000{n}" for n in range(ACCOUNTS))]
    check(True, f"pairs {ACCOUNTS} phones")
    first = world.send(accounts[0][0], bob, "first")
    until("its receipt", lambda: world.state(first) == "read")
    check(True, "sends, and hears that it was read")
    world.admin("POST", f"/phones/{bob}/send", {"to": accounts[0][1], "text": "hello"})
    until("what Bob wrote", lambda: world.received()["hello"] == 1)
    check(True, "receives")
    check(world.fired(world.remind(accounts[0][0], bob, "reminded before", 2)), "fires a reminder, once")
    until("the webhook", lambda: first in receiver.messages())
    check(True, "posts to a webhook")

    print("rolled to the new release under load", flush=True)
    load = Load(world, accounts, bob)
    time.sleep(2)
    during = world.remind(accounts[1][0], bob, "reminded meanwhile", 5)
    parts = roll(world, parts, world.after)
    time.sleep(2)
    check(world.fired(during), "a reminder that came due meanwhile fired once")
    print("rolled back to the release before, under load", flush=True)
    parts = roll(world, parts, world.before)
    time.sleep(2)
    load.stop()

    print("what became of it", flush=True)
    wanted = {**load.sent, "first": first}
    states = lambda: collections.Counter(world.state(message) for message in load.sent.values())
    until("all acknowledgements", lambda: set(states()) <= {"sent", "delivered", "read"})
    texts = [*wanted, "reminded before", "reminded meanwhile"]
    until("all texts", lambda: {m["text"] for m in world.inbox(bob)} >= set(texts))
    shown = collections.Counter(m["text"] for m in world.inbox(bob))
    check(len(load.sent) > 20 and shown == collections.Counter(texts), f"all {len(load.sent)} accepted messages are shown, each once")
    again = sum(m["times_arrived"] - 1 for m in world.inbox(bob))
    print(f"  ({again} arrived again under their id, and are shown once)")
    until("all that was received", lambda: sum(world.received().values()) > len(load.answered))
    check(world.received() == collections.Counter([*load.answered, "hello"]), f"all {len(load.answered)} messages of phones are one event each")
    until("all posts", lambda: receiver.messages() >= set(wanted.values()))
    check(True, "the webhook was told of each")
    check(world.admin("GET", "/audit")["overlap_count"] == 0, "no device ever had two sockets")
    for process in parts:
        process.stop()
    return len(load.sent), len(load.answered)


def main():
    parser = argparse.ArgumentParser()
    for folder in ("before", "after", "logs"):
        parser.add_argument(f"--{folder}", type=lambda text: pathlib.Path(text).resolve(), required=True)
    args = parser.parse_args()
    args.logs.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    world = World(args.before, args.after, args.logs)
    try:
        sent, answered = story(world)
    finally:
        world.close()
    print(f"upgrade: sends={sent} received={answered} lost=0 doubled=0 seconds={time.monotonic() - began:.0f}")


if __name__ == "__main__":
    main()
