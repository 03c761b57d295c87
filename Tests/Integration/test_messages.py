"""Messages: the mistakes of a new user as a table, and the output on a terminal."""

import json
import os
import re
import signal

import pytest

from lab import INTERFACE, PORT, RELAY, until
from terminal import Terminal, shown
from test_misuse import as_somebody

SERVER = f"{RELAY}:{PORT}"
OTHER_KEY = "mnedc-relay:" + "A" * 43
KEY = r"SHA256:[\w-]{43}"


def check_tone(program, text, lines=1):
    """What holds for every message, whatever it says."""
    told = text.rstrip("\n").split("\n")
    assert len(told) == lines, text
    for line in told:
        assert line.startswith(f"{program}: "), line
        what = line.removeprefix(f"{program}: ")
        assert re.match(r"[a-z0-9/'\"`\[-]|IPv[46]|MTU", what), f"begins in lower case: {line}"
        assert not re.search(r"[.!:;, ]$", what), f"has no full stop at its end: {line}"
        assert "  " not in what and "!" not in what and what.count("(") == what.count(")"), line
        assert len(what) <= 500, line
        words = "sorry|please|oops|illegal|fatal|abort|unable|failed to|nil|optional|errno|node|client|peer-id"
        assert not re.search(rf"\b({words})\b", what, re.IGNORECASE), line


class Scene:
    """A relay with a full pool of two addresses, d1 on it, and d2 that wants to join."""

    def __init__(self, lab):
        self.lab = lab
        self.relay, self.d1, self.d2 = lab.relay, lab["d1"], lab["d2"]
        lab.start_relay("--pool", "10.0.0.0/30", admission=None)
        self.used = self.invite()
        self.d1.start_mnedc("mnedc-join", self.used, "--device-id", "d1", "--config", self.file("d1.yaml"))
        until(self.d1.virtual_address, "d1 joins")
        # Until here, so that it is over when it is tried.
        self.expired = self.invite("--expires", "1s")
        self.revoked = self.invite("--device-id", "nobody")
        made = {each.get("device_id"): each["id"] for each in self.ctl("invites", "--json")["invites"]}
        self.ctl("uninvite", made["nobody"])
        self.elses = self.invite("--device-id", "another")
        self.good = self.invite("--uses", "50")

    def ctl(self, *command):
        done = self.relay.mnedc("mnedc-ctl", *command)
        return json.loads(done.stdout) if "--json" in command else done.stdout

    def invite(self, *options):
        return self.relay.mnedc("mnedc-ctl", "invite", *options).stdout.strip()

    def file(self, name, text=None):
        path = self.lab.directory / name
        if text is not None:
            path.write_text(text)
        return path

    def met(self, name):
        """A state directory that knows the relay by another key."""
        path = self.lab.directory / f"{name}.state"
        path.mkdir(mode=0o700)
        known = path / "known-relays"
        known.write_text(f"{SERVER} {OTHER_KEY}\n")
        known.chmod(0o600)
        return path


def join(*options, device_id="d2"):
    """A join on d2, of a state of its own and a configuration that is not there."""
    return lambda scene: ["mnedc-join", *(option(scene) if callable(option) else option for option in options),
                          *(["--device-id", device_id] if device_id else [])]  # fmt: skip


def known(name):
    return lambda scene: getattr(scene, name)


