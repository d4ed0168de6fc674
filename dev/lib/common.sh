# Small helper functions for the scripts here. Sourced, never run. Must work with bash 3.2 (macOS).
# shellcheck shell=bash disable=SC2154 # $data is set by the script that sources this

say() { printf '%s\n' "$*"; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Quotes a value as a single-quoted shell word.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# The command line of a process; nothing if there is no such process, or if it is a zombie.
command_of() {
  if [ -d /proc/self ]; then
    { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null || true
  else
    ps -p "$1" -o command= 2>/dev/null || true
  fi
}

# `send INT 123`: sends a signal to a process. A missing process is no error.
send() { kill -s "$1" "$2" 2>/dev/null || true; }

# `within SECONDS command…`: repeats the command until it succeeds or the time is over.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.1
  done
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# `choose_port WISHED LAST`: the wished port, or an error if it is taken. Without a wish: the last port if it is free,
# otherwise any free port below the range that the system uses for outgoing connections.
choose_port() {
  local port tries=0
  if [ -n "$1" ]; then
    port_is_free "$1" || fail "port $1 is taken by another program"
    printf '%s' "$1"
    return
  fi
  if [ -n "$2" ] && port_is_free "$2"; then
    printf '%s' "$2"
    return
  fi
  while [ $tries -lt 100 ]; do
    tries=$((tries + 1))
    port=$((20000 + RANDOM % 12000))
    if port_is_free "$port"; then
      printf '%s' "$port"
      return
    fi
  done
  fail "found no free port between 20000 and 32000"
}

# Locks the data directory, so that only one `up` or `down` runs at a time. A lock that a crash left has a dead pid.
lock() {
  local holder deadline=$((SECONDS + 180))
  until mkdir "$data/lock" 2>/dev/null; do
    holder=$(cat "$data/lock/pid" 2>/dev/null || true)
    case $(command_of "${holder:-0}") in
      *servers*) ;;
      *)
        # The lock was left behind, or was just made and has no pid yet.
        sleep 0.3
        if [ "$holder" = "$(cat "$data/lock/pid" 2>/dev/null || true)" ]; then rm -rf "$data/lock"; fi
        ;;
    esac
    [ $SECONDS -lt $deadline ] || fail "another dev/servers (pid $holder) has been busy for three minutes"
    sleep 0.2
  done
  printf '%s' "$$" >"$data/lock/pid"
  trap unlock EXIT
}

unlock() {
  rm -rf "$data/lock"
  trap - EXIT
}
