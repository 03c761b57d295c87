"""Leases outlive the end of either side, a failing disk and changes of the pool."""

import contextlib
import itertools
import json
import random
import re
import sqlite3
import subprocess
import time

import pytest

from clock import Clock
from lab import PORT, RELAY, until
from test_admission import asked, config_path, ctl, fails, start

SERVER = f"{RELAY}:{PORT}"


def leases(lab):
    """{device ID: lease} as mnedc-ctl lists them."""
    listed = asked(lab, "leases")
    assert listed["version"] == 1
    return {lease["device_id"]: lease for lease in listed["leases"]}


def refuses(lab, *command, says):
    """Runs an mnedc-ctl that must fail with one line."""
    done = lab.relay.mnedc("mnedc-ctl", *command, check=False)
    assert done.returncode == 69 and re.search(says, done.stderr), done
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


# --- Ends of all kinds ---


def test_no_kill_of_the_relay_loses_a_lease_that_a_device_was_told_of(flat):
    """At any moment, under joins of new devices and old ones; and each device is told the same ever after."""
    lab = flat(0)
    client = lab.program("lease-client") if lab.programs and (lab.programs / "lease-client").exists() else None
    if client is None:
        pytest.skip("lease-client is not built; swift build")
    port, chance, told = 4433, random.Random(4), {}
    options = ("--no-device", "--pool", "10.44.0.0/16", "--listen", f"127.0.0.1:{port}", "--log-level", "warning")

    def take(joining):
        """What devices were told, each the same as ever."""
        for line in joining.output.splitlines(keepends=True):
            if line.endswith("\n"):
                device, address = line.split()
                assert told.setdefault(device, address) == address
        assert len(set(told.values())) == len(told)

    deadline = time.monotonic() + 8
    for kills in itertools.count():
        relay = lab.start_relay(*options)
        stored = {device: lease["address"] for device, lease in leases(lab).items()}
        lost = {device for device, address in told.items() if stored.get(device) != address}
        assert not lost, f"{len(lost)} of {len(told)} leases are lost after {kills} kills"
        if time.monotonic() > deadline and kills >= 5:
            break
        first = chance.randrange(len(told) + 1)
        joining = lab.relay.start(client, "127.0.0.1", port, first, 400)
        enough = chance.randrange(200)
        until(lambda: joining.output.count("\n") > enough or not joining.is_running, "devices join", 60, 0.001)
        time.sleep(chance.random() * 0.02)
        relay.kill()
        joining.wait(60)
        take(joining)
    assert len(told) > 100
    everybody = lab.relay.start(client, "127.0.0.1", port, 0, 1 + max(int(name.split("-")[1]) for name in told))
    assert everybody.wait(120) == 0, everybody.log
    before = len(told)
    take(everybody)
    assert everybody.output.count("\n") >= before


def test_devices_have_the_same_address_after_any_restart_of_either_side(flat):
    """The relay stopped or killed, a device stopped or killed, in any order, and others joining in between."""
    lab = flat(4)
    relay = lab.start_relay()
    names = ["d1", "d2", "d3"]
    running = {name: lab.start_device(name) for name in names}
    addresses = {name: lab[name].virtual_address() for name in names}
    ends = [lambda program: program.stop(), lambda program: program.kill()]
    for round, (end_relay, end_device) in enumerate(itertools.product(ends, ends)):
        away = names[round % 3]
        end_device(running[away])
        end_relay(relay)
        relay = lab.start_relay()
        # A newcomer does not get the address of who is not back yet.
        newcomer = lab.start_device("d4", "--state", lab.directory / f"new{round}", device_id=f"new-{round}")
        assert lab["d4"].virtual_address() not in addresses.values()
        running[away] = lab.start_device(away)
        for name in names:
            until(lambda: lab[name].status()["device"]["state"] == "joined", f"{name} is back", 15)
            assert lab[name].virtual_address() == addresses[name]
        assert newcomer.stop() == 0
    lab["d1"].reaches(addresses["d2"])
    assert [leases(lab)[name]["address"] for name in names] == [addresses[name] for name in names]


