"""The daemons drop every right that they do not need, and still work."""

import grp
import os
import pwd
import stat
from pathlib import Path

import pytest

from lab import RELAY, until
from test_misuse import as_somebody, refuses

NET_ADMIN = 1 << 12
# For the server of names, at port 53.
BIND_SERVICE = 1 << 10
DEVICE = NET_ADMIN | BIND_SERVICE


def threads(program):
    """What /proc says of each thread: {"Uid": [real, effective, saved, of files], ..., "CapEff": a bit each, ...}."""
    found = []
    for path in Path(f"/proc/{program.pid}/task").iterdir():
        fields = dict(line.split(":", 1) for line in (path / "status").read_text().splitlines())
        numbers = {key: [int(part) for part in fields[key].split()] for key in ("Uid", "Gid", "Groups", "NoNewPrivs")}
        found.append(numbers | {key: int(fields[key], 16) for key in fields if key.startswith("Cap")})
    return found


def has_only(program, rights, user=None):
    """Checks every thread of a program; `user` is who it has to be, with no group but its own."""
    seen = threads(program)
    assert len(seen) >= 3, "the threads that serve and the one that writes the log run too"
    for thread in seen:
        assert (thread["CapEff"], thread["CapPrm"]) == (rights, rights), thread
        assert (thread["CapBnd"], thread["CapInh"], thread["CapAmb"]) == (0, 0, 0), thread
        assert thread["NoNewPrivs"] == [1], thread
        if user:
            assert thread["Uid"] == [user.pw_uid] * 4 and thread["Gid"] == [user.pw_gid] * 4, thread
            assert thread["Groups"] == [], thread


