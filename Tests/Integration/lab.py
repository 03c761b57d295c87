"""Networks of namespaces with the real programs in them.

There are two topologies. Each lab has its own names, so tests can run beside each other and beside a user's lab:

    Lab.nat()      as examples/nat-lab.sh: relay and `top` in the main LAN, `mid` behind one NAT, `deep` behind two
    Lab.flat(3)    relay, d1, d2, d3 on one switch

Tests wait for events with generous deadlines. Processes are ended by their process IDs.
"""

import ctypes
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
NAT_LAB = REPOSITORY / "examples" / "nat-lab.sh"
PROGRAMS = ("mnedcd", "mnedc-join", "mnedc-peers", "mnedc-ctl")
PORT = 3334
RELAY = "192.168.50.10"
INTERFACE = "mnedc0"

# What `python3 -m http.server` is, but it does not look its own name up, which takes seconds without a name server.
_HTTP_SERVER = """
import functools, http.server, socketserver, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
socketserver.ThreadingTCPServer((sys.argv[2], int(sys.argv[3])), handler).serve_forever()
"""

_numbers = itertools.count(1)
_setns = ctypes.CDLL(None, use_errno=True).setns


class Failure(AssertionError):
    """A program or the network did not do what it should; the message says what."""


def programs(names=PROGRAMS):
    """The directory with the programs under test: $BUILD, else the newest build there is; None without `names`."""
    if "BUILD" in os.environ:
        candidates = [Path(os.environ["BUILD"])]
    else:
        candidates = [REPOSITORY / ".build" / kind for kind in ("debug", "release")]
    complete = [c.resolve() for c in candidates if all(os.access(c / p, os.X_OK) for p in names)]
    return max(complete, key=lambda c: (c / names[0]).stat().st_mtime, default=None)


def why_not():
    """Why no lab can be made here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [tool for tool in ("ip", "nft", "ping", "iperf3", "curl") if not shutil.which(tool)]
    if missing:
        return "not installed: " + ", ".join(missing)
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    probe = f"mt{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if made.returncode != 0:
        return "no network namespace can be made: " + made.stderr.strip()
    try:
        nft = subprocess.run(["ip", "netns", "exec", probe, "nft", "add table ip x"], capture_output=True, text=True)
        return "nftables do not work here: " + nft.stderr.strip() if nft.returncode != 0 else None
    finally:
        subprocess.run(["ip", "netns", "delete", probe], capture_output=True)


def until(condition, what, timeout=10.0, interval=0.02):
    """Calls `condition` until it returns something true, and returns that."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise Failure(f"waited {timeout:g} s in vain: {what}")
        time.sleep(interval)