def test_a_full_disk_keeps_nobody_out_who_has_an_address(flat):
    """Who is known but needs an address is told why there is none, and gets one when there is room."""
    lab = flat(2)
    state = lab.directory / "relay.state"
    state.mkdir(mode=0o700)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", state], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here: " + mounted.stderr.decode().strip())
    try:
        relay = lab.start_relay()
        for name in ("d1", "d2"):
            config_path(lab[name]).write_text(f"server: {SERVER}\n")
            assert start(lab[name]).stop() == 0
        until(lambda: not any(lease["online"] for lease in leases(lab).values()), "both have left")
        address = leases(lab)["d1"]["address"]
        ctl(lab, "lease", "free", "d2")
        # The relay uses the space of a log again that is in its file, so the log must have none.
        with contextlib.closing(sqlite3.connect(state / "relay.db")) as database:
            until(lambda: database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0, "the log is empty")
        with open(state / "filler", "wb", buffering=0) as filler, pytest.raises(OSError):
            while True:
                filler.write(b"x" * 4096)
        for _ in range(3):
            # Beside somebody for whom something would have to be written.
            other = lab["d2"].start_mnedc("mnedc-join", "--config", config_path(lab["d2"]), "--device-id", "d2")
            device = start(lab["d1"])
            assert lab["d1"].virtual_address() == address
            assert device.stop() == 0 and other.wait(20) == 69
        fails(lab["d2"], says="the relay cannot write to its disk.*its log says why")
        assert "its disk is full" in relay.log
        (state / "filler").unlink()
        start(lab["d2"])
        assert relay.stop() == 0
    finally:
        for program in lab.started:
            program.stop()
        subprocess.run(["umount", state], check=True)


# --- Operators ---


def test_leases_are_listed_pinned_and_freed(flat):
    """As a table and as JSON; a device that is in moves at once."""
    lab = flat(2)
    running = lab.start_all()
    listed = leases(lab)
    assert {name: lease["address"] for name, lease in listed.items()} == {
        name: lab[name].virtual_address() for name in ("d1", "d2")
    }
    assert all(lease["online"] and lease["kind"] == "leased" for lease in listed.values())
    assert abs(listed["d1"]["last_used_at"] - time.time()) < 60
    assert re.fullmatch(r"fd[0-9a-f:]+::a00:2", listed["d1"]["address6"])
    table = ctl(lab, "leases").stdout.splitlines()
    assert table[0].split() == ["ADDRESS", "ID", "KIND", "LAST", "USED", "IPV6", "ADDRESS"]
    assert table[1].split() == ["10.0.0.2", "d1", "leased", "online", listed["d1"]["address6"]]

    assert ctl(lab, "lease", "pin", "d1").stdout == "10.0.0.2 is reserved for d1 from now on\n"
    assert lab["d1"].status()["device"]["joins"] == 1, "it has that address already"
    assert ctl(lab, "lease", "pin", "d2", "10.0.0.77").stdout == "10.0.0.77 is reserved for d2 from now on\n"
    until(lambda: lab["d2"].virtual_address() == "10.0.0.77", "d2 has moved")
    lab["d1"].reaches("10.0.0.77")
    assert leases(lab)["d2"] == leases(lab)["d2"] | {"address": "10.0.0.77", "kind": "pinned", "online": True}

    refuses(lab, "lease", "pin", "d2", "10.0.0.2", says=r"10\.0\.0\.2 is leased to d1; .*, or free it first")
    for never in ("10.0.0.1", "10.0.0.255", "10.9.9.9"):
        refuses(lab, "lease", "pin", "d2", never, says=f"{never} cannot be leased: .*; choose another address$")
    refuses(lab, "lease", "pin", "nobody", says="knows no device nobody; see `mnedc-ctl devices`")
    refuses(lab, "lease", "free", "10.0.0.99", says="no lease of 10.0.0.99; see `mnedc-ctl leases`")
    done = ctl(lab, "lease", "pin", "d2", "10.0.0", check=False)
    assert done.returncode == 64 and '"10.0.0" is not an IPv4 address' in done.stderr
    done = lab.relay.run(lab.program("mnedc-ctl"), "lease", check=False)
    assert done.returncode == 64 and "pin or free" in done.stderr
    host = lab.relay.status()["device"]["device_id"]
    refuses(lab, "lease", "pin", host, says="is the relay's own host")

    freed = ctl(lab, "lease", "free", "d2").stdout
    assert freed == "10.0.0.77 is not pinned any more; d2 is connected and keeps it\n"
    refuses(lab, "lease", "free", "d2", says="d2 is connected with 10.0.0.77; end mnedc-join there first")
    assert running["d2"].stop() == 0
    until(lambda: not leases(lab)["d2"]["online"], "d2 has left")
    assert json.loads(ctl(lab, "lease", "free", "10.0.0.77", "--json").stdout)["leases"][0]["device_id"] == "d2"
    assert list(leases(lab)) == ["d1"]


