#!/usr/bin/env bash
# xrootd.sh up|down|freeze|thaw|status DIR
#
# A real XRootD server (Debian's xrootd-server) that exports DIR/data for reading and writing on the
# port of this machine that DIR/port names.
#
#   xrootd.sh up DIR       start it, wait until it takes connections; rc 3: there is none here
#   xrootd.sh down DIR     stop it
#   xrootd.sh freeze DIR   let it hang (SIGSTOP), until `thaw`
#   xrootd.sh status DIR   exit 0 if it lives
#
# Settings (environment): XROOTD_EXTRA (a file with further configuration), XROOTD_USER (daemon: see the next line),
# XROOTD_ROOM (16m: DIR/data is a disk of that size, which only the server sees, and which goes with it)
# It will not run as root: root starts it in a user namespace in which it is XROOTD_USER (daemon).
set -euo pipefail
usage="usage: xrootd.sh up|down|freeze|thaw|status DIR"
cmd=${1:?$usage}; dir=${2:?$usage}
mkdir -p "$dir"/{data,run}; dir=$(cd "$dir" && pwd); pidf=$dir/pid
: "${XROOTD_USER:=daemon}"
# One that was killed may stay as a zombie for a while, which has a name but no program.
alive() { [ -s "$pidf" ] && readlink "/proc/$(cat "$pidf")/exe" >/dev/null 2>&1 && [ "$(cat "/proc/$(cat "$pidf")/comm" 2>/dev/null)" = xrootd ]; }
case $cmd in
up)
    if alive; then exit 0; fi
    command -v xrootd >/dev/null || { echo "xrootd.sh: no xrootd: apt-get install xrootd-server" >&2; exit 3; }
    port=$(cat "$dir/port")
    # xrootd 5.5 sets mode 0700 on EVERY folder of its admin path below the first: under DIR it would shut
    # others out of /home/me, of the checkout, ... So the admin path is a folder directly in /tmp.
    admin=$(cat "$dir/adminpath" 2>/dev/null || true); [ -d "${admin:-/nonexistent}" ] || admin=$(mktemp -d /tmp/xrd.XXXXXX)
    echo "$admin" >"$dir/adminpath"
    cat >"$dir/xrootd.cfg" <<CONF
all.export /
oss.localroot $dir/data
xrd.port $port
# it listens on every address (there is no setting for one): let in nobody but this machine
xrd.allow host localhost
xrd.allow host 127.0.0.1
xrootd.chksum max 4 adler32
all.adminpath $admin
all.pidpath $dir/run
CONF
    if [ -n "${XROOTD_EXTRA:-}" ]; then cat "$XROOTD_EXTRA" >>"$dir/xrootd.cfg"; fi
    wrap=(); [ "$(id -u)" != 0 ] || wrap=(unshare --user --map-user="$(id -u "$XROOTD_USER")" --map-group="$(id -g "$XROOTD_USER")")
    if [ -n "${XROOTD_ROOM:-}" ]; then
        disk="mount -t tmpfs -o size=$XROOTD_ROOM,mode=0777 tmpfs '$dir/data' && exec \"\$@\""
        wrap=(unshare --user --map-root-user --mount bash -c "$disk" disk "${wrap[@]}")
    fi
    cd "$dir"; setsid "${wrap[@]}" xrootd -I v4 -c "$dir/xrootd.cfg" -l "$dir/xrootd.log" </dev/null >/dev/null 2>&1 &
    echo $! >"$pidf"
    for _ in $(seq 200); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then exit 0; fi
        sleep 0.05
    done
    echo "xrootd.sh: it does not take connections" >&2; tail -5 "$dir/xrootd.log" >&2; exit 1;;
down)
    if alive; then
        p=$(cat "$pidf"); kill "$p" || true
        for _ in $(seq 40); do readlink "/proc/$p/exe" >/dev/null 2>&1 || break; sleep 0.05; done
        kill -9 "$p" 2>/dev/null || true
    fi
    case "$(cat "$dir/adminpath" 2>/dev/null)" in /tmp/xrd.*) rm -rf "$(cat "$dir/adminpath")";; esac
    rm -f "$pidf" "$dir/adminpath";;
freeze)
    alive; p=$(cat "$pidf"); kill -STOP "$p"
    # The signal reaches one thread after the other: until all have stopped it still answers.
    while grep -qv '^[0-9]* ([^)]*) T' /proc/"$p"/task/*/stat; do sleep 0.01; done;;
thaw) alive && kill -CONT "$(cat "$pidf")";;
status) alive;;
*) echo "$usage" >&2; exit 2;;
esac
