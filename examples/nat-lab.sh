#!/bin/bash
#
# nat-lab.sh: devices under several levels of NAT, in network namespaces of this machine.
#
# The lab changes nothing outside its namespaces: every link is inside them, and `down` removes all.

set -euo pipefail

prefix=${NAT_LAB_PREFIX:-mnedc-}
state=/run/mnedc-lab
here=$(cd "$(dirname "$0")" && pwd)
nodes=(main relay top r1 mid r2 r3 deep)
# What `add` has added to this lab, a line each: NAME ROUTER ADDRESS.
added=$state/${prefix}added
if [[ -f $added ]]; then
  while read -r node _; do nodes+=("$node"); done <"$added"
fi

bold='' dim='' green='' plain=''
[[ ! -t 1 || -n ${NO_COLOR:-} ]] || bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' plain=$'\e[0m'

fail() {
  echo "nat-lab: $1" >&2
  exit "${2:-1}"
}

picture() {
  cat <<END
    main LAN 192.168.50.0/24, main router ${bold}main${plain} .1
    ─┬─ ${bold}relay${plain}   192.168.50.10
     ├─ ${bold}top${plain}     192.168.50.20
     ├─ ${bold}r1${plain}      192.168.50.61  NAT ── 192.168.60.0/24 ── ${bold}mid${plain}  192.168.60.20
     └─ ${bold}r2${plain}      192.168.50.71  NAT ── 192.168.70.0/24
                                  └─ ${bold}r3${plain}  192.168.70.81  NAT ── 192.168.80.0/24 ── ${bold}deep${plain} 192.168.80.20
END
}

usage() {
  cat <<END
usage: nat-lab.sh COMMAND

$(picture)

A router forwards connections of its own side and drops those from above, as a home router does.

  up                  make it
  add NAME ROUTER     one more host under main, r1, r2 or r3
  down                end what runs in it and remove it; works on what is left of a half-made one
  status              what is up, and what runs where (also: list)
  shell NAME          a shell on NAME
  exec NAME CMD…      run a command on NAME; CMD keeps this process's id
  limit NAME RATE     limit the link above NAME both ways, such as 20mbit; 'off' lifts it
  loss NAME PERCENT   lose packets at random on the link above NAME, both ways; 'off' ends it
  publish NAME PORT   forward TCP and UDP PORT of the routers above NAME down to it
  open                plain routes between mid's and deep's networks, past NAT and filters, to compare with
  close               no such routes any more, and nothing published
  help                this text

On a node, /etc, /run/mnedc and the state directories are the node's own, and .build/release (or \$BUILD) comes first in PATH,
and the names of its peers resolve (NAME.mnedc) once it has joined. So this is a whole network:

  nat-lab.sh up
  nat-lab.sh exec relay mnedcd &
  invite=\$(nat-lab.sh exec relay mnedc-ctl invite --uses 2)
  nat-lab.sh exec mid  mnedc-join --device-id mid --background "\$invite"
  nat-lab.sh exec deep mnedc-join --device-id deep --background "\$invite"
  nat-lab.sh exec deep mnedc-peers
  nat-lab.sh exec deep ping -c 3 mid.mnedc
  nat-lab.sh down

NAT_LAB_PREFIX (now '$prefix') starts the namespaces' names; with another one, several labs live side by side.
END
}

# --- What a node is -----------------------------------------------------------------------------------------------

is_node() {
  local node
  for node in "${nodes[@]}"; do [[ $node == "$1" ]] && return; done
  return 1
}

need_node() {
  [[ -n ${1:-} ]] || fail "which node? one of: ${nodes[*]}" 64
  is_node "$1" || fail "no node '$1'; there are: ${nodes[*]}" 64
  exists "$1" || fail "$1 is not there; 'nat-lab.sh up' makes the lab" 69
}

exists() { [[ -e /run/netns/$prefix$1 ]]; }

# The node and interface at the upper end of the link above NAME.
above() {
  case $1 in
    relay) echo main to-relay ;;
    top) echo main to-top ;;
    r1) echo main to-r1 ;;
    r2) echo main to-r2 ;;
    mid) echo r1 lan0 ;;
    r3) echo r2 lan0 ;;
    deep) echo r3 lan0 ;;
    *)
      read -r _ router _ < <(grep "^$1 " "$added" 2>/dev/null) || fail "there is no link above $1" 64
      if [[ $router == main ]]; then echo "main to-$1"; else echo "$router lan-$1"; fi
      ;;
  esac
}

