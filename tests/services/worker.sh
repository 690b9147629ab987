#!/usr/bin/env bash
# worker.sh up|down DIR NAME
#
# A machine of the pool that pool.sh started under DIR with CONDOR_SLOTS=0: a master and a startd that see no process
# but their own and, of what lies in the folders of WORKER_COVER, nothing. With such machines a pool shares no file
# system, and HTCondor has to bring everything along.
#
#   worker.sh up DIR NAME     start it, wait until the pool knows it
#   worker.sh down DIR NAME   it loses its power: everything that runs on it is gone at once
#
# Settings (environment): CONDOR_PREFIX, WORKER_SLOTS (2), WORKER_COVER (folders, separated by ":"),
#   WORKER_EXTRA (a file with further configuration), CONDOR_USER (daemon: see pool.sh)
# The pool knows it as the machine NAME.localhost.
set -euo pipefail
usage="usage: worker.sh up|down DIR NAME"
cmd=${1:?$usage}; dir=${2:?$usage}; name=${3:?$usage}
: "${CONDOR_PREFIX:?}" "${WORKER_SLOTS:=2}" "${WORKER_COVER:=}" "${CONDOR_USER:=daemon}"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(cd "$dir" && pwd); own=$dir/workers/$name; cfg=$own/condor_config; top=$own/top.pid
export CONDOR_CONFIG=$cfg PATH=$CONDOR_PREFIX/usr/bin:$CONDOR_PREFIX/usr/sbin:$PATH
alive() { [ -s "$top" ] && [ "$(tr '\0' '\n' 2>/dev/null <"/proc/$(cat "$top")/environ" | grep -cxF "CONDOR_CONFIG=$cfg")" = 1 ]; }
case $cmd in
up)
    if alive; then exit 0; fi
    mkdir -p "$own"/{log,spool,execute,lock,run}
    rm -rf "$own"/{tokens.d,passwords.d}; cp -a "$dir"/{tokens.d,passwords.d} "$own"
    # The collector's port is chosen when the pool starts: its file names it.
    collector=$(sed -n 's/^<\([0-9.:]*\).*/\1/p;1q' "$dir/log/.collector_address")
    cat >"$cfg" <<CONF
$(cat "$dir/condor_config")
LOCAL_DIR = $own
LOCAL_CONFIG_DIR =
COLLECTOR_HOST = $collector
USE_SHARED_PORT = False
# the collector is none of its own family: who they are they prove to each other
SEC_USE_FAMILY_SESSION = False
DAEMON_LIST = MASTER STARTD
NETWORK_HOSTNAME = $name.localhost
STARTD_NAME = $name
NUM_CPUS = $WORKER_SLOTS
NUM_SLOTS = $WORKER_SLOTS
NUM_SLOTS_TYPE_1 = $WORKER_SLOTS
MEMORY = \$(NUM_CPUS) * 2048
CONF
    if [ -n "${WORKER_EXTRA:-}" ]; then cat "$WORKER_EXTRA" >>"$cfg"; fi
    user=(--map-user="$(id -u "$CONDOR_USER")" --map-group="$(id -g "$CONDOR_USER")")
    [ "$(id -u)" = 0 ] || user=(--map-user="$(id -u)" --map-group="$(id -g)")
    # Within, nobody is root again: HTCondor insists on it.
    setsid bash "$here/apart.sh" "$WORKER_COVER" "$own" unshare --user "${user[@]}" "$CONDOR_PREFIX/usr/sbin/condor_master" -f \
        </dev/null >"$own/log/master.out" 2>&1 &
    echo $! >"$top"
    export CONDOR_CONFIG=$dir/condor_config
    for _ in $(seq 300); do
        sleep 0.1
        n=$(condor_status -af Name -constraint "Machine == \"$name.localhost\"" 2>/dev/null | wc -l) || true
        if [ "${n:-0}" -ge "$WORKER_SLOTS" ]; then exit 0; fi
    done
    echo "worker.sh: $name is not up after 30 s" >&2; tail -n 20 "$own/log/MasterLog" >&2; exit 1;;
down)
    if alive; then
        p=$(cat "$top"); kill -9 "$p"     # unshare takes along all that it has started
        for _ in $(seq 100); do readlink "/proc/$p/exe" >/dev/null 2>&1 || break; sleep 0.05; done
    fi
    rm -f "$top";;
*) echo "$usage" >&2; exit 2;;
esac
