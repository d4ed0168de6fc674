# What the cluster sees of the machine: private copies of all that its parts write to. Sourced, never run.
# shellcheck shell=bash disable=SC2154
#
# Everything here happens in mount, cgroup and network namespaces of our own, so nothing of it has to be put back.

own_mounts() {
  local scratch=$state/scratch file
  mount --make-rprivate /
  mkdir -p "$scratch"
  mount -t tmpfs -o mode=755 cluster "$scratch"
  mkdir -p "$scratch/lib" "$scratch/work" "$scratch/sysctl"
  # The kubelet, CNI's plugins and containerd keep records below /var/lib, /run and /var/log, wherever else they are told to.
  mount -t overlay -o "lowerdir=/var/lib,upperdir=$scratch/lib,workdir=$scratch/work" cluster /var/lib
  mount -t tmpfs -o mode=755 cluster /run
  mount -t tmpfs -o mode=755 cluster /var/log
  umount -R -l /sys/fs/cgroup
  mount -t sysfs sysfs /sys # this network's devices, not the machine's
  # The kubelet sets these for the whole machine; here it sets what nobody reads.
  for file in vm/overcommit_memory kernel/panic kernel/panic_on_oops; do
    cat "/proc/sys/$file" >"$scratch/sysctl/$(basename "$file")"
    mount --bind "$scratch/sysctl/$(basename "$file")" "/proc/sys/$file"
  done
}

# The hierarchy below the group that we were started in is all that is seen from here.
own_cgroups() {
  local controller controllers
  if [ "$cgroups" = v2 ]; then
    mount -t cgroup2 cgroup /sys/fs/cgroup
    # A group that hands controllers down holds no processes itself.
    mkdir /sys/fs/cgroup/parts
    while read -r process; do echo "$process" >/sys/fs/cgroup/parts/cgroup.procs || true; done </sys/fs/cgroup/cgroup.procs
    read -ra controllers </sys/fs/cgroup/cgroup.controllers
    for controller in "${controllers[@]}"; do
      echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control || true
    done
  else
    mount -t tmpfs -o mode=755 cluster /sys/fs/cgroup
    for controller in $cgroups; do
      mkdir "/sys/fs/cgroup/$controller"
      mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
    done
    mkdir /sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
  fi
  for n in $nodes; do node_group "node-$n"; done
  mount --make-rshared / # the kubelet hands mounts on to pods
}

# The group in which a node's pods stand. Of the older kind, a group for processors is of no use before it names some.
node_group() {
  local dir
  for dir in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ -f "$dir/cgroup.procs" ] || continue
    mkdir "$dir/$1" 2>/dev/null || continue
    [ ! -f "$dir/cpuset.cpus" ] || [ "$cgroups" = v2 ] || { cat "$dir/cpuset.cpus" >"$dir/$1/cpuset.cpus" && cat "$dir/cpuset.mems" >"$dir/$1/cpuset.mems"; }
    [ "$cgroups" != v2 ] || return 0
  done
}

own_network() {
  ip link set lo up
  ip link add node type bridge
  for n in $nodes; do ip address add "10.99.0.$n/24" dev node; done
  ip link set node up
  ip route add default dev node # the kubelet wants one; it leads nowhere
  sysctl -q -w net.ipv4.ip_forward=1
}
