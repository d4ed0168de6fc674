"""The processes of pods, seen from the machine that they run on: only on a cluster of our own."""

import contextlib
import os
import pathlib
import signal
from collections.abc import Iterator
from typing import Any

from .tell import Broken, check


def everybody() -> list[int]:
    return [int(place.name) for place in pathlib.Path("/proc").iterdir() if place.name.isdigit()]


def group_of(pid: int) -> str:
    try:
        return pathlib.Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""


def program_of(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def all_of(pod: Any, program: str) -> list[int]:
    """The processes of this program in a pod; a pod's control group is named after it."""
    uid = pod["metadata"]["uid"]
    return [pid for pid in everybody() if f"pod{uid}" in group_of(pid) and program_of(pid).endswith(f"/{program}")]


def of(pod: Any, program: str) -> int:
    found = all_of(pod, program)
    if not found:
        raise Broken(f"no process {program} in {pod['metadata']['name']}")
    return found[0]


def kill(pod: Any, program: str) -> None:
    os.kill(of(pod, program), signal.SIGKILL)


def status(pid: int) -> dict[str, str]:
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def confined(pod: Any, component: str, secrets: list[str]) -> None:
    """What the pod's specification promises, seen at the running process: user, capabilities, seccomp, a root that can't be
    written to, secrets in files and in no variable."""
    program = f"switchboard-{component}"
    pid = of(pod, program)
    found = status(pid)
    check(found["Uid"].split() == ["65532"] * 4 and found["Gid"].split() == ["65532"] * 4, f"{component}: user and group 65532")
    check(int(found["CapEff"], 16) == 0 == int(found["CapBnd"], 16), f"{component}: no capability, and none to be had")
    check(found["NoNewPrivs"] == "1" and found["Seccomp"] == "2", f"{component}: no new privileges, system calls filtered")
    mounts = [line.split() for line in pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    root = next(mount for mount in mounts if mount[4] == "/")
    check("ro" in root[5].split(","), f"{component}: the root is read-only")
    variables = pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode()
    check(not any(secret in variables for secret in secrets), f"{component}: no secret in a variable")
    inside = pathlib.Path(f"/proc/{pid}/root/etc/switchboard/secrets/database-url")
    check("postgres://" in inside.read_text() and inside.stat().st_mode & 0o007 == 0, f"{component}: secrets are files that nobody else can read")
    check(not pathlib.Path(f"/proc/{pid}/root/var/run/secrets/kubernetes.io").exists(), f"{component}: no token for the API server")


@contextlib.contextmanager
def frozen(pod: Any, program: str) -> Iterator[None]:
    """All processes of a program in a pod stand still for the while."""
    pids = all_of(pod, program)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
