# Nodes whose pods are real: for each a containerd with runc and CNI's plugins, and a kubelet; for all one kube-proxy and one
# CoreDNS, as they share a network. Sourced, never run.
# shellcheck shell=bash disable=SC2154
#
# Node N has the address 10.99.0.N, its pods 10.244.N.0/24, and a zone of its own.

start_nodes() {
  local n
  start_proxy
  start_dns
  for n in $nodes; do start_containerd "$n"; done
  for n in $nodes; do
    within 30 containerd_answers "$n" || give_up "containerd-$n" "containerd does not answer"
    import_images "$n" || give_up images "could not import the images"
    start_kubelet "$n"
  done
  for n in $nodes; do within 60 node_is_ready "node-$n" || give_up "kubelet-$n" "node-$n does not get ready"; done
}

node_is_ready() { [ "$(kubectl get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]; }

runtime() { printf '/run/containerd/node-%s.sock' "$1"; }

containerd_answers() { ctr --address "$(runtime "$1")" version; }

# `import_images NODE`: also again, when the images are newer ones of the same names.
import_images() {
  local archive
  for archive in "$state/images/base"/*.tar "$state/images/$images"/*.tar; do
    ctr --address "$(runtime "$1")" --namespace k8s.io images import "$archive" || return 1
  done >>"$state/logs/images.log" 2>&1
}

# Root here may lack CAP_SYS_RESOURCE: then a container's OOM score can't be lowered, and containerd must know.
# Each pod has a line of its own and all traffic is routed: on a bridge, answers to a Service's address would go past kube-proxy.
start_containerd() {
  local dir=$state/node-$1
  mkdir -p "$dir/cni" /run/containerd
  cat >"$dir/containerd.toml" <<TOML
version = 3
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt"]
root = "$dir/containerd"
state = "/run/containerd/node-$1"
[grpc]
  address = "$(runtime "$1")"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "localhost/pause:dev"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = "$(command -v runc)"
  SystemdCgroup = false
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni", "/opt/cni/bin"]
  conf_dir = "$dir/cni"
TOML
  cat >"$dir/cni/10-pods.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "pods-$1", "plugins": [{"type": "ptp", "ipMasq": false,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.$1.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
JSON
  part "containerd-$1" containerd --config "$dir/containerd.toml"
}

start_kubelet() {
  local dir=$state/node-$1
  cat >"$dir/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 10.99.0.$1
healthzBindAddress: 10.99.0.$1
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $state/pki/authority.crt}}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix://$(runtime "$1")
cgroupDriver: cgroupfs
cgroupRoot: /node-$1
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
oomScoreAdj: 0
clusterDomain: cluster.local
clusterDNS: [$node_ip]
resolvConf: $state/resolv.conf
podLogsDir: $dir/logs
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: "1%", imagefs.available: "1%"}
YAML
  part "kubelet-$1" node kubelet --kubeconfig "$state/node-$1.kubeconfig" --config "$dir/kubelet.yaml" --root-dir "$dir/kubelet" \
    --cert-dir "$dir/pki" --hostname-override "node-$1" --node-ip "10.99.0.$1" --node-labels "topology.kubernetes.io/zone=zone-$1"
}

start_proxy() {
  kubectl create clusterrolebinding kube-proxy --clusterrole=system:node-proxier --user=system:kube-proxy >/dev/null
  part proxy node proxy --kubeconfig "$state/proxy.kubeconfig" --proxy-mode nftables --hostname-override node-1 --cluster-cidr 10.244.0.0/16 \
    --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 --conntrack-tcp-timeout-close-wait 0 \
    --metrics-bind-address 127.0.0.1:10249 --healthz-bind-address 127.0.0.1:10256
}

# Names of Services, for pods. What is outside the cluster has no name here, as nothing outside is reached.
start_dns() {
  cat >"$state/Corefile" <<COREFILE
.:53 {
  errors
  ready 127.0.0.1:8181
  kubernetes cluster.local {
    kubeconfig $state/kubeconfig
  }
}
COREFILE
  : >"$state/resolv.conf"
  part dns coredns -conf "$state/Corefile"
}
