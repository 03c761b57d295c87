# shellcheck shell=bash
# Functions that shop/run.sh and mqtt-camera/run.sh source: a lab (nat-lab.sh) with further hosts, programs on them, and a line
# for each step that has worked.

set -euo pipefail

lab=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/nat-lab.sh
work=$(mktemp -d)
started=()
made=false

# Beside a user's own lab, and beside another one of the same example.
export NAT_LAB_PREFIX=${NAT_LAB_PREFIX:-mnedc-$$-}

step() { printf '\n%s\n' "$1"; }
good() { printf '   ✓ %s\n' "$1"; }
shown() { sed 's/^/   │ /'; }

fail() {
  printf '   ✗ %s\n' "$1" >&2
  for log in "$work"/*.log; do
    [[ -s $log ]] || continue
    printf '\n   last lines of %s\n' "$(basename "$log" .log)" >&2
    tail -n 15 "$log" | shown >&2
  done
  exit 1
}

clean_up() {
  local status=$? id
  trap - EXIT
  trap '' INT TERM HUP
  for id in "${started[@]}"; do kill -TERM "$id" 2>/dev/null || true; done
  for id in "${started[@]}"; do wait "$id" 2>/dev/null || true; done
  ! $made || "$lab" down
  rm -rf "$work"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# need PROGRAM PACKAGE: ends here unless there is that program.
need() {
  command -v "$1" >/dev/null || PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null || {
    echo "this example needs $1; try: $([[ $2 == mnedc ]] && echo make build || echo apt-get install "$2")" >&2
    exit 69
  }
}

# network: makes the lab.
network() {
  [[ -x ${BUILD:-$(dirname "$lab")/../.build/release}/mnedcd ]] || need mnedcd mnedc
  "$lab" up >"$work/nat-lab.log" || exit
  made=true
  "$lab" help | sed -n '/main LAN/,/deep/p' | shown
}

# add NAME ROUTER: one more host there.
add() {
  local line
  line=$("$lab" add "$@") || fail "there is no $1"
  good "$line"
}

# on HOST COMMAND…: runs it there, to its end.
on() { "$lab" exec "$@"; }

# start HOST COMMAND…: runs it there, until the end of this example.
start() {
  "$lab" exec "$@" >"$work/$(basename "$2") on $1.log" 2>&1 &
  started+=($!)
}

# eventually COMMAND…: tries it until it works, for 20 seconds; its last output is in $work/out.
eventually() {
  local end=$((SECONDS + 20))
  until "$@" >"$work/out" 2>"$work/error.log"; do
    ((SECONDS < end)) || fail "in vain for 20 seconds: $*"
    sleep 0.1
  done
  rm -f "$work/error.log"
}

# configure HOST FILE: copies a configuration there.
configure() { on "$1" install -m 644 "$2" /etc/mnedc/mnedc.yaml; }

# relay: starts the relay.
relay() {
  start relay mnedcd
  eventually on relay mnedc-ctl status
  good "mnedcd on relay"
}

# join HOST: makes an invite at the relay, and joins the host with it.
join() {
  local invite
  invite=$(on relay mnedc-ctl invite --device-id "$1") || fail "the relay makes no invite"
  on "$1" mnedc-join --device-id "$1" --background "$invite" >"$work/mnedc-join on $1.log" 2>&1 || fail "$1 did not join"
  good "$(tail -n 1 "$work/mnedc-join on $1.log")"
}
