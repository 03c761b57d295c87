"""Orchestration information: `join.orchestration`, `mnedc-ctl announce`, and what of it outlives the daemon."""

import platform
import signal
import socket
from pathlib import Path

import pytest

from lab import PORT, RELAY, until
from test_bounds import disk, fill
from test_misuse import as_somebody
from test_operate import changes, ctl, report

CONFIG = """\
server: {server}
device-id: d1
join:
  orchestration:
    host-name: cam.lan
    platform: linux/arm64
    execution-type: container
    services:
      - detector
      - {{name: camera, version: "1.20", port: 554, protocol: rtsp}}
    labels: {{zone: hall}}
"""
DETECTOR = {"name": "detector", "health": "up"}
CAMERA = {"name": "camera", "health": "up", "version": "1.20", "port": 554, "protocol": "rtsp"}
# Where the device sits is found out just after the start, and is a change.
FIRST_REVISION = (1 << 24) + 1


def announce(node, *options):
    return report(node, "announce", *options)


def refused(node, *options):
    """(exit status, error) of an announcement that must not be made; nothing has changed by it."""
    before = announce(node)
    done = ctl(node, "announce", *options, check=False)
    assert announce(node) == before
    return done.returncode, done.stderr


@pytest.fixture
def device(flat):
    """A relay and a device with a file that says what it offers: (node, start, config)."""
    lab = flat(1)
    lab.start_relay()
    config = lab.directory / "device.yaml"
    config.write_text(CONFIG.format(server=f"{RELAY}:{PORT}"))

    def start():
        daemon = lab.start_device("d1", "--config", config)
        until(lambda: "place" in announce(lab["d1"]), "the device knows where it sits", 30)
        return daemon

    return lab["d1"], start, config


# --- The configuration ---


def test_check_shows_what_a_file_says_of_the_device(flat):
    """As a file that says the same."""
    lab = flat(0)
    config = lab.directory / "device.yaml"
    config.write_text(CONFIG.format(server="relay.example"))
    shown = lab.relay.mnedc("mnedc-join", "--config", config, "--check").stdout
    assert (
        """\
  orchestration:
    host-name: cam.lan
    platform: linux/arm64
    execution-type: container
    services:
      - detector
      - name: camera
        version: 1.20
        port: 554
        protocol: rtsp
    labels:
      zone: hall
"""
        in shown
    )
    config.write_text(shown)
    assert lab.relay.mnedc("mnedc-join", "--config", config, "--check").stdout == shown


def test_all_mistakes_of_a_file_are_told_with_their_places(flat):
    """And what would be right."""
    lab = flat(0)
    config = lab.directory / "device.yaml"
    config.write_text(
        "server: a\njoin:\n  peer-information: 0\n  orchestration:\n    platfrom: linux/arm64\n"
        '    services: [a, {nam: b}, a]\n    labels: {a: "\\e[1m"}\n'
    )
    done = lab.relay.mnedc("mnedc-join", "--config", config, "--check", check=False)
    told = [line.partition("device.yaml:")[2] for line in done.stderr.splitlines()]
    assert done.returncode == 78 and [line.split(": ")[0] for line in told] == [
        "3:21", "5:5", "6:20", "6:29", "7:17",
    ]  # fmt: skip
    assert 'did you mean "platform"?' in told[1] and "\\x1B[1m" in told[4] and "\x1b" not in done.stderr


# --- Announcements ---


def test_a_device_tells_what_its_file_says_and_what_was_announced(device):
    """Each change is a revision; what is taken back is as the file has it."""
    node, start, _ = device
    start()
    base = announce(node)
    assert base == {
        "version": 1, "revision": FIRST_REVISION, "device_id": "d1", "host_name": "cam.lan", "platform": "linux/arm64",
        "execution_type": "container", "services": [DETECTOR, CAMERA], "labels": {"zone": "hall"},
        "place": {"hops": [], "local": node.address, "outer": node.address},
        "announced_services": [], "announced_labels": [],
    }  # fmt: skip
    told = announce(
        node, "--up", "web", "--port", 80, "--protocol", "http", "--service-version", "2.0 β", "--down", "camera",
        "--label", "zone=yard", "--label", "gpu=a=b", "--load", "0.25",
    )  # fmt: skip
    web = {"name": "web", "health": "up", "port": 80, "protocol": "http", "version": "2.0 β"}
    assert told == base | {
        "revision": FIRST_REVISION + 1, "services": [DETECTOR, CAMERA | {"health": "down"}, web],
        "labels": {"zone": "yard", "gpu": "a=b"}, "load": 0.25,
        "announced_services": ["web", "camera"], "announced_labels": ["gpu", "zone"],
    }  # fmt: skip
    assert announce(node, "--down", "camera") == told
    told = announce(node, "--degraded", "web", "--withdraw", "camera", "--no-label", "zone", "--no-load")
    assert told == base | {
        "revision": FIRST_REVISION + 2, "services": [DETECTOR, CAMERA, web | {"health": "degraded"}],
        "labels": {"zone": "hall", "gpu": "a=b"}, "announced_services": ["web"], "announced_labels": ["gpu"],
    }  # fmt: skip
    shown = ctl(node, "announce").stdout
    assert "linux/arm64, container" in shown and "gpu=a=b, zone=hall" in shown and "degraded" in shown
    assert announce(node, "--reset") == base | {"revision": FIRST_REVISION + 3}


