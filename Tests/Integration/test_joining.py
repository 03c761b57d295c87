"""Joining: no device delays another or gets its address, and each refused device learns why."""

import json
import re
import time

import pytest

from lab import INTERFACE, PORT, RELAY, until
from peer_client import Client


def sessions(lab, device_id=None):
    """The relay's live sessions, of one device or of all."""
    found = lab.relay.status()["relay"]["sessions"]
    return [each for each in found if device_id in (None, each["device_id"])]


def short_leases(lab):
    """A relay's configuration by which the address of a device that has left may be another's at once."""
    config = lab.directory / "leases.yaml"
    config.write_text("relay: {lease-age: 0s}\n")
    return config


def test_idle_connections_do_not_hold_up_a_join(flat):
    """The reference served one connection at a time until it had sent something."""
    lab = flat(2)
    lab.start_relay()
    for start in (b"", b"\x01", b"\x01\x00\x00"):
        for _ in range(10):
            lab["d1"].connect(RELAY, PORT).sendall(start)
    began = time.monotonic()
    lab.start_device("d2")
    assert time.monotonic() - began < 2
    lab["d2"].reaches("10.0.0.1")


def test_the_300th_join_is_told_that_the_pool_is_full_and_hurts_nobody(flat):
    """The reference counted addresses in a byte that wrapped, and gave the same one twice."""
    lab = flat(3)
    lab.start_relay("--config", short_leases(lab))
    first, second, crowd = lab["d1"], lab["d2"], lab["d3"]
    lab.start_device(first), lab.start_device(second)
    lost = first.watch(second.virtual_address())

    admitted, refused = [], []
    for number in range(300):
        session = Client(crowd.connect(RELAY, PORT))
        answer = session.join(f"crowd-{number}")
        (admitted if answer["type"] == "welcome" else refused).append(session)
        if answer["type"] == "refused":
            assert answer["code"] == "pool-full" and "10.0.0.0/24" in answer["text"], answer
    # 256 less network, broadcast, relay and the two that were there before.
    assert len(admitted) == 251 and len(refused) == 49
    addresses = {session.address for session in admitted}
    assert len(addresses) == 251
    assert not addresses & {"10.0.0.0", "10.0.0.1", "10.0.0.255", first.virtual_address(), second.virtual_address()}

    late = lab.relay.mnedc("mnedc-join", "--server", f"{RELAY}:{PORT}", "--device-id", "late", "--background",
                           "--interface", "late0", "--timeout", "3s", "--allow-overlap",
                           "--socket", lab.directory / "late.sock",
                           "--state", lab.directory / "late.state", check=False)  # fmt: skip
    assert late.returncode != 0 and re.search(r"pool 10\.0\.0\.0/24 is full", late.stderr), late.stderr

    # Those that leave make room, and only their addresses are given again.
    freed = {session.address for session in admitted[:60]}
    for session in admitted[:60]:
        session.leave()
    until(lambda: len(sessions(lab)) <= 251 + 3 - 60, "the relay notices that 60 have left")
    again = [Client(crowd.connect(RELAY, PORT)) for _ in range(60)]
    answers = [session.join(f"again-{number}") for number, session in enumerate(again)]
    assert {answer.get("address") for answer in answers} == freed

    assert lost() == []
    first.reaches(second.virtual_address())


def test_a_device_gets_its_address_again_when_it_comes_back(flat):
    """A lease stays with its device, and another device does not get it while there are others."""
    lab = flat(2)
    lab.start_relay()
    device = lab.start_device("d1")
    address = lab["d1"].virtual_address()
    assert device.stop() == 0
    other = lab.start_device("d2")
    assert lab["d2"].virtual_address() != address
    lab.start_device("d1")
    assert lab["d1"].virtual_address() == address
    other.stop()


def test_an_address_given_back_is_used_again(flat):
    """With room for one device, each can have it after the other."""
    lab = flat(2)
    lab.start_relay("--config", short_leases(lab), "--pool", "10.7.0.0/30")
    for name in ("d1", "d2", "d1"):
        device = lab.start_device(name)
        assert lab[name].virtual_address() == "10.7.0.2"
        assert device.stop() == 0
        until(lambda: not sessions(lab, name), f"the relay notices that {name} has left")


def test_a_device_can_ask_for_an_address(flat):
    """It gets that one or is told why not."""
    lab = flat(2)
    lab.start_relay()
    lab.start_device("d1", "--address", "10.0.0.77")
    assert lab["d1"].virtual_address() == "10.0.0.77"
    for address in ("10.0.0.77", "10.0.0.1", "10.0.0.255", "10.1.0.5"):
        done = lab["d2"].mnedc(
            "mnedc-join", "--server", RELAY, "--device-id", "d2", "--address", address, "--timeout", "2s", check=False
        )
        assert done.returncode != 0 and address in done.stderr, done.stderr
        assert not lab["d2"].interfaces()


def drop_old_connection(lab, node):
    """Loses every packet of the node's connection to the relay, but not of later ones; returns how to end that."""
    port = re.search(rf":(\d+)\s+{re.escape(RELAY)}:{PORT}\b", node.run("ss", "-Htn").stdout)[1]
    for hook, side in (("output", "sport"), ("input", "dport")):
        node.run("nft", f"add table inet cut; add chain inet cut {hook} {{ type filter hook {hook} priority 0; }}; "
                        f"add rule inet cut {hook} tcp {side} {port} drop")  # fmt: skip
    return lambda: node.run("nft", "delete table inet cut")


