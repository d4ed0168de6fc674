# The private Redis: nothing on disk, no eviction, 127.0.0.1 only, with a password if guarded. Sourced, never run.
# shellcheck shell=bash disable=SC2154

redis_port() { sed -n 1p "$data/redis.port" 2>/dev/null || true; }

# The pid of our running server; fails if there is none. The command line of a server contains its address.
redis_pid() {
  local pid
  pid=$(cat "$data/redis/redis.pid" 2>/dev/null) || return 1
  case $(command_of "$pid") in
    *redis-server*" 127.0.0.1:$(redis_port) "* | *redis-server*" 127.0.0.1:$(redis_port)") printf '%s' "$pid" ;;
    *) return 1 ;;
  esac
}

redis_answers() { [ "$(REDISCLI_AUTH=$(password) redis-cli -h 127.0.0.1 -p "$(redis_port)" ping)" = PONG ]; }

redis_up() {
  local port
  if redis_pid >/dev/null; then
    [ -z "${SWITCHBOARD_REDIS_PORT:-}" ] || [ "$SWITCHBOARD_REDIS_PORT" = "$(redis_port)" ] ||
      fail "Redis already runs here on port $(redis_port); stop it first: dev/servers down"
  else
    mkdir -p "$data/redis" "$data/logs"
    rm -f "$data/redis/redis.pid"
    port=$(choose_port "${SWITCHBOARD_REDIS_PORT:-}" "$(redis_port)")
    printf '%s\n' "$port" >"$data/redis.port"
    (umask 077 && cat >"$data/redis/redis.conf") <<SETTINGS
bind 127.0.0.1
port $port
daemonize yes
dir "$data/redis"
pidfile "$data/redis/redis.pid"
logfile "$data/logs/redis.log"
save ""
appendonly no
maxmemory-policy noeviction
$(! guarded || printf 'requirepass %s' "$(password)")
SETTINGS
    redis-server "$data/redis/redis.conf" </dev/null >/dev/null || fail "Redis did not start; see $data/logs/redis.log"
  fi
  within 20 redis_pid || fail "Redis did not start; see $data/logs/redis.log"
  within 20 redis_answers || fail "Redis runs but does not answer on port $(redis_port)"
  say "Redis:    pid $(redis_pid), port $(redis_port)"
}

redis_down() {
  local pid
  pid=$(redis_pid) || { say "Redis:    not running"; return 0; }
  send TERM "$pid"
  if ! within 10 redis_is_gone; then
    send KILL "$pid"
    within 10 redis_is_gone || fail "Redis (pid $pid) does not stop"
  fi
  say "Redis:    stopped"
}

redis_is_gone() { ! redis_pid; }
