"""Commands of an operator: names of devices, confirmations before a lock-out, and messages about failures."""

import json
import os
import re
import signal

import pytest

from lab import INTERFACE, PORT, RELAY, until
from terminal import Terminal
from test_admission import asked, ctl
from test_ctl import Host
from test_systemd import Manager, StuckThread, start_told

SERVER = f"{RELAY}:{PORT}"


# --- Names of devices ---


def test_a_device_is_named_by_its_address_its_host_name_or_its_fingerprint(flat):
    """By what means one device alone; a name that means several is refused, and one that means none hears of a near
    one.
    """
    lab = flat(3)
    lab.start_relay()
    for node, name in (("d1", "Cam_A"), ("d2", "cam-b"), ("d3", "hub")):
        lab.start_device(node, device_id=name)
    known = {each["device_id"]: each for each in asked(lab, "devices")["devices"]}
    fingerprint = known["hub"]["fingerprint"]
    assert asked(lab, "lease", "pin", "cam-a.mnedc")["leases"][0]["device_id"] == "Cam_A"
    # The tool for peers takes the same, on the relay's host and on a device.
    own = known["Cam_A"]["fingerprint"]
    for node in (lab.relay, lab["d3"]):
        shown = json.loads(node.mnedc("mnedc-peers", "show", own[7:17], "--json").stdout)["peers"]
        assert [each["device_id"] for each in shown] == ["Cam_A"]
    for name in (known["cam-b"]["address"], "CAM-B", known["cam-b"]["fingerprint"][7:17]):
        assert "of cam-b is refused" in ctl(lab, "revoke", name).stdout
    until(lambda: lab["d2"].status()["device"]["state"] != "joined", "cam-b is out")
    assert ctl(lab, "forget", fingerprint[:17]).stdout == f"hub ({fingerprint}) is forgotten\n"
    for name, says in (
        ("cam-c", "knows no device cam-c; did you mean Cam_A"),
        ("ca", "knows no device ca; did you mean Cam_A?"), ("10.0.0.77", "knows no device 10.0.0.77; see"),
        ("SHA", "knows no device SHA; see"), ("SHA256:", "knows no device SHA256:; see"),
    ):  # fmt: skip
        done = ctl(lab, "revoke", name, check=False)
        assert done.returncode == 69 and says in done.stderr, done.stderr
    # The relay's own host is spared, whatever it is called.
    done = ctl(lab, "revoke", "10.0.0.1", check=False)
    assert done.returncode == 69 and "is the relay's own host" in done.stderr


# --- Questions ---


def on_a_terminal(lab, *command):
    return Terminal(lab.relay, [lab.program("mnedc-ctl"), *command, "--socket", lab.relay.socket_path], columns=200)


def test_a_person_is_asked_before_a_device_is_locked_out(flat):
    """And hears which one it is; `--yes` and a script are not asked."""
    lab = flat(2)
    lab.start_all()
    fingerprint = next(each["fingerprint"] for each in asked(lab, "devices")["devices"] if each["device_id"] == "d1")
    for answer in ("n\n", "\n", "\x04"):
        with on_a_terminal(lab, "revoke", lab["d1"].virtual_address()) as terminal:
            terminal.until(r"Go on\? \[y/N\] ")
            assert f"locks out d1 ({fingerprint}), which is connected at {lab['d1'].virtual_address()}" in terminal.text
            terminal.type(answer)
            assert terminal.wait() == 1 and "nothing was done" in terminal.text
    assert "d1" in lab["d2"].peers()
    with on_a_terminal(lab, "revoke", "d1") as terminal:
        terminal.until(r"Go on\? \[y/N\] ")
        terminal.type("y\n")
        assert terminal.wait() == 0 and f"the key {fingerprint} of d1 is refused" in terminal.text
    until(lambda: "d1" not in lab["d2"].peers(), "d1 is out")
    with on_a_terminal(lab, "revoke", "d2", "--yes") as terminal:
        assert terminal.wait() == 0 and "Go on?" not in terminal.text


