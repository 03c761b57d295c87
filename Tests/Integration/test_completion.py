"""bash, zsh and fish complete the names that the daemons know, through the generated completion scripts."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import stat
import struct
import subprocess
import termios
import time

import pytest

import lab as labs
from lab import REPOSITORY, RELAY, Failure, Lab, until

# What they complete is there once.
pytestmark = pytest.mark.xdist_group("completion")

SHELLS = ("bash", "zsh", "fish")
COMPLETIONS = REPOSITORY / "completions"

# --- Shells ---

# Bash hands the words to the function that it has been told of, as here.
BASH = r"""
source "$1/$2"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMP_TYPE=9 COMP_KEY=9
name=$(complete -p -- "$1" | sed 's/.*-F \([^ ]*\).*/\1/')
"$name" "$1" "${@: -1}" "${@: -2:1}"
((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
"""


def in_bash(words, environment):
    command = ["bash", "--norc", "-c", BASH, "bash", COMPLETIONS / "bash", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert not done.stderr, done.stderr
    return {line.rstrip() for line in done.stdout.splitlines()}


class Terminal:
    """An interactive shell on a terminal: completion in zsh, and what fish's scripts ask, is nowhere else."""

    #: What the shell is started with, and what it is told first.
    command = ()
    first = ()

    def __init__(self, directory, environment):
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.execvpe(self.command[0], self.command, environment)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 200, 500, 0, 0))
        self._read("a prompt", lambda text: re.search(r"[#$%>] ?", text))
        for line in self.first:
            self.say(line.format(directory=directory, completions=COMPLETIONS))

    def _read(self, what, is_enough):
        text, deadline = "", time.monotonic() + 60
        while not is_enough(text):
            if not select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))[0]:
                raise Failure(f"{self.command[0]} does not come to {what}: {text}")
            text += os.read(self.terminal, 65536).decode(errors="replace")
        return text

    def say(self, line, keys="\r", end="echo it is do''ne\r"):
        """Types a line and keys behind it; what came back until that was done."""
        os.write(self.terminal, f"{line}{keys}{end}".encode())
        return self._read("an end", lambda text: "it is done" in text)

    def end(self):
        os.close(self.terminal)
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


class Zsh(Terminal):
    command = ("zsh", "-f", "-i")
    first = (
        "fpath=({completions}/zsh $fpath); autoload -U compinit; compinit -u -d {directory}/dump",
        "stty -echo; PS1= PS2= RPS1=; unsetopt prompt_cr prompt_sp beep; LISTMAX=10000; setopt list_packed",
    )

    def complete(self, words):
        # Once for what is common to all, once for the list; then the line is given up.
        text = self.say(" ".join(words), "\t\t\x15").partition("echo it is do")[0]
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|[\x00-\x08]|\x1b[=>]", " ", text)
        return set(text.split()) - set(words)


class Fish(Terminal):
    command = ("fish", "--no-config")
    first = (*(f"source {{completions}}/fish/{program}.fish" for program in labs.PROGRAMS), "function fish_prompt; end")

    def complete(self, words):
        text = self.say(f"echo it be''gins; complete --do-complete '{' '.join(words)}'")
        answer = text.rpartition("it begins")[2].partition("it is done")[0]
        lines = [line.partition("\t")[0].strip() for line in re.split(r"[\r\n]+", answer) if "echo" not in line]
        return {line for line in lines if re.fullmatch(r"[!-~]+", line)}


@pytest.fixture(scope="module")
def completing(tmp_path_factory):
    """completing(shell, *words): what the shell offers for the last of the words."""
    shells = {}

    def complete(shell, *words):
        if not shutil.which(shell):
            pytest.skip(f"{shell} is not installed")
        home = tmp_path_factory.mktemp("home")
        path = f"{labs.programs()}:{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "TERM": "dumb"}
        if shell == "bash":
            return in_bash(words, environment)
        if shell not in shells:
            shells[shell] = {"zsh": Zsh, "fish": Fish}[shell](home, environment)
        return shells[shell].complete(words)

    yield complete
    for shell in shells.values():
        shell.end()


# --- The network ---


