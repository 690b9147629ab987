#!/usr/bin/env bash
# apart.sh COVERED KEPT COMMAND ...
#
# Runs a command on a machine of its own, as far as Linux's namespaces can show one without root: it sees no process but
# its own, the folders of COVERED are empty to it, and only those of KEPT are seen although they lie in one of them.
# Both are lists separated by ":". In there it is root; what it writes is written by who called this.
set -euo pipefail
covered=${1?} kept=${2?}; shift 2
exec unshare --user --map-root-user --pid --fork --mount-proc --kill-child bash -euc '
    IFS=: read -ra covered <<<"$1"; IFS=: read -ra kept <<<"$2"; shift 2
    aside=$(mktemp -d)
    mount -t tmpfs -o mode=755 aside "$aside"
    for n in "${!kept[@]}"; do mkdir "$aside/$n"; mount --bind "${kept[n]}" "$aside/$n"; done
    for folder in "${covered[@]}"; do mkdir -p "$folder"; mount -t tmpfs -o mode=755,size=1m covered "$folder"; done
    for n in "${!kept[@]}"; do mkdir -p "${kept[n]}"; mount --bind "$aside/$n" "${kept[n]}"; umount "$aside/$n"; done
    umount "$aside"; rmdir "$aside"
    exec "$@"' apart "$covered" "$kept" "$@"
