# Stand-ins for the services of compose.yaml if their images can't be pulled: Debian's Postgres, Redis, Prometheus and
# Alertmanager in one root file system. Each has the user, folders and commands of the image that it replaces. Sourced,
# never run.
# shellcheck shell=bash disable=SC2154

make_services_root() {
  podman image exists localhost/switchboard-standin-services && return
  # shellcheck disable=SC2016
  rootfs services extract bash,busybox,coreutils,dash,grep,libc-bin,netbase,postgresql-15,prometheus,prometheus-alertmanager,redis-server,redis-tools,sed '
    ln -sf dash "$1/bin/sh"
    ln -sf ../../bin/busybox "$1/usr/bin/wget"
    mkdir -p "$1/var/lib/postgresql/data" "$1/var/run/postgresql" "$1/data" "$1/prometheus" "$1/alertmanager" "$1/tmp" "$1/usr/local/bin"
    chmod 1777 "$1/tmp" "$1/var/run/postgresql"
    printf "root:x:0:0:root:/root:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n" >"$1/etc/passwd"
    printf "root:x:0:\npostgres:x:999:\nnobody:x:65534:\n" >"$1/etc/group"
    printf "hosts: files dns\n" >"$1/etc/nsswitch.conf"
    chown -R 999:999 "$1/var/lib/postgresql" "$1/data"
    chown 65534:65534 "$1/prometheus" "$1/alertmanager"
    cp dev/images.d/postgres-standin.sh "$1/usr/local/bin/docker-entrypoint.sh"
    chmod 755 "$1/usr/local/bin/docker-entrypoint.sh"
    rm -rf "$1"/usr/share/doc "$1"/usr/share/man "$1"/usr/share/locale "$1"/usr/share/prometheus/web'
  podman import --change "LABEL $standin_label=yes" --change "ENV LANG=C.UTF-8" \
    --change "ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    "$cache/services.tar" localhost/switchboard-standin-services >"$cache/import.log" 2>&1 || fail "podman import: $(tail -n 1 "$cache/import.log")"
}

# `make_service LINES IMAGE`: makes an image from the stand-in. The Dockerfile LINES make it look like IMAGE.
make_service() {
  make_services_root
  printf 'FROM localhost/switchboard-standin-services\n%b\n' "$1" |
    podman build --quiet --format docker --pull=never --isolation chroot --tag "$2" --file - >"$cache/service.log" 2>&1 ||
    fail "podman build: $(tail -n 1 "$cache/service.log")"
}

need_services() {
  need "$(image_of postgres)" make_service 'ENV PGDATA=/var/lib/postgresql/data\nENTRYPOINT ["docker-entrypoint.sh"]\nSTOPSIGNAL SIGINT\nCMD ["postgres"]'
  need "$(image_of redis)" make_service 'USER 999:999\nWORKDIR /data\nCMD ["redis-server"]'
  need "$(image_of prometheus)" make_service 'USER 65534:65534\nWORKDIR /prometheus\nENTRYPOINT ["/usr/bin/prometheus"]'
  need "$(image_of alertmanager)" make_service 'USER 65534:65534\nWORKDIR /alertmanager\nENTRYPOINT ["/usr/bin/prometheus-alertmanager"]'
}
