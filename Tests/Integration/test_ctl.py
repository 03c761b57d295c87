"""mnedc-ctl on a host with several daemons, settings that it changes at run time, and archives for bug reports."""

import io
import json
import shlex
import stat
import tarfile

from lab import PORT, RELAY, until
from peer_client import read_invite, to_text
from test_misuse import as_somebody


class Host:
    """A node of a lab with a /run of its own, so that daemons and tools use the sockets that they use unless told
    otherwise.
    """

    def __init__(self, node):
        self.node = node
        self.directory = node.lab.directory / f"{node.name}.run"
        self.directory.mkdir()

    def inside(self, *command):
        # Each command of a lab has mounts of its own.
        return ["sh", "-c", 'mount --bind "$0" /run && exec "$@"', self.directory, *command]

    def run(self, program, *options, check=True):
        return self.node.run(*self.inside(self.node.lab.program(program), *options), check=check)

    def start(self, program, *options, state):
        options = [*options, "--state", self.node.lab.directory / f"{state}.state"]
        started = self.node.start(*self.inside(self.node.lab.program(program), *options), name=f"{program}, {state}")
        until(lambda: not started.is_running or self.answers(started.pid), f"{program} answers")
        assert started.is_running, started.log
        return started

    def answers(self, pid):
        sockets = (self.directory / "mnedc").glob("*.sock")
        status = (self.ctl("status", "--json", "--socket", f"/run/mnedc/{s.name}", check=False) for s in sockets)
        return pid in [json.loads(each.stdout)["process_id"] for each in status if each.returncode == 0]

    def ctl(self, *options, check=True):
        return self.run("mnedc-ctl", *options, check=check)

    def status(self, *options):
        return json.loads(self.ctl("status", "--json", *options).stdout)


def commands_shown(failed):
    """The command lines that it is to be told by."""
    return [
        line.removeprefix("mnedc-ctl:   ") for line in failed.stderr.splitlines() if line.startswith("mnedc-ctl:   ")
    ]


def test_the_tools_find_the_daemon_and_ask_back_where_several_run(flat):
    """By --of, by what only a relay has, and by command lines that work as they are shown."""
    lab = flat(0)
    host = Host(lab.relay)
    nobody = host.ctl("status", check=False)
    assert nobody.returncode == 69 and "start mnedcd or mnedc-join" in nobody.stderr
    assert "/run/mnedc/mnedc-join.sock" in nobody.stderr and "/run/mnedc/mnedcd.sock" in nobody.stderr

    relay = host.start("mnedcd", "--no-device", "--admission", "open", state="relay")
    assert host.status()["process_id"] == host.status("--of", "relay")["process_id"] == relay.pid
    missing = host.ctl("status", "--of", "device", check=False)
    assert missing.returncode == 69 and "start mnedc-join, or name its --socket" in missing.stderr

    # Neither has to join for this.
    nowhere = ["--server", f"{RELAY}:{PORT + 1}", "--timeout", "10m"]
    device = host.start("mnedc-join", *nowhere, "--device-id", "main", state="main")
    both = host.ctl("status", check=False)
    assert both.returncode == 64 and "say which one is meant" in both.stderr
    shown = commands_shown(both)
    assert len(shown) == 2 and "mnedcd at /run/mnedc/mnedcd.sock" in shown[1]
    programs = [host.node.run(*host.inside("sh", "-c", command)).stdout.split()[0] for command in shown]
    assert programs == ["mnedc-join", "mnedcd"]
    # What only a relay has is for the relay.
    assert json.loads(host.ctl("invites", "--json").stdout)["invites"] == []

    shop = host.start(
        "mnedc-join", *nowhere, "--device-id", "shop", "--interface", "mnedc-shop", "--socket",
        "/run/mnedc/mnedc-join@shop.sock", state="shop",
    )  # fmt: skip
    three = commands_shown(host.ctl("reload", check=False))
    assert [shlex.split(each, comments=True)[-1] for each in three] == ["device", "relay", "shop"]
    assert host.status("--of", "shop")["device"]["device_id"] == "shop"
    assert host.status("--of", "device")["process_id"] == device.pid
    peers = host.run("mnedc-peers", check=False)
    assert peers.returncode == 64 and "mnedc-peers --of relay" in peers.stderr
    assert json.loads(host.run("mnedc-peers", "--json", "--of", "relay").stdout)["network"] == "10.0.0.0/24"

    for wrong in (["--of", "relay", "--socket", "/x"], ["--of", "Shop"], ["--of", "../x"]):
        assert host.ctl("status", *wrong, check=False).returncode == 64
    # A name that is mistyped is told from those that run; a report is of the daemon that was asked for, or of none.
    for command in (["status"], ["report", host.directory / "typo.tar"]):
        typo = host.ctl(*command, "--of", "shp", check=False)
        assert typo.returncode == 69 and "start mnedc-join --name shp" in typo.stderr
        assert typo.stderr.endswith("; what runs here is --of device, --of relay, --of shop\n"), typo.stderr
    assert not (host.directory / "typo.tar").exists()
    stopped = json.loads(host.ctl("stop", "--of", "shop", "--json").stdout)
    assert stopped == {"version": 1, "socket": "/run/mnedc/mnedc-join@shop.sock"} and shop.wait() == 0
    # A socket that a killed daemon has left is not one that runs.
    device.kill()
    assert host.status()["process_id"] == relay.pid


