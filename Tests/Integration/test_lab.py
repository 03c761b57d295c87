"""The lab itself: it separates its devices, and leaves nothing behind."""

import os
import subprocess

import pytest

from lab import NAT_LAB, RELAY, Node, iperf3

pytestmark = pytest.mark.network_only


def test_nobody_reaches_a_device_from_above_or_beside(nat):
    """Devices reach the relay, but not each other: not by their LAN addresses, and not with a route added by hand."""
    top, mid, deep = nat["top"], nat["mid"], nat["deep"]
    for node in (top, mid, deep):
        assert node.ping(RELAY)[0] == 1
    for here, there in ((mid, deep), (deep, mid), (top, mid), (top, deep)):
        assert here.ping(there.address, wait=0.5)[0] == 0, f"{here.name} reaches {there.name}"
    top.run("ip", "route", "add", "192.168.60.0/24", "via", nat["r1"].address)
    assert top.ping(mid.address, wait=0.5)[0] == 0, "r1 lets packets in from above"


def test_a_published_port_is_reached_and_open_makes_plain_routes_until_close(nat):
    """The bench's two comparisons work, and `close` ends both."""
    mid, deep = nat["mid"], nat["deep"]
    nat.nat_lab("open")
    assert mid.ping(deep.address)[0] == 1 and deep.ping(mid.address)[0] == 1
    nat.nat_lab("publish", "deep", 5201)
    assert iperf3(mid, deep, nat["r2"].address, seconds=1)["end"]["sum_received"]["bytes"] > 0
    nat.nat_lab("close")
    assert mid.ping(deep.address, wait=0.5)[0] == 0
    assert mid.run("curl", "-s", "--max-time", "0.5", "http://192.168.50.71:5201/", check=False).returncode != 0


def test_a_link_can_lose_packets_and_be_slow(nat):
    """`loss` and `limit` act on one link, and `off` ends them."""
    mid = nat["mid"]
    nat.nat_lab("loss", "mid", 100)
    assert mid.ping(RELAY, wait=0.3)[0] == 0
    nat.nat_lab("loss", "mid", "off")
    assert mid.ping(RELAY)[0] == 1
    nat.nat_lab("limit", "mid", "8mbit")
    report = iperf3(mid, nat.relay, RELAY, seconds=1)
    assert report["end"]["sum_received"]["bits_per_second"] < 12e6
    nat.nat_lab("limit", "mid", "off")


def test_down_removes_a_half_made_lab_and_what_runs_in_it(nat):
    """`down` always works: with namespaces missing, with a process that ignores SIGTERM, and twice."""
    subprocess.run(["ip", "netns", "delete", nat["r3"].namespace], check=True)
    stubborn = nat["mid"].start("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    nat.nat_lab("down")
    assert stubborn.wait() != 0
    assert nat.prefix not in subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout
    nat.nat_lab("down")


def test_misuse_of_the_lab_script_is_one_line(nat):
    """It says what is wrong, and changes nothing."""
    environment = os.environ | {"NAT_LAB_PREFIX": nat.prefix}
    for arguments in (
        ["fly"], ["exec", "nobody", "true"], ["exec", "mid"], ["limit", "mid"], ["loss", "mid", "101"], ["add", "x"],
        ["add", "mid", "r1"], ["add", "a-name-too-long", "r1"], ["add", "till", "r9"],
    ):  # fmt: skip
        done = subprocess.run([NAT_LAB, *arguments], env=environment, capture_output=True, text=True)
        assert done.returncode == 64, arguments
        assert done.stderr.startswith("nat-lab: ") and done.stderr.count("\n") == 1, done.stderr


def test_a_host_can_be_added_under_each_router(nat):
    """It reaches the relay and its neighbours in the LAN, nobody reaches it from above, and `down` takes it away."""
    for name, router in (("office", "main"), ("till-1", "r1"), ("till-2", "r3")):
        address = nat.nat_lab("add", name, router).split()[-1]
        nat.nodes[name] = Node(nat, name, address)
    assert all(nat[name].ping(RELAY)[0] == 1 for name in ("office", "till-1", "till-2"))
    assert nat["till-1"].ping(nat["mid"].address)[0] == 1 and nat["mid"].ping(nat["till-1"].address)[0] == 1
    assert nat["till-2"].ping(nat["deep"].address)[0] == 1 and nat["office"].ping(nat["top"].address)[0] == 1
    nat["office"].run("ip", "route", "add", "192.168.60.0/24", "via", nat["r1"].address)
    assert nat["office"].ping(nat["till-1"].address, wait=0.5)[0] == 0, "r1 lets packets in from above"
    assert "till-2" in nat.nat_lab("status")
    nat.nat_lab("down")
    assert nat.prefix not in subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout
