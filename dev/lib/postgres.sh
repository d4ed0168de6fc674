# The private Postgres: real fsync, 127.0.0.1 only, with a password if guarded. Sourced, never run.
# shellcheck shell=bash disable=SC2154

# The directory of initdb and postgres: the version that made the data, or without data the newest from 15 on.
postgres_bin() {
  local dir made="" best="" version=0 newest=14
  made=$(as_postgres cat "$(postgres_dir)/PG_VERSION" 2>/dev/null || true)
  for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
    "$(dirname "$(command -v initdb || echo /none)")"; do
    if ! [ -x "$dir/initdb" ] || ! [ -x "$dir/postgres" ]; then continue; fi
    version=$("$dir/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
    if [ "$version" = "$made" ]; then
      best=$dir
      break
    elif [ -z "$made" ] && [ "$version" -gt "$newest" ]; then
      best=$dir
      newest=$version
    fi
  done
  [ -n "$best" ] && printf '%s' "$best"
}

# The user for Postgres if this runs as root, since Postgres refuses to run as root.
postgres_user() {
  if id postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi
}

as_postgres() (
  cd /
  if [ "$(id -u)" != 0 ]; then
    exec "$@"
  fi
  user=$(postgres_user)
  if command -v setpriv >/dev/null; then
    exec setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups -- "$@"
  elif command -v runuser >/dev/null; then
    exec runuser -u "$user" -- "$@"
  fi
  # shellcheck disable=SC2016 # the inner shell expands these
  exec su -s /bin/sh "$user" -c 'exec "$0" "$@"' -- "$@"
)

postgres_dir() { cat "$data/postgres.dir" 2>/dev/null || printf '%s/postgres' "$data"; }

# Creates the data directory. If the Postgres user can't reach the path (such as /root), it is created under /var/tmp.
make_postgres_dir() {
  local dir="$data/postgres" user
  if [ -f "$data/postgres.dir" ] && as_postgres test -w "$(postgres_dir)"; then
    return
  fi
  mkdir -p "$dir"
  if [ "$(id -u)" = 0 ]; then
    user=$(postgres_user)
    chown "$user" "$dir"
    if ! as_postgres test -w "$dir"; then
      rmdir "$dir"
      dir=/var/tmp/switchboard-$(printf '%s' "$data" | cksum | cut -d' ' -f1)/postgres
      mkdir -p "$(dirname "$dir")"
      [ -O "$(dirname "$dir")" ] || fail "$(dirname "$dir") belongs to somebody else"
      mkdir -p "$dir"
      chown "$user" "$dir"
      as_postgres test -w "$dir" || fail "the user $user can't write to $dir"
      say "Postgres: the user $user can't reach $data, so the data goes to $dir"
    fi
  fi
  chmod 700 "$dir"
  printf '%s' "$dir" >"$data/postgres.dir"
}

remove_postgres_data() {
  local dir
  dir=$(postgres_dir)
  rm -rf "$dir" "$data/postgres.dir"
  case $dir in /var/tmp/switchboard-*) rmdir "$(dirname "$dir")" 2>/dev/null || true ;; esac
}

# The pid of our running server; fails if there is none. A pid file left by a crash names no process, or another
# program.
postgres_pid() {
  local pid dir
  dir=$(postgres_dir)
  pid=$(as_postgres sed -n 1p "$dir/postmaster.pid" 2>/dev/null) || return 1
  case $(command_of "$pid") in
    *postgres*"-D $dir "* | *postgres*"-D $dir") printf '%s' "$pid" ;;
    *) return 1 ;;
  esac
}

postgres_port() { sed -n 1p "$data/postgres.port" 2>/dev/null || true; }

postgres_query() { PGPASSWORD=$(password) as_postgres "$(postgres_bin)/psql" -X -q -At -h 127.0.0.1 -p "$(postgres_port)" -U postgres -d "$1" -c "$2"; }

