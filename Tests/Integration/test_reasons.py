"""Each reason says who ended what and why: foreign protocols, ended sessions, and a relay that is away."""

import json
import re
import signal
import socket
import threading

import pytest

from lab import PORT, RELAY, until

ENDS = socket.inet_aton("192.0.2.7") + socket.inet_aton("192.0.2.9") + bytes([0x9C, 0x40, 0x0D, 0x06])

#: First bytes, what they are called, and what the relay says of it.
STRANGERS = [
    (b"PROXY TCP4 192.0.2.7 192.0.2.9 40000 3334\r\n", "a PROXY protocol header (version 1)", "send-proxy"),
    (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + ENDS, "a PROXY protocol header (version 2)", "send-proxy"),
    (b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n", "HTTP", "forward plain TCP"),
    (b"\x16\x03\x01\x00\xf7\x01\x00\x00\xf3\x03\x03" + bytes(40), "TLS", "forward plain TCP"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH", "no MNEDC device"),
]

#: What answers at a server's port, and what the device calls it.
ANSWERS = [
    (b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n", "HTTP", "captive portal"),
    # An alert, after which a TLS server closes.
    (b"\x15\x03\x03\x00\x02\x02\x46", "TLS", "TLS server"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH", "another program"),
    (b"220 mail.example ESMTP ready\r\n", "220 mail.example", "another program"),
]


@pytest.fixture
def one(flat):
    lab = flat(1)
    return lab, lab.start_relay("--no-device"), lab["d1"]


def test_a_relay_names_the_protocol_that_somebody_speaks_to_it_and_what_to_change(one):
    lab, relay, node = one
    for first, name, advice in STRANGERS:
        before = len(relay.log)
        with node.connect(RELAY, PORT) as stranger:
            stranger.sendall(first)
            answer = b""
            try:
                while got := stranger.recv(4096):
                    answer += got
            except ConnectionResetError:
                pass  # What it had not read yet is lost with the connection.
        until(lambda: len(relay.log) > before, f"the relay tells of {name}")
        said = relay.log[before:]
        assert name in said and advice in said, said
        assert not answer or name.encode() in answer, answer


def test_a_device_names_the_protocol_that_answers_it_in_place_of_a_relay(one):
    lab, _, node = one
    for number, (answer, name, advice) in enumerate(ANSWERS):
        listener = lab.relay.listen(RELAY, 4000 + number)

        def serve(listener=listener, answer=answer):
            listener.settimeout(20)
            try:
                while True:
                    device, _ = listener.accept()
                    device.settimeout(20)
                    device.recv(65536)
                    device.sendall(answer)
                    device.close()
            except OSError:
                pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        done = node.mnedc("mnedc-join", "-s", f"{RELAY}:{4000 + number}", "-d", "d1", "-t", "1s", check=False)
        assert f"is no MNEDC relay: it answers with {name}" in done.stderr.replace("text (“", ""), done.stderr
        assert advice in done.stderr, done.stderr
        listener.close()


def test_the_relay_says_how_each_session_ended(one):
    """By a goodbye, by the end of a program that had none, and by silence."""
    lab, relay, node = one
    device = lab.start_device(node)
    device.stop()
    until(lambda: "d1 (10.0.0.2" in relay.log and "left: the device has said goodbye" in relay.log, "it has left")
    device = lab.start_device(node)
    device.kill()
    # A socket that had something to read when it went is reset.
    ends = ("the device closed the connection without giving a reason", "the connection was reset by the device")
    until(lambda: any(end in relay.log for end in ends), "it was killed")
    device = lab.start_device(node)
    device.pause()
    until(
        lambda: re.search(r"the device got an echo request and nothing came from it for \d+ s", relay.log),
        "silence",
        40,
    )
    device.resume()
    # It has read by now why, or finds its connection closed.
    until(lambda: node.status() and node.status()["device"]["joins"] >= 2, "it is back", 30)


def test_while_the_relay_is_away_the_list_of_peers_says_why_they_are_unknown(flat):
    lab = flat(2)
    relay = lab.start_relay("--no-device")
    for node in lab.devices:
        lab.start_device(node)
    one = lab["d1"]
    until(lambda: "d2" in one.peers(), "d1 knows d2")
    assert "no connection" not in one.mnedc("mnedc-peers").stdout
    relay.signal(signal.SIGKILL)
    until(lambda: one.peers()["d2"]["state"] == "unknown", "d1 has lost the relay")
    until(lambda: "Connection refused" in one.mnedc("mnedc-peers").stdout, "it says why it cannot connect")
    shown = one.mnedc("mnedc-peers").stdout
    assert "This host has no connection to the relay, so the state of its peers is unknown" in shown
    report = json.loads(one.mnedc("mnedc-peers", "--json").stdout)
    assert RELAY in report["disconnected"]
    shown = one.mnedc("mnedc-peers", "show", "d2")
    assert "unknown" in shown.stdout and "no connection to the relay" in shown.stderr
    lab.start_relay("--no-device")
    until(lambda: "disconnected" not in json.loads(one.mnedc("mnedc-peers", "--json").stdout), "it is back", 30)


def test_while_the_relay_is_away_a_device_that_knows_no_peers_does_not_say_that_there_are_none(flat):
    """The smallest network: the relay's host and one device."""
    lab = flat(1)
    relay = lab.start_relay()
    lab.start_device("d1")
    one = lab["d1"]
    lab.relay.mnedc("mnedc-ctl", "stop")
    assert relay.wait() == 0
    until(lambda: not one.peers(), "the relay's host is gone")
    note = "This host has no connection to the relay, so which devices are connected is unknown: "
    assert note in one.mnedc("mnedc-peers").stdout
    shown = one.mnedc("mnedc-peers", "--state", "online")
    assert note in shown.stdout and shown.stderr == "this host knows of no other device\n"
    for command in ("show", "ping"):
        done = one.mnedc("mnedc-peers", command, "d2", check=False)
        assert done.returncode == 69, command
        assert "this host has no connection to the relay, and knows no peer d2 from before: " in done.stderr


def test_a_relay_that_hangs_is_told_from_a_path_that_loses_large_packets(one):
    """Its host receives them; a path is blamed where nothing does."""
    lab, relay, node = one
    device = lab.start_device(node)
    relay.pause()
    says = (
        "receives TCP segments of 1448 bytes, but does not answer: its program is stuck, or its large packets get lost"
    )
    until(lambda: says in device.log, "the device says so", 40)
    assert "does not answer packets with TCP segments" not in device.log, device.log
    relay.resume()
    until(lambda: node.status()["device"]["state"] == "joined", "it is in again", 30)
