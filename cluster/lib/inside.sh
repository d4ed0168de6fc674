#!/usr/bin/env bash
# The first process of the cluster's own namespaces (network, mounts, processes, cgroups): starts every part and waits.
# When it ends, the kernel ends everything else in them, and with the namespaces go mounts, addresses and rules.
#
# Usage: inside.sh STATE; from the environment: nodes, cgroups, stages, images (lib/outside.sh), and PATH leads to the parts.
set -euo pipefail

state=$1 node_ip=10.99.0.1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=dev/lib/common.sh
. "$here/../dev/lib/common.sh"
# shellcheck source=cluster/lib/certificates.sh
. "$here/lib/certificates.sh"
# shellcheck source=cluster/lib/machine.sh
. "$here/lib/machine.sh"
# shellcheck source=cluster/lib/control-plane.sh
. "$here/lib/control-plane.sh"
# shellcheck source=cluster/lib/node.sh
. "$here/lib/node.sh"
# shellcheck source=cluster/lib/kwok.sh
. "$here/lib/kwok.sh"
export KUBECONFIG=$state/kubeconfig

parts=""

# `part NAME PROGRAM ARGUMENT…`: a part of the cluster, in the background, with a log of its own.
part() {
  local name=$1
  shift
  "$@" >"$state/logs/$name.log" 2>&1 </dev/null &
  parts="$parts $name:$!"
}

# `give_up LOG WHY`
give_up() {
  tail -n 15 "$state/logs/$1.log" >&2 || true
  fail "$2"
}

# The kernel ends the parts and all pods with us.
stop() {
  trap - TERM INT
  rm -f "$state/ready"
  exit 0
}
trap stop TERM INT

own_mounts
own_cgroups
own_network
make_certificates
kubeconfig admin >"$state/kubeconfig"
for n in $nodes; do kubeconfig "node-$n" >"$state/node-$n.kubeconfig"; done
kubeconfig proxy >"$state/proxy.kubeconfig"
start_control_plane
start_nodes
start_kwok
touch "$state/ready"

# A part that ends takes the cluster with it: half a cluster would only puzzle. (A shell that is the first process
# also reaps what others leave behind.)
while :; do
  for entry in $parts; do
    kill -0 "${entry#*:}" 2>/dev/null || give_up "${entry%:*}" "${entry%:*} has ended"
  done
  sleep 1 &
  wait $! || true
done
