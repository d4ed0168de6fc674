# The images of a cluster of our own, as OCI archives below $state/images. Sourced, never run.
# shellcheck shell=bash disable=SC2154,SC2034
#
# IMAGES=dockerfile takes those that dev/images builds from the Dockerfile; IMAGES=built those that it has built before, be they
# of another commit (it says so); IMAGES=checkout (the default) puts this checkout's own binaries, as `cargo build` makes them,
# into images of the same names: seconds instead of a release build.

# All are named localhost/NAME:dev, as dev/images names its own: no registry answers to that, so nothing is ever pulled.

make_images() {
  images=${IMAGES:-checkout}
  mkdir -p "$state/images/base" "$state/images/$images"
  oci base/pause pause "$(built pause)/pause" --entrypoint /pause --program "$(built pause)/pause:/pause"
  make_store_images
  case $images in
    checkout) make_checkout_images ;;
    dockerfile) make_dockerfile_images ;;
    built) "$root/dev/images" archives "$state/images/built" || fail "dev/images could not save the images" ;;
    *) fail "IMAGES is checkout, dockerfile or built" ;;
  esac
}

# `oci FILE NAME NEWEST ARGUMENT…`: an archive, unless it is newer than what it is made of.
oci() {
  local out=$state/images/$1.tar name=localhost/$2:dev newest=$3
  shift 3
  if [ "$out" -nt "$newest" ] && [ "$out" -nt "$here/images/oci.py" ]; then return; fi
  nice -n 5 python3 -B "$here/images/oci.py" "$out" "$name" "$@"
}

make_checkout_images() {
  local target name out=debug binaries=()
  command -v cargo >/dev/null || fail "cargo is missing: install Rust from https://rustup.rs"
  for name in api worker scheduler simulator; do binaries+=(--bin "switchboard-$name"); done
  say "Building the binaries"
  target=$(cd "$root" && cargo metadata --no-deps --offline --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
  [ "${PROFILE:-dev}" = dev ] || out=$PROFILE
  # As in dev/run: what waproto's build script writes is no reason to run it again.
  touch -t 200607240000 "$target/$out"/build/waproto-*/out/whatsapp.local.desc 2>/dev/null || true
  # One feature set for everything, so that nothing is compiled twice (dev/test). PROFILE=release: for figures.
  (cd "$root" && SQLX_OFFLINE=true nice -n 5 cargo build --locked --profile "${PROFILE:-dev}" --workspace --all-features "${binaries[@]}") || fail "the build failed"
  mkdir -p "$state/stripped"
  for name in api worker scheduler simulator; do
    [ "$state/stripped/switchboard-$name" -nt "$target/$out/switchboard-$name" ] ||
      strip -o "$state/stripped/switchboard-$name" "$target/$out/switchboard-$name"
  done
  image api api
  image worker worker-simulator
  image scheduler scheduler
  image simulator simulator
}

# `image BINARY IMAGE`
image() {
  local program=/usr/local/bin/switchboard-$1
  oci "checkout/switchboard-$2" "switchboard-$2" "$state/stripped/switchboard-$1" --entrypoint "$program" \
    --program "$state/stripped/switchboard-$1:$program"
}

# From the Dockerfile, by podman.
make_dockerfile_images() {
  say "Building the images from the Dockerfile"
  { "$root/dev/images" build && "$root/dev/images" archives "$state/images/dockerfile"; } || fail "dev/images could not build the images"
}

# Postgres and Redis of this machine (installed from Debian's packages), each with its libraries.
make_store_images() {
  local bin share
  [ -d /usr/share/zoneinfo ] || apt_install tzdata </dev/null >&2
  # shellcheck source=dev/lib/postgres.sh
  . "$root/dev/lib/postgres.sh"
  given_database_url="" given_redis_url=""
  install_missing
  bin=$(postgres_bin)
  share=$("$bin/pg_config" --sharedir 2>/dev/null || printf '/usr/share/postgresql/%s' "$("$bin/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')")
  # The binaries keep their places: they look for lib and share from there. (Of lib only what initdb loads: the JIT would bring LLVM.)
  oci base/postgres postgres "$here/images/postgres.sh" --user 999 --entrypoint /usr/local/bin/postgres.sh \
    --text "/usr/local/bin/postgres.sh=$here/images/postgres.sh" --program "$(command -v bash):/bin/bash" --program "$(command -v dash || command -v bash):/bin/sh" \
    --program "$bin/postgres" --program "$bin/initdb" --program "$(dirname "$bin")/lib/plpgsql.so" --program "$(dirname "$bin")/lib/dict_snowball.so" --tree "$share" --tree /usr/share/zoneinfo --link "/usr/lib/postgresql/bin=$bin"
  oci base/redis redis "$(command -v redis-server)" --user 999 --env PATH=/usr/bin --program "$(readlink -f "$(command -v redis-server)"):/usr/bin/redis-server"
}
