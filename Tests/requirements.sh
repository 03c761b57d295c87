#!/bin/bash
#
# requirements.sh GOAL: what a goal of the Makefile needs from Debian, installed where that is possible.
#
# As root it installs what is missing with apt-get; else it prints the command that would.

set -euo pipefail

packages=()

need() {
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || packages+=("$package")
}

# Sorts after the administrator's programs, which are not in every user's PATH.
PATH=$PATH:/usr/sbin:/sbin

have_pytest() { python3 -c 'import pytest' || /usr/bin/python3 -c 'import pytest'; }

for_build() {
  if ! command -v swift >/dev/null; then
    echo "requirements: no 'swift' in PATH; MNEDC builds with Swift 6.2 or newer, see https://www.swift.org/install/linux/" >&2
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

case ${1:-} in
  build) for_build ;;
  demo)
    for_build
    for_lab
    ;;
  bench)
    for_build
    for_lab
    need socat command -v socat
    need binutils command -v strip
    ;;
  check)
    for_build
    for_lab
    need socat command -v socat
    need mandoc command -v mandoc
    need shellcheck command -v shellcheck
    need python3-pytest have_pytest
    ;;
  *)
    echo "usage: requirements.sh build|demo|bench|check" >&2
    exit 64
    ;;
esac

((${#packages[@]} > 0)) || exit 0

install="apt-get install --yes --no-install-recommends ${packages[*]}"
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
