"""Ending a relay without loss, and changes at run time: `drain`, `reload`, SIGHUP, and messages to a service manager.
"""

import json
import os
import re
import signal
import socket
import struct
import threading
import time

import pytest

from lab import PORT, RELAY, until
from test_failure import Stream
from test_misuse import as_somebody

HANGUP = signal.SIGHUP


def ctl(node, *arguments, check=True, timeout=60):
    return node.mnedc("mnedc-ctl", *arguments, check=check, timeout=timeout)


def report(node, *arguments):
    found = json.loads(ctl(node, *arguments, "--json").stdout)
    assert found["version"] == 1
    return found


def changes(listed):
    return {each["key"]: (each["old"], each["new"]) for each in listed}


def wait_until_joined(lab, device, joins):
    until(lambda: lab[device].status()["device"]["joins"] == joins, f"{device} is in", 30)


class Datagrams:
    """A stream of numbered datagrams between two devices."""

    def __init__(self, here, there):
        self.receiver = there.socket(socket.SOCK_DGRAM, timeout=0.2)
        self.receiver.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self.receiver.bind((there.virtual_address(), 0))
        self.sender = here.socket(socket.SOCK_DGRAM)
        self.sender.connect(self.receiver.getsockname())
        self.received = []
        self.sends, self.receives = threading.Event(), threading.Event()
        self.sends.set(), self.receives.set()
        self.threads = [threading.Thread(target=body, daemon=True) for body in (self._send, self._receive)]
        for thread in self.threads:
            thread.start()

    def _send(self):
        number = 0
        while self.sends.is_set():
            self.sender.send(struct.pack("!I", number) + bytes(196))
            number += 1
            time.sleep(0.002)

    def _receive(self):
        while self.receives.is_set():
            try:
                self.received.append(struct.unpack_from("!I", self.receiver.recv(2048))[0])
            except TimeoutError:
                pass

    def finish(self):
        self.sends.clear()
        self.threads[0].join()
        self.receives.clear()
        self.threads[1].join()


# --- Drain ---


def test_a_drain_loses_no_packet_that_a_device_has_taken(flat):
    """The relay ends with status 0; what came out is without a gap, and as much as went in; with the next relay all
    goes on.
    """
    lab = flat(2)
    running = lab.start_all()
    a, b = lab["d1"], lab["d2"]
    a.reaches(b.virtual_address())
    stream = Stream(a, b)
    stream.goes_on()
    datagrams = Datagrams(a, b)
    until(lambda: len(datagrams.received) > 500, "datagrams arrive", 30)

    outcome = report(lab.relay, "drain")
    assert running["relay"].wait(30) == 0
    assert (outcome["sessions"], outcome["cut_off"]) == (3, 0) and outcome["duration"] < 10
    until(lambda: all(each.status()["device"]["state"] == "connecting" for each in (a, b)), "both notice", 30)
    time.sleep(0.5)
    count = len(datagrams.received)
    assert datagrams.received == list(range(count)), "a datagram is missing, or came twice"
    sent, received = (each.status()["device"]["packets"] for each in (a, b))
    assert received["received"] == sent["sent"] and sent["overdue"] == received["misaddressed"] == 0
    for device in ("d1", "d2"):
        assert "is about to end" in running[device].log
        assert "the relay is shutting down" in running[device].log

    lab.start_relay()
    stream.goes_on(60)
    until(lambda: len(datagrams.received) > count + 100, "datagrams arrive again", 60)
    assert [a.status()["device"]["joins"], b.status()["device"]["joins"]] == [2, 2]
    datagrams.finish()
    stream.finish()


