# Starts and stops the cluster of our own, from outside of its namespaces. Sourced, never run.
# shellcheck shell=bash disable=SC2154

# The first process of the cluster's namespaces, as this machine numbers it; fails if there is none.
cluster_pid() {
  local pid
  pid=$(cat "$state/pid" 2>/dev/null) || return 1
  case $(command_of "$pid") in
    *"inside.sh $state "*) printf '%s' "$pid" ;;
    *) return 1 ;;
  esac
}

# A command in the cluster's network; on a cluster of KUBECONFIG, here.
inside() {
  local pid
  export HELM_CACHE_HOME=$state/helm HELM_CONFIG_HOME=$state/helm HELM_DATA_HOME=$state/helm
  export SWITCHBOARD_CLUSTER_STATE=$state PYTHONPATH=$here
  if [ -n "$given_kubeconfig" ]; then
    "$@"
    return
  fi
  pid=$(cluster_pid) || fail "the cluster is not running; start it with: dev/cluster up"
  export KUBECONFIG=$state/kubeconfig SWITCHBOARD_CLUSTER_PID=$pid
  nsenter --target "$pid" --net -- "$@"
}

nodes="1 2"

# From outside, a node's containerd is reached in the cluster's mounts.
ctr() { nsenter --target "$(cluster_pid)" --mount -- "$(type -P ctr)" "$@"; }

# The control groups that are the cluster's own, one in each hierarchy of this machine.
group=switchboard-$(printf '%s' "$data" | cksum | cut -d' ' -f1)

# The hierarchies of control groups here: `v2`, or the controllers of the older kind.
cgroup_kind() {
  local controllers="" name
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    echo v2
    return
  fi
  for name in cpu cpuacct cpuset memory devices freezer blkio pids; do
    [ ! -d "/sys/fs/cgroup/$name" ] || controllers="$controllers $name"
  done
  printf '%s' "${controllers# }"
}

# Puts the shell that calls it into the cluster's groups.
enter_groups() {
  local name dir
  if [ "$cgroups" = v2 ]; then
    mkdir -p "/sys/fs/cgroup/$group"
    echo $BASHPID >"/sys/fs/cgroup/$group/cgroup.procs"
    return
  fi
  for name in $cgroups systemd; do
    dir=/sys/fs/cgroup/$name/$group
    mkdir -p "$dir"
    if [ "$name" = cpuset ]; then
      cat /sys/fs/cgroup/cpuset/cpuset.cpus >"$dir/cpuset.cpus"
      cat /sys/fs/cgroup/cpuset/cpuset.mems >"$dir/cpuset.mems"
    fi
    echo $BASHPID >"$dir/cgroup.procs"
  done
}


start_cluster() {
  local started=$SECONDS
  if cluster_pid >/dev/null; then
    [ -f "$state/ready" ] || fail "the cluster is there but not ready; stop it with: dev/cluster down"
    for n in $nodes; do import_images "$n" || fail "could not import the images; see $state/logs/images.log"; done
    say "Cluster:  runs already, pid $(cluster_pid)"
    return
  fi
  stop_cluster >/dev/null # what a crash left
  mkdir -p "$state/logs"
  cgroups=$(cgroup_kind)
  (
    enter_groups
    export cgroups stages images nodes PATH
    unset KUBECONFIG
    # setsid: a Ctrl-C in this terminal is for us; we tell the cluster ourselves.
    exec setsid unshare --net --mount --pid --cgroup --fork --kill-child --mount-proc \
      bash "$here/lib/inside.sh" "$state"
  ) >"$state/logs/start.log" 2>&1 </dev/null &
  local outer=$!
  trap 'stop_cluster; exit 130' INT
  trap 'stop_cluster; exit 143' TERM
  within 10 note_pid $outer || { cat "$state/logs/start.log" >&2; fail "the cluster did not start"; }
  until [ -f "$state/ready" ]; do
    if ! cluster_pid >/dev/null; then
      tail -n 30 "$state/logs/start.log" >&2
      stop_cluster >/dev/null
      fail "the cluster did not start; its logs are in $state/logs"
    fi
    [ $((SECONDS - started)) -lt 180 ] || { stop_cluster; fail "the cluster did not get ready in three minutes"; }
    sleep 0.2
  done
  trap - INT TERM
  say "Cluster:  pid $(cluster_pid), ready after $((SECONDS - started)) s; use it with: dev/cluster kubectl …"
}

# The process that unshare started is the first one inside.
note_pid() {
  local child
  child=$(ps -o pid= --ppid "$1" | tr -d ' ' | head -n 1)
  [ -n "$child" ] || return 1
  printf '%s' "$child" >"$state/pid"
  cluster_pid
}

# Everything in the namespaces ends with their first process; then only files and empty control groups are left.
stop_cluster() {
  local pid
  if [ -n "$given_kubeconfig" ]; then return; fi
  if pid=$(cluster_pid); then
    send TERM "$pid"
    within 5 cluster_is_gone || send KILL "$pid"
    within 20 cluster_is_gone || fail "the cluster (pid $pid) does not stop"
    say "Cluster:  stopped"
  else
    say "Cluster:  not running"
  fi
  within 10 groups_are_gone || say "warning: control groups named $group are left"
  rm -rf "${state:?}/pid" "$state/ready" "$state/etcd" "$state/pki" "$state"/node-* "$state/scratch" "$state"/*.kubeconfig "$state/kubeconfig"
}

cluster_is_gone() { ! cluster_pid; }

# Removes the cluster's groups, the innermost first. One in which a process still ends can't be removed yet.
groups_are_gone() {
  local dir left=0
  for dir in /sys/fs/cgroup/"$group" /sys/fs/cgroup/*/"$group"; do
    [ -d "$dir" ] || continue
    find "$dir" -depth -type d -exec rmdir {} + || left=1
  done
  return $left
}
