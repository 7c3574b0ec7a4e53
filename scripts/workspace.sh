# Sourced by the scripts beside it: Debian packages, the wheels of the workspace, virtual environments.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export DEBIAN_FRONTEND=noninteractive
# Set, it would leave an installation without bytecode: every start of a command would compile its modules again.
unset PYTHONDONTWRITEBYTECODE
# The distribution's interpreter: one that the PATH finds may be a wrapper script, which costs every start of `pouch`.
python=/usr/bin/python3
packages=(hookspecs linux sdk core plugins/*/)
# shellcheck disable=SC2034  # the scripts that source this use it
# What a user needs: the runtime and its monitor, a static busybox to make an image of, libarchive to unpack layers.
runtime_packages=(runc conmon busybox-static libarchive13 python3-venv ca-certificates)

step() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
fail() { step "$*"; exit 1; }

# quietly MESSAGE COMMAND…: run it; only if it fails show what it printed, then MESSAGE.
quietly() {
    local message=$1 output
    shift
    output=$("$@" 2>&1) || { printf '%s\n' "$output" | tail -n 30 >&2; fail "$message"; }
}

require_debian_root() {
    if [[ ! -e /etc/debian_version ]] || ! command -v apt-get > /dev/null; then
        fail "this needs Debian 12 or a system like it, with apt-get"
    fi
    [[ $EUID == 0 ]] || fail "this needs root, because containers do: run it with sudo"
}

# A package counts as there, too, when its command came from elsewhere (runc out of another vendor's package).
debian_has() {
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null) == installed ]] || command -v "$1" > /dev/null
}

# install_debian PACKAGE…: only what is missing; never at the price of a package that is there, and starting no service.
install_debian() {
    local package missing=() policy=/usr/sbin/policy-rc.d our_policy=
    for package; do debian_has "$package" || missing+=("$package"); done
    [[ ${#missing[@]} -gt 0 ]] || return 0
    step "installing Debian packages: ${missing[*]}"
    quietly "apt-get update failed: is there a network, and are the package sources right?" apt-get update -q
    if [[ ! -e $policy ]]; then
        our_policy=$policy
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod 755 "$policy"
    fi
    quietly "apt-get could not install ${missing[*]} (did it reach the package sources?)" \
        apt-get install -qy --no-install-recommends --no-remove "${missing[@]}"
    if [[ $our_policy ]]; then
        rm -f "$our_policy"
        trap - EXIT
    fi
}

require_python() {
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$python is $("$python" --version); Pouch needs Python 3.11 or later"
}

# fingerprint FILE…: one digest of names and contents.
fingerprint() { sha256sum -- "$@" | sha256sum | cut -d ' ' -f 1; }

# Whatever decides what is in the wheels, and what they depend on.
wheel_sources() { find "${packages[@]}" -type f -not -path '*/.*' -not -path '*/tests/*' -not -name '*.py[co]' | LC_ALL=C sort; }

# make_venv DIR: an empty virtual environment, in the place of one that is ours; a foreign directory is left alone.
make_venv() {
    [[ ! -e $1 || -e $1/made-by-pouch ]] || fail "$1 is there and was not made by Pouch's scripts: move it away"
    rm -rf "$1"
    mkdir -p "$1"
    touch "$1/made-by-pouch"
    quietly "$python could not make a virtual environment in $1" "$python" -m venv "$1"
}

# build_wheels PYTHON FINGERPRINT: all packages into dist/, unless it is of that fingerprint. hatchling is fetched once
# and kept out of every environment.
build_wheels() {
    local hatchling=$root/build/hatchling package
    [[ $(cat dist/fingerprint 2> /dev/null) != "$2" ]] || return 0
    step "building the wheels"
    if [[ ! -e $hatchling/complete ]]; then
        rm -rf "$hatchling"
        quietly "pip could not fetch hatchling, which builds the wheels" \
            "$1" -m pip install --quiet --target "$hatchling" 'hatchling>=1.26'
        touch "$hatchling/complete"
    fi
    rm -rf dist
    for package in "${packages[@]}"; do
        (cd "$package" && quietly "the wheel of $package could not be built" \
            env PYTHONPATH="$hatchling" "$1" -m hatchling build -t wheel -d "$root/dist")
    done
    printf '%s\n' "$2" > dist/fingerprint
}

# install_wheels VENV REQUIREMENT…: bring dist/ and VENV to the state of the tree: every wheel, and the requirements.
# Nothing is done where nothing changed; wheels_changed says whether something did. Two of us wait for each other.
# shellcheck disable=SC2034  # quickstart reads it
wheels_changed=
install_wheels() {
    local venv=$1 sources wheels dependencies lock
    shift
    mkdir -p build
    exec {lock}> build/lock
    flock "$lock"
    mapfile -t sources < <(wheel_sources)
    wheels=$(fingerprint "${sources[@]}")
    dependencies=$(printf '%s\n' "$@" "$("$python" --version)" |
        fingerprint - {hookspecs,linux,sdk,core,plugins/*}/pyproject.toml)
    if [[ $(cat "$venv/dependencies" 2> /dev/null) != "$dependencies" ]]; then
        step "making a virtual environment in ${venv#"$root"/}"
        make_venv "$venv"
    fi
    build_wheels "$venv/bin/python" "$wheels"
    if [[ ! -e $venv/dependencies ]]; then
        step "installing the wheels and what they need"
        # shellcheck disable=SC2034  # quickstart reads it
        wheels_changed=yes
        quietly "pip could not install the wheels" "$venv/bin/pip" install --quiet --compile dist/*.whl "$@"
        printf '%s\n' "$dependencies" > "$venv/dependencies"
    elif [[ $(cat "$venv/wheels") != "$wheels" ]]; then
        step "installing the wheels"
        # shellcheck disable=SC2034  # quickstart reads it
        wheels_changed=yes
        : > "$venv/wheels"
        quietly "pip could not install the wheels" \
            "$venv/bin/pip" install --quiet --compile --no-deps --force-reinstall dist/*.whl
    fi
    printf '%s\n' "$wheels" > "$venv/wheels"
    exec {lock}>&-
}