def test_a_drain_ends_in_time_and_says_who_was_cut_off(flat):
    """Meanwhile status says so, nobody gets in, and who asks again gets the same answer."""
    lab = flat(2)
    relay = lab.start_relay()
    device = lab.start_device("d1")
    device.pause()
    asked = [
        lab.relay.start_mnedc("mnedc-ctl", "drain", "--within", "4s", *json_option)
        for json_option in (["--json"], [])
    ]
    until(lambda: lab.relay.status()["relay"]["draining"], "the relay drains")
    assert "draining" in ctl(lab.relay, "status").stdout
    assert not lab.relay.listens(PORT)
    assert all(each.is_running for each in asked)
    for each in asked:
        assert each.wait(30) == 0, each.log
    outcome = json.loads(asked[0].output)
    assert (outcome["sessions"], outcome["cut_off"]) == (2, 1) and outcome["duration"] >= 4
    assert "1 of them were cut off" in asked[1].output
    assert relay.wait(30) == 0
    assert "1 of them cut off" in relay.log
    device.resume()


def test_a_signal_ends_a_relay_that_drains(flat):
    """At once; who waits for the answer is told that there is none."""
    lab = flat(1)
    relay = lab.start_relay()
    device = lab.start_device("d1")
    device.pause()
    asked = lab.relay.start_mnedc("mnedc-ctl", "drain", "--within", "1h")
    until(lambda: lab.relay.status()["relay"]["draining"], "the relay drains")
    relay.signal(signal.SIGTERM)
    assert relay.wait(30) == 0
    assert asked.wait(30) == 69 and "before it could answer" in asked.log
    device.resume()


def test_a_device_cannot_be_drained(flat):
    """It says whom to ask."""
    lab = flat(1)
    lab.start_all()
    refused = ctl(lab["d1"], "drain", check=False)
    assert refused.returncode == 69 and "mnedc-ctl drain is for a relay" in refused.stderr


# --- Reload ---


@pytest.fixture
def configured(flat):
    """A relay with a file and two devices: (lab, running, write), where `write` changes what the file says of the
    relay.
    """
    lab = flat(2)
    path = lab.directory / "relay.yaml"

    def write(text):
        path.write_text(text)
        path.chmod(0o644)
        return path

    write("relay: {admission: open}\n")
    running = {"relay": lab.start_relay("--config", path, admission=None)}
    for name in ("d1", "d2"):
        running[name] = lab.start_device(name)
    until(lambda: "d2" in lab["d1"].peers() and "d1" in lab["d2"].peers(), "the devices know each other")
    return lab, running, write


def test_a_reload_changes_what_can_change_and_touches_no_session(configured):
    """It says what holds now and what needs a restart, which stays so at the next reload; SIGHUP does the same."""
    lab, running, write = configured
    stream = Stream(lab["d1"], lab["d2"])
    stream.goes_on()
    text = "log-level: debug\nrelay: {admission: invite, keepalive: 700ms, queue: 1MiB, pool: 10.1.0.0/16, mtu: 1300}\n"
    write(text)
    found = report(lab.relay, "reload")
    assert changes(found["applied"]) == {
        "log-level": ("info", "debug"), "relay.admission": ("open", "invite"), "relay.keepalive": ("2s", "700ms"),
        "relay.queue": ("4MiB", "1MiB"),
    }  # fmt: skip
    waiting = {"relay.pool": ("10.0.0.0/24", "10.1.0.0/16"), "relay.mtu": ("1400", "1300")}
    assert changes(found["needs_restart"]) == waiting
    assert lab.relay.status()["relay"]["admission"] == "invite"
    again = report(lab.relay, "reload")
    assert again["applied"] == [] and changes(again["needs_restart"]) == waiting
    log = running["relay"].log
    assert "reloaded: relay.queue is 1MiB, was 4MiB" in log
    assert "relay.pool stays 10.0.0.0/24; a restart would make it 10.1.0.0/16" in log

    write(text.replace("invite", "approve"))
    running["relay"].signal(HANGUP)
    until(lambda: lab.relay.status()["relay"]["admission"] == "approve", "SIGHUP reloads")
    write("relay: {admission: open}\n")
    shown = ctl(lab.relay, "reload").stdout
    assert shown.startswith("applied:\n  log-level: debug -> info\n") and "needs a restart" not in shown
    assert ctl(lab.relay, "reload").stdout == "nothing has changed\n"
    stream.goes_on()
    stream.finish()
    assert [lab[name].status()["device"]["joins"] for name in ("d1", "d2")] == [1, 1]
    assert running["relay"].is_running


