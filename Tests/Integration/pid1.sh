#!/bin/bash
#
# pid1.sh DIRECTORY PROGRAMS UNITS: systemd as the first process of a system that is this one's files, with PROGRAMS in
# /usr/local/sbin, UNITS in /etc/systemd/system, and a /run, /dev and /tmp of its own; nothing that it writes is there
# afterwards. DIRECTORY is an empty one. To be run as the first process in namespaces of its own for mounts, processes,
# control groups and the network.

set -euo pipefail

directory=$1 programs=$2 units=$3
root=$directory/root

mount --make-rprivate /
mount -t tmpfs tmpfs "$directory"
mkdir "$directory/upper" "$directory/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$directory/upper,workdir=$directory/work" overlay "$root"
install -D -t "$root/usr/local/sbin" "$programs"/mnedcd "$programs"/mnedc-join "$programs"/mnedc-ctl
install -m 644 -D -t "$root/etc/systemd/system" "$units"/*.service
# What runs here is for the test to say, not for this host's administrator.
printf '[Unit]\nDefaultDependencies=no\n' >"$root/etc/systemd/system/mnedc-test.target"
rm -rf "$root/etc/mnedc" "$root"/var/lib/mnedc*

mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for place in run dev tmp; do mount -t tmpfs -o mode=755 tmpfs "$root/$place"; done
chmod 1777 "$root/tmp"
mkdir "$root/dev/net" "$root/dev/shm" "$root/dev/pts"
make() { mknod -m 666 "$root/dev/$1" c "$2" "$3"; }
make null 1 3
make zero 1 5
make full 1 7
make random 1 8
make urandom 1 9
make tty 5 0
make net/tun 10 200
ln -s /proc/self/fd "$root/dev/fd"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"

cd "$root"
mkdir -p mnt
pivot_root . mnt
umount -l mnt
# As container managers and the kernel's first process have it; systemd mounts files in units by it.
mount --make-rshared /
exec env -i PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin container=mnedc-test \
  /lib/systemd/systemd --system --unit=mnedc-test.target --log-target=null