def test_a_person_hears_whom_a_drain_and_a_new_key_lock_out(flat):
    """The devices that are connected, and those that are not."""
    lab = flat(2)
    running = lab.start_all()
    assert running["d1"].stop() == 0
    until(lambda: "d1" not in lab.relay.peers(), "d1 is away")
    key = asked(lab, "key")["fingerprint"]
    with on_a_terminal(lab, "rotate-key", "--forget-old") as terminal:
        terminal.until(r"Go on\? ")
        assert re.search(r"locks out 1 device not connected now, .*: d1\. All invites are revoked\.", terminal.text)
        terminal.type("no\n")
        assert terminal.wait() == 1
    assert asked(lab, "key")["fingerprint"] == key
    with on_a_terminal(lab, "drain") as terminal:
        terminal.until(r"Go on\? ")
        assert re.search(r"cuts 1 connected device off .*: d2\.", terminal.text), terminal.text
        terminal.type("yes\n")
        assert terminal.wait() == 0
    assert running["relay"].wait() == 0


# --- What is said ---


def test_an_invite_alone_is_on_standard_output(flat):
    """What it is good for is on standard error, with a warning if it is good in this network alone."""
    lab = flat(0)
    lab.start_relay()
    made = ctl(lab, "invite", "--uses", "3", "--expires", "2h")
    assert re.fullmatch(r"mnedc-invite:\S+\n", made.stdout)
    (invite,) = asked(lab, "invites")["invites"]
    first, second = made.stderr.splitlines()
    assert first == f"invite {invite['id']}: for 3 devices, for 2h, at {SERVER}"
    assert second.startswith("warning: every server of the invite is a private address") and "--server" in second
    public = ctl(lab, "invite", "--server", "relay.example", "--server", RELAY, "--device-id", "cam")
    assert re.fullmatch(rf"invite \w+: for cam, for 1d, at relay\.example:3334, {SERVER}\n", public.stderr)
    assert ctl(lab, "invite", "--json", "--server", "192.0.2.1").stderr == ""
    for here in ("127.0.0.1", "localhost", "[::1]:3334"):
        warning = ctl(lab, "invite", "--server", here).stderr.splitlines()[1]
        assert "is this host itself, so the invite works on this host only" in warning, here


def test_ping_takes_a_count_as_ping_does(flat):
    """`-c`, beside `--config` for the configuration."""
    lab = flat(2)
    lab.start_all()
    config = lab.directory / "tools.yaml"
    config.write_text("")
    for options in (["ping", "d2", "-c", "2"], ["ping", "-c2", "d2"], ["ping", "-c", "2", "--config", config, "d2"]):
        shown = lab["d1"].mnedc("mnedc-peers", *options, "--interval", "100ms").stdout
        assert shown.count("d2 (10.0.0.") == 2 and "2 sent, 2 answered" in shown, shown


SYSTEMCTL = """#!/bin/sh
echo "$@" >>"$0.log"
cat "$0.says"
"""