@pytest.fixture(scope="module")
def network(request):
    """A relay with the devices kitchen-hub, which offers something, and hall-cam, which waits; and two invites."""
    if request.config.why_not or labs.programs() is None:
        pytest.skip(request.config.why_not or "the programs are not built")
    with Lab.flat(2) as lab:
        lab.start_relay("--config", written(lab, "relay", "device-id: relay\n"), admission="approve")
        invite = json.loads(lab.relay.mnedc("mnedc-ctl", "invite", "--json").stdout)
        offers = (
            "join: {orchestration: {platform: linux/arm64, services: [detector],"
            " labels: {zone: hall, note: $(reboot)}}}\n"
        )
        lab["d1"].start_mnedc(
            "mnedc-join", "--config", written(lab, "d1", offers), "--device-id", "kitchen-hub", invite["invite"]
        )
        until(lab["d1"].virtual_address, "kitchen-hub is in", 20)
        lab["d2"].start_mnedc("mnedc-join", "--server", f"{RELAY}:{labs.PORT}", "--device-id", "hall-cam")
        until(lambda: json.loads(lab.relay.mnedc("mnedc-ctl", "pending", "--json").stdout)["devices"], "hall-cam waits")
        lab.invite = json.loads(lab.relay.mnedc("mnedc-ctl", "invite", "--json").stdout)["id"]
        lab.used_invite = invite["id"]
        lab.relay.mnedc("mnedc-ctl", "lease", "pin", "kitchen-hub")
        lab["d1"].mnedc("mnedc-ctl", "announce", "--up", "door", "--label", "shelf=3")
        until(
            lambda: "services" in lab.relay.peers().get("kitchen-hub", {}), "the relay's host knows what is offered", 20
        )
        yield lab


def written(lab, name, text):
    path = lab.directory / f"{name}.yaml"
    path.write_text(text)
    return path


# --- What is offered ---

#: (who is asked, the program and its words, what must be offered, what must not)
CASES = [
    ("relay", "mnedc-ctl revoke", {"kitchen-hub"}, {"hall-cam"}),
    ("relay", "mnedc-ctl forget k", {"kitchen-hub"}, {"relay"}),
    ("relay", "mnedc-ctl approve", {"hall-cam"}, {"kitchen-hub"}),
    ("relay", "mnedc-ctl deny ha", {"hall-cam"}, {"kitchen-hub"}),
    ("relay", "mnedc-ctl uninvite", {"INVITE"}, {"USED"}),
    ("relay", "mnedc-ctl lease pin", {"kitchen-hub"}, {"hall-cam"}),
    ("relay", "mnedc-ctl lease free", {"kitchen-hub"}, {"relay"}),
    ("relay", "mnedc-ctl lease free 10.0", {"10.0.0.2"}, {"kitchen-hub"}),
    ("d1", "mnedc-peers show", {"relay"}, {"hall-cam"}),
    ("d1", "mnedc-ctl explain", {"relay"}, {"hall-cam"}),
    ("relay", "mnedc-peers ping kitch", {"kitchen-hub"}, {"relay"}),
    ("relay", "mnedc-peers ping 10.0.0", {"10.0.0.2"}, {"kitchen-hub"}),
    ("relay", "mnedc-peers list --service", {"detector"}, {"kitchen-hub"}),
    ("relay", "mnedc-peers --service", {"detector"}, {"kitchen-hub"}),
    ("relay", "mnedc-peers --label", {"zone=hall"}, {"kitchen-hub"}),
    ("relay", "mnedc-peers list --platform", {"linux/arm64"}, {"kitchen-hub"}),
    ("relay", "mnedc-peers list --label", {"zone=hall"}, {"note=$(reboot)", "$(reboot)"}),
    ("d1", "mnedc-ctl announce --down", {"detector"}, {"kitchen-hub"}),
    # What the configuration says cannot be taken back.
    ("d1", "mnedc-ctl announce --withdraw", {"door"}, {"detector"}),
    ("d1", "mnedc-ctl announce --no-label", {"shelf"}, {"zone", "note"}),
    # A device has none of these.
    ("d1", "mnedc-ctl approve", set(), {"hall-cam"}),
]


