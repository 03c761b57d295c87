"""Hosts without IPv6, netlink, an accessible device node, or writable files in /etc and /run."""

import errno
import os
import socket
import subprocess
import sys

import pytest

from lab import PORT, RELAY, until

# Refuses sockets of a family, as a kernel without it does or a service's sandbox, to the program that it becomes: a
# filter for seccomp(2), which needs no more than socket(2) on this machine's processor.
WITHOUT = """
import ctypes, os, platform, struct, sys
family, error, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
number = {"x86_64": 41, "aarch64": 198}[platform.machine()]
load, equal, result = 0x20, 0x15, 0x06
steps = [
    (load, 0, 0, 0), (equal, 0, 3, number), (load, 0, 0, 16), (equal, 0, 1, family),
    (result, 0, 0, 0x00050000 | error), (result, 0, 0, 0x7FFF0000),
]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)), 0, 0) == 0
os.execv(program[0], program)
"""


def without(family, error, *command):
    return (sys.executable, "-c", WITHOUT, int(family), int(error), *command)


def daemon(node, program, *options):
    return (node.lab.program(program), *options, "--socket", node.socket_path, "--state", node.state_path)


def test_a_relay_serves_ipv4_on_a_kernel_without_ipv6(flat):
    """By its default, and it says so; where IPv6 is asked for, it says what to write instead."""
    lab = flat(1)
    no_ipv6 = (socket.AF_INET6, errno.EAFNOSUPPORT)
    relay = lab.relay.start(
        *without(*no_ipv6, *daemon(lab.relay, "mnedcd", "--no-device", "--admission", "open")), name="mnedcd"
    )
    until(lambda: lab.relay.status() or not relay.is_running, "the relay answers")
    assert relay.is_running, relay.log
    assert lab.relay.status()["relay"]["listen"] == [f"0.0.0.0:{PORT}"]
    assert "the kernel of this host has no IPv6, so the relay listens for IPv4 alone" in relay.log
    invite = lab.relay.mnedc("mnedc-ctl", "invite", "--json").stdout
    assert f"{RELAY}:{PORT}" in invite
    lab.start_device("d1")
    relay.stop()
    for place in ("[::]", "[::1]:4444"):
        explicit = lab.relay.start(
            *without(*no_ipv6, *daemon(lab.relay, "mnedcd", "--no-device", "--listen", place)), name="mnedcd"
        )
        assert explicit.wait() == 73
        port = place.partition("]:")[2] or PORT
        assert f"the kernel of this host has no IPv6; write 0.0.0.0:{port}, or another IPv4 address" in explicit.log
    config = lab.directory / "metrics.yaml"
    config.write_text('metrics: {listen: "[::1]:9834"}\n')
    relay = lab.relay.start(
        *without(*no_ipv6, *daemon(lab.relay, "mnedcd", "--no-device", "--config", config)), name="mnedcd"
    )
    until(lambda: "cannot be given at [::1]:9834" in relay.log, "it goes on without")
    assert "the kernel of this host has no IPv6" in relay.log and lab.relay.status()


def test_a_device_joins_where_ipv6_is_switched_off(flat):
    """With IPv4 alone, and a line about it."""
    lab = flat(1)
    lab.start_relay()
    for name in ("all", "default"):
        lab["d1"].run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")
    device = lab.start_device("d1")
    lab["d1"].reaches(lab.relay.virtual_address(), 20)
    assert "has no IPv6 address" in device.log and device.is_running


@pytest.mark.parametrize("error", [errno.EPERM, errno.EAFNOSUPPORT], ids=errno.errorcode.get)
def test_without_netlink_the_message_says_who_forbids_it(flat, error):
    """A relay that is no device goes on; netcheck finds what joining would fail of."""
    lab = flat(1)
    forbidden = (socket.AF_NETLINK, error)
    relay = lab.relay.start(*without(*forbidden, *daemon(lab.relay, "mnedcd")), name="mnedcd")
    assert relay.wait() == 71 and "RestrictAddressFamilies=" in relay.log and "seccomp" in relay.log
    relay = lab.relay.start(
        *without(*forbidden, *daemon(lab.relay, "mnedcd", "--no-device", "--admission", "open")), name="mnedcd"
    )
    until(lambda: lab.relay.status() or not relay.is_running, "the relay answers")
    device = lab["d1"].start(
        *without(*forbidden, *daemon(lab["d1"], "mnedc-join", "--server", RELAY)), name="mnedc-join"
    )
    assert device.wait() == 71 and "RestrictAddressFamilies=" in device.log
    ctl = lab.program("mnedc-ctl")
    checked = lab["d1"].run(*without(*forbidden, ctl, "netcheck", RELAY, "--config", "/dev/null"), check=False)
    assert checked.returncode == 69 and "AF_NETLINK" in checked.stdout and "joining should work" not in checked.stdout


