# Certificates and the admin's kubeconfig, made anew for each cluster. Sourced, never run.
# shellcheck shell=bash disable=SC2154 # $state, $node_ip are set by the script that sources this

# `certificate NAME SUBJECT [EXTENSION]`: a key and a certificate of our authority, good for two days.
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA authority.crt -CAkey authority.key -CAcreateserial -days 2 -out "$1.crt" \
    -extfile <(printf '%s\n' "${3:-keyUsage=digitalSignature}") 2>/dev/null
}

make_certificates() (
  mkdir -p "$state/pki"
  chmod 700 "$state/pki"
  cd "$state/pki" || return 1
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout authority.key -out authority.crt -subj /CN=trial 2>/dev/null
  openssl genrsa -out service-accounts.key 2048 2>/dev/null # their tokens are signed with RSA
  certificate apiserver /CN=apiserver \
    "subjectAltName=IP:$node_ip,IP:10.96.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
  certificate kubelet-client /O=system:masters/CN=apiserver
  certificate admin /O=system:masters/CN=admin
  for n in $nodes; do certificate "node-$n" "/O=system:nodes/CN=system:node:node-$n"; done
  certificate proxy /CN=system:kube-proxy
)

# `kubeconfig NAME`: for who holds this certificate. Everything stands inside, so that the file can be handed on.
kubeconfig() {
  cat <<YAML
apiVersion: v1
kind: Config
clusters: [{name: trial, cluster: {server: "https://$node_ip:6443", certificate-authority-data: $(base64 -w0 <"$state/pki/authority.crt")}}]
users:
  - name: $1
    user: {client-certificate-data: $(base64 -w0 <"$state/pki/$1.crt"), client-key-data: $(base64 -w0 <"$state/pki/$1.key")}
contexts: [{name: trial, context: {cluster: trial, user: $1}}]
current-context: trial
YAML
}
