"""Admission: which devices join, by which means, and what a refused device is told."""

import base64
import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
import time
import zlib
from pathlib import Path

import pytest

from clock import Clock
from lab import PORT, RELAY, until
from test_misuse import as_somebody

SERVER = f"{RELAY}:{PORT}"


def ctl(lab, command, *options, **more):
    return lab.relay.mnedc("mnedc-ctl", command, *options, **more)


def asked(lab, command, *options):
    return json.loads(ctl(lab, command, *options, "--json").stdout)


def invite(lab, *options):
    """The line that mnedc-ctl invite prints: the only one on standard output."""
    done = ctl(lab, "invite", *options)
    assert re.fullmatch(r"mnedc-invite:[\w-]+\n", done.stdout), done
    return done.stdout.strip()


def devices(lab):
    """{device ID: device}, of those that were not revoked."""
    return {each["device_id"]: each for each in asked(lab, "devices")["devices"] if each["status"] == "active"}


def refused(lab):
    """{code: how often} of the devices that were not let in."""
    return {each["code"]: each["count"] for each in lab.relay.status()["relay"]["refused"]}


def config_path(node):
    return node.lab.directory / f"{node.name}.yaml"


def start(node, *options, device_id=None, wait=True):
    """Starts mnedc-join with a configuration file of the node's own, which may be missing if there is an invite."""
    device = node.start_mnedc(
        "mnedc-join", *options, "--config", config_path(node), "--device-id", device_id or node.name
    )
    if wait:
        # The address is there a moment before the configuration, which is before this line.
        until(lambda: "mnedc-join: joined " in device.log or not device.is_running, f"{node.name} joins", 15)
        assert device.is_running, device.log
    return device


def fails(node, *options, says, status=69, device_id=None):
    """Runs an mnedc-join that must not get in, with one line as its last word, which is returned."""
    done = node.mnedc(
        "mnedc-join", *options, "--config", config_path(node), "--device-id", device_id or node.name, check=False
    )
    last = (done.stderr.strip().splitlines() or [""])[-1]
    assert last.startswith("mnedc-join: ") and re.search(says, last), done.stderr
    assert done.returncode in (status if isinstance(status, tuple) else (status,)), (done.returncode, done.stderr)
    assert not node.interfaces()
    return last


def parts(line):
    return base64.urlsafe_b64decode(line.partition(":")[2] + "==")


def forged(line, number=0):
    """An invite as whole as `line`, with another token."""
    content = parts(line)[:-4]
    content = content[:33] + number.to_bytes(16, "big") + content[49:]
    whole = content + zlib.crc32(content).to_bytes(4, "big")
    return "mnedc-invite:" + base64.urlsafe_b64encode(whole).decode().rstrip("=")


def known_relays(node):
    with open(f"{node.state_path}/known-relays") as file:
        return file.read()


def trusted_keys(node):
    """The keys of relays that it trusts, apart from those in its configuration."""
    successors = Path(f"{node.state_path}/relay-successors")
    return known_relays(node) + (successors.read_text() if successors.exists() else "")


# --- Invites ---


def test_an_invite_is_all_that_a_device_needs_and_it_needs_it_once(flat):
    """The configuration is written by it, and enough from then on."""
    lab = flat(1)
    lab.start_relay(admission=None)
    device, line = lab["d1"], invite(lab)
    program = start(device, line)
    address = device.virtual_address()
    device.reaches("10.0.0.1")
    key = asked(lab, "key")["key"]
    assert config_path(device).read_text() == f'server: "{SERVER}"\nserver-key: "{key}"\ndevice-id: "d1"\n'
    assert stat.S_IMODE(config_path(device).stat().st_mode) == 0o600
    record = devices(lab)["d1"]
    [made] = asked(lab, "invites")["invites"]
    assert (made["state"], made["uses_left"], made["uses_total"]) == ("used-up", 0, 1)
    assert (record["admitted_by"], record["invite_id"]) == ("invite", made["id"])
    assert record["online"] and record["address"] == address
    assert "met for the first time" not in program.log, "the invite has told the key"

    assert program.stop() == 0
    until(lambda: not devices(lab)["d1"]["online"], "the relay notices")
    again = device.start_mnedc("mnedc-join", "--config", config_path(device))
    until(lambda: device.virtual_address(), "it joins without the invite")
    assert device.virtual_address() == address
    assert again.stop() == 0
    # Nor does the invite do any harm to who is in already, for who does not know whether it has worked.
    start(device, line)
    assert config_path(device).read_text().count("server") == 2