def test_a_device_without_a_file_says_what_it_is(flat):
    """Its host and what it was built for."""
    lab = flat(1)
    lab.start_relay()
    lab.start_device("d1")
    told = announce(lab["d1"])
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    assert told["platform"] == f"linux/{machine}" and (told["services"], told["labels"]) == ([], {})
    assert told.get("host_name", socket.gethostname()).split(".")[0] == socket.gethostname().split(".")[0]


def test_what_was_announced_outlives_a_kill_and_the_load_does_not(device):
    """The revisions rise over starts; the file is for the daemon's user alone."""
    node, start, _ = device
    daemon = start()
    told = announce(node, "--down", "camera", "--label", "gpu=yes", "--load", "1.5")
    daemon.kill()
    for number in (2, 3):
        daemon = start()
        again = announce(node)
        assert again == {key: value for key, value in told.items() if key != "load"} | {"revision": (number << 24) + 1}
        daemon.signal(signal.SIGKILL)
        daemon.wait()
    state = Path(node.state_path)
    assert {(state / name).stat().st_mode & 0o777 for name in ("device.announced", "device.starts")} == {0o600}


def test_a_kill_at_any_moment_leaves_a_whole_announcement(device):
    """Each that was answered is there, or one that came after it."""
    node, start, _ = device
    for round in range(3):
        daemon = start()
        script = (
            f"n={round * 1000}; while n=$((n + 1)) && {node.lab.program('mnedc-ctl')} announce "
            f"--socket {node.socket_path} --label n=$n >/dev/null 2>&1; do echo $n; done"
        )
        asking = node.start("sh", "-c", script)
        until(lambda: len(asking.output.split()) > 5, "announcements are answered", 30)
        daemon.kill()
        asking.wait(30)
        answered = int(asking.output.split()[-1])
        daemon = start()
        assert answered <= int(announce(node)["labels"]["n"]) <= answered + 1
        daemon.stop()


def test_damaged_state_is_put_aside_and_keeps_no_device_off(device):
    """With a warning each; revisions go on above what peers know, also where the count of starts is gone."""
    node, start, _ = device
    start().stop()
    state = Path(node.state_path)
    revision = FIRST_REVISION
    for name, words in (("device.announced", "announce it anew"), ("device.starts", "starts are counted on from")):
        (state / name).write_text("{")
        (state / name).chmod(0o600)
        daemon = start()
        until(lambda: "warning" in daemon.log, "the warning")
        assert f"{state / name} holds no " in daemon.log and words in daemon.log, daemon.log
        assert (state / f"{name}.damaged").read_text() == "{"
        revision, former = announce(node)["revision"], revision
        assert revision > former
        daemon.stop()
    (state / "device.starts").unlink()
    daemon = start()
    assert "device.starts is missing" in daemon.log and announce(node)["revision"] > FIRST_REVISION


def test_a_reload_changes_what_is_told_under_the_announcements(device):
    """By mnedc-ctl and by SIGHUP; a file with a mistake changes nothing."""
    node, start, config = device
    daemon = start()
    announce(node, "--degraded", "camera")
    text = config.read_text()
    config.write_text(text.replace("port: 554", "port: 555").replace("linux/arm64", "linux/riscv64"))
    found = report(node, "reload")
    assert not found["needs_restart"] and changes(found["applied"]) == {
        "join.orchestration.platform": ("linux/arm64", "linux/riscv64"),
        "join.orchestration.services": (
            "detector, camera (version: 1.20, port: 554, protocol: rtsp)",
            "detector, camera (version: 1.20, port: 555, protocol: rtsp)",
        ),
    }
    told = announce(node)
    assert told["platform"] == "linux/riscv64" and told["revision"] == FIRST_REVISION + 2
    assert told["services"] == [DETECTOR, CAMERA | {"port": 555, "health": "degraded"}]
    config.write_text(text)
    daemon.signal(signal.SIGHUP)
    until(lambda: announce(node)["revision"] == FIRST_REVISION + 3, "SIGHUP reloads")
    config.write_text(text + "    service: x\n")
    done = ctl(node, "reload", check=False)
    assert done.returncode == 78 and 'unknown key "service"; did you mean "services"?' in done.stderr
    assert announce(node)["revision"] == FIRST_REVISION + 3
    assert node.status()["device"]["joins"] == 1


