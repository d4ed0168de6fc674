"""Measures what one message costs Postgres, and what one account and one process use there, on real processes with
virtual phones. `dev/restore` starts it on servers of its own."""

import argparse
import os
import pathlib
import subprocess
import time

import upgrade

ACCOUNTS, MESSAGES, IDLE = 10, 1000, 30


def ask(sql):
    servers = pathlib.Path(__file__).parent.parent / "servers"
    out = subprocess.run([servers, "psql", "-X", "-At", "-F", " ", "-c", sql], capture_output=True, text=True, check=True)
    return out.stdout.strip()


def meter():
    """Returns the numbers of transactions (including read-only ones) and of WAL bytes, and the time."""
    sql = "SELECT xact_commit + xact_rollback, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint FROM pg_stat_database WHERE datname = current_database()"
    time.sleep(1.5)  # sessions report their counts once a second
    return [int(value) for value in ask(sql).split()], time.monotonic()


def rate(before, after):
    seconds = after[1] - before[1]
    return [(b - a) / seconds for a, b in zip(before[0], after[0])], seconds


def measure(world):
    world.run(world.after, "migrate")
    world.apis.append(world.start(world.after, "api"))
    world.tenant()
    for part in ("worker", "scheduler"):
        world.start(world.after, part)
    bob = "15550009999"
    world.admin("POST", "/phones", {"number": bob, "name": "Bob"})
    accounts = [world.pair(f"155500000{n:02}") for n in range(ACCOUNTS)]
    time.sleep(5)
    start = meter()
    time.sleep(IDLE)
    idle, _ = rate(start, meter())
    print(f"idle, {ACCOUNTS} accounts on one of each: {idle[0]:.1f} transactions/s, {idle[1] / 1000:.1f} kB/s of WAL")
    start = meter()
    sent = [world.send(accounts[n % ACCOUNTS], bob, f"text {n:04}, about as long as a message that people send") for n in range(MESSAGES)]
    upgrade.until("receipts", lambda: ask("SELECT count(*) FROM messages WHERE state <> 'read'") == "0", 600)
    busy, seconds = rate(start, meter())
    each = [(b - i) * seconds / len(sent) for b, i in zip(busy, idle)]
    print(f"a message, from the POST to its read receipt: {each[0]:.1f} transactions, {each[1] / 1000:.1f} kB of WAL ({len(sent) / seconds:.0f} messages/s, one client)")
    credentials = int(ask("SELECT pg_total_relation_size('credentials')")) // ACCOUNTS
    print(f"an account's credentials: {credentials / 1000:.0f} kB (20 pre-keys, {MESSAGES // ACCOUNTS} messages to one person)")
    print("connections at most, with DATABASE_CONNECTIONS 16 each:")
    for line in ask("SELECT application_name, count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() GROUP BY 1").split("\n"):
        print(f"  now {line}")


def main():
    parser = argparse.ArgumentParser()
    for folder in ("bin", "logs"):
        parser.add_argument(f"--{folder}", type=lambda text: pathlib.Path(text).resolve(), required=True)
    args = parser.parse_args()
    args.logs.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("RUST_LOG", "warn")
    world = upgrade.World(args.bin, args.bin, args.logs)
    try:
        measure(world)
    finally:
        world.close()


if __name__ == "__main__":
    main()
