# etcd, the API server, the controller manager and the scheduler. Sourced, never run.
# shellcheck shell=bash disable=SC2154

start_control_plane() {
  local pki=$state/pki admin=$state/kubeconfig
  local own=(--kubeconfig "$admin" --authentication-kubeconfig "$admin" --authorization-kubeconfig "$admin" --bind-address 127.0.0.1 --leader-elect=false)

  # Nothing here outlives the cluster, so etcd needs no fsync.
  part etcd control-plane etcd --data-dir "$state/etcd" --unsafe-no-fsync --initial-cluster default=http://127.0.0.1:2380 \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380
  part apiserver control-plane apiserver --etcd-servers http://127.0.0.1:2379 --bind-address "$node_ip" --advertise-address "$node_ip" \
    --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" --client-ca-file "$pki/authority.crt" \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged --service-cluster-ip-range 10.96.0.0/16 \
    --service-account-issuer https://kubernetes.default.svc --service-account-signing-key-file "$pki/service-accounts.key" \
    --service-account-key-file "$pki/service-accounts.key" --kubelet-preferred-address-types InternalIP \
    --kubelet-client-certificate "$pki/kubelet-client.crt" --kubelet-client-key "$pki/kubelet-client.key"
  within 60 apiserver_is_ready || give_up apiserver "the API server does not get ready"
  part controller-manager control-plane controller-manager "${own[@]}" --service-account-private-key-file "$pki/service-accounts.key" \
    --root-ca-file "$pki/authority.crt" --use-service-account-credentials --terminated-pod-gc-threshold 100 --concurrent-deployment-syncs 5
  part scheduler control-plane scheduler "${own[@]}"
  within 60 kubectl -n default get serviceaccount default || give_up controller-manager "the controller manager made no service account"
}

apiserver_is_ready() { [ "$(kubectl get --raw /readyz)" = ok ]; }
