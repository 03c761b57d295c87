"""The service manager: the messages to it, the units, and several networks on one host."""

import ctypes
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from lab import PORT, RELAY, REPOSITORY, Failure, Program, until

UNITS = REPOSITORY / "Sources" / "Packaging" / "systemd"
SYSUSERS = REPOSITORY / "Sources" / "Packaging" / "sysusers.d" / "mnedc.conf"
PID1 = Path(__file__).with_name("pid1.sh")
NAMES = ("mnedcd", "mnedc-join", "mnedc-join@")

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="not installed: systemd-analyze")


def units(directory, programs):
    """Writes the units as they are installed, for programs in that directory."""
    directory.mkdir(exist_ok=True)
    for name in NAMES:
        text = (UNITS / f"{name}.service.in").read_text()
        text = text.replace("@sbindir@", str(programs)).replace("@bindir@", str(programs))
        assert "@" not in text.replace("mnedc-join@", "").replace("@system-", "").replace("@privileged @resources", "")
        (directory / f"{name}.service").write_text(text)
    return directory


# --- The units ---


@pytest.fixture
def installed(tmp_path):
    """The units, for programs that are there, and one of the network shop."""
    programs = tmp_path / "sbin"
    programs.mkdir()
    for name in ("mnedcd", "mnedc-join", "mnedc-ctl"):
        (programs / name).symlink_to(shutil.which("true"))
    directory = units(tmp_path / "units", programs)
    shutil.copy(directory / "mnedc-join@.service", directory / "mnedc-join@shop.service")
    return directory


@pytest.mark.no_lab
@needs_systemd
@pytest.mark.parametrize("name", ["mnedcd", "mnedc-join", "mnedc-join@shop"])
def test_systemd_finds_nothing_wrong_with_a_unit(installed, name):
    """Nor does it say anything of it."""
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", installed / f"{name}.service"], capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    said = [line for line in (done.stdout + done.stderr).splitlines() if str(installed) in line or "mnedc" in line]
    assert done.returncode == 0 and not said, done.stderr