def test_a_bad_file_changes_nothing_and_says_why(configured):
    """All mistakes, with their places, in the answer and in the log."""
    lab, running, write = configured
    path = write("log-level: loud\nrelay:\n  admission: approve\n  qeue: 1MiB\n")
    refused = ctl(lab.relay, "reload", check=False)
    assert refused.returncode == 78
    for place in (f"{path}:1:12: ", f'{path}:4:3: unknown key "qeue"', "nothing has changed"):
        assert place in refused.stderr and place in running["relay"].log
    running["relay"].signal(HANGUP)
    until(lambda: running["relay"].log.count(f"{path}:4:3") == 2, "SIGHUP says the same")
    assert lab.relay.status()["relay"]["admission"] == "open"
    assert running["relay"].is_running


def test_a_file_that_others_can_change_meanwhile_changes_nothing(configured):
    """As at the start."""
    lab, running, write = configured
    write("relay: {admission: approve}\n").chmod(0o666)
    refused = ctl(lab.relay, "reload", check=False)
    assert refused.returncode == 78 and "can be changed by other users" in refused.stderr
    assert lab.relay.status()["relay"]["admission"] == "open" and running["relay"].is_running


@pytest.mark.parametrize("kind", ["gone", "closed", "fifo", "directory"])
def test_a_file_that_cannot_be_read_again_changes_nothing(configured, kind):
    """Missing, closed to the user that the relay has become, or nothing that can be read without waiting."""
    lab, running, write = configured
    path = write("relay: {admission: approve}\n")
    words = {
        "gone": "No such file", "closed": ", which this daemon runs as, read it", "fifo": "no regular file",
        "directory": "Is a directory; put the file in its place again",
    }  # fmt: skip
    if kind == "closed":
        path.chmod(0o600)
    else:
        path.unlink()
        {"gone": lambda: None, "fifo": lambda: os.mkfifo(path), "directory": path.mkdir}[kind]()
    refused = ctl(lab.relay, "reload", check=False)
    assert refused.returncode == 78 and f"cannot read the configuration {path}" in refused.stderr
    assert words[kind].lower() in refused.stderr.lower()
    assert lab.relay.status()["relay"]["admission"] == "open"


def test_options_override_the_file_at_a_reload_too(flat):
    """As when the relay was started."""
    lab = flat(0)
    config = lab.directory / "relay.yaml"
    config.write_text("relay: {queue: 1MiB}\n")
    lab.start_relay("--config", config, "--log-level", "debug", "--no-device")
    config.write_text("log-level: error\nrelay: {admission: approve, queue: 2MiB, device: true}\n")
    found = report(lab.relay, "reload")
    assert changes(found["applied"]) == {"relay.queue": ("1MiB", "2MiB")} and found["needs_restart"] == []


def test_a_relay_that_was_started_without_a_file_reloads_without_one(flat):
    """Nothing has changed then; and the terminal's end does not end the daemon."""
    lab = flat(0)
    relay = lab.start_relay("--no-device")
    relay.signal(HANGUP)
    until(lambda: "nothing has changed" in relay.log, "SIGHUP reloads")
    assert lab.relay.status()