def test_a_daemon_that_does_not_answer_is_named_by_its_unit(flat):
    """Where systemd runs the host; a systemctl that hangs or fails is not waited for long, and changes nothing."""
    lab = flat(0)
    host = Host(lab.relay)
    tool = lab.directory / "systemctl"
    tool.write_text(SYSTEMCTL)
    tool.chmod(0o755)
    says, log = lab.directory / "systemctl.says", lab.directory / "systemctl.log"
    state = "LoadState=loaded\nActiveState={}\nSubState={}\nResult={}\nExecMainStatus={}\nUnitFileState=enabled\n"
    says.write_text(
        "Id=mnedc-join.service\n" + state.format("failed", "failed", "exit-code", 78)
        + "\nId=mnedcd.service\n" + state.format("inactive", "dead", "success", 0)
    )  # fmt: skip
    environment = os.environ | {"PATH": f"{lab.directory}:{os.environ['PATH']}"}

    def status(*options):
        done = lab.relay.run(*host.inside(lab.program("mnedc-ctl"), *options), check=False, env=environment)
        assert done.returncode == 69, done
        return done.stderr

    assert "start mnedcd or mnedc-join, or name its --socket" in status("status") and not log.exists()
    (host.directory / "systemd" / "system").mkdir(parents=True)
    assert re.search(
        r"no daemon answers \(.*\); mnedc-join.service has failed \(exit status 78\): journalctl -u mnedc-join "
        "says why, "
        "and systemctl start mnedc-join starts it again\n", status("status"),
    )  # fmt: skip
    status("invites")
    status("status", "--of", "shop")
    asked_for = [line.partition(" -- ")[2] for line in log.read_text().splitlines()]
    assert asked_for == [
        "mnedc-join.service mnedcd.service mnedc-join@*.service",
        "mnedcd.service",
        "mnedc-join@shop.service",
    ]
    tool.write_text("#!/bin/sh\nexec sleep 60\n")
    assert "start mnedcd or mnedc-join, or name its --socket" in status("status")
    tool.write_text("#!/bin/sh\necho 'not booted with systemd'\nexit 1\n")
    assert "start mnedcd or mnedc-join, or name its --socket" in status("status")


def test_a_service_that_may_not_read_its_configuration_says_what_lets_it(flat):
    """The group and the mode, of the file or of its directory."""
    lab = flat(0)
    node, manager = lab.relay, Manager(lab, "manager")
    directory = lab.directory / "etc"
    directory.mkdir(mode=0o755)
    config = directory / "mnedc.yaml"
    config.write_text("log-level: info\n")
    config.chmod(0o600)
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

    def started(environment):
        return node.run(*user, lab.program("mnedcd"), "--config", config, check=False, env=environment)

    by_hand = started(os.environ)
    assert by_hand.returncode == 66 and "run as root or as the user that the file is for" in by_hand.stderr
    service = started(manager.environment())
    assert service.returncode == 66 and f": chgrp nogroup {config} && chmod 640 {config}\n" in service.stderr
    directory.chmod(0o700)
    service = started(manager.environment())
    assert service.returncode == 66 and f": chgrp nogroup {directory} && chmod 750 {directory}\n" in service.stderr


def test_a_relays_host_hears_that_it_is_in_its_network_already(flat):
    """By an invite, by its own address, and where nothing but the interface tells."""
    lab = flat(0)
    host = Host(lab.relay)
    host.start("mnedcd", "--admission", "open", state="relay")
    invite = host.ctl("invite").stdout.strip()
    config = lab.directory / "join.yaml"
    for options in ([invite], ["--server", SERVER], ["--server", "localhost"]):
        options += ["--config", config, "--state", lab.directory / "join.state"]
        config.write_text("")
        done = host.run("mnedc-join", *options, "--timeout", "5s", check=False)
        assert done.returncode == 78 and "this host is in that network already" in done.stderr, done.stderr
        assert f"at 10.0.0.1 ({INTERFACE}); there is nothing to join" in done.stderr
    done = host.run("mnedc-join", "--server", "relay.invalid", *options[-4:], check=False)
    assert done.returncode == 73 and "choose another name (--interface)" in done.stderr, done.stderr
    # Where the relay's local socket is not in its usual place: nothing answers there.
    elsewhere = ["--server", "localhost", *options[-4:]]
    config.write_text(f"relay: {{socket: {lab.directory}/nowhere.sock}}\n")
    done = host.run("mnedc-join", *elsewhere, check=False)
    assert done.returncode == 73 and "localhost:3334 is this host itself: if mnedcd made it" in done.stderr, done.stderr
    done = host.run("mnedc-join", *elsewhere, "--interface", "other0", check=False)
    assert done.returncode == 78 and "this host is in that network already: it is the relay localhost" in done.stderr


# --- What the daemons do ---


