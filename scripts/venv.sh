#!/bin/sh
# Make .venv with the pinned versions of constraints.txt: all that `make` needs of a machine
# is a Python 3.11 or newer. Safe to interrupt and to run again: .venv/installed is written
# last, and whatever is found without it is completed or made anew.
set -eu
cd -P "$(dirname "$0")/.."
venv="$PWD/.venv"

fail() {
    echo "stock_platform: $1" >&2
    exit 1
}

# A name on PATH can be a version manager's stub that fails, so each one is really run.
runs() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (4, 0))' >/dev/null 2>&1
}

find_python() {
    for name in ${PYTHON:-python3.13 python3.12 python3.11 python3.14 python3 python}; do
        (
            IFS=:
            for folder in $PATH; do
                IFS=' '
                [ ! -x "$folder/$name" ] || echo "$folder/$name"
            done
        )
        case $name in */*) echo "$name" ;; esac
    done | while IFS= read -r candidate; do
        if runs "$candidate"; then
            echo "$candidate"
            break
        fi
    done
}

# The venv's own Python works, and belongs to this folder (it may have been moved or copied).
venv_works() {
    [ -x "$venv/bin/python" ] && runs "$venv/bin/python" && grep -qsF "$venv" "$venv/bin/activate"
}

has_pip() {
    "$venv/bin/python" -m pip --version >/dev/null 2>&1
}

make_venv() {
    python=$(find_python)
    [ -n "$python" ] || fail "Python 3.11 or newer is needed and none was found (set PYTHON=/path/to/python)"
    rm -rf "$venv"
    # Debian's python3 comes without ensurepip: borrow virtualenv's or pip's own installer.
    if "$python" -m venv "$venv" >/dev/null 2>&1 && has_pip; then return; fi
    rm -rf "$venv"
    if "$python" -m virtualenv --quiet "$venv" >/dev/null 2>&1 && has_pip; then return; fi
    rm -rf "$venv"
    if "$python" -m venv --without-pip "$venv" >/dev/null 2>&1 &&
        "$python" -m pip --python "$venv/bin/python" install --quiet pip >/dev/null 2>&1 &&
        has_pip; then return; fi
    rm -rf "$venv"
    fail "$python can make no virtual environment with pip: install its venv package (Debian: python3-venv) or virtualenv"
}

install() {
    "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check \
        --constraint constraints.txt "$@" >"$venv/install.log" 2>&1 || {
        tail -n 20 "$venv/install.log" >&2
        fail "the pinned packages could not be installed (whole log: $venv/install.log); run the same command again to continue"
    }
}

export PIP_ROOT_USER_ACTION=ignore
[ -w "$PWD" ] || fail "cannot write to $PWD, where .venv belongs"
venv_works && has_pip || make_venv
rm -f "$venv/installed"
echo "stock_platform: installing pinned packages into .venv (once; a minute or two) ..." >&2
install setuptools
install --no-build-isolation --editable '.[dev]'
echo "$PWD" >"$venv/installed"
