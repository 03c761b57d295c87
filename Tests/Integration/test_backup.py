"""Copies of a relay's database: made while it runs, restored, and refused."""

import json
import os
import shutil
import sqlite3
import stat
import subprocess

import pytest

from lab import until


def backup(node, *options, check=True):
    done = node.mnedc("mnedc-ctl", "backup", *options, check=check)
    return json.loads(done.stdout) if "--json" in options and done.returncode == 0 else done


def rows(path, question="SELECT device_id FROM devices"):
    """What a database has, opened by itself and changed by nobody."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return sorted(row[0] for row in database.execute(question))


def test_a_restored_relay_gives_devices_the_addresses_that_they_had(flat):
    """Without an invite, though the relay lets nobody in otherwise; what came after the backup is unknown."""
    lab = flat(3)
    relay = lab.start_relay()
    devices = {name: lab.start_device(name) for name in ("d1", "d2")}
    lab.relay.mnedc("mnedc-ctl", "lease", "pin", "d2", "10.0.0.77")
    until(lambda: lab["d2"].virtual_address() == "10.0.0.77", "d2 has its address", 20)
    lab.relay.mnedc("mnedc-ctl", "invite")
    had = {name: lab[name].virtual_address() for name in devices}

    place = lab.directory / "backup"
    place.mkdir(mode=0o700)
    file = place / "relay.db"
    made = backup(lab.relay, file, "--json")
    assert made["file"] == str(file) and made["bytes"] == file.stat().st_size
    assert (made["devices"], made["leases"], made["invites"]) == (3, 2, 1)
    assert made["database"] == f"{lab.relay.state_path}/relay.db"
    assert made["keys"] == [f"{lab.relay.state_path}/{name}" for name in ("relay.key", "device.key")]
    # The relay is another user, and the copy is root's alone.
    assert os.stat(f"/proc/{relay.pid}").st_uid != 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and file.stat().st_uid == 0
    assert sorted(os.listdir(place)) == ["relay.db"]
    assert {"d1", "d2"} < set(rows(file))
    for key in made["keys"]:
        shutil.copy(key, place)
    devices["d3"] = lab.start_device("d3")
    assert "a backup of" in relay.log

    relay.kill()
    shutil.rmtree(lab.relay.state_path)
    os.mkdir(lab.relay.state_path, 0o700)
    for name in os.listdir(place):
        shutil.copy(place / name, lab.relay.state_path)
    again = lab.start_relay(admission="invite")
    for name, address in had.items():
        until(lambda: lab[name].status()["device"]["state"] == "joined", f"{name} is in again", 60)
        assert lab[name].virtual_address() == address
    lab["d1"].reaches(had["d2"], 20)
    until(lambda: "does not know the device yet and wants an invite" in devices["d3"].log, "d3 is a stranger", 60)
    assert "d3" not in lab.relay.peers() and again.is_running


def test_a_plain_copy_of_an_idle_relays_database_has_all_rows(flat):
    """Of the file alone: what was in the log is written into it within seconds."""
    lab = flat(1)
    lab.start_relay()
    lab.start_device("d1")
    copy = lab.directory / "copy.db"

    def has_all():
        shutil.copy(f"{lab.relay.state_path}/relay.db", copy)
        try:
            return "d1" in rows(copy)
        except sqlite3.Error:
            return False

    until(has_all, "the file has the device", 20)
    assert rows(copy, "SELECT count(*) FROM leases") == [1]


def test_a_backup_replaces_a_former_one_and_nothing_else(flat):
    """It says what is in the way, and leaves that as it is."""
    lab = flat(1)
    lab.start_relay("--no-device")
    place = lab.directory / "place"
    place.mkdir()
    file = place / "relay.db"
    file.touch(mode=0o644)
    said = backup(lab.relay, file)
    assert f"{file} holds 0 devices, 0 leases, 0 invites in" in said.stdout and "relay.key" in said.stdout
    former = file.stat()
    assert stat.S_IMODE(former.st_mode) == 0o600
    lab.start_device("d1")
    backup(lab.relay, file)
    assert rows(file) == ["d1"] and file.stat().st_ino != former.st_ino
    (place / "text").write_text("text")
    sqlite3.connect(place / "other.db").execute("CREATE TABLE x (y)").connection.close()
    (place / "link").symlink_to(file)
    database = f"{lab.relay.state_path}/relay.db"
    (place / "own").hardlink_to(database)
    for target, status, why in (
        (place / "text", 73, "is not a relay's backup"), (place / "other.db", 73, "is not a relay's backup"),
        (place / "link", 73, "is not a relay's backup"), (place, 73, "Is a directory"),
        (f"{place}/", 73, "Is a directory"),
        (place / "none" / "relay.db", 73, "No such file or directory"), (database, 73, "is the relay's own database"),
        (place / "own", 73, "is the relay's own database"), ("", 64, "name the file"),
    ):  # fmt: skip
        refused = backup(lab.relay, target, check=False)
        assert refused.returncode == status and why in refused.stderr, (target, refused.stderr)
    assert (place / "text").read_text() == "text" and rows(database) == ["d1"]
    assert sorted(os.listdir(place)) == ["link", "other.db", "own", "relay.db", "text"]
    # Where there is no room, the former one stays.
    small = lab.directory / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k,mode=700", "tmpfs", small], check=True)
    lab.ends.append(lambda: subprocess.run(["umount", small], check=True))
    before = file.read_bytes()[:100]
    (small / "relay.db").write_bytes(before)
    full = backup(lab.relay, small / "relay.db", check=False)
    assert full.returncode == 74 and "No space left on device" in full.stderr
    assert (small / "relay.db").read_bytes() == before and os.listdir(small) == ["relay.db"]


def test_a_backup_is_for_those_who_may_have_the_invites(flat):
    """Root and the relay's user; it goes to a pipe as well, and a device has none."""
    lab = flat(1)
    relay = lab.start_relay("--no-device")
    lab.start_device("d1")
    somebody = ("setpriv", "--reuid=4321", "--regid=4321", "--clear-groups")
    ctl = lab.program("mnedc-ctl")
    refused = lab.relay.run(*somebody, ctl, "backup", "/tmp/x.db", "--socket", lab.relay.socket_path, check=False)
    assert refused.returncode == 77 and "mnedc-ctl backup is for root" in refused.stderr
    user = os.stat(f"/proc/{relay.pid}").st_uid
    own = lab.directory / "own.db"
    lab.relay.run("setpriv", f"--reuid={user}", "--clear-groups", ctl, "backup", own, "--socket", lab.relay.socket_path)
    assert own.stat().st_uid == user and rows(own) == ["d1"]
    file = lab.directory / "piped.db"
    lab.relay.run("sh", "-c", f"{ctl} backup - --socket {lab.relay.socket_path} | cat >{file}")
    assert rows(file) == ["d1"]
    assert lab.relay.mnedc("mnedc-ctl", "backup", "-", "--json", check=False).returncode == 64
    device = lab["d1"].mnedc("mnedc-ctl", "backup", lab.directory / "d1.db", check=False)
    assert device.returncode == 69 and "mnedc-ctl backup is for a relay" in device.stderr
    assert not (lab.directory / "d1.db").exists()


