"""Every command that a man page shows runs as printed and does what the page says.

Each page has a lab of its own, whose hosts have their own /etc, /run and /var/lib and the programs in their PATH.
Commands after `$` run as an ordinary user where that user can reach the programs, commands after `#` as root. A command
without a rule in RULES fails its page, and so does a rule without a command.
"""

import dataclasses
import errno
import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import time

import pytest

import lab as labs
from lab import REPOSITORY, RELAY, Lab, until

PAGES = {path.name: path for path in sorted((REPOSITORY / "man").glob("*.[1-8]"))}
#: Stands in the pages for an invite.
INVITE = "mnedc-invite:AT..."
#: Pages whose examples are no commands; test_docs.py holds them.
WITHOUT_COMMANDS = {"mnedc.yaml.5", "mnedc-protocol.7"}
NOBODY = 65534


# --- What the pages show ---


@dataclasses.dataclass
class Command:
    """A command as a page shows it, and what it prints there."""

    text: str
    as_root: bool
    output: str = ""


def plain(text):
    """What mdoc makes of a line."""
    return text.replace("\\e", "\\").replace("\\&", "").replace("\\-", "-")


def commands(text):
    """Those of a page: lines behind .Dl, and blocks that are printed as they are, with a prompt; or without, in
    EXAMPLES.
    """
    found = []
    for title, body in re.findall(r"^\.Sh ([^\n]*)\n(.*?)(?=^\.Sh |\Z)", text, re.MULTILINE | re.DOTALL):
        for line, block in re.findall(
            r"^\.Dl ([^\n]*)$|^\.Bd -literal[^\n]*\n(.*?)^\.Ed", body, re.MULTILINE | re.DOTALL
        ):
            found += in_block(plain(line or block), title == "EXAMPLES")
    return found


def in_block(text, is_example):
    lines = text.rstrip("\n").split("\n")
    if not any(line.startswith(("$ ", "# ")) for line in lines):
        return [Command(text.strip(), True)] if is_example else []
    found = []
    while lines:
        line = lines.pop(0)
        if not line.startswith(("$ ", "# ")):
            found[-1].output += line + "\n"
            continue
        while line.endswith(("\\", "|")):
            line += "\n" + lines.pop(0)
        found.append(Command(line[2:], line.startswith("#")))
    return found


def shape(text):
    """Without what differs between runs: times, the numbers of machines, processors, the width of columns."""
    text = re.sub(r"-[0-9a-f]{5}… ", "-MACHINE… ", text)
    text = re.sub(r"\b[0-9.]+ (ms|s|min|h)\b", r"N \1", text)
    text = re.sub(r"-[0-9a-f]{8}\b", "-MACHINE", re.sub(r"linux/\w+", "linux/CPU", text))
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


# --- Where they are run ---


