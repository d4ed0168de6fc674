# Nodes and pods that are Ready by decree: for what one real node can't show. Sourced, never run.
# shellcheck shell=bash disable=SC2154

start_kwok() {
  part kwok kwok --kubeconfig "$state/kubeconfig" --manage-nodes-with-annotation-selector kwok.x-k8s.io/node=fake \
    --node-lease-duration-seconds 40 --config "$stages" --server-address 127.0.0.1:10247
}
