# Builds what a cluster consists of from public Go modules, once for each go.sum. Sourced, never run.
# shellcheck shell=bash disable=SC2154 # $here is set by the script that sources this
#
# What is built stands outside the checkout, so that other checkouts and the next run find it:
# ${XDG_CACHE_HOME:-~/.cache}/switchboard/cluster/<module>-<hash of its go.sum, go.mod and sources>/.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/switchboard/cluster

# The folder that holds what is built of one module of ours.
built() {
  printf '%s/%s-%s' "$cache" "$1" "$(cd "$here/go/$1" && find . -type f | LC_ALL=C sort | while read -r f; do cat "$f"; done | sha256sum | cut -c1-16)"
}

# `build_module NAME PACKAGE…`: the programs of these packages, into the folder of `built`. CGO is off: they run
# wherever this machine's kernel does, whatever C library a container has.
build_module() {
  local name=$1 out
  shift
  out=$(built "$name")
  [ -f "$out/done" ] && return
  need_go
  say "Building $name (the first time takes minutes)"
  mkdir -p "$out"
  (cd "$here/go/$name" && CGO_ENABLED=0 nice -n 10 go build -mod=readonly -trimpath -ldflags "-s -w ${ldflags:-}" -o "$out/" "$@")
  touch "$out/done"
}

need_go() {
  command -v go >/dev/null || fail "Go is missing: the cluster's own parts are built with Go 1.26 or newer (https://go.dev/dl)"
  [ "$(go_minor)" -ge 26 ] || fail "$(go env GOVERSION) is too old: the cluster's own parts need Go 1.26 or newer"
}

go_minor() { go env GOVERSION | sed 's/^go1\.\([0-9]*\).*/\1/'; }

# Whether all parts are there: then Go is not needed.
is_built() {
  local name
  for name in kubernetes containerd pause; do [ -f "$(built $name)/done" ] || return 1; done
}

# The control plane says which release it is by what the linker writes into it.
kubernetes_ldflags() {
  local version minor package=k8s.io/component-base/version
  version=$(sed -n 's#^\tk8s.io/kubernetes \(v[0-9.]*\)$#\1#p' "$here/go/kubernetes/go.mod")
  minor=${version#v1.}
  printf '%s' "-X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
}

# Kubernetes, and what shares its libraries: CoreDNS and kwok cost seconds here, and minutes in modules of their own.
build_kubernetes() {
  local out
  ldflags=$(kubernetes_ldflags) build_module kubernetes ./control-plane ./node ./coredns sigs.k8s.io/kwok/cmd/kwok
  out=$(built kubernetes)
  [ -f "$out/stages.yaml" ] || kwok_stages "$out/stages.yaml"
}

# The files that tell kwok how nodes and pods become Ready.
kwok_stages() {
  local stages file
  stages=$(cd "$here/go/kubernetes" && go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
  for file in "$stages"/node/fast/*.yaml "$stages"/node/heartbeat-with-lease/*.yaml "$stages"/pod/fast/*.yaml; do
    case $file in *kustomization.yaml) ;; *) printf -- '---\n'; cat "$file" ;; esac
  done >"$1.new"
  mv "$1.new" "$1"
}

build_containers() {
  local containerd=github.com/containerd/containerd/v2/cmd
  build_module containerd $containerd/containerd $containerd/containerd-shim-runc-v2 $containerd/ctr
  build_module pause .
}

# Only the sources, where nothing is built yet.
fetch_modules() {
  local name
  for name in kubernetes containerd pause; do
    [ -f "$(built "$name")/done" ] || (cd "$here/go/$name" && go mod download) || fail "the sources of $name could not be had"
  done
}
