"""Links, paths and hosts that break or pause: both ends detect it soon and recover."""

import os
import socket
import struct
import time

import pytest

from lab import PORT, RELAY, Failure, until
from test_failure import Stream

# So long that no echo tells of a change before the device has noticed it by itself.
SLOW = "relay:\n  keepalive: 60s\n  idle-keepalive: 10m\n"


def config(lab, text):
    """Options for a relay with this configuration."""
    path = lab.directory / "relay.yaml"
    path.write_text(text)
    return "--config", path


def cut(node, address=None):
    """Drops everything between the node and the LAN, or one address of it, without a word."""
    only = f"ip saddr {address} " if address else ""
    there = f"ip daddr {address} " if address else ""
    node.run(
        "nft",
        "add table inet cut; add chain inet cut out { type filter hook output priority 0; }; "
        "add chain inet cut in { type filter hook input priority 0; }; "
        f"add rule inet cut out oifname eth0 {there}drop; add rule inet cut in iifname eth0 {only}drop",
    )


def mend(node):
    node.run("nft", "delete table inet cut")


def device(node):
    return node.status()["device"]


def frames(node):
    """How many frames the device has received and sent in this session."""
    link = device(node)["link"]
    return link["received_frames"] + link["sent_frames"]


def is_back(node, joins, timeout=30):
    until(lambda: device(node)["joins"] >= joins and device(node)["state"] == "joined", f"{node.name} is back", timeout)


def sessions(lab):
    """{device ID: session} at the relay."""
    return {each["device_id"]: each for each in lab.relay.status()["relay"]["sessions"]}


def test_both_ends_find_a_cut_link_in_use_within_6_s(flat):
    """At the default keepalive, while data goes; and what has waited goes on once it is whole."""
    lab = flat(2)
    lab.start_all()
    a, b = lab["d1"], lab["d2"]
    stream = Stream(a, b)
    stream.goes_on()
    began = time.monotonic()
    cut(a)
    found = {}

    def look():
        if device(a)["state"] == "connecting":
            found.setdefault("device", time.monotonic() - began)
        if "d1" not in b.peers():
            found.setdefault("relay", time.monotonic() - began)
        return len(found) == 2

    until(look, "both ends find out", 30)
    # A second for the programs that look.
    assert max(found.values()) < 7, found
    mend(a)
    stream.goes_on()
    stream.finish()
    is_back(a, 2)
    assert sorted(sessions(lab)) == sorted(["d1", "d2", lab.relay.status()["device"]["device_id"]])


@pytest.mark.long
def test_an_idle_link_is_asked_less_and_less(flat):
    """From every keepalive to every idle keepalive, and at once again when data goes."""
    lab = flat(1)
    lab.start_relay(*config(lab, "relay:\n  keepalive: 500ms\n  idle-keepalive: 1500ms\n"))
    lab.start_device("d1")
    node = lab["d1"]

    def echoes(seconds):
        before, began = frames(node), time.monotonic()
        time.sleep(seconds)
        # A ping and a pong.
        return (frames(node) - before) / 2 / (time.monotonic() - began)

    assert echoes(3) > 1.2
    # The link is idle after 15 s, and asked once in 1.5 s then.
    until(lambda: echoes(4) < 0.9, "the echoes become rare", 60)
    assert device(node)["joins"] == 1

    node.reaches("10.0.0.1")
    assert echoes(3) > 1.2
    assert device(node)["joins"] == 1


def test_a_device_that_was_stopped_is_back_with_its_connections(flat):
    """As after a suspend: the relay has given it up meanwhile."""
    lab = flat(2)
    running = lab.start_all()
    a, b = lab["d1"], lab["d2"]
    stream = Stream(a, b)
    stream.goes_on()
    running["d1"].pause()
    until(lambda: "d1" not in b.peers(), "the relay gives it up", 20)
    time.sleep(2)
    running["d1"].resume()
    is_back(a, 2)
    stream.goes_on()
    stream.finish()
    assert list(sessions(lab)).count("d1") == 1


