"""Writes an image as an OCI archive from files of this machine, without a registry, a base or a daemon.

For trials on a cluster of our own: programs with the libraries that they load (as ldd finds them), folders, and small
texts become one layer. Usage: oci.py OUT NAME --user UID [--entrypoint PROGRAM] [--env NAME=VALUE] [--program FROM[:TO]] [--tree FROM[:TO]] [--text TO=FILE] [--link AT=TO].
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import tarfile

MEDIA = "application/vnd.oci.image."


def libraries(program: str) -> set[str]:
    """The shared libraries that the loader would open for a program, the loader among them; none for a static one."""
    shown = subprocess.run(["ldd", program], capture_output=True, text=True)
    return set(re.findall(r"(?:=> |^\s*)(/\S+) \(0x", shown.stdout, re.M)) if shown.returncode == 0 else set()


class Layer:
    """A layer that grows; every file once, all of one date, so that equal files make an equal image."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=tarfile.GNU_FORMAT)
        self.seen: set[str] = set()

    def _add(self, path: str, kind: bytes, mode: int, data: bytes = b"", link: str = "") -> None:
        name = path.strip("/")
        if name in self.seen or not name:
            return
        self.seen.add(name)
        self.folder(os.path.dirname(name))
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.size, entry.linkname, entry.mtime = kind, mode, len(data), link, 1_600_000_000
        self.tar.addfile(entry, io.BytesIO(data))

    def folder(self, path: str, mode: int = 0o755) -> None:
        self._add(path, tarfile.DIRTYPE, mode)

    def link(self, path: str, target: str) -> None:
        self._add(path, tarfile.SYMTYPE, 0o777, link=target)

    def file(self, path: str, data: bytes, mode: int) -> None:
        self._add(path, tarfile.REGTYPE, mode, data)

    def program(self, source: str, target: str) -> None:
        """A program under its name there, with its libraries where this machine has them."""
        self.file(target, pathlib.Path(source).read_bytes(), 0o755)
        for library in sorted(libraries(source)):
            self.file(library, pathlib.Path(library).resolve().read_bytes(), 0o755)

    def tree(self, source: str, target: str) -> None:
        for folder, folders, files in os.walk(source):
            folders.sort()
            for name in sorted(files):
                path = os.path.join(folder, name)
                place = os.path.join(target, os.path.relpath(path, source))
                if os.path.exists(path):
                    self.file(place, pathlib.Path(path).read_bytes(), 0o755 if os.access(path, os.X_OK) else 0o644)
                    if name.endswith(".so"):
                        for library in sorted(libraries(path)):
                            self.file(library, pathlib.Path(library).resolve().read_bytes(), 0o755)

    def close(self) -> bytes:
        self.tar.close()
        return self.bytes.getvalue()


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def archive(out: str, name: str, layer: bytes, config: dict) -> None:
    """An OCI layout in a tar; containerd takes the image's name from the annotation."""
    packed = gzip.compress(layer, 1, mtime=0)
    image = {"architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine], "os": "linux", "config": config,
             "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}}
    blobs = [packed, json.dumps(image).encode()]
    manifest = {"schemaVersion": 2, "mediaType": MEDIA + "manifest.v1+json",
                "config": {"mediaType": MEDIA + "config.v1+json", "digest": digest(blobs[1]), "size": len(blobs[1])},
                "layers": [{"mediaType": MEDIA + "layer.v1.tar+gzip", "digest": digest(packed), "size": len(packed)}]}
    blobs.append(json.dumps(manifest).encode())
    index = {"schemaVersion": 2, "manifests": [{"mediaType": MEDIA + "manifest.v1+json", "digest": digest(blobs[2]), "size": len(blobs[2]),
             "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}}]}
    files = [("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", json.dumps(index).encode())]
    with tarfile.open(out + ".new", "w") as tar:
        for path, data in files + [("blobs/sha256/" + digest(blob)[7:], blob) for blob in blobs]:
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    os.replace(out + ".new", out)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("out")
    words.add_argument("name")
    words.add_argument("--user", default="65532")
    words.add_argument("--entrypoint")
    words.add_argument("--env", action="append", default=[])
    for kind in ("program", "tree", "text", "link"):
        words.add_argument("--" + kind, action="append", default=[])
    asked = words.parse_args()

    layer = Layer()
    layer.folder("tmp", 0o1777)
    layer.file("etc/passwd", b"root:x:0:0::/:/sbin/nologin\npostgres:x:999:999::/tmp:/bin/sh\nnonroot:x:65532:65532::/tmp:/bin/sh\n", 0o644)
    layer.file("etc/group", b"root:x:0:\npostgres:x:999:\nnonroot:x:65532:\n", 0o644)
    layer.file("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n", 0o644)
    for word in asked.program:
        source, _, target = word.partition(":")
        layer.program(source, target or source)
    for word in asked.tree:
        source, _, target = word.partition(":")
        layer.tree(source, target or source)
    for word in asked.text:
        target, _, source = word.partition("=")
        layer.file(target, pathlib.Path(source).read_bytes(), 0o755)
    for word in asked.link:
        place, _, target = word.partition("=")
        layer.link(place, target)
    archive(asked.out, asked.name, layer.close(), {"Entrypoint": [asked.entrypoint] if asked.entrypoint else [], "User": asked.user, "Env": asked.env})


if __name__ == "__main__":
    main()