class Host:
    """A node of the lab that is a host of its own."""

    def __init__(self, stage, node, name):
        self.stage, self.node, self.name = stage, node, name
        self.root = node.lab.directory / f"{name}.root"
        for directory in ("run", "lib", "bin", "home"):
            (self.root / directory).mkdir(parents=True)
        # But for what labs beside this one, and their devices, keep there for a while.
        shutil.copytree("/etc", self.root / "etc", symlinks=True, ignore=lambda path, names: {
            each for each in names if path == "/etc" and each in ("netns", "hosts.mnedc-draft")
            or not stat.S_IFMT((os.lstat(os.path.join(path, each))).st_mode)
            in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)})  # fmt: skip
        shutil.rmtree(self.root / "etc/mnedc", ignore_errors=True)
        os.chown(self.root / "home", NOBODY, NOBODY)
        (self.root / "etc/machine-id").write_text(f"{abs(hash((node.lab.prefix, name))):032x}\n")
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{RELAY} relay.example\n")
        (self.root / "etc/resolv.conf").unlink(missing_ok=True)
        (self.root / "etc/resolv.conf").touch()
        mounts = "".join(
            f"mount --bind {self.root}/{own} {place} && "
            for own, place in (("etc", "/etc"), ("run", "/run"), ("lib", "/var/lib"))
        )
        self.holder = node.start(
            "unshare",
            "--uts",
            "sh",
            "-c",
            f"hostname {name} && {mounts}touch /run/ready && exec sleep infinity",
            name=f"the host {name}",
        )
        until(lambda: (self.root / "run/ready").exists(), f"the host {name} is made")

    def configure(self, text):
        (self.root / "etc/mnedc").mkdir(exist_ok=True)
        (self.root / "etc/mnedc/mnedc.yaml").write_text(text)

    def command(self, text, as_root=True):
        """What runs a shell's command here."""
        entering = ["nsenter", "--target", self.holder.pid, "--mount", "--uts", "--net", f"--wd={self.root}/home"]
        user = [] if as_root or not self.stage.has_users else self.stage.as_nobody
        path = f"{self.stage.stubs}:{self.stage.bin}:{os.environ['PATH']}:/usr/sbin:/sbin"
        environment = ["env", f"HOME={self.root}/home", f"PATH={path}"]
        return [str(each) for each in (*entering, *user, *environment, "bash", "-c", text)]

    def start(self, text, as_root=True):
        program = labs.Program(
            f"{text.split()[0]} on {self.name}", self.command(text, as_root), self.node.lab.directory
        )
        self.node.lab.started.append(program)
        return program

    def run(self, text, as_root=True, timeout=60):
        """Runs it to its end; (exit status, output, errors)."""
        program = self.start(text, as_root)
        status = program.wait(timeout)
        return status, program.output, program.log

    def ask(self, text):
        """The output of a command that must succeed."""
        status, output, errors = self.run(text)
        assert status == 0, f"{text} on {self.name}: {errors}"
        return output

    def has_joined(self, interface="mnedc0"):
        return self.node.virtual_address(interface) is not None

    def end_all(self):
        """Ends the processes on this host, including daemons in the background, and waits until their interfaces are
        gone.

        A process whose first thread has ended is no longer listed, but another thread may still have the TUN device
        open.
        """
        others = lambda: [pid for pid in self.node.processes() if pid != self.holder.pid]  # noqa: E731
        for pid in others():
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        until(lambda: not others() and not self.node.interfaces(), f"the processes on {self.name} end", 20)


