#!/bin/sh
# A Docker engine of the tests' own, from Debian's packages, apart from any other on this machine:
#   docker.sh install       what is missing of docker.io, iproute2 (as root)
#   docker.sh start DIR     an engine at DIR/docker.sock with its own bridge; DIR/rootfs holds a minimal system
#   docker.sh restart DIR   ends and starts it; further arguments of start and restart are dockerd's
#   docker.sh stop DIR      ends the engine and its containers, removes the bridge and all that DIR holds
# The engine leaves the machine's packet filter alone: ports are passed on by docker-proxy.
set -eu

fail() { printf 'headrace: %s\n' "$*" >&2; exit 1; }

apt() { DEBIAN_FRONTEND=noninteractive apt-get "$@" >"$log" 2>&1 || { cat "$log" >&2; fail "apt-get $1 did not work"; }; }

install() {
    missing=
    command -v dockerd >/dev/null || missing="$missing docker.io"
    command -v ip >/dev/null || missing="$missing iproute2"
    command -v iptables >/dev/null || missing="$missing iptables"
    [ -n "$missing" ] || return 0
    [ "$(id -u)" = 0 ] || fail "this needs root: apt-get install$missing"
    log=$(mktemp)
    apt update -qq
    # shellcheck disable=SC2086  # one word a package
    apt install -y -qq --no-install-recommends $missing
    rm -f "$log"
}

rootfs() { # a static busybox under each of its names; the package is unpacked, not installed
    mkdir -p "$dir/rootfs/bin" "$dir/rootfs/tmp" "$dir/rootfs/etc" "$dir/package"
    log=$dir/apt.log
    if ! (cd "$dir/package" && apt-get download busybox-static >"$log" 2>&1); then
        apt update -qq
        (cd "$dir/package" && apt download busybox-static)
    fi
    dpkg -x "$dir"/package/busybox-static_*.deb "$dir/package"
    for at in bin usr/bin; do
        [ ! -f "$dir/package/$at/busybox" ] || cp "$dir/package/$at/busybox" "$dir/rootfs/bin/busybox"
    done
    for name in $("$dir/rootfs/bin/busybox" --list); do
        [ "$name" = busybox ] || ln -sf busybox "$dir/rootfs/bin/$name"
    done
    printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$dir/rootfs/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$dir/rootfs/etc/group"
    rm -rf "$dir/package"
}

bridge() { # the first free /24 below 10.213
    name=hr$$
    exec 9>"${TMPDIR:-/tmp}/headrace-test-bridges"
    flock 9 # of two engines that start at once, each sees what the other has taken
    taken=$(ip -4 -o address)
    for i in $(seq 1 250); do
        case $taken in *"10.213.$i."*) continue ;; esac
        ip link add "$name" type bridge
        ip address add "10.213.$i.1/24" dev "$name"
        ip link set "$name" up
        printf '%s\n' "$name" >"$dir/bridge"
        exec 9>&-
        return
    done
    fail "no free network below 10.213.0.0/16 for the test engine's bridge"
}

run() { # a restarted engine has the bridge, images and containers of before
    name=$(cat "$dir/bridge")
    dockerd --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/pid" -H "unix://$dir/docker.sock" \
        --containerd-namespace "$name" --containerd-plugins-namespace "$name-plugins" --bridge "$name" --iptables=false \
        --ip6tables=false --ip-masq=false --log-level=warn --shutdown-timeout 3 "$@" >>"$dir/log" 2>&1 </dev/null &
    engine=$!
    for _ in $(seq 1 300); do
        if [ -S "$dir/docker.sock" ] && [ -f "$dir/pid" ]; then return; fi
        kill -0 "$engine" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 20 "$dir/log" >&2
    fail "dockerd did not start; all of its log is in $dir/log"
}

stop_engine() {
    [ -f "$dir/pid" ] || return 0
    engine=$(cat "$dir/pid")
    kill "$engine" 2>/dev/null || true
    for _ in $(seq 1 200); do
        kill -0 "$engine" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -9 "$engine" 2>/dev/null || true
}

containers_left() {
    for cmdline in /proc/[0-9]*/cmdline; do
        case $(tr '\0' ' ' 2>/dev/null <"$cmdline") in
        *containerd-shim*"$dir/exec/"*) return 0 ;;
        esac
    done 2>/dev/null
    return 1
}

clear() {
    if [ -f "$dir/bridge" ]; then ip link delete "$(cat "$dir/bridge")" 2>/dev/null || true; fi
    # deepest first
    awk -v below="$dir/" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort -r | while read -r at; do
        umount "$at" || umount -l "$at"
    done
    rm -rf "$dir"
}

case ${1:-} in
install) install ;;
start | stop | restart)
    [ $# -ge 2 ] || fail "usage: scripts/docker.sh $1 DIR"
    mkdir -p "$2"
    dir=$(cd "$2" && pwd)
    what=$1
    shift 2
    case $what in
    start)
        install
        rootfs
        bridge
        run "$@"
        ;;
    restart)
        stop_engine
        run "$@"
        ;;
    stop)
        stop_engine
        if containers_left; then
            run # without --live-restore, so that its end is theirs, too
            stop_engine
        fi
        clear
        ;;
    esac
    ;;
*) fail "usage: scripts/docker.sh install | start DIR | restart DIR | stop DIR" ;;
esac
