"""After every fault each device is connected once, no device that left is listed, and nothing is left over."""

import hashlib
import os
import signal
import time

import pytest

from lab import PORT, RELAY, until
from wellness import Cut, Traffic, all_is_well, all_is_well_under

JOIN = ("--server", f"{RELAY}:{PORT}")

# --- kill -9 ---


@pytest.mark.parametrize("state", ["starting", "joins", "traffic", "rotating", "stopping"])
def test_a_relay_that_is_killed_comes_back_with_the_same_command(flat, state):
    """At whatever it was: all devices are back by themselves."""
    lab = flat(3)
    if state == "joins":
        killed = lab.start_relay()
        for node in lab.devices:
            lab.start_device(node, "--timeout", "60s", wait=False)
        until(lambda: " joined as " in killed.log, "the first one has joined", 30)
        killed.kill()
    else:
        killed = lab.start_all()["relay"]
    if state == "traffic":
        traffic = Traffic(lab)
        time.sleep(0.3)
        killed.kill()
        lab.start_relay()
        all_is_well_under(lab, traffic)
        return
    if state == "starting":
        killed.kill()
        for delay in (0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1):
            killed = lab.start_relay(wait=False)
            time.sleep(delay)
            killed.kill()
    if state == "rotating":
        for delay in (0.005, 0.01, 0.015, 0.02, 0.03):
            lab.relay.start_mnedc("mnedc-ctl", "rotate-key")
            time.sleep(delay)
            killed.kill()
            killed = lab.start_relay()
        all_is_well(lab)
        return
    if state == "stopping":
        for delay in (0, 0.002, 0.005, 0.01):
            killed.signal(signal.SIGTERM)
            time.sleep(delay)
            killed.kill()
            if delay != 0.01:
                killed = lab.start_relay()
    lab.start_relay()
    all_is_well(lab)


@pytest.mark.parametrize("state", ["dialing", "joining", "traffic", "background", "rotating", "stopping"])
def test_a_device_that_is_killed_comes_back_with_the_same_command(flat, state):
    """At whatever it was: it has its address again, and its peers their peer."""
    lab = flat(3)
    relay = lab.start_relay()
    lab.start_device("d1"), lab.start_device("d2")
    node = lab["d3"]
    if state in ("dialing", "joining"):
        cut = Cut(node) if state == "dialing" else None
        if state == "joining":
            relay.pause()
        device = lab.start_device(node, wait=False)
        what = "no answer from" if cut else "waiting for"
        until(lambda: (each := node.status()) and what in each["device"]["progress"], "it waits for the relay", 20)
        device.kill()
        cut.mend() if cut else relay.resume()
        lab.start_device(node)
    elif state == "background":
        kill_in_the_background(lab, node)
    else:
        device = lab.start_device(node)
        address = node.virtual_address()
        traffic = Traffic(lab) if state == "traffic" else None
        for delay in (0.005, 0.01, 0.02, 0.04):
            if state == "rotating":
                node.start_mnedc("mnedc-ctl", "rotate-key")
            if state == "stopping":
                device.signal(signal.SIGTERM)
                delay /= 5
            time.sleep(delay)
            device.kill()
            device = lab.start_device(node)
        assert node.virtual_address() == address
        if traffic:
            return all_is_well_under(lab, traffic)
    all_is_well(lab)


def kill_in_the_background(lab, node):
    """The process behind, before it has joined and after; and the one before it."""
    command = ("mnedc-join", *JOIN, "--device-id", node.name, "--background")
    cut = Cut(node)
    waiting = node.start_mnedc(*command)
    behind = until(lambda: node.status(), "it answers", 20)["process_id"]
    assert behind != waiting.pid
    os.kill(behind, signal.SIGKILL)
    assert waiting.wait() == 128 + signal.SIGKILL, waiting.log
    # Nobody waits for what has nobody to tell.
    waiting = node.start_mnedc(*command)
    until(lambda: node.status(), "it answers", 20)
    waiting.kill()
    until(lambda: not node.processes() and not node.interfaces(), "the one behind ends too", 20)
    cut.mend()
    node.mnedc(*command)
    os.kill(node.status()["process_id"], signal.SIGKILL)
    until(lambda: not node.interfaces(), "the interface is gone")
    node.mnedc(*command)
    # The lab does not know of it, so it ends it by the book.
    lab.ends.append(lambda: node.mnedc("mnedc-ctl", "stop", check=False))


def test_a_device_that_is_killed_while_it_waits_for_an_operator_can_be_approved_later(flat):
    """The relay forgets who waits with its connection, and asks again when the device does."""
    lab = flat(2)
    lab.start_relay(admission="approve")

    def approve(node):
        until(lambda: node.name in lab.relay.mnedc("mnedc-ctl", "pending").stdout, f"{node.name} waits", 20)
        lab.relay.mnedc("mnedc-ctl", "approve", node.name)

    for node in lab.devices:
        device = lab.start_device(node, wait=False)
        until(lambda: "waiting until an operator" in device.log, "it waits", 20)
        device.kill()
        until(lambda: node.name not in lab.relay.mnedc("mnedc-ctl", "pending").stdout, "the relay notices", 20)
        lab.start_device(node, wait=False)
        approve(node)
    all_is_well(lab)


@pytest.mark.parametrize("tool", [("mnedc-ctl", "status"), ("mnedc-peers",)])
def test_a_tool_that_is_killed_in_the_middle_leaves_nothing_behind(flat, tool):
    """Neither a place at the local socket nor a descriptor."""
    lab = flat(1)
    running = lab.start_all()
    for name in ("relay", "d1"):
        daemon, node = running[name], lab[name]
        descriptors = len(os.listdir(f"/proc/{daemon.pid}/fd"))
        daemon.pause()
        asking = [node.start_mnedc(*tool) for _ in range(5)]
        time.sleep(0.3)
        for each in asking:
            each.kill()
        daemon.resume()
        until(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) <= descriptors, "its descriptors are closed again", 20)
    all_is_well(lab)


# --- Loss ---


@pytest.mark.parametrize("percent", [1, 5])
def test_all_is_well_during_and_after_random_loss(nat, percent):
    """On two links, both ways: a download comes whole, most pings are answered, and no session is lost for it."""
    nat.start_all()
    mid, deep = nat["mid"], nat["deep"]
    for name in ("mid", "deep"):
        nat.nat_lab("loss", name, percent)
    content = os.urandom(1 << 20)
    (nat.directory / "file").write_bytes(content)
    address = deep.virtual_address()
    deep.serve(nat.directory, address)
    received = nat.directory / "received"
    download = mid.start(
        "curl", "-sSf", "--max-time", 100, "--retry", 3, "-o", received, f"http://{address}:8000/file"
    )
    answered, _, output = nat["top"].ping(address, count=50, interval=0.1, wait=3)
    assert answered >= 35, output
    assert download.wait(110) == 0, download.log
    assert hashlib.sha256(received.read_bytes()).digest() == hashlib.sha256(content).digest()
    for name in ("mid", "deep"):
        nat.nat_lab("loss", name, "off")
    all_is_well(nat)