def test_what_cannot_be_told_is_refused_with_what_to_do(device):
    """By the tool where it can tell by itself, else by the daemon; nothing of it is done."""
    node, start, _ = device
    start()
    usage = {
        ("--up", "a b"): "expected 1 to 63 letters",
        ("--up", "a", "--port", "0"): "expected a whole number from 1 to 65535",
        ("--down", "a", "--port", "1"): "go with one --up",
        ("--up", "a", "--up", "b", "--port", "1"): "go with one --up",
        ("--up", "a", "--down", "a"): "the service a is named twice",
        ("--label", "a"): "a label is KEY=VALUE",
        ("--label", "a="): "expected 1 to 255 bytes of visible text",
        ("--label", "a=\x1b[1m"): "expected 1 to 255 bytes of visible text",
        ("--label", "a=b", "--no-label", "a"): "the label a is named twice",
        ("--load", "nan"): "expected a number from 0 to 1000",
        ("--load", "1001"): "expected a number from 0 to 1000",
        ("--load", "1", "--no-load"): "do not go together",
    }
    for options, words in usage.items():
        status, error = refused(node, *options)
        assert status == 64 and words in error, options
    daemon = {
        ("--withdraw", "camera"): "comes from the configuration; remove it there and reload",
        ("--withdraw", "x", "--up", "y"): "no service x was announced; mnedc-ctl announce shows the announced ones",
        ("--no-label", "zone"): "--label zone=VALUE",
        tuple(
            each for number in range(63) for each in ("--up", f"s{number}")
        ): "it has more than 64 services; withdraw",
        tuple(
            each for number in range(63) for each in ("--label", f"l{number}={'v' * 255}")
        ): "there may be 16384; withdraw",
    }
    for options, words in daemon.items():
        status, error = refused(node, *options)
        assert status == 69 and words in error, options


def test_only_root_and_the_daemons_user_may_announce(device):
    """Anybody else is told so, and neither changes nor sees anything."""
    node, start, _ = device
    start()
    for options in ([], ["--label", "a=b"]):
        done = node.run(
            *as_somebody(node.lab), node.lab.program("mnedc-ctl"), "announce", *options, "--socket", node.socket_path,
            check=False,
        )  # fmt: skip
        assert done.returncode == 77 and "mnedc-ctl announce is for root, and you are" in done.stderr
    assert announce(node)["labels"] == {"zone": "hall"}


def test_a_relays_host_announces_as_the_device_that_it_is(flat):
    """Through a restart, by the user that the relay has become; a relay alone says that it is no device."""
    lab = flat(0)
    config = lab.directory / "relay.yaml"
    config.write_text("device-id: hub\njoin: {orchestration: {services: [broker]}}\nrelay: {admission: open}\n")
    config.chmod(0o644)
    relay = lab.start_relay("--config", config, admission=None)
    told = announce(lab.relay, "--up", "web")
    assert told["device_id"] == "hub" and [each["name"] for each in told["services"]] == ["broker", "web"]
    config.write_text("device-id: hub\njoin: {orchestration: {labels: {a: b}}}\nrelay: {admission: open}\n")
    assert set(changes(report(lab.relay, "reload")["applied"])) == {
        "join.orchestration.services", "join.orchestration.labels",
    }  # fmt: skip
    relay.kill()
    relay = lab.start_relay("--config", config, admission=None)
    told = announce(lab.relay)
    assert told["services"] == [{"name": "web", "health": "up"}] and told["labels"] == {"a": "b"}
    assert told["revision"] == 2 << 24
    relay.stop()
    lab.start_relay("--no-device")
    done = ctl(lab.relay, "announce", check=False)
    assert done.returncode == 69 and "this relay's host is no device" in done.stderr


def test_a_full_disk_keeps_what_was_told_and_nobody_out(device):
    """The answer says so; and the device starts without its start being counted."""
    node, start, _ = device
    with disk(node) as state:
        daemon = start()
        told = announce(node, "--label", "a=b")
        make_room = fill(state)
        status, error = refused(node, "--label", "a=c")
        assert status == 69 and "nothing has changed, because the announcement cannot be stored" in error
        assert announce(node, "--load", "0.5")["load"] == 0.5
        daemon.kill()
        daemon = start()
        assert announce(node)["labels"] == told["labels"] and "the number of this start cannot be saved" in daemon.log
        make_room()
        assert announce(node, "--label", "a=c")["labels"] == {"zone": "hall", "a": "c"}