def test_an_invite_of_another_network_leaves_the_relays_host_who_it_is(flat):
    """One file for both daemons of a host: neither what the invite writes nor a hand keeps the host out of its own
    network.
    """
    lab = flat(1)
    host, other = lab.relay, lab["d1"]
    config = config_path(host)
    config.write_text("relay: {pool: 10.77.0.0/24, interface: mnedc7}\n")
    relay = host.start_mnedc("mnedcd", "--config", config)
    until(host.status, "the relay answers")
    name = host.status()["device"]["device_id"]
    elsewhere = other.start_mnedc("mnedcd", "--pool", "10.0.0.0/24")
    until(other.status, "the other relay answers")
    line = json.loads(other.mnedc("mnedc-ctl", "invite", "--server", other.address, "--json").stdout)["invite"]
    place = lab.directory / "joined"
    options = ["--socket", place.with_suffix(".sock"), "--state", place.with_suffix(".state"), "--config", config]
    device = host.start(
        lab.program("mnedc-join"), *options, "--device-id", "top", line, name="the device on the relay's host"
    )
    until(lambda: "server-key" in config.read_text(), "the invite is taken")
    assert "device-id" not in config.read_text() and device.is_running
    assert device.stop() == 0
    again = host.start(lab.program("mnedc-join"), *options, name="the device on the relay's host")
    until(lambda: host.virtual_address("mnedc0"), "it is in again, as who it was")
    assert again.stop() == 0
    for also in ("", "device-id: somebody\n"):
        assert relay.stop() == 0
        config.write_text(config.read_text() + also)
        relay = host.start_mnedc("mnedcd", "--config", config)
        until(lambda: host.virtual_address("mnedc7"), "the relay's host is in its own network")
        assert host.status()["device"]["device_id"] == name
    assert f"this host stays {name} in its own network, though the configuration says device-id somebody" in relay.log
    assert elsewhere.stop() == 0


def test_every_token_that_is_no_good_has_words_of_its_own(flat):
    """And leaves no configuration behind, so that the next invite finds all as it was."""
    lab = flat(2)
    lab.start_relay(admission=None)
    first, device = lab["d1"], lab["d2"]
    used, expired, revoked = invite(lab), invite(lab, "--expires", "1s"), invite(lab)
    start(first, used)
    made = {each["state"]: each["id"] for each in asked(lab, "invites")["invites"]}
    other = invite(lab, "--device-id", "another")
    [revoked_id] = [
        each["id"] for each in asked(lab, "invites")["invites"]
        if each["state"] == "usable" and "device_id" not in each and each["expires_at"] > time.time() + 10
    ]  # fmt: skip
    assert "is revoked" in ctl(lab, "uninvite", revoked_id).stdout
    until(lambda: "expired" in {each["state"] for each in asked(lab, "invites")["invites"]}, "an invite expires")

    fails(device, used, says="used up; ask the relay's operator for a new one")
    fails(device, expired, says="has expired; ask")
    fails(device, revoked, says="invite was revoked; ask")
    fails(device, other, says="for a device with another ID")
    fails(device, forged(used), says="does not know this invite")
    assert not config_path(device).exists()
    config_path(device).write_text(f"server: {SERVER}\n")
    fails(device, says="wants an invite.*mnedc-ctl invite")
    assert refused(lab) == {
        "invite-used-up": 1, "invite-expired": 1, "invite-revoked": 1, "invite-for-another": 1, "invite-unknown": 1,
        "invite-needed": 1,
    }  # fmt: skip
    done = ctl(lab, "uninvite", "nonesuch", check=False)
    assert done.returncode == 69 and "knows no invite nonesuch; see `mnedc-ctl invites`" in done.stderr
    table = ctl(lab, "invites").stdout
    for word in ("used-up", "expired", "revoked", "usable", "another", made["used-up"]):
        assert word in table
    assert first.ping("10.0.0.1")[0]


