#!/usr/bin/env bash
# install.sh [FOLDER]
#
# Puts other people's clients of batch systems into an environment of their own, by their lock file.
# Does nothing if that has been done with the same file. If it cannot be done, the last line of stderr says why.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/b2cal/clients}
mkdir -p "$folder"
exec 9>"$folder/.lock"; flock 9
lock=$here/requirements.lock
cmp -s "$lock" "$folder/.complete" && exit 0
rm -rf "$folder/venv" "$folder/.complete"
"${PYTHON:-python3.11}" -m venv "$folder/venv" || { echo "clients: python3.11 cannot make environments" >&2; exit 1; }
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock" ||
    { echo "clients: what tests/services/clients/requirements.lock names cannot be installed" >&2; exit 1; }
cp "$lock" "$folder/.complete"