class Stage:
    """The hosts of a page's examples."""

    def __init__(self, lab):
        self.lab = lab
        self.directory = lab.directory
        self.bin, self.stubs = self.directory / "bin", self.directory / "stubs"
        self.stubs.mkdir()
        self.bin.symlink_to(lab.programs)
        self.as_nobody = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]
        probe = [*map(str, self.as_nobody), self.bin / "mnedc-ctl", "--version"]
        self.has_users = subprocess.run(probe, capture_output=True, cwd="/").returncode == 0
        names = {"relay": "relay", "kitchen-hub": "d1", "workshop": "d2", "shop": "d3"}
        self.hosts = {name: Host(self, lab[node], name) for name, node in names.items()}
        self._stub_ssh()
        self._stub_systemctl()

    def __getitem__(self, name):
        return self.hosts[name]

    def _stub_systemctl(self):
        """`systemctl enable --now UNIT` and `start` run the unit's daemon in the background, without a service manager;
        `stop` ends it.
        """
        units = " ".join(
            sorted(path.name.partition(".")[0] for path in (REPOSITORY / "Sources/Packaging/systemd").iterdir())
        )
        stub = self.stubs / "systemctl"
        stub.write_text(
            f'#!/bin/sh -e\ncase "$1 $2" in "enable --now") ;; "stop mnedcd") exec mnedc-ctl stop --of relay ;; '
            f'"start mnedcd") set -- "$1" --now "$2" ;; *) exit 64 ;; esac\nname="${{3#*@}}"\n'
            f'case " {units} " in *" ${{3%"${{name#"$3"}}"}} "*) ;; *) exit 5;; esac\n'
            "case $3 in\n"
            "mnedcd) setsid mnedcd >/dev/null 2>&1 & ;;\n"
            "mnedc-join) mnedc-join --background ;;\n"
            'mnedc-join@*) mnedc-join --name "$name" --background ;;\n'
            "esac\n"
        )
        stub.chmod(0o755)

    def _stub_ssh(self):
        """`ssh root@HOST COMMAND` runs the command there, without SSH."""
        cases = "".join(f"{name}) pid={host.holder.pid};; " for name, host in self.hosts.items())
        stub = self.stubs / "ssh"
        stub.write_text(
            f"#!/bin/sh\ncase ${{1#root@}} in {cases}*) exit 255;; esac\nshift\n"
            'exec nsenter --target "$pid" --mount --uts --net sh -c "$*"\n'
        )
        stub.chmod(0o755)

    def relay(self, host="relay", config="device-id: relay\nrelay: {admission: approve}\n"):
        """Starts a relay."""
        self[host].configure(config)
        self[host].start("mnedcd")
        until(lambda: self[host].run("mnedc-ctl status")[0] == 0, "the relay answers", 20)

    def invite(self, host="relay"):
        return self[host].ask("mnedc-ctl invite --uses 10").strip()

    def join(self, name, host=None, services="[]"):
        """Joins a device, known by its name, on the host of this name."""
        host = self[host or name]
        orchestration = f"{{platform: linux/arm64, services: {services}}}"
        host.configure(f"device-id: {name}\njoin: {{orchestration: {orchestration}}}\n")
        host.ask(f"mnedc-join --background {self.invite()}")

    def network(self):
        """A relay, kitchen-hub and workshop."""
        self.relay()
        self.join("kitchen-hub", services="[hub]")
        self.join("workshop", services="[detector, camera]")

    def wait_for_peer(self, host, peer):
        until(lambda: self[host].run(f"mnedc-peers show {peer}")[0] == 0, f"{host} knows {peer}", 20)

    def end(self):
        for host in self.hosts.values():
            host.end_all()


def nothing(stage):
    """Nothing runs yet."""


#: What is there before a page's first command; a network where none is named.
BEFORE = {"mnedc.7": nothing, "mnedcd.8": nothing, "mnedc-join.8": Stage.relay}


# --- What becomes of each ---


@dataclasses.dataclass
class On:
    """Where a command is run, and what it does there."""

    host: str
    #: What must be there first.
    before: object = nothing
    #: Of a command that goes on until it is told to stop: what holds once it runs.
    until: object = None
    #: Whether it goes on beside the commands that follow.
    goes_on: bool = False
    #: What holds when it has ended.
    after: object = nothing
    status: int = 0
    #: The host whose relay has made the invite.
    invites: str = "relay"


def stopped(host):
    """The daemon on the host has been stopped."""
    return lambda stage: stage[host].end_all()


def new(host):
    """The host has never joined."""

    def make(stage):
        stage[host].end_all()
        shutil.rmtree(stage[host].root / "lib/mnedc-join", ignore_errors=True)
        (stage[host].root / "etc/mnedc/mnedc.yaml").unlink(missing_ok=True)

    return make


def in_configuration(host):
    """The block belongs into the configuration of a daemon that runs."""

    def take_over(stage, text):
        with (stage[host].root / "etc/mnedc/mnedc.yaml").open("a") as file:
            file.write(text + "\n")
        stage[host].ask("mnedc-ctl reload")

    return take_over


def joined(host, interface="mnedc0"):
    return lambda stage, program: stage[host].has_joined(interface)


def answers(host, options=""):
    return lambda stage, program: stage[host].run(f"mnedc-ctl status {options}")[0] == 0


def has_joined(host):
    return lambda stage: until(lambda: stage[host].has_joined(), f"{host} is in", 20)


def device_waits(stage):
    """A device waits for an operator."""
    stage["shop"].end_all()
    stage["shop"].start(
        "mnedc-join --server relay.example --device-id waiting --state /var/lib/waiting --config /dev/null"
    )
    until(lambda: json.loads(stage["relay"].ask("mnedc-ctl pending --json"))["devices"], "a device waits")