def test_who_guesses_is_stopped_and_who_is_known_from_there_is_not(flat):
    """After ten wrong tokens from one address, by address."""
    lab = flat(2)
    clock = Clock(lab)
    lab.start_relay(admission=None, env=clock.environment)
    known, guesser = lab["d1"], lab["d2"]
    line = invite(lab, "--uses", "3")
    program = start(guesser, line)
    assert program.stop() == 0
    config_path(guesser).unlink()
    start(known, line)
    lost = known.watch("10.0.0.1")
    told = []
    for number in range(14):
        # A key of its own, since a known one needs no token.
        # Who is blocked may try again later, so that this ends with the time.
        options = (forged(line, number), "--state", lab.directory / f"guess{number}", "--timeout", "1s")
        told.append(fails(guesser, *options, says="does not know this invite|too many wrong invites", status=(69, 75)))
    blocked = ["too many wrong invites" in each for each in told]
    assert blocked[:10] == [False] * 10 and blocked[11:] == [True] * 3, told
    assert RELAY not in told[-1] and guesser.address in told[-1]
    # A good one is not looked at either; but a key that is known is, with a token or without.
    blocked = ("--state", lab.directory / "fresh", "--timeout")
    fails(guesser, line, *blocked, "1s", says="could not join within 1s: too many wrong invites", status=75)
    running = start(guesser, line)
    guesser.reaches("10.0.0.1")
    assert not lost()
    assert refused(lab)["too-many-attempts"] >= 4
    # With more time, mnedc-join tries again until it is.
    assert running.stop() == 0
    patient = start(guesser, line, *blocked, "2m", device_id="fresh", wait=False)
    until(lambda: "too many wrong invites" in patient.log, "it is blocked")
    clock.skip(10)
    until(lambda: "mnedc-join: joined " in patient.log or not patient.is_running, "it joins by itself", 60)
    assert patient.is_running, patient.log


def test_an_invite_names_the_relay_as_others_find_it(flat):
    """--server, relay.public-address, or the host's own addresses; and --check shows it."""
    lab = flat(1)
    config = lab.directory / "relay.yaml"
    relay = lab.start_relay("--listen", "0.0.0.0:4444", "--listen", f"{RELAY}:5555", admission=None)

    def servers(*options):
        return asked(lab, "invite", *options)["servers"]

    assert servers() == [f"{RELAY}:4444", f"{RELAY}:5555"]
    assert servers("--server", "relay.example", "-s", "[2001:db8::1]:99") == ["relay.example:3334", "[2001:db8::1]:99"]
    key = asked(lab, "key")
    shown = lab["d1"].mnedc("mnedc-join", "--check", invite(lab), "--config", config_path(lab["d1"])).stdout
    assert key["fingerprint"] in shown and key["key"] in shown and f"{RELAY}:4444" in shown
    assert not config_path(lab["d1"]).exists()
    assert relay.stop() == 0

    config.write_text("relay: {public-address: [relay.example, 192.0.2.1:80]}\n")
    relay = lab.start_relay("--config", config, admission=None)
    assert servers() == ["relay.example:3334", "192.0.2.1:80"]
    assert servers("--server", "other.example") == ["other.example:3334"]
    assert relay.stop() == 0

    lab.relay.run("ip", "address", "flush", "dev", "eth0")
    lab.start_relay(admission=None)
    before = asked(lab, "invites")
    done = ctl(lab, "invite", check=False)
    assert done.returncode == 69 and re.search("no address.*--server HOST:PORT.*relay.public-address", done.stderr)
    assert asked(lab, "invites") == before, "nothing is made that nobody can use"


def test_an_invite_names_the_address_that_the_host_has_towards_the_internet(nat):
    """Not one of its others."""
    nat.relay.run("ip", "address", "add", "172.31.0.1/24", "dev", "eth0")
    nat.start_relay(admission=None)
    assert asked(nat, "invite")["servers"] == [SERVER]
    start(nat["deep"], invite(nat))
    nat["deep"].reaches("10.0.0.1")


@pytest.mark.parametrize(
    "options, says",
    [
        (["--uses", "0"], "1 to 10000"),
        (["--uses", "10001"], "1 to 10000"),
        (["--expires", "0s"], "1s to 365d"),
        (["--expires", "8761h"], "1s to 365d"),
        (["--device-id", "-"], "letters, digits"),
        (["--server", "a b"], "host"),
    ],
)
def test_what_is_asked_of_an_invite_has_bounds(flat, options, says):
    """They are in the message."""
    done = ctl(flat(0), "invite", *options, check=False)
    assert done.returncode == 64 and says in done.stderr, done.stderr


