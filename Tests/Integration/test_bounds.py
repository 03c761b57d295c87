"""Bounds on descriptors, memory, disk and log lines: connected devices stay connected when one of them is exhausted."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from clock import Clock
from lab import PORT, RELAY, Failure, until
from wellness import all_is_well

SERVER = ("--server", f"{RELAY}:{PORT}")


def lines(program, pattern):
    return [line for line in program.log.splitlines() if re.search(pattern, line)]


def config(lab, **settings):
    path = lab.directory / "relay.yaml"
    path.write_text("relay:\n" + "".join(f"  {key}: {value}\n" for key, value in settings.items()))
    return path


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"{command}: {done.stderr.strip()}")
    return done.stdout


# --- Descriptors ---


def start_relay_with(lab, descriptors):
    """A relay that may not have more descriptors."""
    node = lab.relay
    relay = node.start(
        "prlimit", f"--nofile={descriptors}:{descriptors}", lab.program("mnedcd"), "--admission", "open",
        "--socket", node.socket_path, "--state", node.state_path, name="mnedcd",
    )  # fmt: skip
    until(lambda: node.status() or not relay.is_running, "mnedcd answers")
    return relay


def limit(program, descriptors):
    run("prlimit", "--pid", program.pid, f"--nofile={descriptors}:")


def descriptors_of(program):
    return len(os.listdir(f"/proc/{program.pid}/fd"))


def test_a_relay_whose_places_are_all_taken_serves_who_is_in_and_lets_devices_in(flat):
    """Other connections take all places and more wait in the kernel; a device still joins, and tools get answers."""
    lab = flat(3)
    relay = start_relay_with(lab, 96)
    a, b, c = lab.devices
    lab.start_device(a), lab.start_device(b)
    a.reaches(b.virtual_address())
    lost = a.watch(b.virtual_address())
    strangers = [c.connect(RELAY, PORT) for _ in range(150)]
    until(lambda: lines(relay, "cannot take new connections"), "the relay says so")
    assert lab.relay.status()["relay"]["online"] == 2
    lab.start_device(c, "--timeout", "60s")
    assert descriptors_of(relay) <= 96
    for each in strangers:
        each.close()
    all_is_well(lab)
    assert lost() == []
    said = lines(relay, "cannot take new connections")
    assert len(said) == 1 and "LimitNOFILE" in said[0], said


def test_a_relay_without_descriptors_serves_who_is_in_and_recovers(flat):
    """Not one is left, whatever it had counted on; then there are some again."""
    lab = flat(3)
    # Who is root changes the limits of root's programs alone.
    relay = lab.start_relay("--config", config(lab, user="root"))
    a, b, c = lab.devices
    lab.start_device(a), lab.start_device(b)
    a.reaches(b.virtual_address())
    limit(relay, descriptors_of(relay))
    lost = a.watch(b.virtual_address())
    late = lab.start_device(c, "--timeout", "60s", wait=False)
    until(lambda: lines(relay, "cannot take new connections"), "the relay says so", 20)
    asking = lab.relay.start_mnedc("mnedc-ctl", "status")
    until(lambda: lines(relay, "mnedc-ctl and mnedc-peers cannot be answered"), "the relay says so", 20)
    time.sleep(2)
    assert lost() == []
    limit(relay, 1024)
    assert asking.wait(30) == 0, asking.log
    until(lambda: c.virtual_address() or not late.is_running, "the late one joins", 60)
    all_is_well(lab)
    assert len(lines(relay, "error: .*: Too many open files")) == 2, relay.log


def test_a_device_without_descriptors_says_so_and_is_back_when_it_has_some(flat):
    """Its connection is lost, and it cannot make another one."""
    lab = flat(2)
    running = lab.start_all()
    device = running["d1"]
    limit(device, descriptors_of(device) - 1)
    running["relay"].kill()
    lab.start_relay()
    until(lambda: lines(device, "(?i)too many open files"), "the device says so", 30)
    limit(device, 1024)
    all_is_well(lab)


# --- Disks ---


@contextlib.contextmanager
def disk(node, size="1m"):
    """A small disk of its own for a node's state."""
    Path(node.state_path).mkdir(mode=0o700, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", node.state_path)
    node.lab.ends.append(lambda: subprocess.run(["umount", "-l", node.state_path], capture_output=True))
    yield Path(node.state_path)


def fill(path):
    """Leaves not a byte; a function that makes room again."""
    filler = path / "relay.filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return filler.unlink


def test_a_relay_with_a_full_disk_lets_known_devices_in_and_says_why_no_others(flat):
    """And everybody as soon as there is room."""
    sqlite3 = pytest.importorskip("sqlite3")
    lab = flat(3)
    with disk(lab.relay) as state:
        relay = lab.start_relay()
        a, b, c = lab.devices
        lab.start_device(a)
        known = lab.start_device(b)
        a.reaches(b.virtual_address())
        lost = a.watch(lab.relay.virtual_address())
        # A program that reads keeps the store's log from starting over in the room that it has.
        reader = sqlite3.connect(state / "relay.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM devices").fetchone()
        make_room = fill(state)
        known.stop()
        lab.start_device(b)
        a.reaches(b.virtual_address())
        new = c.mnedc("mnedc-join", *SERVER, "--device-id", "d3", check=False)
        assert new.returncode == 69 and "the relay cannot write to its disk" in new.stderr, new.stderr
        assert not c.interfaces()
        for _ in range(5):
            c.mnedc("mnedc-join", *SERVER, "--device-id", "d3", check=False)
        assert lines(relay, "disk is full"), relay.log
        assert len(lines(relay, "disk is full")) <= 3, relay.log
        for command in (("invite",), ("rotate-key",)):
            failed = lab.relay.mnedc("mnedc-ctl", *command, check=False)
            assert failed.returncode != 0 and re.search("full|space", failed.stderr), failed.stderr
        assert lost() == []
        reader.close()
        make_room()
        lab.start_device(c)
        until(lambda: lab.relay.mnedc("mnedc-ctl", "invite", check=False).returncode == 0, "invites are made again")
        lab.relay.mnedc("mnedc-ctl", "rotate-key")
        all_is_well(lab)


def test_a_device_with_a_full_disk_stays_in_and_keeps_its_key(flat):
    """Nothing can be kept: neither a new key nor the relay's; a first start says so."""
    lab = flat(2)
    a, b = lab.devices
    lab.start_relay()
    with disk(a) as state:
        device = lab.start_device(a)
        lab.start_device(b)
        a.reaches(b.virtual_address())
        before = (state / "device.key").read_text()
        make_room = fill(state)
        failed = a.mnedc("mnedc-ctl", "rotate-key", check=False)
        assert failed.returncode != 0 and re.search("(?i)no space left", failed.stderr), failed.stderr
        lab.relay.mnedc("mnedc-ctl", "rotate-key")
        until(lambda: lines(device, "(?i)new key, which cannot be kept.*no space left"), "the device says so")
        assert (state / "device.key").read_text() == before
        a.reaches(b.virtual_address())
        # It knows the relay by the key that it had; the relay has that still.
        device.kill()
        lab.start_device(a)
        make_room()
        a.mnedc("mnedc-ctl", "rotate-key")
        assert (state / "device.key").read_text() != before
        all_is_well(lab)


def test_a_daemon_whose_disk_is_full_from_the_beginning_says_so(flat):
    """In one line, and leaves nothing."""
    lab = flat(1)
    for node, program, options in ((lab.relay, "mnedcd", ()), (lab["d1"], "mnedc-join", SERVER)):
        with disk(node) as state:
            fill(state)
            os.rename(state / "relay.filler", state / "device.filler")
            done = node.mnedc(program, *options, check=False)
            told = done.stderr.strip().splitlines()
            assert done.returncode == 71 and len(told) <= 2, done.stderr
            assert re.search("(?i)no space left|disk is full", told[-1]), done.stderr
            assert not node.interfaces() and not os.path.exists(node.socket_path)


def test_a_device_whose_state_becomes_read_only_stays_in_and_keeps_its_key(flat):
    """As a disk becomes that has failed."""
    lab = flat(2)
    a, b = lab.devices
    lab.start_relay()
    with disk(a) as state:
        lab.start_device(a)
        device = lab.start_device(b)
        run("mount", "-o", "remount,ro", state)
        failed = a.mnedc("mnedc-ctl", "rotate-key", check=False)
        assert failed.returncode != 0 and re.search("(?i)read-only", failed.stderr), failed.stderr
        a.reaches(b.virtual_address())
        assert device.is_running
        run("mount", "-o", "remount,rw", state)
        a.mnedc("mnedc-ctl", "rotate-key")
        all_is_well(lab)


def test_a_relay_whose_disk_fails_lets_known_devices_in_and_is_well_with_a_mended_one(flat):
    """A file system that has found an error takes nothing any more, even from who had the file open."""
    lab = flat(3)
    image, state = lab.directory / "disk", Path(lab.relay.state_path)
    with open(image, "wb") as file:
        file.truncate(16 << 20)
    if not shutil.which("mkfs.ext4"):
        pytest.skip("mkfs.ext4 is not installed")
    run("mkfs.ext4", "-q", image)
    state.mkdir(mode=0o700)

    def mount(image):
        mounted = subprocess.run(
            ["mount", "-o", "loop,errors=remount-ro", image, state], capture_output=True, text=True
        )
        if mounted.returncode != 0:
            pytest.skip(f"no loop device: {mounted.stderr.strip()}")
        lab.ends.append(lambda: subprocess.run(["umount", "-l", state], capture_output=True))
        return Path("/sys/fs/ext4") / Path(run("findmnt", "-no", "SOURCE", state).strip()).name / "trigger_fs_error"

    error = mount(image)
    if not error.exists():
        pytest.skip("this kernel's ext4 has no trigger_fs_error")
    (state / "lost+found").rmdir()
    state.chmod(0o700)
    relay = lab.start_relay()
    a, b, c = lab.devices
    lab.start_device(a)
    known = lab.start_device(b)
    lost = a.watch(lab.relay.virtual_address())
    error.write_text("test")
    known.stop()
    lab.start_device(b)
    a.reaches(b.virtual_address())
    new = c.mnedc("mnedc-join", *SERVER, "--device-id", "d3", check=False)
    assert new.returncode == 69 and "the relay cannot write to its disk" in new.stderr, new.stderr
    assert lines(relay, "the relay admits no new device.*relay.db"), relay.log
    failed = lab.relay.mnedc("mnedc-ctl", "rotate-key", check=False)
    assert failed.returncode != 0 and re.search("(?i)read-only", failed.stderr), failed.stderr
    assert lost() == []
    relay.stop()
    # And a start on such a disk is refused.
    done = lab.relay.mnedc("mnedcd", check=False)
    assert done.returncode != 0 and re.search("(?i)read-only", done.stderr.splitlines()[-1]), done.stderr
    run("umount", state)
    mended = shutil.copy(image, lab.directory / "mended")
    subprocess.run(["e2fsck", "-fy", mended], capture_output=True)
    mount(mended)
    lab.start_relay()
    lab.start_device(c)
    all_is_well(lab)


# --- The clock ---

TEN_YEARS = 10 * 365 * 24 * 3600


@pytest.mark.long
def test_a_clock_that_jumps_is_nothing_to_sessions(flat):
    """Ten years ahead and back, and a day before the true time: everybody stays in; invites go by the clock."""
    lab = flat(3)
    clock = Clock(lab)
    relay = lab.start_relay("--config", config(lab, keepalive="500ms"), admission="invite", env=clock.environment)
    a, b, c = lab.devices

    def invite(*options):
        return lab.relay.mnedc("mnedc-ctl", "invite", *options).stdout.strip()

    def start(node, *invite):
        path = lab.directory / f"{node.name}.yaml"
        program = node.start_mnedc(
            "mnedc-join", *invite, "--device-id", node.name, "--config", path, env=clock.environment
        )
        until(lambda: "joined" in program.log or not program.is_running, f"{node.name} joins", 20)
        assert program.is_running, program.log
        return program

    def last_seen():
        """When the first device was, in seconds since 1970; a person is told the same without nonsense."""
        table = lab.relay.mnedc("mnedc-ctl", "devices", env=clock.environment).stdout
        assert not re.search(r"-\d+ (s|min|h|d) ago", table), table
        report = json.loads(lab.relay.mnedc("mnedc-ctl", "devices", "--json").stdout)["devices"]
        return next(each["last_seen_at"] for each in report if each["device_id"] == a.name)

    first = start(a, invite())
    start(b, invite())
    short, long = invite("--expires", "1h"), invite("--expires", "1h")
    lost = a.watch(b.virtual_address())
    for jump in (TEN_YEARS, 0, -24 * 3600, 0):
        clock.jump(jump)
        time.sleep(2.5)
        assert lab.relay.status()["relay"]["online"] == 2
        assert all(node.status()["device"]["joins"] == 1 for node in (a, b))
    assert lost() == []
    for way in ("ahead", "back"):
        until(lambda way=way: f"s {way}: sessions go on" in relay.log, f"the jump {way} is told")

    clock.jump(TEN_YEARS)
    refused = c.mnedc("mnedc-join", short, "--device-id", "d3", "--config", lab.directory / "d3.yaml", check=False)
    assert refused.returncode == 69 and re.search("expired", refused.stderr), refused.stderr
    first.stop()
    until(lambda: last_seen() > time.time() + TEN_YEARS / 2, "it was seen by the clock")
    first = start(a)
    clock.jump(0)
    first.stop()
    until(lambda: abs(last_seen() - time.time()) < 120, "it was seen by the clock that is right again")
    start(a)
    start(c, long)
    all_is_well(lab)


def lets_in(lab, device_id):
    """Whether a device of this ID and a new key gets in; it leaves again."""
    from peer_client import Client

    client = Client(lab["d1"].connect(RELAY, PORT))
    answer = client.join(device_id)
    if answer["type"] == "welcome":
        client.leave()
    else:
        assert answer["code"] == "pool-full", answer
    client.close()
    return answer["type"] == "welcome"


def fill_pool(lab):
    """Takes each of the five leases that a /29 has for devices, and leaves."""
    assert all(lets_in(lab, f"known-{number}") for number in range(5))
    assert not lets_in(lab, "early")


@pytest.mark.long
def test_a_clock_that_was_just_set_costs_no_lease(flat):
    """Who joins a full pool right after the jump: the clocks are compared when a lease is about to be taken away."""
    lab = flat(1)
    clock = Clock(lab)
    relay = lab.start_relay("--no-device", "--pool", "10.0.0.0/29", env=clock.environment)
    began = time.monotonic()
    fill_pool(lab)
    # In its first half minute the relay takes none in any case.
    while time.monotonic() - began < 33:
        time.sleep(1)
    clock.jump(60 * 24 * 3600)
    assert not any(lets_in(lab, f"new-{number}") for number in range(3))
    until(lambda: lines(relay, "the clock was set 5184... s ahead"), "the relay says so")


@pytest.mark.long
def test_a_relay_that_starts_with_a_clock_far_ahead_reclaims_no_lease_either(flat):
    """It cannot know how long its devices have been away, and says so."""
    lab = flat(1)
    clock = Clock(lab)
    options = ("--no-device", "--pool", "10.0.0.0/29")
    relay = lab.start_relay(*options, env=clock.environment)
    fill_pool(lab)
    relay.stop()
    clock.jump(60 * 24 * 3600)
    relay = lab.start_relay(*options, env=clock.environment)
    began = time.monotonic()
    until(lambda: lines(relay, "the clock is 1440 hours ahead of the newest record"), "the relay says so")
    while time.monotonic() - began < 33:
        time.sleep(1)
    assert not lets_in(lab, "new")


# --- Memory and the log ---


def test_all_queues_together_take_no_more_than_relay_memory(flat):
    """Thirty devices that do not read, each of them sent more than its share; two others talk on."""
    from peer_client import DATA, Client

    lab = flat(3)
    relay = lab.start_relay("--config", config(lab, memory="16MiB", keepalive="60s"))
    a, b, c = lab.devices
    lab.start_device(a), lab.start_device(b)
    a.reaches(b.virtual_address())

    def joined(name):
        client = Client(c.connect(RELAY, PORT))
        assert client.join(name)["type"] == "welcome"
        return client

    silent = [joined(f"silent-{number}") for number in range(30)]
    sender = joined("sender")
    resident, _, _ = relay.resident()
    lost = a.watch(b.virtual_address())
    for _ in range(40):
        for client in silent:
            sender.send(DATA, bytes(100_000), client.welcome["address"])
    report = until(
        lambda: (each := lab.relay.status()["relay"]) and each["queue_memory"] > 8 << 20 and each,
        "the queues are long",
        30,
    )
    assert report["queue_memory"] <= (16 << 20) + 30 * (128 << 10), report["queue_memory"]
    assert sum(session["link"]["overflow_drops"] for session in report["sessions"]) > 0
    assert relay.resident()[0] - resident < 32 << 10
    until(lambda: lines(relay, "raise relay.memory"), "the relay says so", 20)
    assert lost() == []
    for each in silent:
        each.connection.close()
    until(lambda: lab.relay.status()["relay"]["queue_memory"] < 1 << 20, "the memory is given back", 20)
    assert len(lines(relay, "raise relay.memory")) <= 2


def test_a_member_that_comes_and_goes_all_the_time_does_not_fill_the_log(flat):
    """Nor does one that is refused all the time."""
    from peer_client import Client, Key

    lab = flat(1)
    relay = lab.start_relay("--config", config(lab, threads=1))
    node, key = lab["d1"], Key()
    for _ in range(500):
        client = Client(node.connect(RELAY, PORT), key)
        assert client.join("restless")["type"] == "welcome"
        client.close()
    for _ in range(100):
        client = Client(node.connect(RELAY, PORT), key)
        assert client.join("not an ID!")["type"] == "refused"
        client.close()
    joined, refused = lines(relay, "restless joined"), lines(relay, "refused: ")
    assert 100 < len(joined) + len(lines(relay, "restless.*left")) < 450
    assert 1 <= len(refused) < 60
    assert re.search("lines like the next are left out", relay.log)