@pytest.fixture
def own_device_nodes(flat):
    """A lab of one device, and what runs a command there with a /dev/net of its own."""
    lab = flat(1)
    script = "mount --make-rprivate / && mount -t tmpfs tmpfs /dev/net && touch /dev/net/ready && exec sleep infinity"
    holder = lab["d1"].start("unshare", "--mount", "sh", "-c", script, name="holder")
    place = f"/proc/{holder.pid}/root/dev/net"
    until(lambda: os.path.exists(f"{place}/ready") or not holder.is_running, "it has a directory of its own")
    if not holder.is_running:
        pytest.skip(f"no directory of its own can be had: {holder.log.strip()}")
    inside = ("nsenter", f"--mount=/proc/{holder.pid}/ns/mnt")
    return lab, lab["d1"], inside, place


def test_a_device_node_that_may_not_be_opened_is_told_from_a_missing_right(own_device_nodes):
    """With its mode, its owner, who this process is, and what to run; the rights of the unit do not help there."""
    lab, node, inside, place = own_device_nodes
    lab.start_relay("--no-device")
    rights = "+net_admin,+net_bind_service"
    nobody = (
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={rights}",
        f"--ambient-caps={rights}",
    )  # fmt: skip
    state = lab.directory / "nobody"
    state.mkdir()
    os.chown(state, 65534, 65534)

    def join(*user):
        options = ("--server", RELAY, "--device-id", "d1", "--socket", state / "socket", "--state", state / "state")
        return node.start(
            *inside, *user, lab.program("mnedc-join"), *options, "--config", "/dev/null", name="mnedc-join"
        )

    missing = join(*nobody)
    assert missing.wait() == 71 and "there is no /dev/net/tun; load the driver" in missing.log
    node.run(*inside, "mknod", "-m", "600", "/dev/net/tun", "c", "10", "200")
    closed = join(*nobody)
    assert closed.wait() == 77 and "CAP_NET_ADMIN (" not in closed.log
    assert (
        "opening /dev/net/tun: Permission denied (its mode is 0600, its owner root, and this process is user "
        in closed.log
    )
    assert "run chmod 0666 /dev/net/tun" in closed.log
    node.run(*inside, "chmod", "666", "/dev/net/tun")
    if subprocess.run([*inside, "mount", "-o", "remount,nodev", "/dev/net"], capture_output=True).returncode == 0:
        unusable = join(*nobody)
        assert unusable.wait() == 77 and "nodev" in unusable.log
        node.run(*inside, "mount", "-o", "remount,dev", "/dev/net")
    device = join(*nobody)
    until(lambda: node.virtual_address() or not device.is_running, "it joins", 20)
    assert device.is_running, device.log


def test_daemons_run_without_files_in_run_and_with_an_etc_that_cannot_be_written(flat):
    """No /run/mnedc, no machine ID, no resolv.conf, no `ip` in the path: the relay and the device work; names need
    more.
    """
    lab = flat(1)
    node = lab["d1"]
    lab.start_relay("--no-device")
    etc = lab.directory / "etc"
    etc.mkdir()
    for name in ("passwd", "group"):
        (etc / name).write_bytes(open(f"/etc/{name}", "rb").read())
    (etc / "hosts").write_text("127.0.0.1 localhost\n")
    script = (
        "mount --make-rprivate / && mount --bind $1 /etc && mount -o remount,ro,bind /etc && mount -t tmpfs tmpfs /run"
        ' && mount -t tmpfs tmpfs /var/lib && shift && PATH=/nowhere exec "$@"'
    )
    device = node.start(
        "unshare", "--mount", "sh", "-c", script, "sh", etc, lab.program("mnedc-join"), "--server", RELAY,
        "--device-id", "d1",
        name="mnedc-join",
    )  # fmt: skip
    until(lambda: node.virtual_address() or not device.is_running, "it joins", 20)
    assert device.is_running, device.log
    until(lambda: "Read-only file system" in device.log, "it says why names do not resolve")
    inside = ("nsenter", f"--mount=/proc/{device.pid}/ns/mnt")
    status = node.run(*inside, lab.program("mnedc-ctl"), "status").stdout
    assert node.virtual_address() in status
    device.stop()
    unnamed = node.start(
        "unshare",
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
        etc,
        lab.program("mnedc-join"),
        "--server",
        RELAY,
        name="mnedc-join",
    )
    assert unnamed.wait() == 78 and "device-id" in unnamed.log and "machine-id" in unnamed.log, unnamed.log