def test_a_line_that_is_no_invite_is_told_what_it_is(flat):
    """And is not repeated, since it may hold a secret."""
    lab = flat(1)
    lab.start_relay(admission=None)
    line, key = invite(lab), asked(lab, "key")["key"]
    for text, says in [
        (line[:-3], "is damaged; copy the whole line"),
        (line[:40] + ("A" if line[40] != "A" else "B") + line[41:], "is damaged"),
        (key, "no invite: it begins with mnedc-relay:"),
        ("hello", "no invite, which begins with mnedc-invite:"),
    ]:
        assert text[14:] not in fails(lab["d1"], text, says=says, status=64) or len(text) < 15


# --- The configuration ---


def test_a_configuration_keeps_what_it_says_and_is_told_the_relay(flat):
    """Comments and settings stay, and so does the mode."""
    lab = flat(1)
    lab.start_relay(admission=None)
    device = lab["d1"]
    text = "# The owner's own words.\ndevice-id: from-file\njoin: {mtu: 1300}"
    config_path(device).write_text(text)
    config_path(device).chmod(0o644)
    program = device.start_mnedc("mnedc-join", invite(lab), "--config", config_path(device))
    until(lambda: "mnedc-join: joined " in program.log, "it joins")
    new = config_path(device).read_text()
    assert new.startswith(text + "\nserver: ") and new.count("\n") == 5 and "from-file" in devices(lab)
    assert stat.S_IMODE(config_path(device).stat().st_mode) == 0o644
    assert program.stop() == 0


def test_a_configuration_of_the_same_relay_is_no_obstacle(flat):
    """What it lacks is added."""
    lab = flat(1)
    lab.start_relay(admission=None)
    device = lab["d1"]
    config_path(device).write_text(f"server: [elsewhere.example, {SERVER}]\ndevice-id: d1\n")
    start(device, invite(lab), "--server", SERVER)
    key = asked(lab, "key")["key"]
    assert config_path(device).read_text().endswith(f'device-id: d1\nserver-key: "{key}"\n')


def test_a_configuration_of_another_relay_is_in_the_way(flat):
    """It says what to do, and changes nothing."""
    lab = flat(1)
    lab.start_relay(admission=None)
    device, line = lab["d1"], invite(lab)
    other = "mnedc-relay:" + "A" * 43
    for text, says in [
        (
            "server: other.example\n",
            r"d1.yaml names another relay \(other.example:3334\) than.*192.168.50.10:.*--reset",
        ),
        (f"server: {SERVER}\nserver-key: {other}\n", r"server-key SHA256:.*new key.*correct server-key there"),
        ("{device-id: d1}\n", "write there: server: .*server-key: "),
    ]:
        config_path(device).write_text(text)
        fails(device, line, says=says, status=78)
        assert config_path(device).read_text() == text
    config_path(device).unlink()
    fails(device, line, "--server-key", other, says="--server-key for another", status=64)
    assert asked(lab, "invites")["invites"][0]["uses_left"] == 1


def test_a_configuration_that_could_not_be_written_stops_the_join_before_it_begins(flat):
    """The invite is not used up by that."""
    lab = flat(1)
    lab.start_relay(admission=None)
    device, line = lab["d1"], invite(lab)
    (lab.directory / "folder").mkdir()
    for path, status, says in [
        ("none/there/x.yaml", 73, "cannot write.*name another file"),
        ("folder", 66, "cannot read the configuration .*folder: Is a directory; name a file in it with --config"),
    ]:
        done = device.mnedc("mnedc-join", line, "--config", lab.directory / path, check=False)
        assert done.returncode == status and re.search(says, done.stderr), done
    assert asked(lab, "invites")["invites"][0]["uses_left"] == 1
    start(device, line)


def test_a_configuration_that_turns_out_unwritable_costs_nothing_but_another_try(flat):
    """The relay has let the device in by then, and forgets it again; the same line works once more."""
    lab = flat(1)
    relay = lab.start_relay(admission=None)
    device, line, folder = lab["d1"], invite(lab), lab.directory / "etc"
    options = (line, "--config", folder / "mnedc.yaml", "--device-id", "d1")
    assert relay.stop() == 0
    program = device.start_mnedc("mnedc-join", *options)
    until(lambda: device.status(), "it has looked at everything and tries to connect")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755, "it has made the directory"
    folder.chmod(0o555)
    lab.start_relay(admission=None)
    assert program.wait(20) == 74
    assert re.search(
        "has admitted this device, but .*mnedc.yaml cannot be written: Perm.*run the same again", program.log
    )
    until(lambda: "d1" not in devices(lab), "the relay forgets the device")
    assert asked(lab, "invites")["invites"][0]["uses_left"] == 1
    assert "d1" not in [lease["device_id"] for lease in asked(lab, "leases")["leases"]]
    folder.chmod(0o755)
    device.start_mnedc("mnedc-join", *options)
    until(lambda: (folder / "mnedc.yaml").exists(), "it is written")
    assert [path.name for path in folder.iterdir()] == ["mnedc.yaml"]


