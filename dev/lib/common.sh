# Small words shared by the scripts here. Sourced, never run. Written for bash 3.2 too (macOS).
# shellcheck shell=bash disable=SC2154 # $data is set by the script that sources this

say() { printf '%s\n' "$*"; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# A value as a single-quoted shell word.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# The command line of a process, or nothing if there is none (a zombie has none either).
command_of() {
  if [ -d /proc/self ]; then
    { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null || true
  else
    ps -p "$1" -o command= 2>/dev/null || true
  fi
}

# `send INT 123`: a signal to one process, quietly if it has gone meanwhile.
send() { kill -s "$1" "$2" 2>/dev/null || true; }

# `within SECONDS command…`: repeats the command until it succeeds.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.1
  done
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# `choose_port WISHED LAST`: the wished port and no other; else the last one if free; else any free one
# below the range that the system hands out to outgoing connections.
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

# One `up` or `down` at a time per data directory; a lock left by a crash is recognised by its dead pid.
lock() {
  local holder deadline=$((SECONDS + 180))
  until mkdir "$data/lock" 2>/dev/null; do
    holder=$(cat "$data/lock/pid" 2>/dev/null || true)
    case $(command_of "${holder:-0}") in
      *servers*) ;;
      *)
        # Either left behind, or made a moment ago and without its pid yet.
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
