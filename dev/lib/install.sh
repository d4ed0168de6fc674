# Installs Postgres and Redis from the system's packages if they are missing. Sourced, never run.
# shellcheck shell=bash disable=SC2154

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "this needs root or sudo: $*"
  fi
}

# Fetches the package lists once per run, and only if something must be installed.
apt_install() {
  command -v apt-get >/dev/null || fail "no apt-get here; please install by hand: $*"
  if [ -z "${apt_updated:-}" ]; then
    as_root apt-get update -q
    apt_updated=yes
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}

install_missing() {
  if [ -z "$given_database_url" ] && ! postgres_bin >/dev/null; then
    if [ "$(uname -s)" = Darwin ]; then
      say "Postgres is missing: installing postgresql@17 with brew"
      brew install postgresql@17 </dev/null
    else
      say "Postgres is missing: installing the package postgresql (a server that the package starts is not used, nor touched)"
      apt_install postgresql </dev/null >&2
    fi
    postgres_bin >/dev/null || fail "Postgres 15 or newer is still not to be found"
  fi
  if [ -z "$given_redis_url" ] && ! command -v redis-server >/dev/null; then
    if [ "$(uname -s)" = Darwin ]; then
      say "Redis is missing: installing redis with brew"
      brew install redis </dev/null
    else
      say "Redis is missing: installing the package redis-server (a server that the package starts is not used, nor touched)"
      apt_install redis-server </dev/null >&2
    fi
  fi
}
