# The system's packages that the cluster needs, and where its programs are. Sourced, never run.
# shellcheck shell=bash disable=SC2154,SC2034

# Why no cluster can be started here; nothing if one can.
obstacle() {
  if [ -n "$given_kubeconfig" ]; then return; fi
  if [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ]; then
    say "a cluster of our own needs Linux and root"
  elif ! unshare --net --mount --pid --cgroup --fork true 2>/dev/null; then
    say "this machine lets nobody make namespaces"
  elif [ -f /sys/fs/cgroup/cgroup.controllers ] || [ ! -w /sys/fs/cgroup/. ]; then
    say "a cluster of our own has been tried with control groups of version 1 alone"
  elif ! is_built && { ! command -v go >/dev/null || [ "$(go_minor)" -lt 26 ]; }; then
    say "its parts are built with Go 1.26 or newer, which is missing"
  fi
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

# Ours come first: a kubectl of the system may be years older than the cluster.
set_path() {
  PATH=$root/.tools/bin:$(built kubernetes):$(built containerd):$PATH:/usr/sbin:/sbin
  stages=$(built kubernetes)/stages.yaml
}
