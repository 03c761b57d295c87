#!/bin/bash
#
# demo.sh: three devices under up to two levels of NAT, the relay between them, and real traffic.
#
#   demo.sh          build, show, clean up
#   demo.sh --keep   leave the lab and the programs running
#
# BUILD=DIRECTORY takes the programs from there instead of building them.

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
lab=$here/nat-lab.sh
keep=false
case ${1:-} in
  '') ;;
  --keep) keep=true ;;
  *)
    sed -n '3,8s/^# \{0,1\}//p' "$0"
    [[ $1 == --help || $1 == -h ]] && exit 0
    exit 64
    ;;
esac

# Beside a user's own lab, unless the user is to find this one.
$keep || export NAT_LAB_PREFIX=${NAT_LAB_PREFIX:-mnedc-demo-}

if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
  bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
  bold='' dim='' green='' red='' plain=''
fi

number=0
step() {
  : >"$work/out"
  ((number += 1))
  printf '\n%s%d. %s%s\n' "$bold" "$number" "$1" "$plain"
}
good() { printf '   %s✓%s %s\n' "$green" "$plain" "$1"; }
shown() { sed "s/^/   $dim│$plain /"; }

fail() {
  printf '   %s✗ %s%s\n' "$red" "$1" "$plain"
  [[ -s $work/out ]] && tail -n 20 "$work/out" | shown
  local log
  for log in "$work"/*.log; do
    [[ -s $log ]] || continue
    printf '\n   %slast lines of %s%s\n' "$bold" "$(basename "$log" .log)" "$plain"
    tail -n 15 "$log" | shown
  done
  exit 1
}

seconds() {
  local now=${EPOCHREALTIME/[.,]/}
  awk -v microseconds=$((now - begin)) 'BEGIN { printf "%.1f s", microseconds / 1e6 }'
}

on() { "$lab" exec "$@"; }

made=false
clean_up() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP
  # A signal may have come in the middle of a command whose output goes elsewhere.
  exec >&3
  if $made && ! { $keep && ((status == 0)); }; then
    local id
    for id in "${started[@]}"; do kill -TERM "$id" 2>/dev/null; done
    for id in "${started[@]}"; do wait "$id" 2>/dev/null; done
    "$lab" down
  fi
  if $keep && ((status == 0)); then
    echo
    echo "The lab is still up, the logs are in $work. To go on:"
    printf '   %s\n' "$lab shell deep" "$lab exec top mnedc-peers" "$lab down"
  else
    rm -rf "$work"
  fi
  echo
  if ((status == 0)); then
    printf '%sDone%s in %s.\n' "$green$bold" "$plain" "$(seconds)"
  else
    printf '%sFailed%s after %s.\n' "$red$bold" "$plain" "$(seconds)"
  fi
  exit "$status"
}

exec 3>&1
work=$(mktemp -d)
started=()
begin=${EPOCHREALTIME/[.,]/}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# --- Build and network --------------------------------------------------------------------------------------------

if [[ -z ${BUILD:-} ]]; then
  step "Build the programs"
  make --no-print-directory -C "$here/.." build || fail "the build failed"
  BUILD=$here/../.build/release
fi
BUILD=$(cd "$BUILD" 2>/dev/null && pwd) || fail "no directory for the programs: BUILD=$BUILD"
export BUILD
for program in mnedcd mnedc-join mnedc-peers mnedc-ctl; do
  [[ -x $BUILD/$program ]] || fail "$program is not in $BUILD"
done
$keep || begin_note=" (lab '$NAT_LAB_PREFIX')"

step "Make the network: routers with NAT that drop what comes from above${begin_note:-}"
"$lab" up >"$work/out" 2>&1 || fail "the lab did not come up"
made=true
sed '/^$/,$d' "$work/out"
: >"$work/out"

# --- What does not work without it -----------------------------------------------------------------------------------

step "Devices cannot reach each other"
unreachable() {
  if on "$1" ping -c 1 -W 1 "$3" >"$work/out" 2>&1; then
    fail "$1 reached $2 at $3; the lab does not separate them"
  fi
  good "$1 → $2 ($3): no way"
}
unreachable deep mid 192.168.60.20
unreachable mid deep 192.168.80.20
unreachable top deep 192.168.80.20

# --- The suite ----------------------------------------------------------------------------------------------------

step "Start the relay, invite the devices, and join them"
"$lab" exec relay mnedcd >"$work/mnedcd on relay.log" 2>&1 &
started+=($!)
relay=$!
for ((tries = 0; ; tries++)); do
  on relay mnedc-ctl status >"$work/out" 2>&1 && break
  kill -0 "$relay" 2>/dev/null || fail "mnedcd ended at once"
  ((tries < 100)) || fail "mnedcd does not answer mnedc-ctl"
  sleep 0.05
done
good "mnedcd on relay, 192.168.50.10:3334, key $(on relay mnedc-ctl key | awk '/^fingerprint/ { print $2 }')"

declare -A virtual
join() {
  local node=$1 from to invite
  invite=$(on relay mnedc-ctl invite --device-id "$node" 2>"$work/out") || fail "the relay makes no invite"
  good "mnedc-ctl invite --device-id $node: ${invite:0:20}…, ${#invite} characters"
  from=${EPOCHREALTIME/[.,]/}
  on "$node" mnedc-join --device-id "$node" --background "$invite" \
    >"$work/mnedc-join on $node.log" 2>&1 || fail "$node did not join"
  to=${EPOCHREALTIME/[.,]/}
  virtual[$node]=$(on "$node" ip -4 -brief address show dev mnedc0 2>"$work/out" | awk '{ sub("/.*", "", $3); print $3 }')
  [[ -n ${virtual[$node]} ]] || fail "$node has joined, but mnedc0 has no address"
  good "mnedc-join on $node: ${virtual[$node]} in $(((to - from) / 1000)) ms"
}
join top
join mid
join deep

step "Who is there: mnedc-peers on mid"
on mid mnedc-peers >"$work/out" 2>&1 || fail "mnedc-peers failed"
shown <"$work/out"

step "Who was let in, and by what: mnedc-ctl devices on relay"
on relay mnedc-ctl devices >"$work/out" 2>&1 || fail "mnedc-ctl devices failed"
cut -c -100 "$work/out" | shown

step "Without an invite, nobody gets in"
if on top mnedc-join --server 192.168.50.10:3334 --device-id stranger --interface stranger0 --state "$work/stranger" \
  --config /dev/null --socket /run/mnedc/stranger.sock --allow-overlap --background >"$work/out" 2>&1; then
  fail "a stranger joined"
fi
grep -q 'the relay does not let this device in' "$work/out" || fail "the stranger failed for another reason"
good "$(tail -n 1 "$work/out" | cut -c -100)…"

step "Ping by virtual address"
reachable() {
  on "$1" ping -c 5 -i 0.2 -W 2 "${virtual[$2]}" >"$work/out" 2>&1 || fail "$1 does not reach $2 at ${virtual[$2]}"
  good "$1 → $2 (${virtual[$2]}): $(awk -F '[/ ]' '/^rtt/ { print $8 " ms" }' "$work/out")"
}
reachable deep mid
reachable mid deep
reachable top deep
reachable deep top

step "Download a file of 64 MiB from deep to mid, check its SHA-256"
mkdir "$work/files"
head -c 64M /dev/urandom >"$work/files/file"
"$lab" exec deep python3 -m http.server --bind "${virtual[deep]}" --directory "$work/files" 8000 \
  >"$work/http server on deep.log" 2>&1 &
started+=($!)
on mid curl --silent --show-error --fail --max-time 60 --retry 50 --retry-delay 0 --retry-max-time 10 --retry-connrefused \
  --output "$work/received" --write-out '%{speed_download} %{time_total}' "http://${virtual[deep]}:8000/file" \
  >"$work/out" 2>"$work/curl on mid.log" || fail "the download failed"
sent=$(sha256sum <"$work/files/file")
received=$(sha256sum <"$work/received")
[[ $sent == "$received" ]] || fail "the file arrived changed"
good "http://${virtual[deep]}:8000/file: $(awk '{ printf "%.0f MiB/s", $1 / 1048576 }' "$work/out"), SHA-256 ${sent:0:16}… on both ends"
rm -f "$work/curl on mid.log" "$work/received"

step "One TCP stream, iperf3"
stream() {
  local from=$1 to=$2
  "$lab" exec "$to" iperf3 --server --one-off --bind "${virtual[$to]}" >"$work/iperf3 on $to.log" 2>&1 &
  started+=($!)
  for ((tries = 0; tries < 100; tries++)); do
    on "$to" ss -Hltn 'sport = 5201' 2>/dev/null | grep -q . && break
    sleep 0.05
  done
  on "$from" iperf3 --client "${virtual[$to]}" --time 3 --json >"$work/out" 2>&1 || fail "iperf3 from $from to $to failed"
  good "$from → $to: $(python3 -c 'import json, sys; print("%.2f Gbit/s" % (json.load(sys.stdin)["end"]["sum_received"]["bits_per_second"] / 1e9))' <"$work/out")"
}
stream mid deep
stream deep mid

step "A direct path: deep dials top, which is two routers above, and packets leave the relay out"
for ((tries = 0; tries < 200; tries++)); do
  on deep mnedc-peers show top >"$work/out" 2>&1 && grep -Eq '^path +tcp ' "$work/out" && break
  sleep 0.05
done
((tries < 200)) || fail "deep and top have no direct path"
good "mnedc-peers show top, on deep: $(grep -E '^path' "$work/out" | tr -s ' ')"
stream deep top
: >"$work/out"

$keep && exit 0
step "Stop everything"
for node in relay deep mid top; do
  socket=/run/mnedc/mnedc-join.sock
  [[ $node == relay ]] && socket=/run/mnedc/mnedcd.sock
  on "$node" mnedc-ctl stop --socket "$socket" >"$work/out" 2>&1 || fail "$node does not stop"
  for ((tries = 0; tries < 100; tries++)); do
    on "$node" ip link show dev mnedc0 >/dev/null 2>&1 || break
    sleep 0.05
  done
  ((tries < 100)) || fail "$node left its interface behind"
  if [[ $node == relay ]]; then
    good "relay stopped; deep and top do not need it:"
    reachable deep top
  fi
done
good "stopped; no interface is left"
