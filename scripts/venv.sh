#!/bin/sh
# scripts/venv.sh VENV REQUIREMENTS: make the virtual environment and install the pinned packages and this checkout.
# With uv where it is there, else with pip; every package is checked against its hash either way.
set -eu
venv=$1
requirements=$2
say() { printf '%s\n' "$*" >&2; }

suits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
find_python() {
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        [ -n "$candidate" ] && suits "$candidate" && command -v "$candidate" && return
    done
    say "Error: OpenLXD needs Python 3.11 or newer. Install it, or name it: make PYTHON=/path/to/python3 up"
    exit 1
}

if ! [ -x "$venv/bin/python" ]; then
    python=$(find_python)
    say "Making $venv with $("$python" --version)."
    if command -v uv >/dev/null; then
        UV_PYTHON_DOWNLOADS=never uv venv --quiet --python "$python" "$venv"
    elif ! "$python" -m venv "$venv" >/dev/null 2>&1; then
        rm -rf "$venv"
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            say "This Python cannot make virtual environments yet: installing python3-venv."
            apt-get -q update >/dev/null
            DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends python3-venv >/dev/null 2>&1
            "$python" -m venv "$venv"
        else
            say "Error: this Python cannot make virtual environments. On Debian or Ubuntu: apt-get install python3-venv"
            exit 1
        fi
    fi
fi

with_uv() {
    command -v uv >/dev/null || return 1
    UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=$venv uv pip install --quiet --require-hashes -r "$requirements" &&
        VIRTUAL_ENV=$venv uv pip install --quiet --no-deps --no-build-isolation -e .
}
with_pip() {
    [ -x "$venv/bin/pip" ] || "$venv/bin/python" -m ensurepip --upgrade >/dev/null
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --require-hashes -r "$requirements" &&
        "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
}
say "Installing the packages of $requirements."
with_uv || with_pip