def test_a_full_pool_takes_back_what_is_old_and_nothing_else(flat):
    """And says what to do where nothing is."""
    sqlite3 = pytest.importorskip("sqlite3")
    lab = flat(2)
    config = lab.directory / "relay.yaml"
    config.write_text("relay: {pool: 10.0.0.0/30, lease-age: 2d}\n")
    full = r"pool 10\.0\.0\.0/30 is full.*in the last 2 days; .*relay\.pool.*mnedc-ctl lease free"
    relay = lab.start_relay("--config", config)
    first = lab.start_device("d1")
    for name in ("d1", "d2"):
        config_path(lab[name]).write_text(f"server: {SERVER}\n")
    fails(lab["d2"], says=full)
    assert first.stop() == 0
    fails(lab["d2"], says=full)
    assert relay.stop() == 0
    # Two days later, and a minute.
    with contextlib.closing(sqlite3.connect(lab.directory / "relay.state" / "relay.db")) as database, database:
        database.execute("UPDATE leases SET last_used = last_used - 2 * 86400 - 60")
    clock = Clock(lab)
    lab.start_relay("--config", config, env=clock.environment)
    # For half a minute the device may be on its way back; a device that has the time waits for that.
    fails(lab["d2"], "--timeout", "1s", says=f"could not join within 1s: the {full}", status=75)
    waiting = start(lab["d2"], "--timeout", "2m", wait=False)
    clock.skip(30)
    until(lambda: "mnedc-join: joined " in waiting.log or not waiting.is_running, "it joins", 60)
    assert lab["d2"].virtual_address() == "10.0.0.2" and list(leases(lab)) == ["d2"]
    fails(lab["d1"], says=full)


# --- The configuration ---


def test_an_address_fixed_by_the_configuration_is_for_its_device(flat):
    """From its first join on; a mistake is told before anything is started."""
    lab = flat(2)
    config = lab.directory / "relay.yaml"
    config.write_text("relay:\n  addresses:\n    d2: 10.0.0.2\n")
    lab.start_relay("--config", config)
    lab.start_device("d1"), lab.start_device("d2")
    assert (lab["d1"].virtual_address(), lab["d2"].virtual_address()) == ("10.0.0.3", "10.0.0.2")
    assert leases(lab)["d2"]["kind"] == "fixed"
    refuses(lab, "lease", "free", "d2", says="configuration gives 10.0.0.2 to d2; change relay.addresses")

    def wrong(text, says, *options):
        config.write_text(text)
        done = lab.relay.run(lab.program("mnedcd"), "--config", config, "--check", *options, check=False)
        assert done.returncode == 78 and re.search(says, done.stderr), done

    wrong("relay:\n  addresses:\n    a: 10.0.0.9\n    b: 10.0.0.9\n", r"relay.yaml:4:8: a has the same")
    wrong("relay: {addresses: {a: 10.1.0.9}}\n", r"gives 10\.1\.0\.9 to a, but the pool 10\.0\.0\.0/24 has no such")
    wrong("relay: {addresses: {a: 10.1.0.255}}\n", "ends in .0 or .255", "--pool", "10.1.0.0/16")