@pytest.mark.long
def test_a_relay_that_was_stopped_ends_no_session_that_lives(flat):
    """Its own absence is no silence of its devices; one with less patience than that comes back by itself."""
    lab = flat(2)
    running = lab.start_all(*config(lab, "relay:\n  keepalive: 4s\n"))
    a, b = lab["d1"], lab["d2"]
    stream = Stream(a, b)
    stream.goes_on()
    # The devices would give it up after 9 s at the earliest; the relay takes more than 4 s for an absence.
    running["relay"].pause()
    time.sleep(6)
    running["relay"].resume()
    stream.goes_on()
    time.sleep(2)
    assert device(a)["joins"] == device(b)["joins"] == 1
    assert {"d1", "d2"} <= sessions(lab).keys()

    running["relay"].pause()
    until(lambda: device(a)["state"] == device(b)["state"] == "connecting", "the devices give it up", 40)
    running["relay"].resume()
    is_back(a, 2), is_back(b, 2)
    stream.goes_on()
    stream.finish()
    assert sorted(sessions(lab)) == sorted(["d1", "d2", lab.relay.status()["device"]["device_id"]])


def test_a_device_whose_address_changes_is_back_at_once(flat):
    """It does not wait until the relay is silent, which is long here."""
    lab = flat(2)
    lab.start_all(*config(lab, SLOW))
    a, b = lab["d1"], lab["d2"]
    stream = Stream(a, b)
    stream.goes_on()
    a.run("ip", "address", "delete", "192.168.50.21/24", "dev", "eth0")
    a.run("ip", "address", "add", "192.168.50.121/24", "dev", "eth0")
    is_back(a, 2)
    assert sessions(lab)["d1"]["outer_address"].startswith("192.168.50.121:")
    stream.goes_on()
    stream.finish()