@pytest.mark.no_lab
@needs_systemd
@pytest.mark.parametrize(("name", "most"), [("mnedcd", 1.7), ("mnedc-join", 2.0), ("mnedc-join@shop", 2.0)])
def test_a_unit_is_as_little_exposed_as_is_promised(installed, name, most):
    """By systemd's own measure; a device is root, for the names."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", installed / f"{name}.service"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if "offline" in done.stderr and done.returncode != 0:
        pytest.skip("this systemd-analyze judges no files")
    level = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)[1])
    assert level <= most, done.stdout


@pytest.mark.no_lab
@needs_systemd
def test_the_relays_user_can_be_made(tmp_path):
    """As its package does it."""
    (tmp_path / "etc").mkdir()
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", SYSUSERS], check=True, capture_output=True, timeout=60)
    entry = (tmp_path / "etc" / "passwd").read_text().split(":")
    assert entry[0] == "mnedc" and entry[5] == "/var/lib/mnedcd" and entry[6].strip().endswith("nologin")


# --- What it is told ---


class Manager:
    """What a service manager hears."""

    def __init__(self, lab, name):
        self.path = str(lab.directory / name)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        lab.sockets.append(self.socket)
        self.socket.bind(self.path)
        self.socket.settimeout(0.05)
        os.chmod(self.path, 0o777)
        self.heard = []

    def environment(self, **more):
        return os.environ | {"NOTIFY_SOCKET": self.path} | more

    def listen(self):
        """Everything that it has been told so far, a dictionary each."""
        while True:
            try:
                text = self.socket.recv(4096).decode()
            except TimeoutError:
                return self.heard
            self.heard.append(dict(line.split("=", 1) for line in text.splitlines()))

    def hears(self, test, what):
        """Waits for a message that passes the test, from those after the last one waited for."""

        def found():
            for index, message in enumerate(self.listen()):
                if test(message):
                    self.heard = self.heard[index + 1 :]
                    return message
            return None

        return until(found, what, 30)


def start_told(node, manager, program, *options, **environment):
    return node.start_mnedc(program, *options, env=manager.environment(**environment))


def test_a_device_is_ready_once_joined_and_says_what_it_does(flat):
    """Not before, and it says so when the relay is lost, also after a reload."""
    lab = flat(1)
    node, manager = lab["d1"], Manager(lab, "manager")
    start_told(node, manager, "mnedc-join", "--server", f"{RELAY}:{PORT}", "--device-id", "d1")
    first = manager.hears(lambda told: "STATUS" in told, "what it does")
    assert first == {"STATUS": f"joining through {RELAY}:{PORT}"}
    manager.hears(lambda told: "refused" in told.get("STATUS", ""), "that there is no relay")
    assert not any("READY" in told for told in manager.listen())
    relay = lab.start_relay("--no-device")
    joined = manager.hears(lambda told: "READY" in told, "that it has joined")
    address = node.virtual_address()
    assert joined["READY"] == "1" and address in joined["STATUS"] and f"{RELAY}:{PORT}" in joined["STATUS"]
    relay.kill()
    lost = manager.hears(lambda told: "STATUS" in told, "that the relay is lost")
    assert "READY" not in lost and lost["STATUS"] != joined["STATUS"]
    latest = [lost, *manager.listen()][-1]
    node.mnedc("mnedc-ctl", "reload")
    manager.hears(lambda told: "RELOADING" in told, "that it reloads")
    again = manager.hears(lambda told: "READY" in told, "that it has reloaded")
    assert again["STATUS"] == latest["STATUS"] or "joined" not in again["STATUS"]


def test_the_relay_says_how_many_devices_are_online(flat):
    """At the latest 10 seconds later."""
    lab = flat(1)
    manager = Manager(lab, "manager")
    start_told(lab.relay, manager, "mnedcd", "--no-device", "--admission", "open", WATCHDOG_USEC="600000")
    first = manager.hears(lambda told: "READY" in told, "that it is ready")
    assert first["STATUS"].endswith("devices online: 0")
    lab.start_device("d1")
    manager.hears(lambda told: told.get("STATUS", "").endswith("devices online: 1"), "that a device is in")


PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207


class StuckThread:
    """Stops one thread of a process, and lets the others run, as long as the `with` lasts."""

    def __init__(self, process, name):
        tasks = Path(f"/proc/{process}/task").iterdir()
        self.thread = next(int(task.name) for task in tasks if (task / "comm").read_text().strip() == name)
        self.ptrace = ctypes.CDLL(None, use_errno=True).ptrace
        self.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.ptrace.restype = ctypes.c_long

    def __enter__(self):
        for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
            if self.ptrace(request, self.thread, None, None) != 0:
                pytest.skip(f"no thread can be stopped here: {os.strerror(ctypes.get_errno())}")
        os.waitpid(self.thread, 0x40000000)  # __WALL
        return self

    def __exit__(self, *_):
        if self.ptrace(PTRACE_DETACH, self.thread, None, None) != 0:
            # The process has ended, but is not gone before the tracer has taken note of its thread.
            os.waitpid(self.thread, 0x40000000)


@pytest.mark.parametrize(("program", "thread"), [("mnedcd", "relay-0"), ("mnedcd", "device"), ("mnedc-join", "device")])
def test_the_watchdog_hears_nothing_while_a_thread_is_stuck(flat, program, thread):
    """Though the main thread, which tells it, runs and answers; and it hears again when the thread goes on."""
    lab = flat(1)
    manager = Manager(lab, "manager")
    options = ("--admission", "open")
    node = lab.relay
    if program == "mnedc-join":
        lab.start_relay("--no-device")
        node, options = lab["d1"], ("--server", f"{RELAY}:{PORT}", "--device-id", "d1")
    daemon = start_told(node, manager, program, *options, WATCHDOG_USEC="300000")
    manager.hears(lambda told: "READY" in told, "that it is ready")
    for _ in range(3):
        manager.hears(lambda told: "WATCHDOG" in told, "that it lives")
    with StuckThread(daemon.pid, thread):
        time.sleep(0.3)
        manager.listen()
        manager.heard = []
        node.mnedc("mnedc-ctl", "key")
        time.sleep(1)
        assert not any("WATCHDOG" in told for told in manager.listen())
    manager.hears(lambda told: "WATCHDOG" in told, "that it lives again")


def test_a_watchdog_for_another_process_is_not_told(flat):
    """WATCHDOG_PID says for which it is."""
    lab = flat(0)
    manager = Manager(lab, "manager")
    start_told(lab.relay, manager, "mnedcd", "--no-device", WATCHDOG_USEC="100000", WATCHDOG_PID="1")
    manager.hears(lambda told: "READY" in told, "that it is ready")
    time.sleep(0.5)
    assert manager.listen() == []


# --- Several networks ---


@pytest.fixture
def apart(flat):
    """A lab of two relays, d1, what runs a command there with its own /etc, /run and /var/lib, and where they are."""
    lab = flat(2)
    node = lab["d1"]
    script = (
        "mount --make-rprivate / && mkdir $1 && mount -t tmpfs tmpfs $1 && mkdir $1/upper $1/work"
        " && mount -t overlay -o lowerdir=/etc,upperdir=$1/upper,workdir=$1/work overlay /etc && mkdir -p /etc/mnedc"
        " && rm -rf /etc/mnedc/* && mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib && touch /run/is-ready"
        " && exec sleep infinity"
    )
    holder = node.start("unshare", "--mount", "sh", "-c", script, "sh", lab.directory / "apart", name="holder")
    is_ready = Path(f"/proc/{holder.pid}/root/run/is-ready")
    until(lambda: is_ready.exists() or not holder.is_running, "it has directories of its own")
    if not holder.is_running:
        pytest.skip(f"no directories of its own can be had: {holder.log.strip()}")
    inside = ("nsenter", f"--mount=/proc/{holder.pid}/ns/mnt")
    lab.start_relay("--no-device", "--pool", "10.1.0.0/24")
    lab["d2"].start_mnedc("mnedcd", "--no-device", "--admission", "open", "--pool", "10.2.0.0/24")
    until(lab["d2"].status, "the second relay answers")
    return lab, node, inside, Path(f"/proc/{holder.pid}/root")


def join_by_name(lab, node, inside, name, *options):
    options = ("--name", name, "--device-id", f"hub-{name}", *options)
    return node.start(*inside, lab.program("mnedc-join"), *options, name=name)


def test_a_device_is_in_two_networks_at_once(apart):
    """Each with its own configuration, interface, socket, state and names; both carry packets."""
    lab, node, inside, root = apart
    hosts = root / "etc" / "hosts"
    for name, relay in (("home", RELAY), ("shop", lab["d2"].address)):
        (root / "etc" / "mnedc" / f"{name}.yaml").write_text(f"server: {relay}\njoin: {{hosts-file: /etc/hosts}}\n")
    running = {name: join_by_name(lab, node, inside, name) for name in ("home", "shop")}
    addresses = {}
    for name, program in running.items():
        until(lambda: node.virtual_address(f"mnedc-{name}") or not program.is_running, f"it joins {name}", 30)
        assert program.is_running, program.log
        addresses[name] = node.virtual_address(f"mnedc-{name}")
        sock = f"/run/mnedc/mnedc-join@{name}.sock"
        status = node.run(*inside, lab.program("mnedc-ctl"), "status", "--socket", sock).stdout
        assert addresses[name] in status
        assert (root / "var" / "lib" / f"mnedc-join@{name}").stat().st_mode & 0o777 == 0o700
    assert addresses == {"home": "10.1.0.2", "shop": "10.2.0.2"}
    keys = {(root / "var" / "lib" / f"mnedc-join@{name}" / "device.key").read_text() for name in running}
    assert len(keys) == 2

    # A peer in each: d2, which is the second relay's host, joins the first network, and the relay's host the second.
    lab["d2"].start_mnedc("mnedc-join", "--server", RELAY, "--device-id", "peer", "--socket", f"{lab.directory}/p.sock")
    lab.relay.start_mnedc(
        "mnedc-join", "--server", lab["d2"].address, "--device-id", "peer", "--socket", f"{lab.directory}/q.sock"
    )
    for peer, name in ((lab["d2"], "home"), (lab.relay, "shop")):
        address = until(peer.virtual_address, f"a peer joins {name}", 30)
        node.reaches(address, 30)
        until(lambda: f"{address}\tpeer.{name}.mnedc\n" in hosts.read_text(), f"the hosts file has the peer of {name}")
        answer = node.run("dig", "+short", f"@{addresses[name]}", f"peer.{name}.mnedc") if shutil.which("dig") else None
        assert answer is None or answer.stdout.strip() == address
    assert running["home"].stop() == 0
    assert "mnedc-home" not in hosts.read_text() and "mnedc-shop" in hosts.read_text()
    node.reaches(lab.relay.virtual_address())


def test_two_networks_with_the_same_addresses_are_not_had_at_once(apart):
    """The second one is refused, and the message names the interface of the first."""
    lab, node, inside, _ = apart
    join_by_name(lab, node, inside, "home", "--server", RELAY)
    until(lambda: node.virtual_address("mnedc-home"), "it joins", 30)
    second = join_by_name(lab, node, inside, "again", "--server", RELAY)
    assert second.wait(30) == 75
    assert "10.1.0.0/24" in second.log and "mnedc-home" in second.log


def test_an_invite_for_a_network_makes_its_configuration(apart):
    """/etc/mnedc/shop.yaml, and what an option says counts for more than the name."""
    lab, node, inside, root = apart
    invite = lab.relay.mnedc("mnedc-ctl", "invite").stdout.split()[-1]
    join_by_name(lab, node, inside, "shop", "--interface", "other0", "--server", RELAY, invite)
    until(lambda: node.virtual_address("other0"), "it joins", 30)
    until((root / "etc" / "mnedc" / "shop.yaml").exists, "the configuration is there")
    assert not (root / "etc" / "mnedc" / "mnedc.yaml").exists()
    assert (root / "run" / "mnedc" / "mnedc-join@shop.sock").exists()


@pytest.mark.no_lab
@pytest.mark.parametrize("name", ["relay", "device", "mnedc", "Shop", "a_b", "-a", "a-", "tenletters", "", "a/b"])
def test_a_name_that_cannot_be_is_refused(name):
    """With what it may be."""
    from lab import programs

    if not (directory := programs(("mnedc-join",))):
        pytest.skip("the programs are not built")
    done = subprocess.run([directory / "mnedc-join", f"--name={name}", "--check"], capture_output=True, text=True)
    assert done.returncode == 64 and "name" in done.stderr, done.stderr


# --- A real systemd ---


class System:
    """systemd as the first process of namespaces of its own, on a node of a lab, with the units."""

    def __init__(self, lab, node):
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
        parent = next((mount[1] for mount in mounts if mount[2] == "cgroup2"), None)
        if not parent:
            pytest.skip("no control groups of version 2 here")
        tree = lab.directory / "tree"
        tree.mkdir()
        self.groups = Path(parent) / f"{lab.prefix}systemd"
        try:
            self.groups.mkdir()
        except OSError as error:
            pytest.skip(f"no control group can be made: {error}")
        # Before it enters the node, where no control groups are to be seen.
        command = [
            "sh", "-c", 'echo $$ >"$1" && shift && exec "$@"', "sh", self.groups / "cgroup.procs",
            "ip", "netns", "exec", node.namespace, "unshare", "--fork", "--kill-child", "--pid", "--mount", "--cgroup",
            "--ipc", "--uts", PID1, tree, lab.programs, units(lab.directory / "units", "/usr/local/sbin"),
        ]  # fmt: skip
        self.program = Program("systemd", command, lab.directory)
        lab.started.append(self.program)
        lab.ends.append(self.remove)
        self.first = until(self._first, "systemd is started")
        until(lambda: not self.program.is_running or self.is_up(), "systemd is up", 60)
        if not self.program.is_running:
            pytest.skip(f"systemd cannot be had as the first process here: {self.program.log.strip()[-500:]}")

    def _first(self):
        try:
            return int(Path(f"/proc/{self.program.pid}/task/{self.program.pid}/children").read_text().split()[0])
        except (OSError, IndexError):
            return 0 if self.program.is_running else -1

    def is_up(self):
        return self.run("systemctl", "is-active", "mnedc-test.target", check=False).stdout.strip() == "active"

    def run(self, *command, check=True, input=None):
        done = subprocess.run(
            ["nsenter", "-t", str(self.first), "-a", *command], capture_output=True, text=True, timeout=60, input=input
        )
        if check and done.returncode != 0:
            raise Failure(f"{' '.join(command)}: {done.stderr.strip()}{self.status()}")
        return done

    def write(self, path, text):
        self.run("sh", "-c", 'mkdir -p "${1%/*}" && cat >"$1"', "sh", path, input=text)

    def status(self):
        return self.run("systemctl", "status", "--no-pager", "--full", "mnedc*", check=False).stdout

    def property(self, unit, name):
        return self.run("systemctl", "show", "--value", "--property", name, unit).stdout.strip()

    def remove(self):
        self.program.kill()

        def is_gone():
            try:
                for path, _, _ in os.walk(self.groups, topdown=False):
                    os.rmdir(path)
                return True
            except OSError:
                return False  # The kernel is about to end what was in it.

        until(is_gone, "its processes are gone")


@needs_systemd
def test_the_units_run_under_systemd(flat):
    """Both daemons on one host, in two networks and a relay of its own: ready, named, restarted, reloaded, with no file
    written beside what is theirs."""
    lab = flat(2)
    node = lab["d1"]
    lab.start_relay("--no-device", "--pool", "10.1.0.0/24")
    lab["d2"].start_mnedc("mnedcd", "--admission", "open", "--pool", "10.2.0.0/24")
    until(lab["d2"].status, "the second relay answers")
    system = System(lab, node)
    system.run("systemd-sysusers", "-", input=SYSUSERS.read_text())
    system.write(
        "/etc/mnedc/mnedc.yaml",
        f"server: {RELAY}\ndevice-id: hub\njoin: {{on-peer: [/usr/local/sbin/hook]}}\n"
        "relay: {admission: open, pool: 10.3.0.0/24, interface: relay0}\n",
    )
    system.write("/etc/mnedc/shop.yaml", f"server: {lab['d2'].address}\ndevice-id: hub\n")
    system.write("/usr/local/sbin/hook", '#!/bin/sh\ntouch "/var/lib/mnedc-join/$MNEDC_PEER_ID" "/etc/written"\n')
    system.run("chmod", "755", "/usr/local/sbin/hook")
    # Where the Swift runtime is in a home, these programs need that.
    runtime = subprocess.run(["ldd", lab.program("mnedcd")], capture_output=True, text=True).stdout
    home = "ProtectHome=read-only\n" if re.search(r"=> /(home|root)/", runtime) else ""
    for unit in NAMES:
        system.write(f"/etc/systemd/system/{unit}.service.d/test.conf", f"[Service]\n{home}")
    system.run("systemctl", "daemon-reload")

    system.run("systemctl", "start", "mnedcd", "mnedc-join", "mnedc-join@shop")
    address = node.virtual_address("mnedc0")
    assert address in system.property("mnedc-join", "StatusText")
    assert "10.3.0.0/24" in system.property("mnedcd", "StatusText")
    assert node.virtual_address("relay0") == "10.3.0.1"
    node.reaches("10.2.0.1")
    for unit, user in (("mnedcd", "mnedc"), ("mnedc-join", "root"), ("mnedc-join@shop", "root")):
        process = system.property(unit, "MainPID")
        about = system.run("cat", f"/proc/{process}/status").stdout
        assert re.search(r"CapEff:\s+0000000000001400\n", about) and re.search(r"NoNewPrivs:\s+1\n", about), about
        assert system.run("stat", "-c", "%U %a", f"/var/lib/{unit}").stdout.strip() == f"{user} 700"
    assert system.run("stat", "-c", "%U:%G %a", "/run/mnedc").stdout.strip() == "root:mnedc 1775"
    # The tool's way to the daemons.
    assert address in system.run("mnedc-ctl", "status", "--socket", "/run/mnedc/mnedc-join.sock").stdout

    # Names and hooks: a peer comes.
    lab["d2"].start_mnedc("mnedc-join", "--server", RELAY, "--device-id", "peer", "--socket", f"{lab.directory}/p.sock",
                          "--interface", "peer0")  # fmt: skip
    until(lambda: "peer.mnedc" in system.run("cat", "/etc/hosts").stdout, "the hosts file has the peer", 30)
    until(lambda: "peer" in system.run("ls", "/var/lib/mnedc-join").stdout.split(), "the hook has run", 30)
    assert system.run("test", "-e", "/etc/written", check=False).returncode == 1

    # A new hosts file takes the unit's mount of the former one away; systemd is asked for another.
    system.run("sh", "-c", "echo 192.0.2.1 printer >/etc/new-hosts && mv /etc/new-hosts /etc/hosts")
    hosts = lambda: system.run("cat", "/etc/hosts").stdout  # noqa: E731
    until(lambda: "peer.mnedc" in hosts(), "the names are in the new hosts file", 30)
    assert "192.0.2.1 printer\n" in hosts()

    # One ends, and the other's socket stays.
    system.run("systemctl", "stop", "mnedc-join")
    assert system.run("ls", "/run/mnedc").stdout.split() == [
        "mnedc-join@shop.sock", "mnedc-join@shop.sock.root", "mnedcd.sock", "mnedcd.sock.root",
    ]  # fmt: skip
    assert "peer.mnedc" not in system.run("cat", "/etc/hosts").stdout

    # A reload keeps the process; a crash brings another.
    process = system.property("mnedcd", "MainPID")
    system.run("systemctl", "reload", "mnedcd")
    until(lambda: system.property("mnedcd", "ActiveState") == "active", "it has reloaded")
    assert system.property("mnedcd", "MainPID") == process
    system.run("kill", "-KILL", process)
    until(lambda: system.property("mnedcd", "NRestarts") == "1" and system.property("mnedcd", "SubState") == "running",
          "it is started again", 30)  # fmt: skip

    # A relay that is no device needs none of the rights, as the manual says.
    system.write("/etc/mnedc/mnedc.yaml", "relay: {device: false}\n")
    page = (REPOSITORY / "man" / "mnedcd.8").read_text()
    lines = re.search(r"^\.Bd [^\n]*\n(\[Service\]\n.*?)\.Ed", page, re.MULTILINE | re.DOTALL)[1]
    system.write("/etc/systemd/system/mnedcd.service.d/test.conf", f"{lines}{home}")
    system.run("systemctl", "daemon-reload")
    system.run("systemctl", "restart", "mnedcd")
    about = system.run("cat", f"/proc/{system.property('mnedcd', 'MainPID')}/status").stdout
    assert re.search(r"CapBnd:\s+0+\n", about) and re.search(r"CapEff:\s+0+\n", about), about

    # What passes by itself is tried again: another network of this host has the pool, at a first join.
    system.write(
        "/etc/mnedc/mnedc.yaml", f"server: {RELAY}\ndevice-id: late\njoin: {{state: /var/lib/mnedc-join/late}}\n"
    )
    system.run("ip", "link", "add", "docker7", "type", "bridge")
    system.run("ip", "address", "add", "10.1.0.77/29", "dev", "docker7")
    system.run("systemctl", "start", "--no-block", "mnedc-join")
    until(lambda: system.property("mnedc-join", "ExecMainStatus") == "75", "it ends", 30)
    until(lambda: system.property("mnedc-join", "SubState") == "auto-restart", "it is to be started again", 30)
    system.run("systemctl", "stop", "mnedc-join")
    system.run("ip", "link", "delete", "docker7")

    # What somebody has to see to is not tried again.
    system.write("/etc/mnedc/mnedc.yaml", "nonsense\n")
    assert system.run("systemctl", "start", "mnedc-join", check=False).returncode != 0
    assert system.property("mnedc-join", "SubState") == "failed"
    assert system.property("mnedc-join", "ExecMainStatus") == "78"
    said = system.run("mnedc-ctl", "status", "--of", "device", check=False).stderr
    assert "mnedc-join.service has failed (exit status 78): journalctl -u mnedc-join says why" in said, said
    for unit in ("mnedcd", "mnedc-join@shop"):
        system.run("systemctl", "stop", unit)
        assert system.property(unit, "Result") == "success"
    assert system.run("ls", "/run/mnedc").stdout == ""


@needs_systemd
def test_a_reload_that_is_refused_fails_and_a_drained_relay_can_be_started_again(flat):
    """systemctl reload says so, and the reason is mnedc-ctl's; drain leaves the relay down unless --restart asks for
    more.
    """
    lab = flat(1)
    node = lab["d1"]
    lab.start_relay("--no-device", "--pool", "10.1.0.0/24")
    system = System(lab, node)
    system.run("systemd-sysusers", "-", input=SYSUSERS.read_text())
    relay = (
        "relay: {admission: open, pool: 10.3.0.0/24, interface: relay0, socket: /run/mnedc/own.sock}\n"
        "join: {allow-overlap: true}\n"
    )
    good = {
        "mnedcd": ("/etc/mnedc/mnedc.yaml", f"server: {RELAY}\ndevice-id: hub\n{relay}"),
        "mnedc-join": ("/etc/mnedc/mnedc.yaml", f"server: {RELAY}\ndevice-id: hub\n{relay}"),
        "mnedc-join@shop": (
            "/etc/mnedc/shop.yaml",
            f"server: {RELAY}\ndevice-id: shop\njoin: {{allow-overlap: true}}\n",
        ),
    }
    for path, text in good.values():
        system.write(path, text)
    runtime = subprocess.run(["ldd", lab.program("mnedcd")], capture_output=True, text=True).stdout
    home = "ProtectHome=read-only\n" if re.search(r"=> /(home|root)/", runtime) else ""
    for unit in NAMES:
        # What it says, for want of a journal.
        system.write(
            f"/etc/systemd/system/{unit}.service.d/test.conf",
            f"[Service]\n{home}StandardError=append:/run/said-%p-%i\n",
        )
    system.run("systemctl", "daemon-reload")
    system.run("systemctl", "start", *good)
    for unit, (path, text) in good.items():
        system.run("systemctl", "reload", unit)
        system.write(path, text + "no-such-key: 1\n")
        assert system.run("systemctl", "reload", unit, check=False).returncode != 0, unit
        said = system.run("cat", f"/run/said-{unit.replace('@', '-')}{'' if '@' in unit else '-'}").stdout
        assert re.search(r'^mnedc-ctl: .*unknown key "no-such-key"', said, re.MULTILINE), said
        assert system.property(unit, "ActiveState") == "active"
        system.write(path, text)
        system.run("systemctl", "reload", unit)

    first = system.property("mnedcd", "MainPID")
    done = system.run("mnedc-ctl", "drain", "--restart")
    second = system.property("mnedcd", "MainPID")
    assert f"the relay serves again (process {second})" in done.stdout and second != first
    assert system.property("mnedcd", "NRestarts") == "1" and system.property("mnedcd", "Result") == "success"
    assert (
        "ends with status 85, by which a service manager starts it again"
        in system.run("cat", "/run/said-mnedcd-").stdout
    )
    done = system.run("mnedc-ctl", "drain")
    assert "the relay has ended and stays down; start it with: systemctl start mnedcd (drain --restart" in done.stdout
    until(lambda: system.property("mnedcd", "ActiveState") == "inactive", "the relay stays down", 30)
    assert system.property("mnedcd", "Result") == "success"