def test_the_log_level_holds_until_it_is_told_otherwise(flat):
    """Through a reload that has nothing to do with it; a start goes by the configuration."""
    lab = flat(0)
    config = lab.directory / "relay.yaml"
    config.write_text("log-level: notice\n")
    config.chmod(0o644)

    def level(*options):
        shown = json.loads(lab.relay.mnedc("mnedc-ctl", "log-level", *options, "--json").stdout)
        assert shown["version"] == 1 and lab.relay.status()["log_level"] == shown["level"]
        return shown["level"], shown["configured_level"]

    relay = lab.start_relay("--config", config)
    assert level() == ("notice", "notice")
    assert level("debug") == ("debug", "notice") and "the log level is debug from now on, was notice" in relay.log
    assert "debug until the next start, then notice" in lab.relay.mnedc("mnedc-ctl", "log-level").stdout
    config.write_text("log-level: notice\nrelay: {keepalive: 3s}\n")
    lab.relay.mnedc("mnedc-ctl", "reload")
    assert level() == ("debug", "notice")
    config.write_text("log-level: warning\n")
    lab.relay.mnedc("mnedc-ctl", "reload")
    assert level() == ("warning", "warning")
    assert level("error") == ("error", "warning")
    assert lab.relay.mnedc("mnedc-ctl", "log-level", "loud", check=False).returncode == 64
    relay.stop()
    lab.start_relay("--config", config)
    assert level() == ("warning", "warning")


def test_status_tells_the_last_errors(flat):
    """The newest last; attempts that fail for one reason are there once, as often as they are made."""
    lab = flat(1)
    running = lab.start_all()
    assert lab["d1"].status()["last_errors"] == [] and lab["d1"].status()["role"] == "device"
    running["relay"].kill()
    errors = until(lambda: lab["d1"].status()["last_errors"], "the device has lost the relay")
    assert errors[0]["level"] == "warning" and "trying again" in errors[0]["text"]
    assert errors[0]["text"] in lab["d1"].mnedc("mnedc-ctl", "status").stdout
    # It tries again and again.
    until(lambda: running["d1"].log.count("trying again") > 6, "there are more", timeout=60)
    errors = lab["d1"].status()["last_errors"]
    assert errors == sorted(errors, key=lambda each: each["time"])
    reasons = [each["text"].split("; trying again")[0] for each in errors]
    assert len(set(reasons)) == len(reasons) <= 5, errors
    assert errors[-1]["text"].startswith(reasons[-1]) and "refused" in reasons[-1]


# --- Reports ---


def report(node, *options, check=True):
    """What it says that it has written, and the files in it by name, without their directory."""
    # The name has the second, in which another node may write one too.
    place = node.lab.directory / f"reports-{node.name}"
    place.mkdir(exist_ok=True)
    done = node.mnedc("mnedc-ctl", "report", *options, "--json", check=check, cwd=place)
    said = json.loads(done.stdout)
    path = place / said["file"]
    with tarfile.open(path) as archive:
        assert all(each.isreg() and each.mode == 0o600 for each in archive)
        files = {each.name: archive.extractfile(each).read() for each in archive}
    assert len({name.split("/")[0] for name in files}) == 1
    files = {name.split("/")[1]: content for name, content in files.items()}
    assert {each["name"]: each["bytes"] for each in said["entries"]} == {n: len(c) for n, c in files.items()}
    return said, path, files


def secrets(lab, invites):
    """{what it is: its bytes} of all that must be in no report."""
    found = {}
    for invite in invites:
        key, token, _ = read_invite(invite)
        found |= {f"invite {invite}": invite.partition(":")[2].encode(), f"token of {invite}": token}
        found |= {f"text of {invite}": to_text(token).encode(), f"hex of {invite}": token.hex().encode()}
        found |= {f"key in {invite}": to_text(key).encode()}
    for path in lab.directory.glob("*.state/*"):
        # What is shorter, such as a count of starts, is anywhere.
        if path.is_file() and len(content := path.read_bytes()) >= 8:
            found[f"all of {path.name}"] = content
            if path.name.endswith(".key"):
                text = content.decode().strip().partition(":")[2]
                found |= {f"{path.name}": text.encode(), f"a part of {path.name}": text[10:30].encode()}
    return found