postgres_settings() {
  local sockets
  sockets=$(postgres_dir)/sockets
  [ ${#sockets} -le 85 ] || sockets="" # a socket path may have 107 bytes; otherwise TCP only
  cat <<SETTINGS
listen_addresses = '127.0.0.1'
port = $1
unix_socket_directories = '$(printf '%s' "$sockets" | sed "s/'/''/g")'
max_connections = 300
fsync = on
synchronous_commit = on
log_min_duration_statement = 1000
${SWITCHBOARD_PG_SETTINGS:-}
SETTINGS
}

start_postgres() { as_postgres "$1/pg_ctl" start -D "$2" -l "$2/server.log" -w -t 60 </dev/null; }

postgres_up() {
  local bin dir pid port secret log="$data/logs/postgres.log"
  if pid=$(postgres_pid); then
    [ -z "${SWITCHBOARD_PG_PORT:-}" ] || [ "$SWITCHBOARD_PG_PORT" = "$(postgres_port)" ] ||
      fail "Postgres already runs here on port $(postgres_port); stop it first: dev/servers down"
  else
    make_postgres_dir
    bin=$(postgres_bin) || fail "no Postgres of the version that made $(postgres_dir) is installed"
    dir=$(postgres_dir)
    if ! as_postgres test -f "$dir/initialised"; then
      as_postgres find "$dir" -mindepth 1 -delete # left by an interrupted initdb
      if guarded; then
        secret=$(as_postgres mktemp) # only readable by that user
        password | as_postgres tee "$secret" >/dev/null
        as_postgres "$bin/initdb" -D "$dir" -U postgres --auth=scram-sha-256 --pwfile="$secret" \
          --encoding=UTF8 --locale=C >/dev/null
        as_postgres rm -f "$secret"
      else
        as_postgres "$bin/initdb" -D "$dir" -U postgres --auth=trust --encoding=UTF8 --locale=C >/dev/null
      fi
      as_postgres mkdir -m 700 "$dir/sockets"
      echo "include = 'switchboard.conf'" | as_postgres tee -a "$dir/postgresql.conf" >/dev/null
      as_postgres touch "$dir/initialised"
    fi
    # No server runs here (checked above), so these files were left by a crash.
    as_postgres find "$dir/postmaster.pid" "$dir/sockets" ! -type d -delete 2>/dev/null || true
    mkdir -p "$data/logs"
    port=$(choose_port "${SWITCHBOARD_PG_PORT:-}" "$(postgres_port)")
    printf '%s\n' "$port" >"$data/postgres.port"
    postgres_settings "$port" | as_postgres tee "$dir/switchboard.conf" >/dev/null
    # Several attempts: after a kill -9, the old server's children take a moment to end.
    within 5 start_postgres "$bin" "$dir" || {
      as_postgres tail -n 20 "$dir/server.log" >&2
      fail "Postgres did not start"
    }
    ln -sf "$dir/server.log" "$log"
  fi
  within 30 postgres_query postgres 'select 1' || fail "Postgres runs but does not answer on port $(postgres_port)"
  [ -n "$(postgres_query postgres "select 1 from pg_roles where rolname = 'switchboard'")" ] ||
    postgres_query postgres 'create role switchboard login createdb'
  [ -n "$(postgres_query postgres "select 1 from pg_database where datname = 'switchboard'")" ] ||
    postgres_query postgres 'create database switchboard owner switchboard'
  if guarded; then guard_postgres; fi
  say "Postgres: pid $(postgres_pid), port $(postgres_port)"
}

# Requires the password from now on, even if the data was created without one.
guard_postgres() {
  local role rules
  # on standard input, since command lines can be read by all users
  for role in postgres switchboard; do printf "alter role %s password '%s';\n" "$role" "$(password)"; done |
    PGPASSWORD=$(password) as_postgres "$(postgres_bin)/psql" -X -q -h 127.0.0.1 -p "$(postgres_port)" -U postgres -d postgres
  rules=$(postgres_dir)/pg_hba.conf
  if as_postgres grep -q '^[^#].*trust' "$rules"; then
    printf 'local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n' | as_postgres tee "$rules" >/dev/null
    postgres_query postgres 'select pg_reload_conf()' >/dev/null
  fi
}

postgres_down() {
  local pid
  pid=$(postgres_pid) || { say "Postgres: not running"; return 0; }
  send INT "$pid" # "fast": ends the connections and writes all data
  if ! within 60 postgres_is_gone; then
    send QUIT "$pid" # "immediate": the next start recovers from the write-ahead log
    within 20 postgres_is_gone || fail "Postgres (pid $pid) does not stop"
  fi
  say "Postgres: stopped"
}

postgres_is_gone() { ! postgres_pid; }