def camera_was_in(stage):
    """camera-1 has joined once, and knows kitchen-hub, which is in."""
    stage["shop"].end_all()
    shutil.rmtree(stage["shop"].root / "lib/mnedc-join", ignore_errors=True)
    stage.join("camera-1", host="shop")
    until(lambda: stage["kitchen-hub"].has_joined(), "kitchen-hub is in", 20)


def second_relay(stage):
    """A relay of another network, beside the device's first one."""
    stage.relay("shop", "relay: {pool: 10.9.0.0/24}\n")


def runs_then_ends(host):
    """A relay runs there; it is ended, for the examples that follow."""

    def end(stage):
        until(lambda: stage[host].run("mnedc-ctl status")[0] == 0, "the relay answers", 20)
        stage[host].end_all()

    return end


def both_networks(stage):
    host = stage["kitchen-hub"]
    until(lambda: host.has_joined() and host.has_joined("mnedc-shop"), "the device is in both networks", 20)


def has_left_the_second(stage):
    host = stage["kitchen-hub"]
    until(
        lambda: not host.has_joined("mnedc-shop") and host.has_joined(), "the device is in its first network alone", 20
    )


def some_configuration(stage):
    (stage["relay"].root / "home/mnedc.yaml").write_text("relay: {pool: 10.44.0.0/16}\n")


def place_for_backups(stage):
    stage["relay"].ask("mkdir -p /var/backups && mount -t tmpfs tmpfs /var/backups")


def is_down(host):
    return lambda stage: until(lambda: not stage[host].has_joined(), f"{host} has left")


def lines(count):
    return lambda stage, program: program.output.count("\n") >= count


