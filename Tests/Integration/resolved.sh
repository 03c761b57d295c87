#!/bin/bash
#
# resolved.sh RESOLVED RESOLVECTL NAMES COMMAND...: runs a D-Bus and systemd-resolved of its own, then COMMAND, which joins a network,
# and once resolved has been told of the interface mnedc0, what resolvectl answers for each of the NAMES (with commas between
# them). To be run in namespaces of its own for mounts and network.

set -euo pipefail

resolved=$1 resolvectl=$2 names=$3
shift 3

mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/dbus /run/systemd/resolve /run/systemd/netif /run/tools
# The user that it becomes, which only its package makes.
for file in passwd group; do
  cp "/etc/$file" "/run/$file"
done
grep -q '^systemd-resolve:' /etc/passwd || echo 'systemd-resolve:x:987:987::/:/usr/sbin/nologin' >>/run/passwd
grep -q '^systemd-resolve:' /etc/group || echo 'systemd-resolve:x:987:' >>/run/group
for file in passwd group; do
  mount --bind "/run/$file" "/etc/$file"
done
chown systemd-resolve:systemd-resolve /run/systemd/resolve
ln -s "$resolvectl" /run/tools/resolvectl
export PATH=/run/tools:$PATH

cat >/run/bus.conf <<'CONFIG'
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
</busconfig>
CONFIG

running=()
end() {
  for process in "${running[@]}"; do kill "$process" 2>/dev/null || true; done
  wait
}
trap end EXIT

# Waits until a command succeeds, half a minute at most.
until_works() {
  for _ in {1..300}; do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  echo "in vain: $*" >&2
  exit 1
}

dbus-daemon --config-file=/run/bus.conf --nofork >&2 &
running+=($!)
until_works test -S /run/dbus/system_bus_socket
"$resolved" >&2 &
running+=($!)
until_works resolvectl status

"$@" >&2 &
device=$!
running+=("$device")
told() { resolvectl domain mnedc0 | grep -q '~mnedc'; }
until_works told
for name in ${names//,/ }; do
  echo "$name: $(resolvectl --legend=no query "$name" 2>&1 | tr -s ' \n' ' ')"
done
kill "$device"
wait "$device"
if resolvectl domain mnedc0 >/dev/null 2>&1; then echo "still there"; else echo "gone"; fi