# --- Approval ---


def test_a_device_waits_until_an_operator_approves_it_and_is_in_at_once(flat):
    """By its ID or by its fingerprint, which is the same on both sides."""
    lab = flat(2)
    lab.start_relay(admission="approve")
    for number, device in enumerate((lab["d1"], lab["d2"])):
        config_path(device).write_text(f"server: {SERVER}\n")
        # The time for the first join is no limit for a person.
        program = start(device, "--timeout", "1s", wait=False)
        until(lambda: asked(lab, "pending")["devices"], "it is pending")
        until(lambda: "waiting until an operator of the relay" in program.log, "it says so")
        [entry] = asked(lab, "pending")["devices"]
        fingerprint = json.loads(device.mnedc("mnedc-ctl", "key", "--json").stdout)["fingerprint"]
        assert (entry["device_id"], entry["fingerprint"]) == (device.name, fingerprint)
        assert entry["outer_address"].startswith(device.address + ":")
        assert f"mnedc-ctl approve {device.name}" in program.log and fingerprint in program.log
        assert fingerprint in ctl(lab, "pending").stdout
        assert lab.relay.status()["relay"]["pending"] == 1
        assert "operator" in device.status()["device"]["progress"]
        walk = json.loads(device.mnedc("mnedc-ctl", "explain", "d9", "--json", check=False).stdout)
        advice = next(step["advice"] for step in walk["steps"] if step["name"] == walk["failed_step"] == "uplink")
        assert f"mnedc-ctl approve {device.name}" in advice and fingerprint in advice
        time.sleep(1.2)
        began = time.monotonic()
        said = ctl(lab, "approve", device.name if number == 0 else fingerprint).stdout
        assert "is admitted" in said
        until(lambda: device.virtual_address(), "it joins")
        assert time.monotonic() - began < 2
        assert devices(lab)[device.name]["admitted_by"] == "approved"
        assert not asked(lab, "pending")["devices"]
    lab["d1"].reaches(lab["d2"].virtual_address())


def test_a_device_that_is_turned_away_is_told_so_and_stays_out(flat):
    """For an hour, by its key; an invite does not help."""
    lab = flat(1)
    lab.start_relay(admission="approve")
    device = lab["d1"]
    config_path(device).write_text(f"server: {SERVER}\n")
    program = start(device, wait=False)
    until(lambda: asked(lab, "pending")["devices"], "it is pending")
    assert "is refused for an hour" in ctl(lab, "deny", "d1").stdout
    assert program.wait() == 69 and "turned this device away" in program.log
    walk = json.loads(ctl(lab, "explain", "d1", "--json", check=False).stdout)
    peer = next(step for step in walk["steps"] if step["name"] == walk["failed_step"] == "peer")
    assert (
        re.search("was denied .*refuses its key for 59 min more", peer["finding"]) and "approve" in peer["advice"]
    )
    fails(device, says="turned this device away")
    fails(device, invite(lab), says="turned this device away")
    for command in ("approve", "deny"):
        done = ctl(lab, command, "d1", check=False)
        assert done.returncode == 69 and "no device d1 waits for approval; see `mnedc-ctl pending`" in done.stderr


def test_in_the_background_a_device_waits_for_its_operator_too(flat):
    """Whoever started it is told what for, and waits along."""
    lab = flat(1)
    lab.start_relay(admission="approve")
    device = lab["d1"]
    config_path(device).write_text(f"server: {SERVER}\n")
    program = start(device, "--background", "--timeout", "1s", wait=False)
    until(lambda: "waiting until an operator of the relay" in program.log, "it says what it waits for")
    time.sleep(1.5)
    assert program.is_running and not program.output
    ctl(lab, "approve", "d1")
    assert program.wait() == 0 and "joined 10.0.0.0/24 as d1" in program.output
    device.reaches("10.0.0.1")
    device.mnedc("mnedc-ctl", "stop")
    until(lambda: not device.processes(), "it ends")