# What was done wrong: where, the command, the exit status, and the line behind the program's name.
MISTAKES = {
    "no configuration": (
        "d2", join(device_id=None), 78,
        r"no relay is named; give the line that `mnedc-ctl invite` prints at the relay, or --server HOST:PORT, "
        r"or write "
        r"`server: HOST:PORT` to \S+"),
    "a configuration that is not there": (
        "d2", join("--config", "/nowhere/mnedc.yaml"), 66,
        r"cannot read the configuration /nowhere/mnedc.yaml: No such file or directory; name another with --config"),
    "nobody listens there": (
        "d2", join("--server", f"{RELAY}:4000", "--timeout", "1s"), 69,
        rf"could not join within 1s: {RELAY}:4000: Connection refused; check that the server is right \(--server\), "
        r"that mnedcd runs there, and that its port is open"),
    "an unknown name": (
        "d2", join("--server", "relay.example", "--timeout", "1s"), 69,
        r"could not join within 1s: (relay.example: .+|looking up relay.example); check that the server is right .+"),
    "another key than the pinned one": (
        "d2", join("--server", SERVER, "--server-key", OTHER_KEY), 77,
        rf"{SERVER} has the key {KEY}, but server-key pins {KEY}: either this is not the relay that it should "
        r"be, or its "
        r"key was replaced; ask its operator \(mnedc-ctl key\), and correct server-key in the configuration"),
    "another key than before": (
        "d2", join("--server", SERVER, "--state", lambda scene: scene.met("changed")), 77,
        rf"{SERVER} has the key {KEY}, but had {KEY} before: either this is not the relay that it was, or its key was "
        rf"replaced; ask its operator \(mnedc-ctl key\), and remove the line of {SERVER} from \S+/known-relays"),
    "no invite": (
        "d2", join("--server", SERVER), 69,
        r"the relay does not let this device in: this relay does not know the device yet and wants an invite; have its "
        r"operator run `mnedc-ctl invite`, and run `mnedc-join` with the line that it prints"),
    "an invite that is used up": (
        "d2", join(known("used")), 69,
        r"the relay does not let this device in: the invite is used up; ask the relay's operator for a new one"),
    "an invite that has expired": (
        "d2", join(known("expired")), 69,
        r"the relay does not let this device in: the invite has expired; ask the relay's operator for a new one"),
    "an invite that was revoked": (
        "d2", join(known("revoked"), device_id="nobody"), 69,
        r"the relay does not let this device in: the invite was revoked; ask the relay's operator for a new one"),
    "an invite for another": (
        "d2", join(known("elses")), 69,
        r"the relay does not let this device in: this invite is for a device with another ID; run this again with "
        r"--device-id and the ID that the operator chose, or ask for an invite for this ID"),
    "a part of an invite": (
        "d2", join(lambda scene: scene.good[:-4]), 64, r"the invite is damaged; copy the whole line again"),
    "something else than an invite": (
        "d2", join("hello"), 64,
        r"this is no invite, which begins with mnedc-invite:; take the line that `mnedc-ctl invite` prints "
        r"at the relay"),
    "an ID that another has": (
        "d2", join(known("good"), device_id="d1"), 69,
        r"the relay does not let this device in: the device ID d1 belongs to another device; choose another one "
        r"\(--device-id\); only if that device is gone for good, the relay's operator can free the ID "
        r"\(`mnedc-ctl revoke d1`\)"),
    "a pool that is full": (
        "d2", join(known("good")), 69,
        r"the relay does not let this device in: the pool 10.0.0.0/30 is full: .+; have the relay's operator give it a "
        r"larger pool \(relay.pool\) or free leases \(mnedc-ctl leases, mnedc-ctl lease free\)"),
    "the interface's name is taken": (
        "d1", join("--server", SERVER, device_id="second"), 73,
        rf"there is an interface {INTERFACE} already; end the program that has it, or choose another name "
        r"\(--interface\)"),
    "a daemon runs already": (
        "d1", join("--server", SERVER, "--interface", "second0", "--socket", lambda scene: scene.d1.socket_path), 73,
        r"process \d+ answers at \S+ already; stop it \(mnedc-ctl stop --socket \S+\) or choose another --socket"),
    "the port is taken": (
        "relay", lambda scene: ["mnedcd", "--no-device"], 73,
        rf"cannot listen on \S+:{PORT}: another program listens there, or another --listen of this one \(\[::\] takes "
        r"IPv4 too\); stop it or choose another --listen"),
    "not root": (
        "d2 as somebody", join("--server", SERVER), 77,
        r"making the interface mnedc0: not permitted; run as root or with CAP_NET_ADMIN \(a container needs the device "
        r"/dev/net/tun, too\)|opening /dev/net/tun: Permission denied \(its mode is 0[0-7]+, its owner root, and this "
        r"process is user \d+\); run chmod 0666 /dev/net/tun, which is the mode that udev gives it: to make an "
        r"interface with it, a program needs CAP_NET_ADMIN all the same"),
    "no daemon": (
        "d2", lambda scene: ["mnedc-ctl", "status", "--socket", "/nowhere.sock"], 69,
        r"no daemon answers \(/nowhere.sock: No such file or directory\); start mnedcd or mnedc-join, or name its "
        r"--socket"),
    "no leave to stop it": (
        "relay as somebody", lambda scene: ["mnedc-ctl", "stop", "--socket", scene.relay.socket_path], 77,
        r"mnedc-ctl stop is for root and the daemon's own user \((nobody|mnedc)\), and you are 4321; run as root"),
    "the wrong daemon": (
        "d1", lambda scene: ["mnedc-ctl", "invite", "--socket", scene.d1.socket_path], 69,
        r"mnedc-ctl invite is for a relay, and this is a device; run it on the relay's host, and there with "
        r"--of relay if mnedc-join "
        r"runs beside mnedcd"),
    "an unknown peer": (
        "d1", lambda scene: ["mnedc-peers", "show", "nobody", "--socket", scene.d1.socket_path], 69,
        r"no peer has the ID, name, address or fingerprint nobody; mnedc-peers lists the known ones"),
    "an unknown device": (
        "relay", lambda scene: ["mnedc-ctl", "revoke", "nobody", "--socket", scene.relay.socket_path], 69,
        r"the relay knows no device nobody; see `mnedc-ctl devices`"),
    "an unknown invite": (
        "relay", lambda scene: ["mnedc-ctl", "uninvite", "nobody", "--socket", scene.relay.socket_path], 69,
        r"the relay knows no invite nobody; see `mnedc-ctl invites`"),
    "a device that does not wait": (
        "relay", lambda scene: ["mnedc-ctl", "approve", "nobody", "--socket", scene.relay.socket_path], 69,
        r"no device nobody waits for approval; see `mnedc-ctl pending`"),
    "a misspelt device": (
        "relay", lambda scene: ["mnedc-ctl", "forget", "dl", "--socket", scene.relay.socket_path], 69,
        r"the relay knows no device dl; did you mean d1\?"),
    "a command of the other tool": (
        "d2", lambda scene: ["mnedc-ctl", "ping", "d1", "-c", "2"], 64,
        r"there is no command 'ping'; did you mean mnedc-peers ping\?"),
    "a command of the other tool again": (
        "d2", lambda scene: ["mnedc-peers", "revoke", "d1"], 64,
        r"there is no command 'revoke'; did you mean mnedc-ctl revoke\?"),
    "a misspelt command with options": (
        "d2", lambda scene: ["mnedc-ctl", "staus", "--json"], 64,
        r"there is no command 'staus'; did you mean status\?"),
    "options before the command": (
        "d2", lambda scene: ["mnedc-ctl", "--socket", "/nowhere.sock", "status"], 64,
        r"options come after the command; did you mean mnedc-ctl status --socket /nowhere.sock\?"),
    "a misspelt command": (
        "d2", lambda scene: ["mnedc-ctl", "staus"], 64, r"there is no command 'staus'; did you mean status\?"),
    "an unknown command": (
        "d2", lambda scene: ["mnedc-peers", "dance"], 64, r"there is no command 'dance'; see mnedc-peers --help"),
    "help for a misspelt command": (
        "d2", lambda scene: ["mnedc-peers", "help", "lis"], 64, r"there is no command 'lis'; did you mean list\?"),
    "help for an unknown command": (
        "d2", lambda scene: ["mnedc-ctl", "help", "dance"], 64, r"there is no command 'dance'; see mnedc-ctl --help"),
    "a report for a terminal and a program at once": (
        "d2", lambda scene: ["mnedc-ctl", "report", "-", "--json"], 64,
        r"--json describes the written file; name a file; see mnedc-ctl report --help"),
    "no command": (
        "d2", lambda scene: ["mnedc-ctl"], 64, r"name a command, such as status or invite; see mnedc-ctl --help"),
    "a misspelt option": (
        "d2", lambda scene: ["mnedcd", "--lisen", "[::]:1"], 64,
        r"unknown option '--lisen'; did you mean '--listen'\?"),
    "a wrong value": (
        "d2", lambda scene: ["mnedc-ctl", "drain", "--within", "soon"], 64,
        r"the value 'soon' is invalid for '--within <duration>': \"soon\" is not a duration; expected 100ms to 1h, in "
        r"ms, s, m or h; see mnedc-ctl drain --help"),
    "a missing argument": (
        "d2", lambda scene: ["mnedc-ctl", "approve"], 64,
        r"missing expected argument '<name>'; see mnedc-ctl approve --help"),
    "mistakes in the configuration": (
        "d2", lambda scene: ["mnedcd", "--config", scene.file("bad.yaml", "servr: x\nrelay: {pool: 10.0.0.0/33}\n")],
        78,
        r'\S+bad.yaml:1:1: unknown key "servr"; did you mean "server"\?' "\n"
        r'mnedcd: \S+bad.yaml:2:15: "10.0.0.0/33" is out of range; expected auto or a network of length '
        r"/8 to /30, such as .+"),
}  # fmt: skip


