#!/bin/bash
#
# requirements.sh GOAL: what a goal of the Makefile needs from Debian and PyPI, installed where that is possible.
#
# As root it installs what is missing with apt-get; else it prints the command that would. What only PyPI has goes to
# .build/python, for the tests alone.

set -euo pipefail

cd "$(dirname "$0")/.."
packages=()
# What the tests import beyond Debian's packages (Debian's python3-noise is something else), and what runs them in parallel,
# with any pytest.
from_pypi=(noiseprotocol==0.3.1 ansible-core==2.19.14 jsonschema==4.26.0 prometheus-client==0.21.1)
for_pytest=(pytest-xdist==3.8.0 execnet==2.1.1)

need() {
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || packages+=("$package")
}

# Sorts after the administrator's programs, which are not in every user's PATH.
PATH=$PATH:/usr/sbin:/sbin

# As in the Makefile.
tests_python() { python3 -c 'import pytest' 2>/dev/null && echo python3 || echo /usr/bin/python3; }

have_from_pypi() {
  PYTHONPATH=.build/python "$(tests_python)" -c \
    'import ansible.release, jsonschema, noise.connection, prometheus_client, xdist'
}

# Only unpacked, since installing them would start services or change how this host resolves names. A package and a file
# of it.
unpacked=(
  systemd-resolved lib/systemd/systemd-resolved
  network-manager usr/sbin/NetworkManager
  libnm0 usr/lib/*/libnm.so.0
  libndp0 usr/lib/*/libndp.so.0
  libteamdctl0 usr/lib/*/libteamdctl.so.0
  mosquitto usr/sbin/mosquitto
  mosquitto-clients usr/bin/mosquitto_pub
  libmosquitto1 usr/lib/*/libmosquitto.so.1
  libdlt2 usr/lib/*/libdlt.so.2
  libcjson1 usr/lib/*/libcjson.so.1
  # For its promtool.
  prometheus usr/bin/promtool
  # For their JSON schemas.
  cloud-init usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json
  docker-compose usr/lib/python3/dist-packages/compose/config/compose_spec.json
)

unpack() {
  local place
  for ((place = 0; place < ${#unpacked[@]}; place += 2)); do
    # Where it is installed, that one is taken.
    compgen -G "/${unpacked[place + 1]}" >/dev/null || compgen -G ".build/debian/${unpacked[place + 1]}" >/dev/null ||
      unpack_one "${unpacked[place]}" "$1"
  done
}

unpack_one() {
  echo "Unpacking $1 for '$2'" >&2
  mkdir -p .build/debian
  # Without it, its test says that it is left out.
  (cd .build/debian && rm -f "$1"_*.deb && apt-get download "$1" && dpkg -x "$1"_*.deb .) >&2 ||
    echo "requirements: $1 cannot be had; its test is left out" >&2
}

have_pytest() { python3 -c 'import pytest' || /usr/bin/python3 -c 'import pytest'; }

for_build() {
  if ! command -v swift >/dev/null; then
    echo "requirements: no 'swift' in PATH; MNEDC builds with Swift 6.2 or newer, see" \
      "https://www.swift.org/install/linux/" >&2
    exit 69
  fi
  need git command -v git
  need pkg-config command -v pkg-config
  need libyaml-dev pkg-config --exists yaml-0.1
  need libsqlite3-dev pkg-config --exists sqlite3
}

for_lab() {
  need iproute2 command -v ip
  need nftables command -v nft
  need iputils-ping command -v ping
  need iperf3 command -v iperf3
  need curl command -v curl
  need python3 command -v python3
}

for_package() {
  need binutils command -v strip
  need debhelper command -v dh
  need dpkg-dev command -v dpkg-buildpackage
  need fakeroot command -v fakeroot
}

case ${1:-} in
  build) for_build ;;
  deb)
    for_build
    for_package
    ;;
  demo)
    for_build
    for_lab
    ;;
  bench)
    for_build
    for_lab
    need socat command -v socat
    need ethtool command -v ethtool
    need binutils command -v strip
    ;;
  check)
    for_build
    for_lab
    for_package
    need lintian command -v lintian
    need mmdebstrap command -v mmdebstrap
    need socat command -v socat
    need bind9-dnsutils command -v dig
    need dbus-daemon command -v dbus-daemon
    need jq command -v jq
    need ethtool command -v ethtool
    need mandoc command -v mandoc
    need zsh command -v zsh
    need fish command -v fish
    need shellcheck command -v shellcheck
    need systemd command -v systemd-analyze
    need python3-pytest have_pytest
    have_from_pypi 2>/dev/null || need python3-pip "$(tests_python)" -m pip --version
    ;;
  *)
    echo "usage: requirements.sh build|demo|deb|bench|check" >&2
    exit 64
    ;;
esac

install_packages() {
  local install="apt-get install --yes --no-install-recommends ${packages[*]}"
  if ! command -v apt-get >/dev/null; then
    echo "requirements: '$1' needs what Debian calls: ${packages[*]}; there is no apt-get here to install it" >&2
    exit 69
  fi
  if [[ $(id -u) != 0 ]]; then
    echo "requirements: '$1' needs more packages; install them with: sudo $install" >&2
    exit 69
  fi
  echo "Installing for '$1': ${packages[*]}" >&2
  export DEBIAN_FRONTEND=noninteractive
  if ! { $install || { apt-get update && $install; }; } >&2; then
    echo "requirements: apt-get could not install: ${packages[*]}" >&2
    exit 69
  fi
}

install_from_pypi() {
  local pip=("$(tests_python)" -m pip install --quiet --root-user-action=ignore --target .build/python)
  echo "Installing for '$1': ${from_pypi[*]} ${for_pytest[*]}" >&2
  if ! { "${pip[@]}" "${from_pypi[@]}" && "${pip[@]}" --no-deps "${for_pytest[@]}"; } >&2; then
    echo "requirements: pip could not install: ${from_pypi[*]} ${for_pytest[*]}" >&2
    exit 69
  fi
}

((${#packages[@]} == 0)) || install_packages "$1"
[[ $1 != check ]] || have_from_pypi 2>/dev/null || install_from_pypi "$1"
[[ $1 != check ]] || unpack "$1"