def default_user():
    """Who a relay started by root becomes here."""
    for name in ("mnedc", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    pytest.skip("there is neither a user mnedc nor nobody")


def config(lab, text):
    path = lab.directory / "mnedc.yaml"
    path.write_text(text)
    return ("--config", path)


def test_a_file_that_root_left_in_the_state_of_a_relay_names_its_owner(flat):
    """Root has started the relay, so to run it as root is no advice."""
    lab = flat(0)
    user = default_user()
    state = Path(lab.relay.state_path)
    lab.start_relay("--no-device").stop()
    os.chown(state / "relay.key", 0, 0)
    refuses(lab.relay, "mnedcd", "--no-device", lines=2,
            says=f"relay.key: [Pp]ermission denied; it belongs to root, and this daemon runs as {user.pw_name}: "
            f"chown {user.pw_name} {state}/relay.key")  # fmt: skip


def test_the_relay_keeps_two_rights_and_works_on(flat):
    """Devices join, leave, come back and are reached, this host among them; nothing is left in the end."""
    lab = flat(2)
    running = lab.start_all("--log-level", "debug")
    relay = running["relay"]
    has_only(relay, DEVICE, default_user())
    lab["d1"].reaches("10.0.0.1"), lab["d1"].reaches(lab["d2"].virtual_address())
    assert running["d2"].stop() == 0
    running["d2"] = lab.start_device("d2")
    lab["d1"].reaches(lab["d2"].virtual_address()), lab.relay.reaches(lab["d2"].virtual_address())
    has_only(relay, DEVICE, default_user())
    assert os.stat(lab.relay.socket_path).st_uid == default_user().pw_uid
    assert relay.stop() == 0
    assert not os.path.exists(lab.relay.socket_path) and not lab.relay.interfaces()


def test_a_relay_that_is_no_device_keeps_no_right(flat):
    """And can still end well when root tells it to."""
    lab = flat(1)
    relay = lab.start_relay("--no-device", "--listen", "0.0.0.0:333", "--log-level", "debug")
    has_only(relay, 0, default_user())
    lab.start_device("d1", server=f"{RELAY}:333")
    lab.relay.mnedc("mnedc-ctl", "stop")
    assert relay.wait() == 0 and not os.path.exists(lab.relay.socket_path)


def test_a_device_keeps_two_rights_and_works_on(flat):
    """It stays root, but one that can do no more than change the interface and answer for names; it finds a new relay,
    and leaves nothing.
    """
    lab = flat(1)
    running = lab.start_all()
    device = running["d1"]
    until(lambda: "joined" in device.log, "the log thread runs")
    for thread in threads(device):
        assert thread["Uid"] == [0] * 4
    has_only(device, DEVICE)
    running["relay"].kill()
    until(lambda: lab["d1"].status()["device"]["state"] == "connecting", "the device notices")
    # Another address and MTU are to be set by what is left of root.
    lab.start_relay("--pool", "10.77.0.0/24")
    until(lambda: (lab["d1"].virtual_address() or "").startswith("10.77."), "the device has an address of the new pool")
    lab["d1"].reaches("10.77.0.1")
    assert device.stop() == 0
    assert not os.path.exists(lab["d1"].socket_path) and not lab["d1"].interfaces()


def test_without_names_there_is_no_right_to_low_ports(flat):
    """join.names: off, on the relay's host and on a device."""
    lab = flat(1)
    options = config(lab, "join: {names: off}\n")
    relay = lab.start_relay(*options, "--log-level", "debug")
    device = lab.start_device("d1", *options)
    has_only(relay, NET_ADMIN, default_user())
    until(lambda: "joined" in device.log, "the log thread runs")
    has_only(device, NET_ADMIN)


def test_a_device_in_the_background_keeps_two_rights_too(flat):
    """--background starts the program anew."""
    lab = flat(1)
    lab.start_relay()
    node = lab["d1"]
    node.mnedc("mnedc-join", "--server", RELAY, "--device-id", "d1", "--background")
    process = type("Process", (), {"pid": node.status()["process_id"]})
    has_only(process, DEVICE)
    node.mnedc("mnedc-ctl", "stop")
    until(lambda: not os.path.exists(node.socket_path), "it has ended")


def test_a_relay_can_stay_root(flat):
    """`user: root` changes nothing at all."""
    lab = flat(1)
    relay = lab.start_relay(*config(lab, "relay: {user: root}\n"))
    own = threads(type("Process", (), {"pid": os.getpid()}))[0]
    for thread in threads(relay):
        assert thread["Uid"] == [0] * 4 and thread["NoNewPrivs"] == own["NoNewPrivs"]
        assert (thread["CapEff"], thread["CapBnd"]) == (own["CapEff"], own["CapBnd"])
    lab.start_device("d1")
    assert relay.stop() == 0 and not os.path.exists(lab.relay.socket_path)


def test_a_relay_becomes_the_user_that_is_named(flat):
    """One that every Debian has."""
    lab = flat(0)
    relay = lab.start_relay(*config(lab, "relay: {user: daemon}\n"), "--log-level", "info")
    has_only(relay, DEVICE, pwd.getpwnam("daemon"))
    assert os.stat(lab.relay.state_path).st_uid == pwd.getpwnam("daemon").pw_uid


def test_an_unknown_user_is_named_with_what_to_do(flat):
    """Before anything is made."""
    lab = flat(0)
    options = config(lab, "relay: {user: no-such-user}\n")
    done = refuses(lab.relay, "mnedcd", *options, says="no user no-such-user.*useradd.*relay.user")
    assert done.returncode == 78 and not os.path.exists(lab.relay.state_path)


def test_an_ordinary_user_drops_nothing(flat):
    """Nor needs a user to become."""
    lab = flat(1)
    relay = lab.relay.start(
        *as_somebody(lab), lab.program("mnedcd"), "--no-device",
        *config(lab, "relay: {user: no-such-user, admission: open}\n"),
        "--socket", lab.relay.socket_path, "--state", lab.relay.state_path, name="mnedcd",
    )  # fmt: skip
    until(lambda: lab.relay.status() or not relay.is_running, "mnedcd answers")
    assert {tuple(thread["Uid"]) for thread in threads(relay)} == {(4321,) * 4}
    lab.start_device("d1")
    assert relay.stop() == 0 and not os.path.exists(lab.relay.socket_path)


# --- Directories ---


def test_relay_and_device_share_the_directory_of_the_sockets(flat):
    """Whoever comes first; neither can remove the other's socket, and both remove their own."""
    lab = flat(1)
    user = default_user()
    for order in (("relay", "d1"), ("d1", "relay")):
        # One host's /run/mnedc, as both see it.
        run = lab.directory / f"run-{order[0]}"
        run.mkdir(mode=0o755)
        inside = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            'mkdir -p /run/mnedc && mount --bind "$0" /run/mnedc && exec "$@"',
            run,
        ]
        running = {}
        for name in order:
            node, program = lab[name], {"relay": "mnedcd", "d1": "mnedc-join"}[name]
            options = config(lab, f"server: {RELAY}\ndevice-id: {name}\nrelay: {{admission: open}}\n")
            state = lab.directory / f"{name}-{order[0]}.state"
            running[name] = node.start(*inside, lab.program(program), *options, "--state", state)
            socket = run / f"{program}.sock"
            until(lambda: socket.exists() or not running[name].is_running, f"{program} listens")
        until(lambda: lab["d1"].virtual_address(), "the device joins", 15)
        found = run.stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (0, user.pw_gid, 0o1775)
        for name in order:
            assert running[name].stop() == 0
        assert list(run.iterdir()) == []