def test_a_relay_that_has_lost_its_key_does_not_make_another_in_silence(flat):
    """Since no device would take it; with --new-key it does, and says so."""
    lab = flat(1)
    relay = lab.start_relay()
    device = lab.start_device("d1")
    former = asked(lab, "key")["fingerprint"]
    assert device.stop() == 0 and relay.stop() == 0
    key = lab.directory / "relay.state" / "relay.key"
    kept = key.read_bytes()
    key.unlink()
    refused = lab.relay.mnedc("mnedcd", check=False)
    assert refused.returncode == 66 and re.search(
        f"{key} is missing, and relay.db has 1 device for that key; restore it from a backup; or .*--new-key",
        refused.stderr,
    ), refused.stderr
    assert not key.exists()
    again = lab.start_relay("--new-key")
    until(lambda: re.search("warning: .*relay.key is missing.*refuses the relay's new key", again.log), "it warns")
    assert asked(lab, "key")["fingerprint"] != former
    assert again.stop() == 0
    key.write_bytes(kept)
    lab.start_relay()
    assert asked(lab, "key")["fingerprint"] == former
    lab.start_device("d1")


def test_a_relay_that_has_lost_its_key_remembers_open_invites(flat):
    """They name the old key, so a device that comes with one would refuse the relay."""
    lab = flat(0)
    relay = lab.start_relay("--no-device", admission=None)
    ctl(lab, "invite")
    ctl(lab, "uninvite", json.loads(ctl(lab, "invite", "--json").stdout)["id"])
    assert relay.stop() == 0
    (lab.directory / "relay.state" / "relay.key").unlink()
    refused = lab.relay.mnedc("mnedcd", "--no-device", check=False)
    assert refused.returncode == 66 and "relay.db has 1 open invite for that key" in refused.stderr, refused.stderr
    relay = lab.start_relay("--no-device", "--new-key", admission=None)
    assert "the invites name the old key, so revoke them (mnedc-ctl uninvite)" in relay.log


def test_the_default_listen_address_can_be_named(flat):
    """--listen auto overrides the file's addresses, and stands alone."""
    lab = flat(0)
    config = lab.directory / "listen.yaml"
    config.write_text(f"relay: {{listen: {RELAY}:4444}}\n")
    checked = lab.relay.mnedc("mnedcd", "--check", "--config", config, "--listen", "auto").stdout
    assert "listen: auto" in checked and "4444" not in checked
    both = lab.relay.mnedc("mnedcd", "--check", "--listen", "auto", "--listen", RELAY, check=False)
    assert both.returncode == 64 and "--listen auto stands alone" in both.stderr


def test_a_signal_to_abort_ends_a_daemon_at_once(flat):
    """Though the Swift runtime would only print where it is: a service manager sends it to one that hangs."""
    lab = flat(0)
    relay = lab.start_relay("--no-device")
    relay.signal(signal.SIGABRT)
    assert relay.wait(5) == -signal.SIGABRT


@pytest.mark.long
def test_a_daemon_with_a_stuck_thread_ends_itself_and_a_frozen_one_goes_on(flat):
    """Under a service manager, once 30 seconds have passed in which it ran."""
    lab = flat(1)
    managers = Manager(lab, "first"), Manager(lab, "second")
    relay = start_told(lab.relay, managers[0], "mnedcd", "--no-device", "--admission", "open")
    managers[0].hears(lambda told: "READY" in told, "the relay is ready")
    device = start_told(lab["d1"], managers[1], "mnedc-join", "--server", SERVER, "--device-id", "d1")
    managers[1].hears(lambda told: "READY" in told, "the device is ready")
    device.pause()
    with StuckThread(relay.pid, "relay-0"):
        until(lambda: "a thread has been stuck for 30 s" in relay.log, "the relay says that a thread is stuck", 90)
    assert relay.wait(10) == -signal.SIGABRT
    device.resume()
    lab.start_relay("--no-device")
    until(lambda: lab["d1"].status()["device"]["state"] == "joined", "the device goes on", 30)
    assert device.is_running