def test_the_mistakes_of_a_new_user_are_told_plainly(flat):
    """Each with its exit status and one line that says what failed, why, and what to do."""
    scene = Scene(flat(2))
    wrong = []
    for number, (what, (where, command, status, expected)) in enumerate(MISTAKES.items()):
        name, _, somebody = where.partition(" as ")
        node = scene.lab[name]
        program, *options = map(str, command(scene))
        for option, value in (("socket", "sock"), ("state", "state"), ("config", "yaml")):
            if program in ("mnedc-join", "mnedcd") and f"--{option}" not in options:
                path = scene.file(f"case{number}.{value}")
                if option == "config":
                    # An invite may name a file that is not there yet; without one it has to be.
                    if not any(each.startswith("mnedc-invite:") for each in options):
                        path.write_text("")
                options += [f"--{option}", str(path)]
        before = as_somebody(scene.lab) if somebody else []
        done = node.run(*before, scene.lab.program(program), *options, check=False, timeout=20)
        told = done.stderr.rstrip("\n")
        # The log of what came before the end, with its times, is of no interest here.
        told = "\n".join(line for line in told.split("\n") if line.startswith(f"{program}: "))
        try:
            assert done.returncode == status, f"exit status {done.returncode} in place of {status}"
            assert re.fullmatch(expected, told.removeprefix(f"{program}: ")), "other words"
            check_tone(program, told, lines=expected.count("\n") + 1)
        except AssertionError as error:
            wrong.append(f"{what}: {error}\n    {told}")
    assert not wrong, "\n".join(wrong)


