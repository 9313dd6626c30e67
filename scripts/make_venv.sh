#!/bin/sh
# usage: make_venv.sh FOLDER PIP-ARGUMENTS...
# A virtual environment with packages at the versions of constraints.txt. One that is whole and up to date is kept;
# anything else (none, half made, other requirements, its Python gone) is made anew.
# PYTHON=/path/to/python chooses the interpreter; else the first of the names below that is 3.11 or newer.
set -eu
cd "$(dirname "$0")/.."
folder=$1
shift

wanted="$* $(cat constraints.txt setup.cfg pyproject.toml | cksum)"
if [ "$(cat "$folder/.whole" 2>/dev/null)" = "$wanted" ] && "$folder/bin/python" -m pip check >/dev/null 2>&1; then
    echo "== $folder is whole and up to date"
    exit 0
fi

python=
for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3 python3.12 python3.13; do
    if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "No Python 3.11 or newer was found. Install one, or name it: make PYTHON=/path/to/python3.11 ..." >&2
    exit 1
fi

echo "== making $folder with $("$python" --version)"
# Debian keeps ensurepip in a package of its own; where it is missing, the pip that is there fills the new environment.
if "$python" -c 'import ensurepip' 2>/dev/null; then
    "$python" -m venv --clear "$folder"
else
    "$python" -m venv --clear --without-pip "$folder"
    "$python" -m pip --python "$folder/bin/python" install pip
fi
echo "== installing into $folder: $*"
"$folder/bin/python" -m pip install --constraint constraints.txt "$@"
echo "$wanted" >"$folder/.whole"