def test_an_invite_is_good_where_operators_approve_too(flat):
    """Nobody has to be asked then."""
    lab = flat(1)
    lab.start_relay(admission="approve")
    start(lab["d1"], invite(lab))
    assert devices(lab)["d1"]["admitted_by"] == "invite"


# --- Keys ---


def test_a_device_id_belongs_to_the_key_that_had_it_first(flat):
    """Both sides say what to do."""
    lab = flat(2)
    relay = lab.start_relay()
    lab.start_device("d1", device_id="cam")
    config_path(lab["d2"]).write_text(f"server: {SERVER}\n")
    last = fails(lab["d2"], says="device ID cam belongs to another device", device_id="cam")
    assert "--device-id" in last and "mnedc-ctl revoke cam" in last
    until(lambda: re.search(r"cam \(192\.168\.50\.22:\d+\) refused: the device ID cam belongs to another", relay.log),
          "the relay says so too")  # fmt: skip
    assert "if this machine is a copy of that device, run mnedc-join --reset there" in relay.log
    assert lab["d1"].ping("10.0.0.1")[0] and refused(lab) == {"device-id-taken": 1}


def test_a_key_belongs_to_the_device_id_that_it_came_with(flat):
    """A device that is renamed is told as what the relay knows it."""
    lab = flat(1)
    lab.start_relay()
    assert lab.start_device("d1").stop() == 0
    config_path(lab["d1"]).write_text(f"server: {SERVER}\n")
    fails(lab["d1"], says="knows this device's key as d1; join as that", device_id="renamed")


def test_a_copy_of_a_device_is_refused_while_the_original_lives(flat):
    """And takes its place once that is dead, which then is the copy."""
    lab = flat(2)
    relay = lab.start_relay()
    original = lab.start_device("d1", device_id="cam")
    lost = lab["d1"].watch("10.0.0.1")
    shutil.copytree(lab["d1"].state_path, lab["d2"].state_path)
    config_path(lab["d2"]).write_text(f"server: {SERVER}\n")
    last = fails(lab["d2"], says="key of cam is in use at 192.168.50.21:", device_id="cam")
    assert "run mnedc-join --reset --device-id NAME on it" in last
    until(lambda: "is in use at 192.168.50.21" in relay.log, "the relay says so too")
    assert not lost() and lab["d1"].status()["device"]["joins"] == 1

    original.pause()
    copy = start(lab["d2"], device_id="cam")
    lab["d2"].reaches("10.0.0.1")
    original.resume()
    until(lambda: "is in use at 192.168.50.22" in original.log, "the original is told", 15)
    assert copy.is_running and lab["d2"].ping("10.0.0.1")[0]
    copy.kill()
    until(lambda: lab["d1"].status()["device"]["state"] == "joined", "the original is back once the copy is killed", 40)


def test_a_revoked_device_is_out_at_once_and_for_good(flat):
    """Its session ends, its peers lose it, its key is refused; until it is forgotten."""
    lab = flat(2)
    running = lab.start_all()
    assert "is refused from now on" in ctl(lab, "revoke", "d1").stdout
    until(lambda: "d1" not in lab["d2"].peers(), "d2 loses it", 2)
    until(lambda: lab["d1"].status()["device"]["state"] == "connecting", "d1 is out", 2)
    until(lambda: "was revoked" in running["d1"].log, "d1 says why")
    assert running["d1"].stop() == 0
    config_path(lab["d1"]).write_text(f"server: {SERVER}\n")
    fails(lab["d1"], says=r"key of this device was revoked \(as d1\)")
    assert "revoked" in ctl(lab, "devices").stdout and "d1" not in devices(lab)
    fingerprint = asked(lab, "devices")["devices"][0]["fingerprint"]
    assert ctl(lab, "forget", "d1").stdout == f"d1 ({fingerprint}) is forgotten\n"
    start(lab["d1"])
    assert devices(lab)["d1"]["admitted_by"] == "open"
    for command in ("revoke", "forget"):
        done = ctl(lab, command, "nobody", check=False)
        assert done.returncode == 69 and "knows no device nobody; see `mnedc-ctl devices`" in done.stderr


