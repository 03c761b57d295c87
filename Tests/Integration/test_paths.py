"""Paths that lose large packets silently, or are slow and full: connections survive, and diagnosis names the MTU."""

import json
import os
import re
import sys

import pytest

from lab import REPOSITORY, RELAY, until

sys.path.append(str(REPOSITORY / "Tests" / "Bench"))

import network

#: What the links of IPv6 have to take, and mobile networks and tunnels often take no more.
SMALL = 1280


def swallow(router, direction):
    """From now on the router drops what is larger than SMALL, on its way up or down or both, and nobody is told."""
    link = {"up": 'oifname "wan0"', "down": 'iifname "wan0"', "both": ""}[direction]
    router.run(
        "nft",
        "add table ip hole; add chain ip hole forward { type filter hook forward priority -20; }; "
        f"add rule ip hole forward {link} ip length > {SMALL} drop",
    )


def joins(node):
    return node.status()["device"]["joins"]


class Transfer:
    """Bytes on their way from one device to another, through the virtual network."""

    def __init__(self, source, target, size, port=9000):
        self.sent, self.received = (source.lab.directory / f"{port}.{end}" for end in ("sent", "received"))
        self.sent.write_bytes(os.urandom(size))
        target.start("socat", "-u", f"TCP-LISTEN:{port},reuseaddr", f"OPEN:{self.received},creat,trunc")
        until(lambda: target.listens(port), "socat listens")
        source.start("socat", "-u", f"OPEN:{self.sent}", f"TCP:{target.virtual_address()}:{port}")

    @property
    def size(self):
        return self.received.stat().st_size if self.received.exists() else 0

    @property
    def has_arrived(self):
        return self.size == self.sent.stat().st_size and self.received.read_bytes() == self.sent.read_bytes()


@pytest.mark.long
@pytest.mark.parametrize("direction", ["up", "down", "both"])
def test_bulk_data_gets_through_where_large_packets_are_lost_in_silence(nat, direction):
    """The device finds out, connects anew with smaller segments, and says why; so does what explains the path."""
    lab, mid, top = nat, nat["mid"], nat["top"]
    relay = lab.start_relay("--no-device")
    with network.as_on_a_wire(lab):
        device = lab.start_device(mid)
        lab.start_device(top)
        mid.reaches(top.virtual_address())
        swallow(lab["r1"], direction)
        found = json.loads(
            mid.run(lab.program("mnedc-ctl"), "netcheck", RELAY, "--config", "/dev/null", "--json").stdout
        )
        (mtu,) = [each for each in found["servers"][0]["checks"] if each["name"] == "mtu"]
        assert mtu["result"] == "warn" and "1500" in mtu["finding"] and "ICMP" in mtu["advice"], mtu
        transfer = Transfer(*((mid, top) if direction != "down" else (top, mid)), size=1_000_000)
        until(lambda: transfer.has_arrived, "all bytes arrive", 90)
        assert re.search(r"segments of more than \d+ bytes do not get through .* MTU", device.log), device.log
        told = mid.mnedc("mnedc-ctl", "explain", "top").stdout
        assert re.search(r"warn +relay .*segments of at most \d+ bytes.*MTU", told), told
    assert "MTU" in relay.log, relay.log


def test_plain_loss_leaves_a_connection_its_segments(nat):
    """Of every five packets one is lost, both ways: that is slow, but no matter of size."""
    lab, mid, top = nat, nat["mid"], nat["top"]
    lab.start_relay("--no-device")
    with network.as_on_a_wire(lab):
        device = lab.start_device(mid)
        lab.start_device(top)
        mid.reaches(top.virtual_address())
        lab.nat_lab("loss", "r1", 20)
        transfer = Transfer(mid, top, size=300_000)
        until(lambda: transfer.has_arrived, "all bytes arrive", 90)
    assert "do not get through" not in device.log, device.log


@pytest.mark.long
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_slow_link_whose_queue_is_full_loses_no_connection(nat, direction):
    """64 kbit/s, and ten seconds of queue, which the echo stands behind: what is acknowledged shows that the link
    lives.
    """
    lab, mid, top = nat, nat["mid"], nat["top"]
    # It fills queues, which BBR does not.
    network.usual_tcp(lab)
    config = lab.directory / "keep.yaml"
    config.write_text("join: {congestion-control: system}\nrelay: {congestion-control: system}\n")
    lab.start_relay("--no-device", "--config", config)
    with network.as_on_a_wire(lab):
        device = lab.start_device(mid, "--config", config)
        lab.start_device(top)
        mid.reaches(top.virtual_address())
        lab["r1"].run(
            "tc", "qdisc", "replace", "dev", {"up": "wan0", "down": "lan0"}[direction], "root", "tbf", "rate", "64kbit",
            "burst", "2kb", "limit", "80kb",
        )  # fmt: skip
        transfer = Transfer(*((mid, top) if direction == "up" else (top, mid)), size=300_000)
        until(lambda: transfer.size > 200_000 or joins(mid) > 1, "most bytes arrive", 120, interval=0.5)
        assert joins(mid) == 1, device.log