def test_a_device_whose_route_changes_is_back_at_once(flat):
    """Another interface, another router and another address: the old one is there still, but leads nowhere."""
    lab = flat(2)
    a, router = lab["d1"], lab["d2"]
    a.run("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "spare", "netns", lab.prefix + "switch")
    a.run("ip", "address", "add", "192.168.51.21/24", "dev", "eth1")
    # As if they were different networks: neither an answer nor a question there tells others where the old address is
    # now.
    a.run("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2")
    lab.run_on_switch("ip", "link", "set", "spare", "master", "lan0", "up")
    router.run("ip", "address", "add", "192.168.51.1/24", "dev", "eth0")
    router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    lab.relay.run("ip", "route", "add", "192.168.51.0/24", "via", router.address)
    lab.start_all(*config(lab, SLOW))
    stream = Stream(a, router)
    stream.goes_on()
    a.run("ip", "link", "set", "eth1", "up")
    a.run("ip", "link", "set", "eth0", "down")
    a.run("ip", "route", "add", "192.168.50.0/24", "via", "192.168.51.1")
    is_back(a, 2)
    assert sessions(lab)["d1"]["outer_address"].startswith("192.168.51.21:")
    stream.goes_on()
    stream.finish()


def test_changes_that_do_not_concern_the_uplink_cost_nothing(flat):
    """Not a frame, let alone the session."""
    lab = flat(1)
    lab.start_relay(*config(lab, SLOW))
    lab.start_device("d1")
    node = lab["d1"]
    time.sleep(2)
    before = frames(node)
    for number in range(3):
        node.run("ip", "link", "add", f"other{number}", "type", "veth", "peer", "name", f"end{number}")
        node.run("ip", "address", "add", f"10.9.{number}.1/24", "dev", f"other{number}")
        node.run("ip", "link", "set", f"end{number}", "up")
        node.run("ip", "link", "set", f"other{number}", "up")
        node.run("ip", "route", "add", f"10.10.{number}.0/24", "via", f"10.9.{number}.2")
        time.sleep(1.3)
    assert frames(node) == before
    assert device(node)["joins"] == 1


def test_a_link_that_comes_back_is_tried_at_once(flat):
    """A session outlives it if the relay has; else there is a new one without a wait for the echo."""
    lab = flat(1)
    running = {"relay": lab.start_relay(*config(lab, SLOW)), "d1": lab.start_device("d1")}
    node = lab["d1"]
    time.sleep(2)
    before = frames(node)
    lab.run_on_switch("ip", "link", "set", "to-d1", "down")
    time.sleep(2)
    lab.run_on_switch("ip", "link", "set", "to-d1", "up")
    until(lambda: frames(node) >= before + 2, "the relay is asked, and answers", 20)
    assert device(node)["joins"] == 1

    lab.run_on_switch("ip", "link", "set", "to-d1", "down")
    running["relay"].kill()
    lab.start_relay(*config(lab, SLOW))
    lab.run_on_switch("ip", "link", "set", "to-d1", "up")
    is_back(node, 2)


def test_a_relay_that_moves_to_another_address_is_found_by_its_name(flat):
    """The name is looked up again for every attempt."""
    lab = flat(1)
    node = lab["d1"]
    node.hosts.write_text(f"127.0.0.1 localhost\n{RELAY} relay.example\n")
    first = lab.start_relay()
    lab.start_device("d1", server=f"relay.example:{PORT}")
    first.kill()
    lab.relay.run("ip", "address", "delete", f"{RELAY}/24", "dev", "eth0")
    lab.relay.run("ip", "address", "add", "192.168.50.11/24", "dev", "eth0")
    lab.start_relay()
    until(lambda: device(node)["state"] == "connecting", "the device loses the relay", 20)
    # In place: it is this file that the device has for its hosts.
    with open(node.hosts, "r+") as file:
        file.truncate()
        file.write("127.0.0.1 localhost\n192.168.50.11 relay.example\n")
    is_back(node, 2)
    assert device(node)["server"] == f"192.168.50.11:{PORT}"


def forget_connections(router):
    """Empties the router's table of connections, as a restart of it would (IPCTNL_MSG_CT_DELETE of ctnetlink)."""

    def flush():
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:  # NETLINK_NETFILTER
            netlink.settimeout(5)
            netlink.send(struct.pack("=IHHIIBBH", 20, 1 << 8 | 2, 5, 1, 0, 0, 0, 0))
            answer = netlink.recv(4096)
            (error,) = struct.unpack_from("=i", answer, 16)
            if error:
                raise OSError(-error, os.strerror(-error))

    router.enter(flush)


def test_a_nat_that_has_forgotten_the_connection_is_found_out_in_use(nat):
    """Nothing comes back through it for what it does not know: both ways, until the device connects anew."""
    nat.start_all()
    mid, deep, router = nat["mid"], nat["deep"], nat["r1"]
    # A router that has lost its table does not take the middle of a connection for a new one.
    router.run("sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0")
    stream = Stream(mid, deep)
    stream.goes_on()
    began = time.monotonic()
    forget_connections(router)
    until(lambda: device(mid)["joins"] == 2, "mid connects anew", 30)
    assert time.monotonic() - began < 8
    stream.goes_on()
    stream.finish()
    assert device(deep)["joins"] == 1


@pytest.mark.long
def test_open_connections_survive_a_relay_that_is_away_for_30_s(flat):
    """They continue soon after it is back, and not only when TCP tries again by itself, 20 seconds later.

    Between one pair of devices one side sends, between the other pair both do.
    """
    lab = flat(4)
    running = lab.start_all()
    a, b, c, d = lab.devices
    streams = [Stream(a, b), Stream(c, d), Stream(d, c)]
    for stream in streams:
        stream.goes_on()
    running["relay"].kill()
    time.sleep(30)
    lab.start_relay()
    for stream in streams:
        stream.goes_on(15)
    for node in lab.devices:
        is_back(node, 2)
    for stream in streams:
        stream.finish()