def test_a_report_has_what_is_needed_and_no_secret(flat):
    """Of a relay and a device, in a network by invite: it opens with tar, and each file in it is what it says."""
    lab = flat(1)
    config = lab.directory / "d1.yaml"
    lab.start_relay("--log-level", "debug", admission=None)
    invites = [lab.relay.mnedc("mnedc-ctl", "invite").stdout.strip() for _ in range(2)]
    lab.start_device("d1", invites[0], "--config", config)
    until(lambda: config.exists(), "the invite is taken")
    config.write_text(config.read_text() + "join: {on-peer: [/bin/true, --password, hunter2]}\n")
    lab["d1"].mnedc("mnedc-ctl", "reload")
    lab["d1"].mnedc("mnedc-ctl", "key"), lab.relay.mnedc("mnedc-ctl", "key")
    known = secrets(lab, invites)
    assert {"all of relay.key", "all of device.key", "a part of device.key"} <= known.keys()

    for node in (lab.relay, lab["d1"]):
        said, path, files = report(node)
        assert said["version"] == 1 and said["missing"] == [], said["missing"]
        assert path.name.startswith("mnedc-report-20") and stat.S_IMODE(path.stat().st_mode) == 0o600
        whole = path.read_bytes()
        for what, secret in known.items():
            assert secret not in whole, what
        assert b"hunter2" not in whole
        listed = node.run("tar", "-tf", path).stdout.splitlines()
        assert sorted(name.split("/")[1] for name in listed) == sorted(files)
        kernel = node.run("uname", "-r").stdout.strip().encode()
        assert kernel in files["system.txt"] and b"eth0  up" in files["network.txt"]
        status = json.loads(files["status-daemon.json"])
        assert status["program"] in ("mnedcd", "mnedc-join")
        assert json.loads(files["peers-daemon.json"])["version"] == 1
        assert b"log-level:" in files["configuration-daemon.yaml"] and files["log-daemon.txt"]
        assert all(name in files["README"].decode() for name in files if name != "README")
    assert b"server-key: mnedc-relay:" in files["configuration-daemon.yaml"] and b"on-peer" in files["log-daemon.txt"]
    assert b"joined 10.0.0.0/24 as d1" in files["log-daemon.txt"]
    leases = json.loads(lab.relay.mnedc("mnedc-ctl", "leases", "--json").stdout)["leases"]
    _, path, files = report(lab.relay, "again.tar")
    assert files["leases-daemon.txt"].startswith(b"all  %d\nleased  %d, " % (len(leases), len(leases)))
    before = path.read_bytes()
    again = lab.relay.mnedc("mnedc-ctl", "report", path, check=False)
    assert again.returncode == 73 and "File exists" in again.stderr and path.read_bytes() == before
    shown = lab.relay.mnedc("mnedc-ctl", "report", lab.directory / "text.tar").stdout
    assert "before you send it" in shown and "status-daemon.json" in shown
    command = '"$0" report - --socket "$1" | tar -tf -'
    piped = lab.relay.run("sh", "-c", command, lab.program("mnedc-ctl"), lab.relay.socket_path, cwd=lab.directory)
    assert "status-daemon.json" in {line.rpartition("/")[2] for line in piped.stdout.splitlines()} and not piped.stderr
    assert not (lab.directory / "-").exists()


def test_a_report_is_written_whoever_asks_and_whatever_runs(flat):
    """What is missing is said: by a user who is not root, and where no daemon runs, perhaps for a mistake in its
    configuration.
    """
    lab = flat(0)
    lab.directory.joinpath("mnedc.yaml").write_text("relay: {lisen: 1}\n")
    place = lab.directory / "nothing-runs.tar"
    said = json.loads(Host(lab.relay).ctl("report", place, "--json", "--config", lab.directory / "mnedc.yaml").stdout)
    assert said["missing"] == ["daemons: none runs here"]
    with tarfile.open(place) as archive:
        (name,) = [each for each in archive.getnames() if each.endswith("/configuration.txt")]
        assert b"listen" in archive.extractfile(name).read()
    lab.start_relay()
    done = lab.relay.run(
        *as_somebody(lab), lab.program("mnedc-ctl"), "report", "mine.tar", "--json", "--socket", lab.relay.socket_path,
        cwd=lab.directory,
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert {"status-daemon.json", "peers-daemon.json"} <= {each["name"] for each in said["entries"]}
    assert [each.partition(":")[0] for each in said["missing"]] == [
        "configuration and log of daemon",
        "leases of daemon",
    ]