# --- On a terminal ---


def test_a_join_on_a_terminal_shows_its_steps(flat):
    """Each with its time, and in order; the log's lines among them as ever."""
    lab = flat(1)
    lab.start_relay()
    device = lab["d1"]
    command = [lab.program("mnedc-join"), *device._with_paths("mnedc-join", ["--server", SERVER, "--device-id", "d1"])]
    with Terminal(device, command, columns=100) as terminal:
        terminal.until(r"joined 10\.0\.0\.0/24 as d1")
        time = r" \([\d.]+ ms\)\n"
        steps = [
            rf"  resolve     {RELAY} is an address{time}", rf"  connect     connected to {SERVER}{time}",
            rf"  handshake   {KEY}{time}", rf"  admission   let in as d1{time}",
            rf"  address     10\.0\.0\.2 in 10\.0\.0\.0/24{time}", rf"  interface   {INTERFACE} is up{time}",
            rf"  first echo  answered by the relay{time}",
        ]  # fmt: skip
        place = 0
        for step in steps:
            found = re.compile(step).search(terminal.text, place)
            assert found, f"{step} is not there, or too early: {terminal.text}"
            place = found.end()
        assert re.compile(r"mnedc-join: joined").search(terminal.text, place), "said when all is shown"


def test_without_a_terminal_or_news_no_steps_are_shown(flat):
    """A log holds lines of the log only, and who wants warnings alone gets these alone."""
    lab = flat(1)
    lab.start_relay()
    program = lab.start_device("d1")
    until(lambda: "joined 10.0.0.0/24" in program.log, "the log says so")
    assert "first echo" not in program.log and "\x1b" not in program.log
    assert all(re.match(r"\d{4}-\d\d-\d\d \S+ mnedc-join: ", line) for line in program.log.splitlines()), program.log
    program.stop()
    device = lab["d1"]
    options = ["--server", SERVER, "--device-id", "d1", "--log-level", "warning"]
    with Terminal(device, [lab.program("mnedc-join"), *device._with_paths("mnedc-join", options)]) as terminal:
        until(device.virtual_address, "it joins")
        assert "connect" not in terminal.text