class Program:
    """A running process, its standard output and error kept in a file each."""

    def __init__(self, name, command, directory, **options):
        self.name = name
        self.command = command
        stem = directory / f"{next(_numbers):03d}-{re.sub('[^A-Za-z0-9.-]+', '-', name)}"
        self.output_file, self.log_file = stem.with_suffix(".out"), stem.with_suffix(".log")
        with open(self.output_file, "wb") as output, open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=log, start_new_session=True, **options
            )

    @property
    def pid(self):
        return self.process.pid

    @property
    def is_running(self):
        return self.process.poll() is None

    @property
    def output(self):
        return self.output_file.read_text(errors="replace")

    @property
    def log(self):
        return self.log_file.read_text(errors="replace")

    def signal(self, number):
        if self.is_running:
            self.process.send_signal(number)

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        """Ends it with SIGKILL: it has no chance to say goodbye."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def wait(self, timeout=10):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} has not ended within {timeout} s") from None

    def stop(self, timeout=10):
        """Ends it as a service manager would, and returns its exit status."""
        self.resume()
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except Failure:
            self.kill()
            raise

    def resident(self):
        """KiB resident now, at the highest, and of it now not backed by a file: what no other process can share."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return tuple(int(re.search(rf"{key}:\s+(\d+)", status)[1]) for key in ("VmRSS", "VmHWM", "RssAnon"))

    def cpu_seconds(self):
        """(user, system) so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        tick = os.sysconf("SC_CLK_TCK")
        return int(fields[11]) / tick, int(fields[12]) / tick


class Node:
    """A host of a lab."""

    def __init__(self, lab, name, address):
        self.lab = lab
        self.name = name
        #: Where it is in its own LAN.
        self.address = address
        self.namespace = lab.prefix + name
        self.socket_path = str(lab.directory / f"{name}.sock")
        self.state_path = str(lab.directory / f"{name}.state")
        #: /etc here: a directory, since a single file that is mounted goes when somebody renames another over the
        #: machine's.
        self.etc = lab.directory / f"{name}.etc"
        #: What is at /etc/hosts here, where a device writes the names of its peers.
        self.hosts = self.etc / "hosts"
        self._make_etc()

    def _make_etc(self):
        """Its own files where the programs under test read or write them, and links to the machine's for the rest."""
        machine = self.etc / ".machine"
        machine.mkdir(parents=True)
        self.hosts.write_text("127.0.0.1 localhost\n::1 localhost\n")
        (self.etc / "resolv.conf").touch()
        for name in set(os.listdir("/etc")) - {"hosts", "resolv.conf", "mnedc", "netns"}:
            path = Path("/etc", name)
            (self.etc / name).symlink_to(os.readlink(path) if path.is_symlink() else f".machine/{name}")

    def _inside(self, command):
        mounts = f'mount --rbind /etc {self.etc}/.machine && mount --rbind {self.etc} /etc && exec "$@"'
        return ["ip", "netns", "exec", self.namespace, "sh", "-c", mounts, "sh", *map(str, command)]

    def run(self, *command, check=True, timeout=30, **options):
        """Runs a command here to its end; its output and error are text."""
        # Files, not pipes: a daemon that goes to the background keeps its standard error.
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as error:
            try:
                done = subprocess.run(
                    self._inside(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=error,
                    timeout=timeout,
                    text=True,
                    **options,
                )
            except subprocess.TimeoutExpired:
                error.seek(0)
                raise Failure(
                    f"{self.name}: {' '.join(map(str, command))}: not done within {timeout} s: {error.read()[-2000:]}"
                ) from None
            output.seek(0), error.seek(0)
            done.stdout, done.stderr = output.read(), error.read()
        if check and done.returncode != 0:
            raise Failure(
                f"{self.name}: {' '.join(map(str, command))}: exit status {done.returncode}: "
                f"{(done.stderr or done.stdout).strip()[-2000:]}"
            )
        return done

    def start(self, *command, name=None, **options):
        """Starts a command here; the lab ends it with itself. The process ID is the command's own."""
        program = Program(name or f"{command[0]} on {self.name}", self._inside(command), self.lab.directory, **options)
        self.lab.started.append(program)
        return program

    def enter(self, function):
        """Calls `function` in a thread that is in this node's network; sockets made there stay there."""
        result = []

        def body():
            try:
                with open(f"/run/netns/{self.namespace}") as namespace:
                    if _setns(namespace.fileno(), 0x40000000) != 0:  # CLONE_NEWNET
                        raise OSError(ctypes.get_errno(), "setns")
                result.append((function(), None))
            except Exception as error:  # handed to the caller
                result.append((None, error))

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        value, error = result[0]
        if error:
            raise error
        return value

    def socket(self, kind=socket.SOCK_STREAM, timeout=10.0):
        """An IPv4 socket of this node, for use in this process."""
        made = self.enter(lambda: socket.socket(socket.AF_INET, kind))
        made.settimeout(timeout)
        self.lab.sockets.append(made)
        return made

    def connect(self, address, port, timeout=10.0):
        made = self.socket(timeout=timeout)
        made.connect((address, port))
        return made

    def listen(self, address, port=0):
        made = self.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        made.listen(16)
        return made

    def ping(self, address, count=1, wait=1.0, interval=0.2, size=56):
        """Pings; (received, median of the round trips in ms or None, the output)."""
        done = self.run(
            "ping",
            "-n",
            "-c",
            count,
            "-i",
            interval,
            "-W",
            wait,
            "-s",
            size,
            address,
            check=False,
            timeout=count * interval + wait + 20,
        )
        times = sorted(float(t) for t in re.findall(r"time=([0-9.]+) ms", done.stdout))
        return len(times), times[len(times) // 2] if times else None, done.stdout

    def listens(self, port):
        """Whether something here listens at a TCP port."""
        return bool(self.run("ss", "-Hltn", f"sport = {port}").stdout.strip())

    def serve(self, directory, address, port=8000):
        """Serves a directory by HTTP; returns once it does."""
        self.start(sys.executable, "-c", _HTTP_SERVER, directory, address, port, name="server")
        until(lambda: self.listens(port), "the HTTP server listens")

    def watch(self, address):
        """Pings `address` all the time; the function that it returns ends that and gives the numbers of lost pings."""
        pings = self.start("ping", "-n", "-i", "0.05", "-W", "2", address)

        def lost():
            pings.signal(signal.SIGINT)
            pings.wait()
            answered = {int(number) for number in re.findall(r"bytes from.* icmp_seq=(\d+)", pings.output)}
            # Those behind the last answer may have been under way.
            return sorted(set(range(1, max(answered, default=2))) - answered)

        return lost

    def reaches(self, address, timeout=10.0):
        """Waits until a ping to `address` is answered."""
        until(lambda: self.ping(address)[0], f"{self.name} reaches {address}", timeout)

    def interfaces(self):
        """The names of the TUN interfaces here."""
        links = json.loads(self.run("ip", "-j", "-d", "link", "show").stdout or "[]")
        return [link["ifname"] for link in links if link.get("linkinfo", {}).get("info_kind") == "tun"]

    def virtual_address(self, interface=INTERFACE):
        """The address that a relay leased to it, or None."""
        done = self.run("ip", "-j", "-4", "address", "show", "dev", interface, check=False)
        if done.returncode != 0:
            return None
        found = [info["local"] for link in json.loads(done.stdout) for info in link.get("addr_info", [])]
        return found[0] if found else None

    def processes(self):
        """The IDs of the processes in its namespace."""
        done = subprocess.run(["ip", "netns", "pids", self.namespace], capture_output=True, text=True)
        return [int(pid) for pid in done.stdout.split()]

    # --- the suite ---

    def mnedc(self, program, *options, check=True, timeout=30, **more):
        """Runs one of the suite's programs here to its end, on this node's own socket and state."""
        return self.run(
            self.lab.program(program), *self._with_paths(program, options), check=check, timeout=timeout, **more
        )

    def start_mnedc(self, program, *options, **more):
        return self.start(
            self.lab.program(program), *self._with_paths(program, options), name=f"{program} on {self.name}", **more
        )

    def _with_paths(self, program, options):
        options = [str(option) for option in options]
        if "--socket" not in options:
            options += ["--socket", self.socket_path]
        if program in ("mnedcd", "mnedc-join") and "--state" not in options:
            # A second daemon of this node has a socket of its own, and so a state of its own.
            socket_path = Path(options[options.index("--socket") + 1])
            options += ["--state", str(self.lab.directory / f"{socket_path.stem}.state")]
        if program == "mnedc-join" and not {"--config", "-c", "--name"} & set(options):
            # A first join writes to it, and the machine's own is none of the lab's.
            socket_path = Path(options[options.index("--socket") + 1])
            config = self.lab.directory / f"{socket_path.stem}.join.yaml"
            if not config.exists():
                config.write_text("" if self.lab.direct else "join: {direct: off}\n")
            options += ["--config", str(config)]
        return options

    def ask(self, command):
        """The result of a control command, or None if no daemon answers. A tool would take a hundred times as long."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(self.socket_path)
                connection.sendall(json.dumps({"version": 1, "command": command}).encode() + b"\n")
                with connection.makefile() as answers:
                    return json.loads(answers.read()).get("result")  # The daemon has closed its end by then.
        except (OSError, ValueError):
            return None

    def status(self):
        """What `mnedc-ctl status --json` prints about the daemon here, or None if none answers."""
        return self.ask("status")

    def peers(self):
        """{device ID: peer} as `mnedc-peers --json` lists them."""
        listing = self.ask("peers")
        if listing is None:
            raise Failure(f"no daemon on {self.name} lists peers")
        assert listing["version"] == 1
        return {peer["device_id"]: peer for peer in listing["peers"]}


class Lab:
    """A network with nodes by name; `with Lab.flat(2) as lab:`, `lab.relay`, `lab["d1"]`."""

    #: The labs that are up, for a report of what their programs said.
    all = []

    def __init__(self, directory=None):
        self.prefix = f"mt{os.getpid()}-{next(_numbers)}-"
        self.directory = Path(tempfile.mkdtemp(prefix="mnedc-", dir=directory))
        # As /tmp: the relay, which becomes another user, has to remove its socket.
        self.directory.chmod(0o1777)
        #: Whether devices may take direct paths. Most tests are about the relay, which these would leave out.
        self.direct = False
        self.started = []
        self.sockets = []
        #: Called first when the lab is closed, the last one first.
        self.ends = []
        self.nodes = {}
        self._remove = lambda: None
        self.programs = programs()
        Lab.all.append(self)

    @classmethod
    def nat(cls):
        lab = cls()
        lab._remove = lambda: lab.nat_lab("down")
        addresses = {
            "main": "192.168.50.1", "relay": RELAY, "top": "192.168.50.20", "r1": "192.168.50.61",
            "mid": "192.168.60.20", "r2": "192.168.50.71", "r3": "192.168.70.81", "deep": "192.168.80.20",
        }  # fmt: skip
        try:
            lab.nat_lab("up")
        except BaseException:
            lab.close()
            raise
        lab.nodes = {name: Node(lab, name, address) for name, address in addresses.items()}
        return lab

    @classmethod
    def flat(cls, devices):
        lab = cls()
        addresses = {"relay": RELAY} | {f"d{n}": f"192.168.50.{20 + n}" for n in range(1, devices + 1)}
        lab.nodes = {name: Node(lab, name, address) for name, address in addresses.items()}
        lab._remove = lab._remove_flat
        switch = lab.prefix + "switch"
        try:
            _ip(f"netns add {switch}")
            _ip(f"-n {switch} link add lan0 type bridge forward_delay 0 mcast_snooping 0")
            _ip(f"-n {switch} link set lan0 up")
            for name, node in lab.nodes.items():
                _ip(f"netns add {node.namespace}")
                _ip(f"link add eth0 netns {node.namespace} type veth peer name to-{name} netns {switch}")
                _ip(f"-n {node.namespace} address add {node.address}/24 dev eth0")
                _ip(f"-n {node.namespace} link set lo up")
                _ip(f"-n {node.namespace} link set eth0 up")
                _ip(f"-n {switch} link set to-{name} master lan0 up")
        except BaseException:
            lab.close()
            raise
        return lab

    def _remove_flat(self):
        for name in [*(node.namespace for node in self.nodes.values()), self.prefix + "switch"]:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)

    def __getitem__(self, name):
        return self.nodes[name]

    @property
    def relay(self):
        return self.nodes["relay"]

    @property
    def devices(self):
        """The nodes that can be devices."""
        return [node for name, node in self.nodes.items() if name not in ("main", "relay", "r1", "r2", "r3")]

    def run_on_switch(self, *command):
        """Runs a command where the cables of a flat lab end, each in `to-` and the node's name."""
        done = subprocess.run(["ip", "netns", "exec", self.prefix + "switch", *command], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"{' '.join(command)} on the switch: {done.stderr.strip()}")

    def program(self, name):
        if self.programs is None:
            raise Failure("the programs are not built; 'make build', or BUILD=DIRECTORY")
        return self.programs / name

    def nat_lab(self, *command):
        """Runs examples/nat-lab.sh on this lab."""
        done = subprocess.run(
            [NAT_LAB, *map(str, command)],
            env=os.environ | {"NAT_LAB_PREFIX": self.prefix},
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode != 0:
            raise Failure(f"nat-lab.sh {' '.join(map(str, command))}: {done.stderr.strip()}")
        return done.stdout

    # --- the suite ---

    def start_relay(self, *options, admission="open", wait=True, **more):
        """Starts mnedcd and waits until it answers. It lets everybody in; None leaves that to the options."""
        if admission:
            options = ("--admission", admission, *options)
        relay = self.relay.start_mnedc("mnedcd", *options, **more)
        if wait:
            until(lambda: self.relay.status() or not relay.is_running, "mnedcd answers mnedc-ctl")
            if not relay.is_running:
                raise Failure(f"mnedcd ended with status {relay.process.returncode}: {relay.log.strip()}")
        return relay

    def start_device(self, node, *options, device_id=None, server=f"{RELAY}:{PORT}", wait=True):
        """Starts mnedc-join in the foreground and waits until it has joined."""
        node = self[node] if isinstance(node, str) else node
        device = node.start_mnedc("mnedc-join", "--server", server, "--device-id", device_id or node.name, *options)
        if wait:
            until(lambda: node.virtual_address() or not device.is_running, f"{node.name} joins", 15)
            if not device.is_running:
                raise Failure(f"mnedc-join ended with status {device.process.returncode}: {device.log.strip()}")
        return device

    def start_all(self, *relay_options):
        """The relay, and every device joined and known to the others: {node name: program}."""
        running = {"relay": self.start_relay(*relay_options)}
        for node in self.devices:
            running[node.name] = self.start_device(node)
        names = {node.name for node in self.devices}
        for node in self.devices:
            until(lambda: names - {node.name} <= node.peers().keys(), f"{node.name} knows the others")
        return running

    # --- the end ---

    def logs(self):
        """[(program, the end of what it said)] of everything that was started and said something."""
        return [(program.name, text[-4000:]) for program in self.started if (text := program.output + program.log)]

    def close(self):
        """Ends what was started and removes the network. Raises if a program would not end or left something behind."""
        problems = []
        for end in reversed(self.ends):
            end()
        for each in self.sockets:
            each.close()
        for program in reversed(self.started):
            try:
                program.stop()
            except Failure as failure:
                problems.append(str(failure))
        for node in self.nodes.values():
            try:
                if left := node.interfaces():
                    problems.append(f"{node.name} has still the interface {', '.join(left)}")
                for pid in node.processes():
                    name = Path(f"/proc/{pid}/comm").read_text().strip()
                    problems.append(f"{node.name} still runs {name}")
                    os.kill(pid, signal.SIGKILL)
            except (Failure, OSError):
                pass  # The namespace was never made, or the process has just ended.
        self._remove()
        for node in self.nodes.values():
            # Not with anything of the machine's in it.
            (node.etc / ".machine").rmdir()
        shutil.rmtree(self.directory, ignore_errors=True)
        if self in Lab.all:
            Lab.all.remove(self)
        if problems:
            raise Failure("; ".join(problems))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            self.close()
        except Failure:
            if kind is None:
                raise


def _ip(arguments):
    done = subprocess.run(["ip", *arguments.split()], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"ip {arguments}: {done.stderr.strip()}")


def iperf3(client, server, address, *options, port=5201, seconds=3, bind=None):
    """Runs iperf3 from node `client` to node `server` for whole seconds, and returns its report."""
    listener = server.start("iperf3", "--server", "--one-off", "--port", port, *(["--bind", bind] if bind else []))
    until(lambda: not listener.is_running or server.listens(port), "iperf3 listens")
    try:
        done = client.run(
            "iperf3", "--client", address, "--port", port, "--time", seconds, "--json", *options, check=False,
            timeout=seconds + 30,
        )  # fmt: skip
    finally:
        listener.stop()
    try:
        report = json.loads(done.stdout)
    except ValueError:
        raise Failure(f"iperf3: {done.stdout[-500:]}{done.stderr[-500:]}") from None
    if "error" in report or done.returncode != 0:
        raise Failure(f"iperf3 from {client.name} to {address}: {report.get('error')}")
    return report