def test_a_device_finds_the_relay_where_its_file_says_it_is_now(flat):
    """Waiting to try again, it tries at once; its log gets as detailed as the file says; a relative path stays good."""
    lab = flat(1)
    node = lab["d1"]
    config = lab.directory / "device.yaml"
    config.write_text(f"server: {RELAY}\ndevice-id: d1\n")
    relay = lab.start_relay()
    node.mnedc("mnedc-join", "--config", "device.yaml", "--background", cwd=lab.directory)
    relay.stop()
    lab.start_relay("--listen", "0.0.0.0:4000")
    config.write_text(f"server: {RELAY}:4000\ndevice-id: other\nlog-level: debug\njoin: {{timeout: 5s}}\n")
    found = report(node, "reload")
    assert changes(found["applied"]) == {
        "server": (f"{RELAY}:3334", f"{RELAY}:4000"), "log-level": ("info", "debug"),
    }  # fmt: skip
    assert set(changes(found["needs_restart"])) == {"device-id", "join.timeout"}
    wait_until_joined(lab, "d1", 2)
    assert node.status()["device"]["device_id"] == "d1"
    config.write_text("device-id: d1\n")
    refused = ctl(node, "reload", check=False)
    assert refused.returncode == 78 and "no relay is named" in refused.stderr
    ctl(node, "stop")
    until(lambda: not node.interfaces(), "the device ends")


def test_a_reload_before_the_first_join_keeps_what_the_invite_says(flat):
    """The file does not say it yet, and need not even be there."""
    lab = flat(1)
    node = lab["d1"]
    relay = lab.start_relay(admission="invite")
    invite = ctl(lab.relay, "invite", "--server", f"{RELAY}:{PORT}").stdout.strip()
    relay.stop()
    config = lab.directory / "new" / "mnedc.yaml"
    node.start_mnedc("mnedc-join", "--config", config, "--device-id", "d1", invite)
    until(node.status, "mnedc-join answers")
    assert ctl(node, "reload").stdout == "nothing has changed\n"
    lab.start_relay(admission="invite")
    wait_until_joined(lab, "d1", 1)
    assert ctl(node, "reload").stdout == "nothing has changed\n"
    assert "server-key" in config.read_text()


def test_only_root_and_the_daemons_user_may_reload_or_drain(flat):
    """Anybody else is told so."""
    lab = flat(0)
    lab.start_relay("--no-device")
    for command in ("reload", "drain"):
        refused = lab.relay.run(
            *as_somebody(lab), lab.program("mnedc-ctl"), command, "--socket", lab.relay.socket_path, check=False
        )
        assert refused.returncode == 77, refused.stderr


# --- The service manager ---


def test_the_service_manager_is_told_of_reloads_and_of_the_end(flat):
    """RELOADING=1 with the time, then READY=1, also of a bad file; STOPPING=1 when a drain begins, and how long that
    may take.
    """
    lab = flat(0)
    path = str(lab.directory / "notify")
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    lab.sockets.append(manager)
    manager.bind(path)
    manager.settimeout(30)
    os.chmod(path, 0o777)
    config = lab.directory / "relay.yaml"
    config.write_text("relay: {device: false}\n")
    relay = lab.relay.start_mnedc("mnedcd", "--config", config, env=os.environ | {"NOTIFY_SOCKET": path})

    def told():
        return dict(line.split("=", 1) for line in manager.recv(4096).decode().splitlines())

    first = told()
    assert first["READY"] == "1"
    for text, status in (("relay: {queue: 1MiB, device: false}\n", 0), ("nonsense\n", 78)):
        config.write_text(text)
        before = time.monotonic_ns() // 1000
        assert ctl(lab.relay, "reload", check=False).returncode == status
        reloading = told()
        assert reloading["RELOADING"] == "1"
        assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        assert told() == first
    done = ctl(lab.relay, "drain", "--within", "90s")
    assert "; the relay has ended and stays down; start mnedcd to have it serve again" in done.stdout
    assert told() == {"STOPPING": "1", "STATUS": "draining"}
    assert int(told()["EXTEND_TIMEOUT_USEC"]) > 90_000_000
    assert relay.wait(30) == 0
    assert re.search(r"drained in [0-9.]+ s: 0 sessions, 0 of them cut off", relay.log)