# The interface at the lower end of the link above NAME.
uplink() {
  case $1 in r1 | r2 | r3) echo wan0 ;; *) echo eth0 ;; esac
}

address() {
  case $1 in
    main) echo 192.168.50.1 ;;
    relay) echo 192.168.50.10 ;;
    top) echo 192.168.50.20 ;;
    r1) echo 192.168.50.61 ;;
    mid) echo 192.168.60.20 ;;
    r2) echo 192.168.50.71 ;;
    r3) echo 192.168.70.81 ;;
    deep) echo 192.168.80.20 ;;
    *) awk -v node="$1" '$1 == node { print $3 }' "$added" ;;
  esac
}

on() {
  local node=$1
  shift
  ip netns exec "$prefix$node" "$@"
}

# --- Up -----------------------------------------------------------------------------------------------------------

check_tools() {
  [[ $(id -u) == 0 ]] || fail "making network namespaces needs root; try: sudo $0 $*" 77
  local missing=()
  command -v ip >/dev/null || missing+=(iproute2)
  command -v nft >/dev/null || missing+=(nftables)
  ((${#missing[@]} == 0)) || fail "missing tools; try: apt-get install ${missing[*]}" 69
}

# cable NODE ADDRESS/LENGTH: a cable from NODE up to what is above it, and the address of its lower end.
cable() {
  local node=$1 upper_node upper_end lower_end
  read -r upper_node upper_end < <(above "$node")
  lower_end=$(uplink "$node")
  ip link add "$lower_end" netns "$prefix$node" type veth peer name "$upper_end" netns "$prefix$upper_node"
  ip -n "$prefix$node" address add "$2" dev "$lower_end"
  ip -n "$prefix$node" link set "$lower_end" up
  ip -n "$prefix$upper_node" link set "$upper_end" up
  if [[ $upper_node == main ]]; then
    ip -n "${prefix}main" link set "$upper_end" master lan0
  fi
}

# gateway NODE ADDRESS/LENGTH: NODE's own side and forwarding.
gateway() {
  ip -n "$prefix$1" address add "$2" dev lan0
  on "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
}

# The home router: its own side goes out behind its address, answers come back, the rest is dropped.
nat() {
  on "$1" nft -f - <<'END'
table ip lab {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    ct status dnat accept
    ct state untracked accept
    iifname "lan*" oifname "wan0" accept
    iifname "lan*" oifname "lan*" accept
  }
  chain input {
    type filter hook input priority filter; policy drop;
    iifname { "lo", "lan*" } accept
    ct state established,related accept
  }
  chain published {
    type nat hook prerouting priority dstnat;
  }
  chain outgoing {
    type nat hook postrouting priority srcnat;
    oifname "wan0" masquerade
  }
}
END
}

# A node's /etc: the suite's files are its own, the rest are links to the machine's. It is a directory, since a single file that is
# mounted goes when another one is renamed over the machine's.
make_etc() {
  local etc=$1 path links=() others=()
  mkdir -p "$etc/.machine" "$etc/mnedc"
  printf '127.0.0.1 localhost\n::1 localhost\n' >"$etc/hosts"
  for path in /etc/* /etc/.[!.]*; do
    [[ " hosts resolv.conf mnedc netns " != *" ${path##*/} "* ]] || continue
    if [[ -L $path ]]; then links+=("$path"); elif [[ -e $path ]]; then others+=(".machine/${path##*/}"); fi
  done
  cp -fP -t "$etc" "${links[@]}"
  ln -sfn -t "$etc" "${others[@]}"
}

host() {
  ip netns add "$prefix$1"
  make_etc "$state/$prefix$1/etc"
  ip -n "$prefix$1" link set lo up
  # Pings from unprivileged users too, as on a usual host.
  on "$1" sh -c 'echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range' 2>/dev/null || true
}

up() {
  check_tools up
  local node
  for node in "${nodes[@]}"; do
    ! exists "$node" || fail "there is a lab '$prefix' already; 'nat-lab.sh down' removes it" 73
  done
  trap 'echo "nat-lab: could not make the lab, removing it" >&2; remove' EXIT
  trap 'exit 130' INT TERM HUP

  for node in "${nodes[@]}"; do host "$node"; done
  ip -n "${prefix}main" link add lan0 type bridge forward_delay 0 mcast_snooping 0
  ip -n "${prefix}main" link set lan0 up
  # A switch does not filter.
  on main sh -c 'echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables' 2>/dev/null || true
  gateway main 192.168.50.1/24

  cable relay 192.168.50.10/24
  cable top 192.168.50.20/24
  cable r1 192.168.50.61/24
  cable r2 192.168.50.71/24
  cable mid 192.168.60.20/24
  gateway r1 192.168.60.1/24
  cable r3 192.168.70.81/24
  gateway r2 192.168.70.1/24
  cable deep 192.168.80.20/24
  gateway r3 192.168.80.1/24

  for node in relay top r1 r2; do ip -n "$prefix$node" route add default via 192.168.50.1; done
  ip -n "${prefix}mid" route add default via 192.168.60.1
  ip -n "${prefix}r3" route add default via 192.168.70.1
  ip -n "${prefix}deep" route add default via 192.168.80.1
  for node in r1 r2 r3; do nat "$node"; done
  trap - EXIT INT TERM HUP
}

# A host beside those that `up` makes: on main's switch, or at a port of its own of another router, which answers for it.
add() {
  local name=$1 router=$2 gateway number address upper_node upper_end
  [[ $name =~ ^[a-z][a-z0-9-]{0,9}[a-z0-9]$ ]] || fail "a name is 2 to 11 lower-case letters, digits and hyphens, not '$name'" 64
  ! is_node "$name" || fail "there is a node '$name' already" 64
  case $router in
    main) gateway=192.168.50.1 ;;
    r1) gateway=192.168.60.1 ;;
    r2) gateway=192.168.70.1 ;;
    r3) gateway=192.168.80.1 ;;
    *) fail "'$router' is no router; there are: main r1 r2 r3" 64 ;;
  esac
  need_node "$router"
  number=$((100 + ${#nodes[@]}))
  ((number < 200)) || fail "no room for more in this lab" 69
  address=${gateway%.1}.$number
  echo "$name $router $address" >>"$added"
  nodes+=("$name")
  host "$name"
  if [[ $router == main ]]; then
    cable "$name" "$address/24"
  else
    cable "$name" "$address/32"
    read -r upper_node upper_end < <(above "$name")
    ip -n "$prefix$upper_node" address add "$gateway/32" dev "$upper_end"
    ip -n "$prefix$upper_node" route add "$address/32" dev "$upper_end"
    on "$upper_node" sh -c 'echo 1 >/proc/sys/net/ipv4/conf/lan0/proxy_arp'
    ip -n "$prefix$name" route add "$gateway/32" dev eth0
  fi
  ip -n "$prefix$name" route add default via "$gateway"
  echo "$name is $address"
}

# --- Down ---------------------------------------------------------------------------------------------------------

# The processes in the lab, but not this script nor whoever called it.
processes() {
  local node pid own=" " ancestor=$$
  while ((ancestor > 1)); do
    own+="$ancestor "
    ancestor=$(awk '/^PPid:/ { print $2 }' "/proc/$ancestor/status" 2>/dev/null || echo 0)
  done
  for node in "${nodes[@]}"; do
    exists "$node" || continue
    for pid in $(ip netns pids "$prefix$node" 2>/dev/null); do
      [[ $own == *" $pid "* ]] || echo "$pid"
    done
  done
}

remove() {
  local node pids tries place
  mapfile -t pids < <(processes)
  if ((${#pids[@]})); then
    kill -TERM "${pids[@]}" 2>/dev/null || true
    kill -CONT "${pids[@]}" 2>/dev/null || true
    for ((tries = 0; tries < 40; tries++)); do
      mapfile -t pids < <(processes)
      ((${#pids[@]})) || break
      sleep 0.05
    done
    ((${#pids[@]} == 0)) || kill -KILL "${pids[@]}" 2>/dev/null || true
  fi
  for node in "${nodes[@]}"; do
    if exists "$node"; then ip netns delete "$prefix$node" 2>/dev/null || rm -f "/run/netns/$prefix$node"; fi
    # Only if nothing of the machine's is in it.
    [[ ! -d $state/$prefix$node/etc/.machine ]] || rmdir "$state/$prefix$node/etc/.machine" || continue
    rm -rf "${state:?}/$prefix$node"
  done
  rm -f "$added"
  # The last lab takes away the empty places that labs have made on this host to put their own over.
  if [[ -f $state/places && -z $(find "$state" -mindepth 1 -maxdepth 1 -type d) ]]; then
    while read -r place; do rmdir "$place" 2>/dev/null || true; done <"$state/places"
    rm -f "$state/places"
  fi
  rmdir "$state" 2>/dev/null || true
}

# --- Looking and playing --------------------------------------------------------------------------------------------

status() {
  local node pid virtual any=false
  for node in "${nodes[@]}"; do exists "$node" && any=true; done
  $any || { echo "no lab '$prefix'; 'nat-lab.sh up' makes one" && return 3; }
  picture
  echo
  for node in "${nodes[@]}"; do
    exists "$node" || { printf '  %-11s missing\n' "$node" && continue; }
    printf '  %s%-11s%s %-15s' "$bold" "$node" "$plain" "$(address "$node")"
    virtual=$(ip -n "$prefix$node" -4 -brief address show 2>/dev/null |
      awk '$1 !~ /^(lo|eth0|wan0|lan|to-)/ { sub("/.*", "", $3); printf " %s %s", $1, $3 }')
    printf '%s%s%s' "$green" "$virtual" "$plain"
    for pid in $(ip netns pids "$prefix$node" 2>/dev/null); do
      [[ $pid == "$$" ]] || printf ' %s%s[%s]%s' "$dim" "$(cat "/proc/$pid/comm" 2>/dev/null || echo gone)" "$pid" "$plain"
    done
    echo
  done
}

# Runs a command on a node in this process: its own /etc, /run/mnedc, state directories, host name and programs.
run_on() {
  local node=$1 build=${BUILD:-$here/../.build/release} place virtual
  shift
  [[ ! -d $build ]] || PATH=$(cd "$build" && pwd):$PATH
  mkdir -p "$state/$prefix$node/run"
  (umask 077 && mkdir -p "$state/$prefix$node/mnedcd" "$state/$prefix$node/mnedc-join")
  for place in /run/mnedc /var/lib/mnedcd /var/lib/mnedc-join; do
    [[ -d $place ]] || { mkdir -m 755 "$place" 2>/dev/null && echo "$place" >>"$state/places"; }
  done
  # There is no name server in the lab, and nobody is to wait for one, but a device answers for its peers' names.
  virtual=$(ip -n "$prefix$node" -4 -brief address show dev mnedc0 2>/dev/null | awk '{ sub("/.*", "", $3); print $3 }') || true
  echo "${virtual:+nameserver $virtual}" >"$state/$prefix$node/etc/resolv.conf"
  # shellcheck disable=SC2016 # for the inner shell
  exec ip netns exec "$prefix$node" unshare --uts sh -c '
    hostname "$1"
    mount --rbind /etc "$2/etc/.machine" && mount --rbind "$2/etc" /etc &&
    mount --bind "$2/mnedcd" /var/lib/mnedcd && mount --bind "$2/mnedc-join" /var/lib/mnedc-join &&
    mount --bind "$2/run" /run/mnedc && shift 2 && exec "$@"' sh "$node" "$state/$prefix$node" "$@"
}

limit() {
  local node=$1 rate=$2 upper_node upper_end
  above "$node" >/dev/null
  read -r upper_node upper_end < <(above "$node")
  if [[ $rate == off ]]; then
    on "$node" tc qdisc delete dev "$(uplink "$node")" root 2>/dev/null || true
    on "$upper_node" tc qdisc delete dev "$upper_end" root 2>/dev/null || true
    return
  fi
  on "$node" tc qdisc replace dev "$(uplink "$node")" root tbf rate "$rate" burst 32kb latency 200ms
  on "$upper_node" tc qdisc replace dev "$upper_end" root tbf rate "$rate" burst 32kb latency 200ms
}

loss() {
  local node=$1 percent=$2 link which=
  above "$node" >/dev/null
  link=$(uplink "$node")
  on "$node" nft delete table inet lab-loss 2>/dev/null || true
  [[ $percent != off ]] || return 0
  [[ $percent =~ ^([0-9]|[1-9][0-9]|100)$ ]] || fail "loss is a whole percentage, 0 to 100, or 'off'" 64
  ((percent == 100)) || which="numgen random mod 100 < $percent"
  on "$node" nft -f - <<END
table inet lab-loss {
  chain in {
    type filter hook prerouting priority raw;
    iifname "$link" $which counter drop
  }
  chain out {
    type filter hook postrouting priority 300;
    oifname "$link" $which counter drop
  }
}
END
}

publish() {
  local node=$1 port=$2 router target
  [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || fail "a port is 1 to 65535" 64
  read -r router _ < <(above "$node")
  [[ $router != main ]] || fail "$node is in the main LAN; there is nothing to forward" 64
  target=$node
  while [[ $router != main ]]; do
    for protocol in tcp udp; do
      on "$router" nft add rule ip lab published iifname wan0 "$protocol" dport "$port" dnat to "$(address "$target")"
    done
    target=$router
    read -r router _ < <(above "$router")
  done
  echo "$(address "$target"):$port is now $node's port $port"
}

# Routes between the networks under the routers, past NAT and its bookkeeping; whatever else there is stays as it was.
open_up() {
  local router
  for router in r1 r2 r3; do
    on "$router" nft -f - <<'END'
table ip lab-open
delete table ip lab-open
table ip lab-open {
  chain past-nat {
    type filter hook prerouting priority raw;
    ip saddr { 192.168.60.0/24, 192.168.70.0/24, 192.168.80.0/24 } ip daddr { 192.168.60.0/24, 192.168.70.0/24, 192.168.80.0/24 } notrack
  }
}
END
  done
  ip -n "${prefix}r1" route replace 192.168.70.0/24 via 192.168.50.71
  ip -n "${prefix}r1" route replace 192.168.80.0/24 via 192.168.50.71
  ip -n "${prefix}r2" route replace 192.168.60.0/24 via 192.168.50.61
  ip -n "${prefix}r2" route replace 192.168.80.0/24 via 192.168.70.81
}

close_again() {
  local router
  for router in r1:70 r1:80 r2:60 r2:80; do
    ip -n "$prefix${router%:*}" route delete "192.168.${router#*:}.0/24" 2>/dev/null || true
  done
  for router in r1 r2 r3; do
    on "$router" nft delete table ip lab-open 2>/dev/null || true
    on "$router" nft flush chain ip lab published
  done
}

command=${1:-help}
(($# == 0)) || shift
case $command in
  help | -h | --help) usage ;;
  up)
    up
    picture
    printf '\n%s\n' "The lab is up. Next: nat-lab.sh shell deep, nat-lab.sh help, nat-lab.sh down"
    ;;
  down)
    check_tools down
    remove
    ;;
  status | list)
    check_tools "$command"
    status
    ;;
  shell)
    check_tools shell
    need_node "${1:-}"
    export PS1="[$1] \\w \\\$ "
    run_on "$1" bash --norc
    ;;
  exec)
    check_tools exec
    need_node "${1:-}"
    (($# > 1)) || fail "which command? nat-lab.sh exec $1 CMD…" 64
    run_on "$@"
    ;;
  add)
    check_tools add
    (($# == 2)) || fail "add needs a name and a router; see 'nat-lab.sh help'" 64
    add "$@"
    ;;
  limit | loss | publish)
    check_tools "$command"
    need_node "${1:-}"
    (($# == 2)) || fail "$command needs a node and a value; see 'nat-lab.sh help'" 64
    "$command" "$@"
    ;;
  open | close)
    check_tools "$command"
    for node in "${nodes[@]}"; do need_node "$node"; done
    case $command in open) open_up ;; close) close_again ;; esac
    ;;
  *) fail "no command '$command'; see 'nat-lab.sh help'" 64 ;;
esac
