"""Writes a bill of materials (CycloneDX 1.6, JSON) for each image with a program: `sbom.py DIR`.

`cargo tree` lists the linked packages for all programs at once, since they are built together and share their features.
Licences come from the manifests, except where the sources say more. Checksums come from Cargo.lock. Two runs at the same
revision give the same result."""
import json
import os
import re
import subprocess
import sys
import tomllib
import uuid
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The programs of each image, by their packages.
IMAGES = {"api": ["api"], "worker": ["worker"], "scheduler": ["scheduler"], "simulator": ["simulator"],
          "worker-simulator": ["worker"], "demo": ["demo", "api"]}
PROGRAMS = ["api", "worker", "scheduler", "simulator", "demo"]
# Packages whose sources say more than their manifests (docs/licence.md; dev/deny looks for others).
LICENCES = {"wacore-libsignal": "MIT AND AGPL-3.0-only"}


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def linked(features):
    """Returns the graph of linked packages: each (name, version) with the packages that it needs."""
    words = [word for name in PROGRAMS for word in ("-p", name)]
    text = run("cargo", "tree", "--locked", *words, *features, "-e", "normal,no-proc-macro", "--target",
               "x86_64-unknown-linux-gnu", "--prefix", "depth", "-f", " {p}")
    return graph(text.splitlines())


def graph(lines):
    """Parses `cargo tree --prefix depth`. A package whose tree was listed before is marked with (*)."""
    edges, above = {}, []
    for line in lines:
        match = re.match(r"^(\d+) (\S+) v(\S+)", line)
        if not match:
            continue
        depth, package = int(match[1]), (match[2], match[3])
        edges.setdefault(package, set())
        del above[depth:]
        if above:
            edges[above[-1]].add(package)
        above.append(package)
    return edges


def closure(edges, roots):
    """Returns all packages that are reachable from `roots`, including these."""
    seen, todo = set(), list(roots)
    while todo:
        package = todo.pop()
        if package not in seen:
            seen.add(package)
            todo.extend(edges[package])
    return seen


def expression(name, declared):
    """Returns a licence as an SPDX expression. Old manifests use a slash for OR."""
    return LICENCES.get(name) or re.sub(r"\s*/\s*", " OR ", declared or "NOASSERTION")


def component(package, about, checksums):
    """Returns one package in the form of CycloneDX."""
    name, version = package
    own = about["source"] is None
    item = {
        "type": "library", "bom-ref": f"pkg:cargo/{name}@{version}", "name": name, "version": version,
        "licenses": [{"expression": expression(name, about["license"])}],
    }
    if about.get("description"):
        item["description"] = " ".join(about["description"].split())
    if not own:
        item["purl"] = f"pkg:cargo/{name}@{version}"
        item["hashes"] = [{"alg": "SHA-256", "content": checksums[package]}]
    if about.get("repository"):
        item["externalReferences"] = [{"type": "vcs", "url": about["repository"]}]
    return item


def bill(image, edges, packages, checksums, version, revision, created, base):
    """Returns the bill of materials of one image."""
    roots = [package for package in edges if package[0] in IMAGES[image] and package[1] == version]
    members = sorted(closure(edges, roots))
    components = [component(package, packages[package], checksums) for package in members]
    combined = any("AGPL" in item["licenses"][0]["expression"] for item in components)
    ref = f"switchboard-{image}@{version}"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{ref}+{revision}')}",
        "metadata": {
            "timestamp": created,
            "component": {
                "type": "container", "bom-ref": ref, "name": f"switchboard-{image}", "version": version,
                "licenses": [{"expression": "Apache-2.0 AND AGPL-3.0-only" if combined else "Apache-2.0"}],
                "properties": [{"name": "org.opencontainers.image.revision", "value": revision}],
            },
        },
        "components": [{"type": "container", "bom-ref": base, "name": base.partition("@")[0],
                        "description": "The image that this one starts from; it has a bill of its own"}, *components],
        "dependencies": [
            {"ref": ref, "dependsOn": sorted([base, *(f"pkg:cargo/{n}@{v}" for n, v in roots)])},
            *({"ref": f"pkg:cargo/{n}@{v}", "dependsOn": sorted(f"pkg:cargo/{a}@{b}" for a, b in edges[(n, v)])} for n, v in members),
        ],
    }


def bills():
    """Yields each image with its bill of materials."""
    metadata = json.loads(run("cargo", "metadata", "--locked", "--all-features", "--format-version", "1"))
    packages = {(p["name"], p["version"]): p for p in metadata["packages"]}
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    checksums = {(p["name"], p["version"]): p.get("checksum") for p in lock}
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    revision = run("git", "rev-parse", "HEAD").strip()
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or run("git", "log", "-1", "--format=%ct"))
    created = datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    base = re.search(r"(?m)^ARG RUNTIME_IMAGE=(.*)$", (ROOT / "Dockerfile").read_text())[1]
    plain, trial = linked([]), linked(["--features", "worker/simulator"])
    for image in IMAGES:
        edges = trial if image == "worker-simulator" else plain
        yield image, bill(image, edges, packages, checksums, version, revision, created, base)


def main():
    folder = Path(sys.argv[1])
    for image, content in bills():
        path = folder / f"switchboard-{image}.cdx.json"
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        print(f"{path}: {len(content['components'])} components")


if __name__ == "__main__":
    main()