#: {page: {command or block: what becomes of it}}.
RULES = {
    "mnedc.7": {
        "mnedcd": On("relay", until=answers("relay"), goes_on=True),
        "mnedc-ctl invite --uses 2": On("relay"),
        f"mnedc-join -d kitchen-hub --background {INVITE}": On("kitchen-hub"),
        f"mnedc-join -d workshop --background {INVITE}": On("workshop"),
        "mnedc-peers": On("kitchen-hub"),
        "ping -c 1 10.0.0.3": On("kitchen-hub"),
        "mnedc-ctl status": On("kitchen-hub"),
        "mnedc-ctl stop": On("kitchen-hub", after=is_down("kitchen-hub")),
        "mnedc-join --background": On("kitchen-hub", after=has_joined("kitchen-hub")),
    },
    "mnedc-ctl.8": {
        "mnedc-ctl explain camera-1": On("kitchen-hub", before=camera_was_in),
        "mnedc-ctl netcheck relay.example": On("workshop"),
        "mnedc-ctl status --of relay": On("relay"),
        "mnedc-ctl metrics --format prometheus": On("relay"),
        "mnedc-ctl status --json | jq .relay.online": On("relay"),
        "mnedc-ctl invite --uses 5 --expires 1h": On("relay"),
        "mnedc-ctl invite --device-id kitchen-hub": On("relay"),
        "mnedc-ctl invite | ssh root@shop 'xargs mnedc-join --background'": On(
            "relay", before=new("shop"), after=has_joined("shop")
        ),
        "mnedc-ctl pending --json | jq -r '.devices[].fingerprint' |\n      xargs -rn 1 mnedc-ctl approve": On(
            "relay", before=device_waits, after=has_joined("shop")
        ),
        "mnedc-ctl lease pin kitchen-hub": On("relay"),
        "mnedc-ctl lease pin camera-1 10.0.0.201": On("relay"),
        "mnedc-ctl backup /var/backups/relay.db": On("relay", before=place_for_backups),
        "mnedc-ctl drain && mnedcd": On("relay", until=answers("relay"), goes_on=True),
        "mnedc-ctl announce --up detector --port 8080 --protocol http": On("kitchen-hub"),
        "mnedc-ctl announce --down camera --label zone=hall": On("kitchen-hub"),
        "mnedc-ctl announce --load \\\n      $(awk '{print $1 / '$(nproc)'}' /proc/loadavg)": On("kitchen-hub"),
        "mnedc-ctl log-level debug": On("kitchen-hub"),
        "mnedc-ctl report report.tar": On("kitchen-hub"),
        "tar -xOf report.tar | less": On("kitchen-hub"),
        "mnedc-ctl stop": On("kitchen-hub", after=is_down("kitchen-hub")),
    },
    "mnedc-metrics.7": {
        "mnedc-ctl metrics": On("kitchen-hub"),
        "metrics:\n  listen: 9834": in_configuration("kitchen-hub"),
        "curl http://127.0.0.1:9834/metrics": On("kitchen-hub"),
    },
    "mnedc-join.8": {
        f"mnedc-join {INVITE}": On("kitchen-hub", until=joined("kitchen-hub")),
        "systemctl enable --now mnedc-join": On("kitchen-hub", after=has_joined("kitchen-hub")),
        f"mnedc-join -d kitchen-hub --background {INVITE}": On("kitchen-hub", before=new("kitchen-hub")),
        "mnedc-join --background": On("kitchen-hub", before=stopped("kitchen-hub")),
        f"mnedc-join --check {INVITE}": On("workshop"),
        f"mnedc-join --reset -d cam-b --background {INVITE}": On("workshop", after=has_joined("workshop")),
        "mnedc-join --server relay.example --device-id kitchen-hub": On(
            "kitchen-hub", before=stopped("kitchen-hub"), until=joined("kitchen-hub")
        ),
        "if mnedc-join --server 192.168.50.10:3334 --background; then\n        mnedc-peers\nfi": On("kitchen-hub"),
        f"mnedc-join --name shop --background {INVITE}": On(
            "kitchen-hub", before=second_relay, after=both_networks, invites="shop"
        ),
        "mnedc-ctl stop --of shop": On("kitchen-hub", after=has_left_the_second),
        "systemctl enable --now mnedc-join@shop": On("kitchen-hub", after=both_networks),
    },
    "mnedc-peers.1": {
        "mnedc-peers": On("kitchen-hub"),
        "mnedc-peers --service detector --platform linux/arm64 \\\n"
        "      --state online --sort load --limit 1 --no-header": On(
            "kitchen-hub"
        ),
        "mnedc-peers show workshop --json | jq -r '.peers[].address'": On("kitchen-hub"),
        "mnedc-peers --service camera --watch --json": On("kitchen-hub", until=lines(1)),
    },
    "mnedcd.8": {
        "systemctl enable --now mnedcd": On("relay", after=runs_then_ends("relay")),
        "install -d -m 700 ~/backup": On("relay", before=Stage.relay),
        "mnedc-ctl backup ~/backup/relay.db": On("relay"),
        "cp /var/lib/mnedcd/*.key* ~/backup": On("relay"),
        "systemctl stop mnedcd": On("relay"),
        "rm -f /var/lib/mnedcd/relay.db*": On("relay"),
        "cp ~/backup/* /var/lib/mnedcd": On("relay"),
        "chown --reference=/var/lib/mnedcd /var/lib/mnedcd/*": On("relay"),
        "systemctl start mnedcd": On("relay", after=runs_then_ends("relay")),
        "mnedcd": On("relay", until=answers("relay")),
        "mnedcd --listen 192.168.50.10:3334 --pool 10.44.0.0/16": On("relay", until=answers("relay")),
        "mnedcd --no-device --socket ~/mnedcd.sock --state ~/mnedcd": On(
            "relay", until=answers("relay", "--socket ~/mnedcd.sock")
        ),
        "mnedcd --config mnedc.yaml --check": On("relay", before=some_configuration),
    },
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("page", sorted(PAGES))
def test_the_commands_of_a_page_work_as_printed(page):
    """Their exit status is the expected one, and what they print has the shape that the page shows."""
    if page in WITHOUT_COMMANDS:
        text = PAGES[page].read_text()
        assert not re.search(r"^(\.Dl )?[$#] ", text, re.MULTILINE), "the page has commands now: give it rules"
        return
    shown = commands(PAGES[page].read_text())
    texts, rules = [command.text for command in shown], RULES.get(page, {})
    assert texts, f"{page} has no example"
    assert not set(texts) - set(rules), "no rule says where these are run and what they do; add them to RULES"
    assert not set(rules) - set(texts), "the page does not show these any more; take them out of RULES"
    if missing := [
        tool for tool in ("bash", "jq", "nsenter", "script", "setpriv", "unshare") if not shutil.which(tool)
    ]:
        pytest.skip("not installed: " + ", ".join(missing))
    with Lab.flat(3) as lab:
        stage = Stage(lab)
        try:
            BEFORE.get(page, Stage.network)(stage)
            for command in shown:
                show(stage, command, rules[command.text])
        finally:
            stage.end()


def show(stage, command, rule):
    """Runs a command as its rule says."""
    text = command.text
    if not isinstance(rule, On):
        return rule(stage, text)
    host = stage[rule.host]
    rule.before(stage)
    if INVITE in text:
        text = text.replace(INVITE, stage.invite(rule.invites))
    # What a page shows as a terminal cuts it is printed by one of that width.
    if any(line.endswith("…") for line in command.output.splitlines()):
        width = max(map(len, command.output.splitlines()))
        text = f"NO_COLOR=1 COLUMNS={width} script -qec {shlex.quote(text)} /dev/null"
    if rule.until:
        run_until(stage, host, command, text, rule)
    else:
        deadline = time.monotonic() + 20
        while True:
            status, output, errors = host.run(text, command.as_root)
            assert status == rule.status, f"{text} on {host.name}: exit status {status}: {errors or output}"
            # What the network tells takes a moment to be there.
            if not command.output or shape(output) == shape(command.output):
                break
            assert time.monotonic() < deadline, (
                f"{text} on {host.name} prints\n{output}\nand in the page\n{command.output}"
            )
            time.sleep(0.2)
    rule.after(stage)


def run_until(stage, host, command, text, rule):
    program = host.start(text, command.as_root)
    until(lambda: not program.is_running or rule.until(stage, program), f"{text} on {host.name} runs", 30)
    assert program.is_running, f"{text} on {host.name}: exit status {program.process.returncode}: {program.log}"
    if rule.goes_on:
        return
    os.killpg(program.pid, signal.SIGTERM)
    status = program.wait()
    assert status == rule.status, f"{text} on {host.name}: exit status {status}: {program.log}"


# --- What the pages quote ---


def test_the_messages_in_troubleshooting_are_those_of_the_programs():
    """Each part of a quoted message, between the dots, is in the sources."""
    text = "".join(path.read_text() for path in sorted((REPOSITORY / "Sources").rglob("*.swift")))
    # Literals that go on in the next line.
    text = re.sub(r'"\s*\n\s*\+ "', "", re.sub(r"\\\n\s*", "", text))
    section = re.search(r"^\.Sh TROUBLESHOOTING\n(.*?)^\.Sh ", PAGES["mnedc.7"].read_text(), re.MULTILINE | re.DOTALL)[
        1
    ]
    quoted = re.findall(r"^\.It Qq (.*)$", section, re.MULTILINE)
    system = {os.strerror(number) for number in errno.errorcode}
    assert len(quoted) > 10
    for message in quoted:
        for part in message.split("..."):
            known = part.strip(": ;")
            assert known in text or known in system, f"no program says: {known}"


def test_every_page_is_referred_to_by_the_overview_and_refers_to_it():
    """The overview's SEE ALSO has all others."""
    see_also = {name: page.read_text().partition(".Sh SEE ALSO\n")[2] for name, page in PAGES.items()}
    for name in PAGES.keys() - {"mnedc.7"}:
        title, _, section = name.rpartition(".")
        assert f".Xr {title} {section}" in see_also["mnedc.7"], name
        assert ".Xr mnedc 7" in see_also[name], name
