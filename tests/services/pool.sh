#!/usr/bin/env bash
# pool.sh up|down|status|env|pid DIR
#
# A real personal HTCondor pool (master, collector, negotiator, schedd, startd) on loopback,
# all of its state under DIR. Programs come from CONDOR_PREFIX (see condor_unpack.sh).
#
#   pool.sh up DIR       write DIR/condor_config, start the pool, wait until it can run jobs
#   pool.sh down DIR     stop it, and kill what is left of it (jobs too)
#   pool.sh pid DIR schedd|startd|shadow|starter|...   pids, as this machine shows them
#   pool.sh status DIR   exit 0 if the master lives
#   pool.sh env DIR      print the export lines a client needs (CONDOR_CONFIG, PATH)
#
# Settings (environment): CONDOR_PREFIX, CONDOR_SLOTS (16; 0: its machines are started by worker.sh), CONDOR_PORT (0: any free one),
#   CONDOR_EXTRA (a file with further configuration), CONDOR_OWNER (prod: the name that the
#   clients' token gives, so the Owner of their jobs), CONDOR_USER (daemon: see the next lines),
#   CONDOR_PIDS (own: a pid namespace; shared: jobs have the process numbers that this machine shows)
# Run by root, the daemons start in a user namespace in which root is shown as CONDOR_USER:
# HTCondor refuses to run root's jobs, and changes ids if it is root itself. In the namespace
# it is an ordinary "personal" pool, yet it can read what root can (a venv under /root, say),
# and what it writes is root's outside. Run by anyone else, the daemons are simply that user's.
# Where the machine allows it they also get a pid namespace: nothing of the pool, jobs included,
# can outlive it, and each starter has fewer processes in /proc to look through (a third quicker).
set -euo pipefail
cmd=${1:?usage: pool.sh up|down|status|env|pid DIR}; dir=${2:?usage: pool.sh up|down|status|env|pid DIR}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${CONDOR_PREFIX:?}"; CONDOR_PREFIX=$(cd "$CONDOR_PREFIX" && pwd)
: "${CONDOR_PIDS:=own}" "${CONDOR_SLOTS:=16}" "${CONDOR_PORT:=0}" "${CONDOR_USER:=daemon}" "${CONDOR_OWNER:=prod}"
mkdir -p "$dir"; dir=$(cd "$dir" && pwd); cfg=$dir/condor_config
export CONDOR_CONFIG=$cfg PATH=$CONDOR_PREFIX/usr/bin:$CONDOR_PREFIX/usr/sbin:$PATH

