#!/bin/bash
#
# resolved.sh RESOLVED RESOLVECTL: runs its own D-Bus and systemd-resolved until it is told to end, with RESOLVECTL in
# /run/tools. Once systemd-resolved answers, it prints `ready` and its process ID. Run it in its own namespaces for mounts
# and network.

set -euo pipefail

resolved=$1 resolvectl=$2

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
trap 'exit 0' TERM

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
resolved_process=$!
running+=("$resolved_process")
until_works resolvectl status

echo "ready $resolved_process"
wait "$resolved_process" || true
# Whoever has ended it still has this place.
sleep infinity &
running+=($!)
wait
