# The base images: pulled if a registry answers, otherwise made here from Debian's packages. Sourced, never run.
# shellcheck shell=bash disable=SC2154 # $cache is set by the script that sources this

# The label of a stand-in.
standin_label=dev.switchboard.standin

# The default of an argument of the Dockerfile: `base_of RUNTIME_IMAGE`.
base_of() { sed -n "s/^ARG $1=//p" Dockerfile | head -n 1; }

# The image of a service in compose.yaml: `image_of postgres`.
image_of() { sed -n "/^  $1:\$/,/^  [a-z-]*:\$/s/^    image: //p" compose.yaml | head -n 1; }

is_standin() { [ "$(podman image inspect --format "{{index .Labels \"$standin_label\"}}" "$1" 2>/dev/null)" = yes ]; }

# `need IMAGE COMMAND…`: pulls the image (the registry is asked once), or makes it with the command.
need() {
  local image=$1
  shift
  if ! podman image exists "$image"; then
    say "$image: asking its registry"
    if ! timeout 120 podman pull --quiet "$image" >"$cache/pull.log" 2>&1; then
      say "   no answer: $(tail -n 1 "$cache/pull.log" | cut -c1-160)"
      "$@" "$image"
    fi
  fi
  if is_standin "$image"; then
    say "!! STAND-IN: $image was made on this machine from Debian's packages; it is not the image of that name"
  fi
}

# `rootfs NAME VARIANT PACKAGES HOOK`: makes a root file system as a tar in the cache. `$1` in the hook is its folder.
rootfs() {
  command -v mmdebstrap >/dev/null || apt_install mmdebstrap
  local tar=$cache/$1.tar
  [ -f "$tar" ] && return
  say "   making $1.tar with mmdebstrap"
  local hook=customize # a file system that is only extracted never runs anything
  [ "$2" != extract ] || hook=extract
  nice -n 5 mmdebstrap --quiet --format=tar --variant="$2" --include="$3" "--$hook-hook=$4" bookworm "$tar.new" >"$cache/$1.log" 2>&1 || {
    tail -n 20 "$cache/$1.log" >&2
    fail "mmdebstrap could not make $1.tar"
  }
  mv "$tar.new" "$tar"
}

# Rust's image: a C compiler, and this machine's toolchain of the version in rust-toolchain.toml.
make_rust() {
  local from
  from=$(rustc --print sysroot) || fail "rustc is missing: install Rust from https://rustup.rs"
  # shellcheck disable=SC2016 # mmdebstrap's own shell expands $1
  rootfs rust essential gcc,libc6-dev,binutils '
    to=$1/usr/local/cargo; triple=x86_64-unknown-linux-gnu
    mkdir -p "$to/bin" "$to/lib/rustlib/$triple"
    cp "'"$from"'/bin/cargo" "'"$from"'/bin/rustc" "$to/bin/"
    cp -a "'"$from"'"/lib/*.so* "$to/lib/"
    cp -a "'"$from"'/lib/rustlib/$triple/lib" "'"$from"'/lib/rustlib/$triple/bin" "$to/lib/rustlib/$triple/"'
  podman import --change "LABEL $standin_label=yes" --change "ENV CARGO_HOME=/usr/local/cargo" \
    --change "ENV PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    "$cache/rust.tar" "$1" >"$cache/import.log" 2>&1 || fail "podman import: $(tail -n 1 "$cache/import.log")"
}

# The distroless image for C programs: libc, libgcc, time zones, certificates, and the user nonroot, without a shell.
make_runtime() {
  # shellcheck disable=SC2016
  rootfs runtime extract libc6,libgcc-s1,tzdata,netbase '
    scratch=$(mktemp -d)
    (cd "$scratch" && chmod 755 . && apt-get download -q ca-certificates 2>/dev/null && dpkg-deb -x ca-certificates_*.deb .)
    mkdir -p "$1/etc/ssl/certs" "$1/home/nonroot"
    cat "$scratch"/usr/share/ca-certificates/mozilla/*.crt >"$1/etc/ssl/certs/ca-certificates.crt"
    rm -rf "$scratch" "$1"/usr/share/doc "$1"/usr/share/man "$1"/usr/share/locale "$1"/usr/share/lintian \
      "$1"/usr/share/zoneinfo/right "$1"/usr/lib/x86_64-linux-gnu/perl-base "$1"/usr/share/perl5
    printf "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n" >"$1/etc/passwd"
    printf "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n" >"$1/etc/group"
    printf "hosts: files dns\n" >"$1/etc/nsswitch.conf"
    chown 65532:65532 "$1/home/nonroot"'
  podman import --change "LABEL $standin_label=yes" --change "USER 65532" --change "WORKDIR /home/nonroot" \
    --change "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt" --change "ENV PATH=/usr/local/bin:/usr/bin:/bin" \
    "$cache/runtime.tar" "$1" >"$cache/import.log" 2>&1 || fail "podman import: $(tail -n 1 "$cache/import.log")"
}