def test_a_device_that_comes_back_while_its_old_session_lingers_has_one_live_session(flat):
    """Killed with its link cut, so that the relay hears nothing. The reference then deleted the newer session."""
    lab = flat(2)
    running = lab.start_all()
    node, other = lab["d1"], lab["d2"]
    address = node.virtual_address()
    old = sessions(lab, "d1")[0]["outer_address"]

    heal = drop_old_connection(lab, node)
    running["d1"].kill()
    assert [each["outer_address"] for each in sessions(lab, "d1")] == [old], "the old session should linger"
    lab.start_device("d1")
    assert node.virtual_address() == address
    alive = sessions(lab, "d1")
    assert len(alive) == 1 and alive[0]["outer_address"] != old
    listed = json.loads(other.mnedc("mnedc-peers", "--json").stdout)["peers"]
    assert [peer["device_id"] for peer in listed].count("d1") == 1
    other.reaches(address)

    heal()  # Now the old connection's end arrives, and must not touch the new session.
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        assert other.ping(address)[0] == 1
        time.sleep(0.1)
    assert len(sessions(lab, "d1")) == 1 and "d1" in other.peers()


def test_a_device_whose_connection_died_replaces_its_own_session_at_once(flat):
    """The same process comes back on a new connection: nobody has to prove that it lives."""
    lab = flat(2)
    lab.start_all()
    node, other = lab["d1"], lab["d2"]
    address = node.virtual_address()
    heal = drop_old_connection(lab, node)
    node.run("ss", "-K", "dst", RELAY, "dport", "=", PORT, check=False)
    until(lambda: node.status()["device"]["joins"] == 2, "d1 has joined again")
    assert len(sessions(lab, "d1")) == 1 and node.virtual_address() == address
    other.reaches(address)
    heal()


def test_a_second_device_with_the_same_id_is_refused_and_the_first_goes_on(flat):
    """Two devices with one ID would take turns; the newer one is told, the older one is not touched."""
    lab = flat(2)
    lab.start_relay()
    first = lab.start_device("d1", device_id="twin")
    done = lab["d2"].mnedc("mnedc-join", "--server", RELAY, "--device-id", "twin", "--timeout", "2s", check=False)
    assert done.returncode != 0 and re.search("twin belongs to another device", done.stderr), done.stderr
    assert first.is_running and lab["d1"].ping("10.0.0.1")[0] == 1
    assert lab["d1"].status()["device"]["joins"] == 1


# --- mnedc-join --background ---


def background(node, *options, server=RELAY, **more):
    return node.mnedc(
        "mnedc-join", "--server", server, "--device-id", node.name, "--background", *options, check=False, **more
    )


def test_background_returns_once_joined_and_stop_ends_it(flat):
    """After it returns, the first ping is answered; mnedc-ctl stop leaves nothing."""
    lab = flat(1)
    lab.start_relay()
    node = lab["d1"]
    done = background(node)
    assert done.returncode == 0, done.stderr
    assert node.virtual_address() == "10.0.0.2"
    assert node.ping("10.0.0.1")[0] == 1
    assert node.status()["device"]["state"] == "joined"
    daemons = node.processes()
    assert daemons == [node.status()["process_id"]]

    node.mnedc("mnedc-ctl", "stop")
    until(lambda: not node.processes(), "mnedc-join ends")
    assert not node.interfaces() and node.status() is None
    assert not lab.directory.joinpath("d1.sock").exists()


def test_background_waits_for_a_relay_that_comes_later(flat):
    """It does not return before it has joined."""
    lab = flat(1)
    waiting = lab["d1"].start_mnedc(
        "mnedc-join", "--server", RELAY, "--device-id", "d1", "--background", "--timeout", "20s"
    )
    time.sleep(0.7)
    assert waiting.is_running and lab["d1"].virtual_address() is None
    lab.start_relay()
    assert waiting.wait(15) == 0
    assert lab["d1"].ping("10.0.0.1")[0] == 1
    lab["d1"].mnedc("mnedc-ctl", "stop")
    until(lambda: not lab["d1"].processes(), "mnedc-join ends")


@pytest.mark.parametrize(
    "case, server, says",
    [
        ("nobody listens", f"{RELAY}:1", "refused"),
        ("there is no such host", "192.168.50.99:3334", "192.168.50.99"),
        ("a name that does not resolve", "nowhere.invalid:3334", "nowhere.invalid"),
    ],
)
def test_background_fails_with_the_reason_when_it_cannot_join(flat, case, server, says):
    """A status other than 0, the reason in one line, and nothing left."""
    lab = flat(1)
    node = lab["d1"]
    began = time.monotonic()
    done = background(node, "--timeout", "1s", server=server)
    assert done.returncode != 0
    assert time.monotonic() - began < 5
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("mnedc-join: ") and says in last, done.stderr
    until(lambda: not node.processes(), "no process is left", 2)
    assert INTERFACE not in node.interfaces()
    assert not lab.directory.joinpath("d1.sock").exists()