def test_backups_at_once_and_without_room_leave_the_relay_as_it_is(flat):
    """Each is made or told why not."""
    lab = flat(1)
    state = lab.directory / "relay.state"
    state.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", state], check=True)
    lab.ends.append(
        lambda: [each.stop() for each in reversed(lab.started)] and subprocess.run(["umount", state], check=True)
    )
    relay = lab.start_relay("--no-device")
    lab.start_device("d1")
    asked = [lab.relay.start_mnedc("mnedc-ctl", "backup", lab.directory / f"{number}.db") for number in range(6)]
    statuses = [each.wait(30) for each in asked]
    assert 0 in statuses and set(statuses) <= {0, 75}
    for number, each in enumerate(asked):
        assert (
            rows(lab.directory / f"{number}.db") == ["d1"]
            if each.process.returncode == 0
            else "another backup" in each.log
        )
    filler = state / "filler"
    with pytest.raises(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    refused = backup(lab.relay, lab.directory / "none.db", check=False)
    assert refused.returncode == 69 and "no backup was made" in refused.stderr and "its disk is full" in refused.stderr
    assert not (lab.directory / "none.db").exists() and not (state / "relay.db.copy").exists()
    assert "no backup was made" in relay.log and "d1" in lab.relay.peers()
    filler.unlink()
    backup(lab.relay, lab.directory / "none.db")