def test_in_the_background_a_terminal_sees_the_steps_first(flat):
    """Then the command ends with the one line on standard output."""
    lab = flat(1)
    lab.start_relay()
    device = lab["d1"]
    options = ["--server", SERVER, "--device-id", "d1", "--background"]
    text, status = shown(device, [lab.program("mnedc-join"), *device._with_paths("mnedc-join", options)])
    process = device.status()["process_id"]
    try:
        assert status == 0, text
        order = ("resolve", "connect", "handshake", "admission", "address", "interface", "first echo")
        places = [f"\n{text}".find(f"\n  {step} ") for step in order]
        assert -1 not in places and places == sorted(places), text
        assert text.rstrip().splitlines()[-1] == f"joined 10.0.0.0/24 as d1 at 10.0.0.2 through {SERVER}"
    finally:
        os.kill(process, signal.SIGTERM)
        until(lambda: not device.interfaces(), "it ends")


def test_who_has_to_be_approved_sees_what_the_operator_types(flat):
    """And what to compare."""
    lab = flat(1)
    lab.start_relay(admission="approve")
    device = lab["d1"]
    options = ["--server", SERVER, "--device-id", "d1"]
    with Terminal(device, [lab.program("mnedc-join"), *device._with_paths("mnedc-join", options)]) as terminal:
        found = terminal.until(rf"(mnedc-ctl approve d1)\n +if mnedc-ctl pending shows ({KEY})\n")
        assert "waiting for an operator of the relay, who types there:" in terminal.text
        pending = lab.relay.mnedc("mnedc-ctl", "pending").stdout
        assert found[2] in pending
        lab.relay.mnedc(*found[1].split())
        terminal.until(r"admission   let in as d1 \(")


def test_a_wait_of_over_a_second_says_what_for(flat):
    """A server that does not answer; what a second attempt would repeat is not said again."""
    lab = flat(1)
    lab.relay.listen(RELAY, 7001)  # Accepts in the kernel, and never says a word.
    device = lab["d1"]
    options = ["--server", f"{RELAY}:7001", "--device-id", "d1", "--timeout", "3s"]
    text, status = shown(device, [lab.program("mnedc-join"), *device._with_paths("mnedc-join", options)])
    assert status == 69
    assert text.count("  handshake   waiting for the relay to prove who it is …\n") == 1, text
    assert text.count(f"  connect     connected to {RELAY}:7001") == 1, text


@pytest.mark.parametrize("kind", ["xterm", "dumb"])
def test_a_tool_says_what_it_waits_for_and_takes_it_back(flat, kind):
    """A daemon that is stopped answers nobody. A terminal that cannot clear a line gets one that stays."""
    lab = flat(0)
    relay = lab.start_relay()
    relay.pause()
    command = [lab.program("mnedc-ctl"), "status", "--timeout", "2500ms", "--socket", lab.relay.socket_path]
    text, status = shown(lab.relay, command, environment={"TERM": kind})
    relay.resume()
    assert status == 75 and "did not answer in time" in text
    if kind == "dumb":
        assert text.startswith("waiting for the daemon to answer …\n") and "\x1b" not in text
    else:
        assert "\rwaiting for the daemon to answer, 1 s …\x1b[K" in text
        assert re.search(r"\r\x1b\[Kmnedc-ctl: the daemon at", text), text
    done = lab.relay.run(*command, check=False)
    assert "waiting" not in done.stderr


