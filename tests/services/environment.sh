#!/usr/bin/env bash
# environment.sh NAME
#
# Puts the packages of NAME/requirements.lock into a Python environment of their own, and prints its interpreter.
# Does nothing more if that has been done with the same file. If it cannot be done, the last line of stderr says why.
set -euo pipefail
name=${1:?usage: environment.sh NAME}
lock=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/$name/requirements.lock
folder=${XDG_CACHE_HOME:-$HOME/.cache}/b2cal/$name
mkdir -p "$folder"
exec 9>"$folder/.lock"; flock 9
if ! cmp -s "$lock" "$folder/.complete"; then
    rm -rf "$folder/venv" "$folder/.complete"
    "${PYTHON:-python3.11}" -m venv "$folder/venv" || { echo "$name: python3.11 cannot make environments" >&2; exit 1; }
    "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock" ||
        { echo "$name: what tests/services/$name/requirements.lock names cannot be installed" >&2; exit 1; }
    cp "$lock" "$folder/.complete"
fi
echo "$folder/venv/bin/python"
