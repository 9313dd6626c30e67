#!/bin/sh
# What the tests need of the system on Linux: a virtual display with OpenGL for the window, and a C++ compiler with
# Python's headers for pydensecrf2. Missing Debian or Ubuntu packages are installed where that is allowed, else named.
set -eu
[ "$(uname)" = Linux ] || exit 0
python=$1
missing=

need() { # need PACKAGE COMMAND...: the package is missing if the command fails
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

has_library() {
    PATH="$PATH:/sbin:/usr/sbin" ldconfig -p | grep -q "$1"
}

need xvfb command -v xvfb-run
need xauth command -v xauth
need g++ command -v g++
need "$("$python" -c 'import sys; print("python3.%d-dev" % sys.version_info.minor)')" \
    "$python" -c 'import pathlib, sysconfig; (pathlib.Path(sysconfig.get_path("include")) / "Python.h").stat()'
need libegl1 has_library libEGL.so.1
need libgl1 has_library libGL.so.1
need libdbus-1-3 has_library libdbus-1.so.3
need libglib2.0-0 has_library libglib-2.0.so.0
need libfontconfig1 has_library libfontconfig.so.1
need libxkbcommon-x11-0 has_library libxkbcommon-x11.so.0
need libxcb-cursor0 has_library libxcb-cursor.so.0
need libxcb-icccm4 has_library libxcb-icccm.so.4
need libxcb-keysyms1 has_library libxcb-keysyms.so.1
need libxcb-shape0 has_library libxcb-shape.so.0
[ -n "$missing" ] || exit 0

as_root=
[ "$(id -u)" = 0 ] || as_root="sudo -n"
if ! command -v apt-get >/dev/null || ! $as_root true 2>/dev/null; then
    echo "The tests need these system packages (names of Debian and Ubuntu), which only an administrator can install:" >&2
    echo "    sudo apt-get install$missing" >&2
    exit 1
fi
echo "== installing system packages:$missing"
$as_root apt-get update -qq || echo "apt-get update failed; trying with the lists that are there" >&2
# shellcheck disable=SC2086  # the list is split into words on purpose
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