def test_width_and_colour_follow_the_terminal(flat):
    """COLUMNS, NO_COLOR and TERM are honoured; IDs are shortened before anything else; a pipe gets all."""
    lab = flat(2)
    lab.start_relay()
    long = "a-device-with-a-rather-long-identifier-of-63-bytes-in-all-0123456"
    lab.start_device("d1", device_id=long[:63])
    lab.start_device("d2")
    until(lambda: len(lab["d2"].peers()) == 2, "they know each other")
    command = [lab.program("mnedc-peers"), "--socket", lab["d2"].socket_path]

    def plain(**options):
        text, status = shown(lab["d2"], command, **options)
        assert status == 0, text
        return re.sub(r"\x1b\[\d*m", "", text), text

    whole = lab["d2"].run(*command).stdout
    assert long[:63] in whole and "\x1b" not in whole and "…" not in whole
    for columns in (40, 80, 100):
        text, raw = plain(columns=columns)
        table = text.splitlines()[:4]
        assert max(map(len, table)) <= columns, text
        assert f"{lab['d1'].virtual_address()}  a-device-wi" in text and "…" in text, text
        assert "\x1b[32monline\x1b[0m" in raw or columns == 40, raw
    assert "STATE" in plain(columns=80)[0] and "PLATFORM" in plain(columns=80)[0]
    assert long[:63] in plain(columns=200)[0]
    assert max(map(len, plain(columns=200, environment={"COLUMNS": "60"})[0].splitlines()[:4])) <= 60
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        text, raw = plain(environment=environment)
        assert "\x1b" not in raw and "…" in text
    assert "\x1b" in plain(environment={"NO_COLOR": ""})[1]

    # What an operator copies is not cut: the table is as it is if shortening IDs is not enough.
    devices = [lab.program("mnedc-ctl"), "devices", "--socket", lab.relay.socket_path]
    text, _ = shown(lab.relay, devices, columns=80, environment={"NO_COLOR": "1"})
    assert long[:63] in text and len(re.findall(KEY, text)) >= 2, text
    leases = [lab.program("mnedc-ctl"), "leases", "--socket", lab.relay.socket_path]
    text, _ = shown(lab.relay, leases, columns=100, environment={"NO_COLOR": "1"})
    assert max(map(len, text.splitlines())) <= 100 and "…" in text, text


def test_a_dumb_terminal_gets_a_line_an_event(flat):
    """--watch draws in place only where that can be."""
    lab = flat(2)
    lab.start_relay()
    lab.start_device("d1")
    command = [lab.program("mnedc-peers"), "--watch", "--socket", lab["d1"].socket_path]
    with Terminal(lab["d1"], command, environment={"TERM": "dumb"}) as terminal:
        terminal.until("ADDRESS")
        lab.start_device("d2")
        terminal.until(r"10\.0\.0\.3  d2  joined")
        assert "\x1b" not in terminal.text


def test_a_log_on_a_terminal_marks_warnings_in_colour(flat):
    """And not where colour is not wanted."""
    lab = flat(1)
    device = lab["d1"]
    for number, (environment, mark) in enumerate((({}, "\x1b[33mwarning: \x1b[0m"), ({"NO_COLOR": "1"}, "warning: "))):
        options = ["--server", f"{RELAY}:1", "--device-id", "d1", "--timeout", "1s"]
        text, _ = shown(
            device, [lab.program("mnedc-join"), *device._with_paths("mnedc-join", options)], environment=environment
        )
        assert f"mnedc-join: {mark}{RELAY}:1: Connection refused; trying again in" in text, text
        assert ("\x1b" in text) == (number == 0), text
