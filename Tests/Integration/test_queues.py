"""Queues stay short and fair when more is sent than a link takes: small or other flows are not delayed."""

import contextlib
import json
import re
import sys
import time

import pytest

from lab import REPOSITORY, until

sys.path.append(str(REPOSITORY / "Tests" / "Bench"))

import network

QUEUE, MEMORY = 1 << 20, 16 << 20
#: Beside the data that waits there is the rest of a frame that is begun, and a frame that is chosen to be next.
REST = 2 * (129 << 10)


@pytest.fixture
def joined(nat):
    """The lab with everybody joined, and nobody with another way to deep than the relay; {node: virtual address}."""
    network.usual_tcp(nat)
    config = nat.directory / "relay.yaml"
    config.write_text(f"relay:\n  queue: {QUEUE >> 20}MiB\n  memory: {MEMORY >> 20}MiB\n")
    nat.start_relay("--config", config)
    for node in nat.devices:
        nat.start_device(node)
    addresses = {node.name: node.virtual_address() for node in nat.devices}
    for node in nat.devices:
        for name, address in addresses.items():
            if name != node.name:
                node.reaches(address)
    return nat, addresses


@contextlib.contextmanager
def bulk(source, target, address, port, *options):
    """iperf3 from one node to another for as long as the block lasts; gives the program."""
    listener = target.start("iperf3", "--server", "--one-off", "--port", port)
    until(lambda: target.listens(port) or not listener.is_running, "iperf3 listens")
    client = source.start(
        "iperf3", "--client", address, "--port", port, "--cport", port + 1000, "--time", 60, "--json", *options
    )
    try:
        until(lambda: received(target) > 0 or not client.is_running, "iperf3 sends", 20)
        yield client
    finally:
        client.stop()
        listener.stop()


def received(node):
    """Bytes of packets that the device has written to its interface."""
    return json.loads(node.run("ip", "-s", "-j", "link", "show", "mnedc0").stdout)[0]["stats64"]["rx"]["bytes"]


def rate(node, seconds):
    """Bits a second that come in."""
    before, began = received(node), time.monotonic()
    time.sleep(seconds)
    return (received(node) - before) * 8 / (time.monotonic() - began)


def taken(node, port):
    """Bytes that the stream to this port has brought so far."""
    shown = node.run("ss", "-Htin", f"sport = {port}").stdout
    return max((int(each) for each in re.findall(r"bytes_received:(\d+)", shown)), default=0)


def session(lab, address):
    """The relay's status, and what it says of this device's session."""
    relay = lab.relay.status()["relay"]
    return relay, next(each for each in relay["sessions"] if each["address"] == address)["link"]


def test_ten_times_as_much_as_a_link_takes_costs_neither_the_link_its_use_nor_others_a_packet(joined):
    """Datagrams: their sender does not slow down, whatever is dropped."""
    lab, addresses = joined
    mid, top, deep = lab["mid"], lab["top"], lab["deep"]
    datagrams = ("--udp", "--length", 1300, "--bandwidth")
    with network.slow_link(lab):
        with bulk(mid, deep, addresses["deep"], 5301, *datagrams, network.RATE):
            time.sleep(1)
            peak = rate(deep, 2)
        most = {"queue_bytes": 0, "queue_memory": 0}
        with (
            bulk(mid, deep, addresses["deep"], 5302, *datagrams, 5 * network.RATE),
            bulk(top, deep, addresses["deep"], 5303, *datagrams, 5 * network.RATE),
        ):
            lost = top.watch(addresses["mid"])
            time.sleep(1)
            sent = [session(lab, addresses[name])[1]["received_bytes"] for name in ("mid", "top")]
            before, began = received(deep), time.monotonic()
            while time.monotonic() < began + 4:
                relay, link = session(lab, addresses["deep"])
                most["queue_bytes"] = max(most["queue_bytes"], link["queue_bytes"])
                most["queue_memory"] = max(most["queue_memory"], relay["queue_memory"])
                time.sleep(0.1)
            passed = time.monotonic() - began
            overload = (received(deep) - before) * 8 / passed
            link = session(lab, addresses["deep"])[1]
            offered = sum(
                session(lab, addresses[name])[1]["received_bytes"] - was for name, was in zip(("mid", "top"), sent)
            )
            missing = lost()
        print(f"peak {peak:.3g}, overload {overload:.3g}, offered {offered * 8 / passed:.3g} bit/s, {most}, {link}")
    assert peak > network.RATE / 2
    assert offered * 8 / passed > 4 * network.RATE, "the load was none"
    assert overload >= 0.8 * peak
    assert most["queue_bytes"] <= QUEUE + REST and most["queue_memory"] <= MEMORY
    assert link["late_drops"] + link["overflow_drops"] > 1000
    assert missing == []


@pytest.mark.parametrize("way", ["down", "up"])
def test_two_bulk_flows_and_a_ping_share_a_slow_link(joined, way):
    """Each stream has its part, and the ping does not wait behind them. On a connection that nothing was fast on
    before.
    """
    lab, addresses = joined
    source, target = (lab["mid"], lab["deep"]) if way == "down" else (lab["deep"], lab["mid"])
    with network.slow_link(lab):
        with (
            bulk(source, target, addresses[target.name], 5401),
            bulk(source, target, addresses[target.name], 5402),
        ):
            time.sleep(2)
            before = [taken(target, port) for port in (5401, 5402)]
            began = time.monotonic()
            answers, median, output = lab["mid"].ping(addresses["deep"], count=100, interval=0.05, wait=2)
            passed = time.monotonic() - began
            parts = [taken(target, port) - was for port, was in zip((5401, 5402), before)]
    print(
        f"{way}: {[f'{part * 8 / passed / 1e6:.2f}' for part in parts]} Mbit/s, {answers} answers, median {median} ms"
    )
    assert sum(parts) * 8 / passed > 0.6 * network.RATE
    assert min(parts) >= sum(parts) / 3, parts
    assert answers >= 95, output
    assert median < 200, output