def test_the_relays_own_host_is_listed_as_such(flat):
    """Also where a former version has noted that it came as anybody comes to an open relay."""
    sqlite3 = pytest.importorskip("sqlite3")
    lab = flat(0)
    for former in (False, True):
        relay = lab.start_relay(admission="invite")
        (host,) = devices(lab).values()
        assert host["admitted_by"] == "host" and "this host" in ctl(lab, "devices").stdout
        assert relay.stop() == 0
        if not former:
            with contextlib.closing(sqlite3.connect(lab.directory / "relay.state" / "relay.db")) as database, database:
                noted = database.execute("SELECT admitted_by FROM devices").fetchall()
                assert noted == [("host",)]
                database.execute("UPDATE devices SET admitted_by = 'open'")


def test_when_a_device_was_there_is_remembered(flat):
    """Through a restart of the relay."""
    lab = flat(1)
    relay = lab.start_relay()
    device = lab.start_device("d1")
    admitted = devices(lab)["d1"]["admitted_at"]
    assert abs(admitted - time.time()) < 30
    time.sleep(1.1)
    assert device.stop() == 0
    until(lambda: devices(lab)["d1"]["last_seen_at"] > admitted, "its leave is noted")
    seen = devices(lab)["d1"]["last_seen_at"]
    assert relay.stop() == 0
    lab.start_relay()
    record = devices(lab)["d1"]
    assert (record["admitted_at"], record["last_seen_at"], record["online"]) == (admitted, seen, False)


def test_a_full_disk_keeps_nobody_out_who_is_known(flat):
    """That a device was there cannot be noted then, and that is all; who is new is told whose fault it is."""
    sqlite3 = pytest.importorskip("sqlite3")
    lab = flat(2)
    state = lab.directory / "relay.state"
    state.mkdir(mode=0o700)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", state], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here: " + mounted.stderr.decode().strip())
    try:
        relay = lab.start_relay()
        config_path(lab["d1"]).write_text(f"server: {SERVER}\n")
        config_path(lab["d2"]).write_text(f"server: {SERVER}\n")
        assert start(lab["d1"]).stop() == 0
        # A program that reads keeps the store's log from starting over in the room that it has.
        reader = sqlite3.connect(state / "relay.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM devices").fetchone()
        with open(state / "filler", "wb", buffering=0) as filler, pytest.raises(OSError):
            while True:
                filler.write(b"x" * 4096)
        for _ in range(3):
            assert start(lab["d1"]).stop() == 0
        fails(lab["d2"], says="the relay cannot write to its disk.*its log says why")
        # An operator hears of it as well, and the log has one line of all this, and one when it is over.
        for _ in range(2):
            done = ctl(lab, "invite", check=False)
            assert done.returncode == 69 and "its disk is full" in done.stderr
        failing = re.findall("warning: writing fails, so the relay admits no new device.*its disk is full", relay.log)
        assert len(failing) == 1 and "works again" not in relay.log, relay.log
        reader.close()
        (state / "filler").unlink()
        start(lab["d2"])
        until(lambda: relay.log.count("relay.db works again") == 1, "the log says that writing works again")
        assert relay.stop() == 0
    finally:
        for program in lab.started:
            program.stop()
        subprocess.run(["umount", state], check=True)


def test_a_relay_is_trusted_when_it_is_met_and_no_other_in_its_place(flat):
    """The line that has to go is named, with both fingerprints."""
    lab = flat(1)
    relay = lab.start_relay()
    device, key = lab["d1"], asked(lab, "key")
    program = lab.start_device(device)
    assert re.search(rf"{RELAY}:{PORT} is met for the first time; its key {key['fingerprint']} .*trusted", program.log)
    assert known_relays(device) == f"{SERVER} {key['key']}\n" and f"{device.state_path}/known-relays" in program.log
    assert program.stop() == 0
    # A start from the file alone pins nothing there: the state directory remembers the key.
    config_path(device).write_text(f"server: {SERVER}\n")
    program = start(device)
    assert "first time" not in program.log
    assert relay.stop() == 0
    # Another relay at the same place: all that is the same is its memory.
    (lab.directory / "relay.state" / "relay.key").unlink()
    lab.start_relay("--new-key")
    new = asked(lab, "key")["fingerprint"]
    assert new != key["fingerprint"]
    says = f"the key {new}, but had {key['fingerprint']} before.*remove the line of {SERVER} from {device.state_path}"
    until(lambda: re.search(says, program.log), "the running device says so", 15)
    assert program.is_running and device.status()["device"]["state"] == "connecting"
    assert program.stop() == 0
    fails(device, says=says, status=77)
    with open(f"{device.state_path}/known-relays", "w"):
        pass
    start(device)