def test_a_directory_that_is_not_the_suites_is_left_as_it_is(flat):
    """--socket in another's; the socket that cannot be removed from there is replaced the next time."""
    lab = flat(0)
    there, missing = lab.directory / "there", lab.directory / "missing"
    there.mkdir(mode=0o755)
    for _ in range(2):
        relay = lab.relay.start_mnedc("mnedcd", "--socket", there / "x.sock")
        until(lambda: "relay for" in relay.log, "the relay serves")
        assert relay.stop() == 0
    assert (there.stat().st_gid, stat.S_IMODE(there.stat().st_mode)) == (0, 0o755)
    relay = lab.relay.start_mnedc("mnedcd", "--socket", missing / "x.sock")
    until(lambda: "relay for" in relay.log, "the relay serves")
    assert stat.S_IMODE(missing.stat().st_mode) == 0o1775
    assert grp.getgrgid(missing.stat().st_gid).gr_gid == default_user().pw_gid
    assert relay.stop() == 0 and list(missing.iterdir()) == []


def test_the_state_directory_goes_to_the_relays_user_with_what_is_in_it(flat):
    """One that root made before; it is closed to others."""
    lab = flat(0)
    path = Path(lab.relay.state_path)
    path.mkdir(mode=0o700)
    (path / "relay.file").touch()
    lab.start_relay()
    user = default_user()
    for each in (path, path / "relay.file"):
        assert (each.stat().st_uid, each.stat().st_gid) == (user.pw_uid, user.pw_gid)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_directory_of_other_things_is_not_given_away(flat):
    """Such as /root, named by mistake."""
    lab = flat(0)
    path = Path(lab.relay.state_path)
    path.mkdir(mode=0o700)
    (path / "notes").touch()
    assert refuses(lab.relay, "mnedcd", says="holds notes, which is no file of a relay.*--state").returncode == 77
    assert (path / "notes").stat().st_uid == 0


def test_a_state_directory_that_is_not_safe_is_refused(flat):
    """Each with what to do."""
    lab = flat(0)
    path = Path(lab.relay.state_path)
    path.mkdir(mode=0o700)
    path.chmod(0o755)
    assert refuses(lab.relay, "mnedcd", says=r"open to other users \(mode 0755\).*chmod 700").returncode == 77
    path.chmod(0o700)
    os.chown(path, 4321, 4321)
    refuses(lab.relay, "mnedcd", says="belongs to user 4321.*chown")
    path.rename(lab.directory / "moved")
    path.symlink_to(lab.directory / "moved")
    refuses(lab.relay, "mnedcd", says="symbolic link.*--state")
    path.unlink()
    path.touch()
    refuses(lab.relay, "mnedcd", says="no directory.*--state")
    refuses(lab.relay, "mnedcd", "--state", lab.directory / "none" / "state", says="above it is missing")
    device = ("--server", RELAY, "--device-id", "d1")
    refuses(lab.relay, "mnedc-join", *device, says="no directory.*--state")
    private = lab.directory / "private"
    private.mkdir(mode=0o700)
    done = refuses(
        lab.relay,
        "mnedcd",
        "--no-device",
        "--state",
        private / "state",
        says="denied.*--state",
        before=as_somebody(lab),
    )
    assert done.returncode == 77
