"""Devices that join and leave do not let the daemons' descriptors and memory grow."""

import json
import os
import socket
import time
from pathlib import Path

import pytest

from lab import PORT, RELAY, until


def descriptors(program):
    """What each of its descriptors is, without the numbers that the kernel gives sockets."""
    names = []
    for entry in Path(f"/proc/{program.pid}/fd").iterdir():
        try:
            names.append(os.readlink(entry).partition("[")[0])
        except FileNotFoundError:
            pass  # Closed meanwhile.
    return sorted(names)


def started(program):
    """Its descriptors once those that it needs only to start are closed: when none has changed for a second."""
    seen = []

    def is_stable():
        seen.append(descriptors(program))
        return len(seen) >= 10 and all(each == seen[-1] for each in seen[-10:])

    until(is_stable, "the program has started", 60, interval=0.1)
    return seen[-1]


def settled(program, expected, what):
    """Waits until the descriptors are those expected: what ends a connection comes a little later."""
    until(lambda: descriptors(program) == expected, f"{what} has the descriptors that it had: {expected}", 30)


def memory(program):
    """KiB that the program has made itself."""
    return program.resident()[2]


@pytest.mark.long
@pytest.mark.xdist_group("processor")
def test_ten_thousand_joins_and_leaves_leave_nothing_behind_at_the_relay(flat):
    """By goodbye, by close, by reset, refused, halfway through the handshake, and after nonsense; old devices and new
    ones.
    """
    lab = flat(0)
    relay = lab.start_relay("--no-device", "--pool", "10.0.0.0/16", "--log-level", "error")
    fresh = started(relay)

    def churn(first, count):
        lab.relay.run(lab.program("join-churn"), "127.0.0.1", PORT, first, count, timeout=600)
        settled(relay, fresh, "the relay")
        until(lambda: lab.relay.status()["relay"]["online"] == 0, "nobody is in any more", 30)

    churn(0, 2000)
    before = memory(relay)
    churn(2000, 10_000)
    after = memory(relay)
    # What may grow: a thousand new devices have a lease, and a row in the store, whose cache may grow by 2 MiB at the
    # most in all. Had every session left only a tenth of what it takes, it would be more than three.
    assert after - before < 2048 + 512, f"the relay's own memory was {before} KiB and is {after} KiB"


def test_thousands_of_requests_leave_nothing_behind_at_the_local_socket(flat):
    """Answered ones, and such that end in the middle."""
    lab = flat(0)
    relay = lab.start_relay("--no-device", "--log-level", "error")
    fresh = started(relay)
    request = json.dumps({"version": 1, "command": "status"}).encode() + b"\n"

    def ask(number):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(lab.relay.socket_path)
            if number % 4 == 3:
                return connection.sendall(request[:10])
            connection.sendall(request)
            if number % 4 == 2:
                return None
            answer = b""
            while part := connection.recv(1 << 16):
                answer += part
            assert json.loads(answer)["result"]["program"] == "mnedcd"

    for number in range(500):
        ask(number)
    settled(relay, fresh, "the relay")
    before = memory(relay)
    for number in range(4000):
        ask(number)
    settled(relay, fresh, "the relay")
    after = memory(relay)
    assert after - before < 256, f"the relay's own memory was {before} KiB and is {after} KiB"


@pytest.mark.long
def test_reconnects_leave_nothing_behind_at_the_devices(flat):
    """The relay is killed again and again; each time every device tries thirty places where nobody listens first."""
    lab = flat(6)
    nobody = [f"{RELAY}:{port}" for port in range(4000, 4030)]
    config = lab.directory / "devices.yaml"
    config.write_text("server: [" + ", ".join(f'"{place}"' for place in [*nobody, f"{RELAY}:{PORT}"]) + "]\n")
    relay = lab.start_relay("--log-level", "error")
    devices = {}
    for node in lab.devices:
        devices[node] = node.start_mnedc(
            "mnedc-join", "--config", config, "--device-id", node.name, "--log-level", "error"
        )
    joins = 0

    def all_in():
        until(lambda: all((node.status() or {}).get("device", {}).get("joins", 0) == joins for node in devices),
              f"all have joined {joins} times", 60)  # fmt: skip
        names = {node.name for node in devices}
        for node in devices:
            until(lambda: names - {node.name} <= node.peers().keys(), f"{node.name} knows the others", 30)

    def reconnect(times):
        nonlocal joins, relay
        for _ in range(times):
            relay.kill()
            relay = lab.start_relay("--log-level", "error")
            joins += 1
            all_in()

    joins = 1
    all_in()
    reconnect(2)
    # By then, the search for the routers before each device is over, which has a socket of its own.
    time.sleep(3)
    before = {node: (descriptors(program), memory(program)) for node, program in devices.items()}
    reconnect(6)
    for node, program in devices.items():
        settled(program, before[node][0], node.name)
        growth = memory(program) - before[node][1]
        assert growth < 256, f"{node.name}'s own memory has grown by {growth} KiB from {before[node][1]} KiB"