@pytest.mark.parametrize("shell", SHELLS)
def test_names_of_the_running_network_are_offered(network, completing, shell):
    """From the daemon that --socket names, as far as they fit what is typed."""
    for host, line, wanted, unwanted in CASES:
        *words, typed = [*line.split(), ""] if not line.endswith(("0", " k", " ha", " kitch")) else line.split()
        words = [*words[:1], *subcommands(words[1:]), "--socket", network[host].socket_path, *after(words[1:]), typed]
        names = {"INVITE": network.invite, "USED": network.used_invite}
        wanted, unwanted = ({names.get(each, each) for each in those} for those in (wanted, unwanted))
        offered = expect(completing, wanted, shell, *words)
        assert not unwanted & offered, f"{shell}: {' '.join(words)}: {offered}"


def expect(completing, wanted, shell, *words):
    """What is offered once that is; on a busy machine, a daemon may take longer for an answer than a shell waits."""
    deadline = time.monotonic() + 20
    while not wanted <= (offered := completing(shell, *words)):
        assert time.monotonic() < deadline, f"{shell}: {' '.join(words)}: {offered}"
    return offered


def subcommands(words):
    return [word for word in words if not word.startswith("-")]


def after(words):
    return [word for word in words if word.startswith("-")]


@pytest.mark.parametrize("shell", SHELLS)
def test_what_needs_no_daemon_is_offered_too(completing, shell):
    """Commands, levels of the log, and an interface's name that is free."""
    expect(completing, {"status", "revoke", "lease"}, shell, "mnedc-ctl", "")
    expect(completing, {"list", "show", "ping"}, shell, "mnedc-peers", "")
    expect(completing, {"--service", "--tree", "--json", "--help"}, shell, "mnedc-peers", "--")
    expect(completing, {"online", "silent"}, shell, "mnedc-peers", "--state", "")
    expect(completing, {"debug", "warning"}, shell, "mnedcd", "--log-level", "")
    free = next(name for name in (f"mnedc{i}" for i in range(100)) if not os.path.exists(f"/sys/class/net/{name}"))
    expect(completing, {free}, shell, "mnedc-join", "--interface", "")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_daemons_that_run_are_offered(network, completing, shell):
    """For --of, where they are by the configuration."""
    path = written(
        network,
        "both",
        f"join: {{socket: {network['d1'].socket_path}}}\nrelay: {{socket: {network.relay.socket_path}}}\n",
    )
    expect(completing, {"relay", "device"}, shell, "mnedc-ctl", "status", "--config", str(path), "--of", "")
    path = written(network, "one", f"join: {{socket: {network['d1'].socket_path}}}\nrelay: {{socket: /nowhere}}\n")
    assert "relay" not in expect(
        completing, {"device"}, shell, "mnedc-ctl", "status", "--config", str(path), "--of", ""
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_without_a_daemon_nothing_is_offered_and_nothing_said(completing, tmp_path, shell):
    """Neither names nor an error."""
    for words in (["mnedc-ctl", "revoke"], ["mnedc-ctl", "uninvite"], ["mnedc-peers", "show"]):
        offered = completing(shell, *words, "--socket", str(tmp_path / "none.sock"), "")
        assert not any("none.sock" in each or "daemon" in each or "answer" in each for each in offered), offered
        assert len(offered) == 0 or shell == "zsh", offered


def test_a_daemon_that_does_not_answer_is_not_waited_for(network):
    """One that is stopped costs a second, and says nothing."""
    relay = network.started[0]
    relay.pause()
    try:
        command = [network.program("mnedc-ctl"), "---completion", "revoke", "--", "positional@0", "4", "0"]
        words = ["mnedc-ctl", "revoke", "--socket", network.relay.socket_path, ""]
        done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=20)
    finally:
        relay.resume()
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_an_ordinary_user_is_offered_who_is_there(network):
    """Who is about to use sudo may not list the devices that were let in."""
    home = network.directory / "for-all"
    home.mkdir()
    program = home / "mnedc-ctl"
    shutil.copy(network.program("mnedc-ctl"), program)
    program.chmod(program.stat().st_mode | stat.S_IXOTH)
    words = ["---completion", "revoke", "--", "positional@0", "4", "0"]
    words += ["mnedc-ctl", "revoke", "--socket", network.relay.socket_path, ""]
    command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", program, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    if done.returncode != 0:
        pytest.skip(f"an ordinary user cannot run the programs here: {done.stderr.strip()}")
    assert "kitchen-hub" in done.stdout.split() and not done.stderr