def test_damaged_keys_of_relays_stop_a_device_unless_its_configuration_pins_the_relay(flat):
    """They say whom to trust: without a pinned key, the device would trust whoever answers."""
    lab = flat(1)
    lab.start_relay()
    device, key = lab["d1"], asked(lab, "key")
    config_path(device).write_text(f"server: {SERVER}\n")
    assert start(device).stop() == 0
    for name in ("known-relays", "relay-successors"):
        with open(f"{device.state_path}/{name}", "w") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write("garbage\n")
    config_path(device).write_text(f"server: {SERVER}\n")
    fails(device, says="known-relays:1: expected HOST:PORT.*; correct the line, or remove it", status=66)
    program = start(device, "--server-key", key["key"])
    for name in ("known-relays", "relay-successors"):
        assert f"it is {device.state_path}/{name}.damaged now" in program.log
        assert os.path.exists(f"{device.state_path}/{name}.damaged")
    assert program.stop() == 0


def test_a_relay_without_the_pinned_key_is_refused(flat):
    """Whether it was met before or not."""
    lab = flat(1)
    lab.start_relay()
    device, key = lab["d1"], asked(lab, "key")
    config_path(device).write_text(f"server: {SERVER}\n")
    pin = "mnedc-relay:" + "A" * 43
    fails(device, "--server-key", pin, says=f"has the key {key['fingerprint']}, but server-key pins SHA256:", status=77)
    program = start(device, "--server-key", pin, "--server-key", key["key"])
    assert program.stop() == 0
    fails(device, "--server-key", pin, says="correct server-key in the configuration", status=77)


@pytest.mark.parametrize("program, name", [("mnedcd", "relay.key"), ("mnedc-join", "device.key")])
def test_a_key_that_others_can_read_is_not_used(flat, program, name):
    """It says how to close it."""
    lab = flat(1)
    assert [each.stop() for each in reversed(lab.start_all().values())] == [0, 0]
    node = lab.relay if program == "mnedcd" else lab["d1"]
    file = lab.directory / f"{node.name}.state" / name
    file.chmod(0o640)
    done = node.mnedc(program, *(["--server", SERVER] if program == "mnedc-join" else []), check=False)
    assert done.returncode == 77 and re.search(rf"{name} is open to other users.*chmod 600", done.stderr), done.stderr


# --- Who asks whom ---


def test_what_only_a_relay_does_is_not_asked_of_a_device(flat):
    """It says whom to ask; and where both run, the relay is asked."""
    lab = flat(1)
    lab.start_all()
    for typed in ("invite", "invites", "devices", "pending", "revoke x", "approve x", "lease pin x", "lease free x"):
        done = lab["d1"].mnedc("mnedc-ctl", *typed.split(), check=False)
        assert done.returncode == 69, done
        command = typed.removesuffix(" x")
        assert f"mnedc-ctl {command} is for a relay, and this is a device; run it on the relay's host" in done.stderr
        assert "--of relay" in done.stderr
    config = lab.directory / "both.yaml"
    config.write_text(f"join: {{socket: {lab['d1'].socket_path}}}\nrelay: {{socket: {lab.relay.socket_path}}}\n")

    def ask(*command):
        return lab.relay.run(lab.program("mnedc-ctl"), *command, "--json", "--config", config, check=False)

    assert json.loads(ask("devices").stdout)["devices"]
    unclear = ask("key")
    assert unclear.returncode == 64 and "say which one is meant" in unclear.stderr
    assert json.loads(ask("key", "--of", "device").stdout)["device_id"] == "d1"


def test_only_the_operator_may_admit(flat):
    """Anybody may see the key and how it goes."""
    lab = flat(0)
    lab.start_relay()
    somebody = [*as_somebody(lab), lab.program("mnedc-ctl")]
    says = r"is for root and the daemon's own user \((nobody|mnedc)\), and you are 4321; run as root"
    for command in ("invite", "invites", "devices", "pending", "deny x", "forget x", "uninvite x"):
        done = lab.relay.run(*somebody, *command.split(), "--socket", lab.relay.socket_path, check=False)
        assert done.returncode == 77 and re.search(says, done.stderr), done
    done = lab.relay.run(*somebody, "key", "--socket", lab.relay.socket_path)
    assert re.fullmatch(r"relay\nkey +mnedc-relay:[\w-]{43}\nfingerprint +SHA256:[\w-]{43}\n", done.stdout)