write_config() {
    mkdir -p "$dir"/{log,spool,execute,lock,run,config.d,tokens.d,passwords.d}; chmod 700 "$dir"/{tokens.d,passwords.d}
    cat >"$cfg" <<CONF
RELEASE_DIR = $CONDOR_PREFIX/usr
LOCAL_DIR   = $dir
BIN = \$(RELEASE_DIR)/bin
SBIN = \$(RELEASE_DIR)/sbin
LIB = \$(RELEASE_DIR)/lib
LIBEXEC = \$(RELEASE_DIR)/libexec/condor
SHARE = \$(RELEASE_DIR)/share/condor
LOG = \$(LOCAL_DIR)/log
SPOOL = \$(LOCAL_DIR)/spool
EXECUTE = \$(LOCAL_DIR)/execute
LOCK = \$(LOCAL_DIR)/lock
RUN = \$(LOCAL_DIR)/run
LOCAL_CONFIG_FILE =
LOCAL_CONFIG_DIR = $dir/config.d
# --- who and where
# read by root's clients only (they insist on it); the daemons are not root
CONDOR_IDS = 0.0
CONDOR_HOST = 127.0.0.1
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = False
FULL_HOSTNAME = localhost
UID_DOMAIN = localhost
FILESYSTEM_DOMAIN = localhost
USE_SHARED_PORT = True
SHARED_PORT_PORT = $CONDOR_PORT
DAEMON_SOCKET_DIR = auto
COLLECTOR_HOST = 127.0.0.1:$CONDOR_PORT
COLLECTOR_ADDRESS_FILE = \$(LOG)/.collector_address
# no second address for root's clients: with it they talk to the schedd on a port that changes at each restart
SCHEDD_SUPER_ADDRESS_FILE =
COLLECTOR_SUPER_ADDRESS_FILE =
DAEMON_LIST = MASTER SHARED_PORT COLLECTOR NEGOTIATOR SCHEDD$([ "$CONDOR_SLOTS" = 0 ] || echo " STARTD")
# the procd (on by default) makes a killed daemon take its children with it: without it a killed schedd
# leaves its shadows behind, which fight the new ones for the jobs, and jobs run twice
USE_PROCD = True
MAIL = /bin/true
# --- security: one user, on loopback. Daemons know each other by FS; clients come with the token
# that "up" makes: FS between client 25.x (also 24.12, 25.0) and server 23.9 fails ("Directory name
# doesn't match server's network address"), a token works between any two versions.
SEC_DEFAULT_AUTHENTICATION = REQUIRED
SEC_DEFAULT_AUTHENTICATION_METHODS = FS, IDTOKENS
SEC_CLIENT_AUTHENTICATION_METHODS = IDTOKENS
SEC_DEFAULT_ENCRYPTION = OPTIONAL
SEC_DEFAULT_INTEGRITY = OPTIONAL
SEC_TOKEN_DIRECTORY = \$(LOCAL_DIR)/tokens.d
SEC_TOKEN_SYSTEM_DIRECTORY = \$(LOCAL_DIR)/tokens.d
SEC_PASSWORD_DIRECTORY = \$(LOCAL_DIR)/passwords.d
SEC_TOKEN_POOL_SIGNING_KEY_FILE = \$(LOCAL_DIR)/passwords.d/POOL
ALLOW_READ = *
ALLOW_WRITE = *
ALLOW_DAEMON = *
ALLOW_NEGOTIATOR = *
ALLOW_ADMINISTRATOR = *
ALLOW_CONFIG = *
# --- many small slots, whatever the machine has
NUM_CPUS = $CONDOR_SLOTS
MEMORY = \$(NUM_CPUS) * 512
NUM_SLOTS = $CONDOR_SLOTS
NUM_SLOTS_TYPE_1 = $CONDOR_SLOTS
SLOT_TYPE_1 = cpus=1, memory=auto
SLOT_TYPE_1_PARTITIONABLE = False
START = True
SUSPEND = False
PREEMPT = False
KILL = False
RUNBENCHMARKS = False
BENCHMARKS_JOBLIST =
STARTD_CRON_JOBLIST =
STARTD_DETECT_GPUS = false
SINGULARITY =
DOCKER =
JAVA =
ENABLE_URL_TRANSFERS = False
# --- quick
POLLING_INTERVAL = 1
UPDATE_INTERVAL = 5
NEGOTIATOR_INTERVAL = 1
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 0
SCHEDD_INTERVAL = 1
SCHEDD_MIN_INTERVAL = 1
JOB_START_COUNT = 200
JOB_START_DELAY = 0
PERIODIC_EXPR_INTERVAL = 1
MAX_PERIODIC_EXPR_INTERVAL = 1
STARTER_UPDATE_INTERVAL = 2
STARTER_INITIAL_UPDATE_INTERVAL = 1
SHADOW_QUEUE_UPDATE_INTERVAL = 2
MASTER_BACKOFF_CONSTANT = 1
MASTER_BACKOFF_CEILING = 2
MASTER_UPDATE_INTERVAL = 5
DEAD_COLLECTOR_MAX_AVOIDANCE_TIME = 1
CLASSAD_LIFETIME = 60
MAX_SHADOW_EXCEPTIONS = 5
# jobs whose execute side vanished start again after this (default 2400 s, with reconnects ever rarer)
JOB_DEFAULT_LEASE_DURATION = 20
RECONNECT_BACKOFF_CEILING = 2
CONDOR_FSYNC = False
PREEN =
# a slot that has run a job stays with the schedd for 30 s: the next job starts in 0.1 s, without
# waiting 1 to 3 s for a negotiation cycle
JOB_TRANSFORM_NAMES = keep
JOB_TRANSFORM_keep @=end
DEFAULT KeepClaimIdle 30
@end
CONF
    [ -n "${CONDOR_EXTRA:-}" ] && cat "$CONDOR_EXTRA" >>"$cfg"
    if [ ! -s "$dir/passwords.d/POOL" ]; then head -c 48 /dev/urandom | base64 -w0 >"$dir/passwords.d/POOL"; chmod 600 "$dir/passwords.d/POOL"; fi
    ( umask 077; condor_token_create -identity "$CONDOR_OWNER@localhost" -key POOL >"$dir/tokens.d/$CONDOR_OWNER" )
}
top=$dir/top.pid      # the process that the others hang from: unshare, or the master itself
alive() { [ -s "$top" ] && [ "$(tr '\0' '\n' 2>/dev/null <"/proc/$(cat "$top")/environ" | grep -cxF "CONDOR_CONFIG=$cfg")" = 1 ]; }
tree() { local c; for c in $(cat /proc/"$1"/task/*/children 2>/dev/null); do echo "$c"; tree "$c"; done; }
isolate() {           # the unshare command to start under, as an array
    local ids=(--user)
    if [ "$(id -u)" = 0 ]; then ids+=(--map-user="$(id -u "$CONDOR_USER")" --map-group="$(id -g "$CONDOR_USER")")
    else ids+=(--map-user="$(id -u)" --map-group="$(id -g)"); fi
    wrap=(unshare "${ids[@]}" --pid --fork --mount-proc --kill-child)
    [ "$CONDOR_PIDS" = own ] && "${wrap[@]}" true 2>/dev/null && return
    wrap=(unshare "${ids[@]}"); [ "$(id -u)" = 0 ] || wrap=()
}
case $cmd in
up)
    alive && { echo "pool.sh: already up in $dir"; exit 0; }
    write_config
    rm -f "$dir"/log/.*_address "$top"; isolate
    setsid "${wrap[@]}" "$CONDOR_PREFIX/usr/sbin/condor_master" -f </dev/null >"$dir/log/master.out" 2>&1 &
    echo $! >"$top"
    for _ in $(seq 300); do
        sleep 0.1
        n=$(condor_status -af Name -constraint 'State=="Unclaimed"||State=="Claimed"' 2>/dev/null | wc -l) || true
        [ "${n:-0}" -ge "$CONDOR_SLOTS" ] && condor_q -totals >/dev/null 2>&1 && { echo "pool.sh: up, $n slots"; exit 0; }
    done
    echo "pool.sh: not up after 30 s" >&2; tail -20 "$dir/log/MasterLog" >&2; exit 1;;
down)
    if alive; then
        p=$(cat "$top"); m=$p; [ "$(cat "/proc/$p/comm")" = condor_master ] || { m=$(tree "$p"); m=${m%%$'\n'*}; }
        kill -QUIT "$m" 2>/dev/null || true        # fast shutdown: 0.3 s
        for _ in $(seq 100); do readlink "/proc/$p/exe" >/dev/null 2>&1 || break; sleep 0.1; done
        kill -9 $(tree "$p") "$p" 2>/dev/null || true
    fi
    rm -f "$top"
    # what is left of it: daemons whose environment names this configuration, jobs that ran in its scratch directories
    for e in /proc/[0-9]*/environ; do
        q=${e#/proc/}; q=${q%/environ}
        if { grep -qzxF "CONDOR_CONFIG=$cfg" "$e" && [[ "$(readlink "/proc/$q/exe")" == "$CONDOR_PREFIX"/* ]]; } 2>/dev/null ||
           grep -qzF "_CONDOR_SCRATCH_DIR=$dir/execute/" "$e" 2>/dev/null; then kill -9 "$q" 2>/dev/null || true; fi
    done; true;;
status) alive;;
pid) alive && for p in $(tree "$(cat "$top")"); do case $(tr '\0' ' ' <"/proc/$p/cmdline") in *condor_"${3:?which daemon}"*) echo "$p";; esac; done;;
env) printf 'export CONDOR_CONFIG=%q\nexport PATH=%q:%q:$PATH\n' "$cfg" "$CONDOR_PREFIX/usr/bin" "$CONDOR_PREFIX/usr/sbin";;
*) echo "usage: pool.sh up|down|status|env|pid DIR" >&2; exit 2;;
esac