def test_a_pool_is_chosen_clear_of_the_hosts_own_networks_and_kept(flat):
    """Where relay.pool is auto."""
    lab = flat(1)
    # All of the private networks but one /16, in which the relay's own is too.
    for network in ("10.0.0.1/8", "172.16.0.1/12"):
        lab.relay.run("ip", "address", "add", network, "dev", "eth0")
    relay = lab.start_relay("--pool", "auto")
    pool = lab.relay.status()["relay"]["pool"]
    assert re.fullmatch(r"192\.168\.\d+\.0/24", pool) and pool != "192.168.50.0/24"
    lab.start_device("d1")
    address = lab["d1"].virtual_address()
    assert address.startswith(pool.removesuffix("0/24"))
    lab["d1"].reaches(lab.relay.status()["relay"]["address"])
    assert relay.stop() == 0
    lab.relay.run("ip", "address", "add", "192.168.0.1/16", "dev", "eth0")
    done = lab.relay.mnedc("mnedcd", "--pool", "auto", check=False)
    assert done.returncode == 75 and "192.168.0.0/16 on eth0" in done.stderr, done
    config = lab.directory / "overlap.yaml"
    config.write_text("join:\n  allow-overlap: true\n")
    relay = lab.start_relay("--config", config, "--pool", "auto")
    assert lab.relay.status()["relay"]["pool"] == pool
    until(lambda: lab["d1"].status()["device"]["state"] == "joined", "d1 is back", 15)
    assert lab["d1"].virtual_address() == address
    assert relay.stop() == 0
    done = lab.relay.mnedc("mnedcd", "--pool", "auto", "--state", lab.directory / "other", check=False)
    assert done.returncode == 75 and "no pool can be chosen; name one (relay.pool)" in done.stderr, done


def test_a_pool_that_is_moved_says_how_many_get_other_addresses(flat):
    """And how to undo it; one that has grown says nothing, since nobody does."""
    lab = flat(1)
    relay = lab.start_relay("--pool", "10.0.0.128/25")
    device = lab.start_device("d1")
    assert lab["d1"].virtual_address() == "10.0.0.130"
    assert device.stop() == 0 and relay.stop() == 0

    relay = lab.start_relay("--pool", "10.0.0.0/16")
    assert "10.0.0.128/25" not in relay.log
    device = lab.start_device("d1")
    assert lab["d1"].virtual_address() == "10.0.0.130" and lab.relay.virtual_address() == "10.0.0.129"
    assert device.stop() == 0 and relay.stop() == 0

    relay = lab.start_relay("--pool", "10.9.0.0/24")
    assert re.search(
        r"warning.*: the pool is 10\.9\.0\.0/24 and was 10\.0\.0\.0/16: 1 device gets another address when "
        r"it joins, and the "
        r"relay has 10\.9\.0\.1 in place of 10\.0\.0\.129; to undo it, write 10\.0\.0\.0/16 to relay\.pool",
        relay.log,
    ), relay.log
    assert leases(lab)["d1"]["kind"] == "outside"
    lab.start_device("d1")
    assert lab["d1"].virtual_address() == "10.9.0.2"


@pytest.mark.parametrize(
    "damage, says",
    [
        ("PRAGMA user_version = 99", "has version 99 of the schema, and this relay knows"),
        ("PRAGMA application_id = 1", "is the database of another program"),
        ("", "is damaged.*restore a copy"),
    ],
)
def test_a_memory_that_cannot_be_used_is_refused_and_not_replaced(flat, damage, says):
    """Of a newer version, of another program, or damaged."""
    sqlite3 = pytest.importorskip("sqlite3")
    lab = flat(0)
    assert lab.start_relay().stop() == 0
    file = lab.directory / "relay.state" / "relay.db"
    if damage:
        with contextlib.closing(sqlite3.connect(file)) as database:
            database.execute(damage)
    else:
        file.write_bytes(file.read_bytes()[:5000])
    before = file.read_bytes()
    done = lab.relay.mnedc("mnedcd", check=False)
    assert done.returncode in (66, 77) and re.search(f"relay.db {says}", done.stderr), done
    assert file.read_bytes() == before
