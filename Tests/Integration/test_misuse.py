"""Every wrong use of the programs ends in one clear line, a status other than 0, and nothing left behind."""

import json
import os
import random
import re
import socket
import time

import pytest

from lab import INTERFACE, PORT, RELAY, until
from packets import udp
from peer_client import CONTROL, DATA, HANDSHAKE, PEER_HANDSHAKE, PING, Client, Key, frame, hello

JOIN = ("--server", RELAY, "--device-id", "d1")


def refuses(node, program, *options, says, before=(), lines=1, keeps_socket=False, **more):
    """Runs a program that must not start: checks its status, what it says last, and what it leaves."""
    taken = node.interfaces()
    busy = node.processes()
    command = [*before, node.lab.program(program), *options]
    if "--socket" not in options and not any(option in options for option in ("--help", "--version")):
        command += ["--socket", node.socket_path]
    if program in ("mnedcd", "mnedc-join") and "--state" not in options and "--help" not in options:
        command += ["--state", node.state_path]
    done = node.run(*command, check=False, timeout=15, **more)
    told = done.stderr.strip().splitlines()
    assert done.returncode > 0, f"status {done.returncode}: {done.stderr}"
    assert told, "it fails without a word"
    assert told[-1].startswith(f"{program}: "), done.stderr
    assert re.search(says, told[-1], re.IGNORECASE), done.stderr
    assert len(told) <= lines, f"more than {lines} lines: {done.stderr}"
    assert node.interfaces() == taken, "an interface is left"
    until(lambda: set(node.processes()) <= set(busy), "no process is left", 2)
    assert keeps_socket or not os.path.exists(node.socket_path), "a socket is left"
    return done


def as_somebody(lab):
    """What to put before a command so that it runs without privileges."""
    if not all(os.stat(path).st_mode & 1 for path in [lab.programs, *lab.programs.parents]):
        pytest.skip("the programs lie in a directory that is closed to others")
    return ["setpriv", "--reuid=4321", "--regid=4321", "--clear-groups"]


# --- Options and files ---


@pytest.mark.parametrize("program", ["mnedcd", "mnedc-join", "mnedc-peers", "mnedc-ctl"])
def test_an_unknown_option_is_named(flat, program):
    """The error, and at most where to read on; the status is that of a usage error."""
    node = flat(0).relay
    command = ["status"] if program == "mnedc-ctl" else []
    done = node.mnedc(program, *command, "--unheard-of", check=False)
    assert done.returncode == 64, done.stderr
    assert "--unheard-of" in done.stderr and len(done.stderr.strip().splitlines()) <= 3, done.stderr


@pytest.mark.parametrize(
    "program, options",
    [
        ("mnedcd", ["--pool", "10.0.0.0/33"]),
        ("mnedcd", ["--pool", "10.0.0.7/24"]),
        ("mnedcd", ["--listen", "somewhere"]),
        ("mnedcd", ["--listen", "0.0.0.0:99999"]),
        ("mnedcd", ["--log-level", "loud"]),
        ("mnedc-join", [*JOIN, "--address", "10.0.0"]),
        ("mnedc-join", [*JOIN, "--timeout", "soon"]),
        ("mnedc-join", ["--device-id", "d1", "--server", "a:b:c"]),
        ("mnedc-join", ["--server", RELAY, "--device-id", "not valid"]),
        ("mnedc-join", [*JOIN, "--interface", "a-name-that-is-too-long"]),
        ("mnedc-join", [*JOIN, "--interface", "a/b"]),
        ("mnedc-ctl", ["dance"]),
    ],
)
def test_a_bad_value_is_named(flat, program, options):
    """The value is in the message, so that one sees which of many was wrong."""
    node = flat(0).relay
    done = node.run(node.lab.program(program), *options, check=False, timeout=10)
    assert done.returncode != 0
    assert options[-1] in done.stderr and len(done.stderr.strip().splitlines()) <= 3, done.stderr
    assert not node.interfaces() and not os.path.exists(node.socket_path)


@pytest.mark.parametrize("program", ["mnedcd", "mnedc-join"])
def test_config_files_that_cannot_be_read_are_named(flat, program):
    """A missing file, a directory, a file without permission, and one that is no YAML."""
    lab = flat(0)
    missing = lab.directory / "missing.yaml"
    refuses(lab.relay, program, "--config", missing, says=r"missing\.yaml.*no such file")
    refuses(lab.relay, program, "--config", lab.directory, says="directory")
    binary = lab.directory / "binary.yaml"
    binary.write_bytes(random.Random(1).randbytes(5000))
    refuses(lab.relay, program, "--config", binary, says=r"binary\.yaml|error", lines=20)
    closed = lab.directory / "closed.yaml"
    closed.write_text("log-level: info\n")
    closed.chmod(0)
    refuses(lab.relay, program, "--config", closed, says="permission denied", before=as_somebody(lab))


@pytest.mark.parametrize("program", ["mnedcd", "mnedc-join"])
def test_a_config_file_that_others_can_change_is_refused(flat, program):
    """By its mode, its group, or its directory; what to do is said. A sticky directory and a group of its owner's are
    no danger.
    """
    lab = flat(0)
    directory = lab.directory / "etc"
    directory.mkdir(mode=0o755)
    config = directory / "own.yaml"
    config.write_text("server: 192.168.50.10\n")

    def check(*, mode=0o644, group=0, owner=0, within=0o755):
        os.chown(config, owner, group)
        config.chmod(mode)
        directory.chmod(within)
        return lab.relay.run(lab.program(program), "--config", config, "--check", check=False)

    for danger in ({"mode": 0o666}, {"mode": 0o646}, {"mode": 0o664, "group": 4242}):
        done = check(**danger)
        assert done.returncode == 77 and f"chmod go-w {config}" in done.stderr and done.stderr.count("\n") == 1, danger
    for within in (0o777, 0o757):
        done = check(within=within)
        assert (
            done.returncode == 77
            and f"chmod go-w {directory}" in done.stderr
            and "replaced by other users" in done.stderr
        )
    for safe in ({}, {"mode": 0o640, "group": 4242}, {"mode": 0o660}, {"within": 0o1777}):
        assert check(**safe).returncode == 0, safe
    # Another ordinary user's file or directory is not safe either.
    done = check(owner=4242, group=4242)
    assert done.returncode == 77 and "belongs to the user 4242, who could" in done.stderr
    assert f"chown root {config}" in done.stderr
    check()
    os.chown(directory, 4242, 4242)
    refuses(lab.relay, program, "--config", config, "--check", says="can be replaced by the user 4242")
    os.chown(directory, 0, 0)
    # A link into a directory that is not safe is not safe either.
    link = lab.directory / "link.yaml"
    link.symlink_to(config)
    check(within=0o777)
    refuses(lab.relay, program, "--config", link, says="can be replaced by other users")
    check(mode=0o666)
    refuses(lab.relay, program, "--config", config, says=r"can be changed by other users \(mode 0666\)")


def test_all_errors_of_a_config_file_are_told_with_their_places(flat):
    """file:line:column: what, and what would be right, for each; and --check says the same."""
    lab = flat(0)
    config = lab.directory / "bad.yaml"
    config.write_text("servr: 192.168.50.10\nlog-level: loud\nrelay:\n  pool: 10.0.0.0/99\n  threads: -3\n")
    for options in ([], ["--check"]):
        done = lab.relay.mnedc("mnedcd", "--config", config, *options, check=False)
        assert done.returncode != 0
        for place in ("bad.yaml:1:1:", "bad.yaml:2:12:", "bad.yaml:4:9:", "bad.yaml:5:12:"):
            assert place in done.stderr, done.stderr
        assert "server" in done.stderr, "the misspelt key should be suggested right"


def test_a_device_without_a_server_says_what_to_give(flat):
    """No config file and no --server."""
    node = flat(0).relay
    empty = node.lab.directory / "empty.yaml"
    empty.write_text("")
    refuses(node, "mnedc-join", "--config", empty, "--device-id", "d1", says="server")


# --- Ports, names, privileges ---


def test_a_taken_port_is_named(flat):
    """The relay says which, and leaves neither interface nor socket."""
    lab = flat(0)
    lab.relay.listen("0.0.0.0", PORT)
    refuses(lab.relay, "mnedcd", says="3334.*another program")


@pytest.mark.parametrize("program, options", [("mnedcd", ()), ("mnedc-join", JOIN)])
def test_a_taken_interface_name_is_named_and_the_interface_left_alone(flat, program, options):
    """Another program's interface is not touched."""
    lab = flat(1)
    node = lab.relay
    if program == "mnedc-join":
        lab.start_relay()
        node = lab["d1"]
    node.run("ip", "link", "add", INTERFACE, "type", "bridge")
    refuses(node, program, *options, says=f"{INTERFACE} already")
    assert INTERFACE in node.run("ip", "-o", "link", "show").stdout


@pytest.mark.parametrize("program, options", [("mnedcd", ()), ("mnedc-join", JOIN)])
def test_a_daemon_that_is_started_twice_is_told_that_it_runs_already(flat, program, options):
    """Not what it would miss then; and the first goes on."""
    lab = flat(1)
    first = lab.start_relay()
    node = lab.relay
    if program == "mnedc-join":
        first, node = lab.start_device("d1"), lab["d1"]
    done = refuses(node, program, *options, says=r"process \d+ answers at \S+ already; stop it", keeps_socket=True)
    assert done.returncode == 73 and os.path.exists(node.socket_path)
    assert first.is_running and node.status()["program"] == program
    # What a killed one has left is in nobody's way.
    first.kill()
    (lab.start_relay if program == "mnedcd" else lambda: lab.start_device("d1"))()


def test_two_devices_on_one_host_need_two_interface_names(flat):
    """The second says that the first has the name, and the first goes on."""
    lab = flat(1)
    lab.start_relay()
    first = lab.start_device("d1")
    refuses(lab["d1"], "mnedc-join", "--server", RELAY, "--device-id", "d2", "--socket", lab.directory / "second.sock",
            says=f"{INTERFACE} already", keeps_socket=True)  # fmt: skip
    assert not lab.directory.joinpath("second.sock").exists()
    assert first.is_running and lab["d1"].ping("10.0.0.1")[0] == 1


@pytest.mark.parametrize("program, options", [("mnedcd", ()), ("mnedc-join", JOIN)])
def test_without_privileges_the_missing_right_is_named(flat, program, options):
    """CAP_NET_ADMIN makes the interface."""
    lab = flat(1)
    lab.start_relay()
    node = lab.relay if program == "mnedcd" else lab["d1"]
    if program == "mnedcd":
        # /dev/net/tun may be open to everybody, and the first has the usual name.
        options = ("--listen", "0.0.0.0:4444", "--socket", str(lab.directory / "other.sock"), "--interface", "other0")
    refuses(node, program, *options, says="CAP_NET_ADMIN|root", before=as_somebody(lab), keeps_socket=True)


def test_a_relay_without_a_device_needs_no_privileges(flat):
    """As a user of no account, with --no-device: devices join it and reach each other."""
    lab = flat(2)
    program = lab.relay.start(
        *as_somebody(lab), lab.program("mnedcd"), "--no-device", "--admission", "open", "--socket",
        lab.relay.socket_path, "--state", lab.relay.state_path, name="mnedcd",
    )  # fmt: skip
    until(lambda: lab.relay.status() or not program.is_running, "mnedcd answers")
    lab.start_device("d1"), lab.start_device("d2")
    assert not lab.relay.interfaces()
    lab["d1"].reaches(lab["d2"].virtual_address())


def test_without_a_tun_driver_it_says_how_to_get_one(flat):
    """An empty /dev/net, as in a container that was not given the device."""
    lab = flat(1)
    lab.start_relay()
    hide = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev/net && exec "$@"', "sh"]
    refuses(lab["d1"], "mnedc-join", *JOIN, says="/dev/net/tun", before=hide)


# --- A relay that is not there, or is none ---


def test_a_relay_that_cannot_be_reached_is_named_after_the_timeout(flat):
    """Refused, silent, unresolvable, and one that answers nonsense."""
    lab = flat(1)
    node = lab["d1"]
    lab.relay.listen(RELAY, 7001)  # Accepts in the kernel, and never says a word.
    nonsense = lab.relay.listen(RELAY, 7002)
    nonsense.settimeout(0.05)
    cases = (
        (f"{RELAY}:1", "refused"),
        ("192.168.50.99:3334", r"192\.168\.50\.99"),
        ("10.99.0.1:3334", r"10\.99\.0\.1"),
        ("nowhere.invalid", r"nowhere\.invalid"),
        (f"{RELAY}:7001", "7001"),
    )
    for server, says in cases:
        began = time.monotonic()
        refuses(node, "mnedc-join", "--server", server, "--device-id", "d1", "--timeout", "1s", says=says, lines=12)
        assert time.monotonic() - began < 4, server
    joining = node.start_mnedc("mnedc-join", "--server", f"{RELAY}:7002", "--device-id", "d1", "--timeout", "1s")
    while joining.is_running:
        try:
            connection, _ = nonsense.accept()
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()
        except OSError:
            pass
    assert joining.wait() > 0 and "is no MNEDC relay: it answers with HTTP" in joining.log, joining.log
    assert not node.interfaces()


# --- The local socket ---


@pytest.mark.parametrize("program", ["mnedcd", "mnedc-join"])
def test_a_second_daemon_on_the_same_socket_is_refused(flat, program):
    """The first one goes on as if nothing had been."""
    lab = flat(1)
    relay = lab.start_relay()
    node, first, options = lab.relay, relay, ("--listen", "0.0.0.0:4444", "--interface", "second0")
    if program == "mnedc-join":
        node, first = lab["d1"], lab.start_device("d1")
        options = ("--server", RELAY, "--device-id", "second", "--interface", "second0")
    refuses(node, program, *options, says=re.escape(node.socket_path), keeps_socket=True)
    assert first.is_running and node.status()["process_id"] == first.pid


@pytest.mark.parametrize("program", ["mnedcd", "mnedc-join"])
def test_the_socket_of_a_killed_daemon_is_replaced(flat, program):
    """kill -9 leaves the socket's file; the next one takes its place, and the interface's name."""
    lab = flat(1)
    start, node = lab.start_relay, lab.relay
    if program == "mnedc-join":
        lab.start_relay()
        start, node = lambda: lab.start_device("d1"), lab["d1"]
    start().kill()
    assert os.path.exists(node.socket_path)
    second = start()
    assert node.status()["process_id"] == second.pid


def test_a_file_that_is_no_socket_is_not_replaced(flat):
    """Somebody's data at the socket's path is safe."""
    lab = flat(0)
    precious = lab.directory / "precious"
    precious.write_text("data")
    refuses(lab.relay, "mnedcd", "--socket", precious, says="precious", keeps_socket=True)
    assert precious.read_text() == "data"


def test_a_socket_path_that_cannot_be_is_named(flat):
    """In a directory that is none, and longer than the kernel takes."""
    lab = flat(0)
    (lab.directory / "file").write_text("")
    refuses(lab.relay, "mnedcd", "--socket", lab.directory / "file" / "x.sock", says=r"x\.sock|file", keeps_socket=True)
    refuses(lab.relay, "mnedcd", "--socket", lab.directory / ("long" * 40), says="long", keeps_socket=True)


@pytest.mark.parametrize("command", [("mnedc-ctl", "status"), ("mnedc-ctl", "stop"), ("mnedc-peers",)])
def test_the_tools_say_that_no_daemon_runs(flat, command):
    """And where they looked."""
    lab = flat(0)
    program, *options = command
    path = lab.directory / "nobody.sock"
    refuses(lab.relay, program, *options, "--socket", path, says=r"nobody\.sock|not running")
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    refuses(lab.relay, program, *options, "--socket", path, says=r"nobody\.sock|not running", keeps_socket=True)


def test_only_root_and_the_daemons_own_user_may_stop_it(flat):
    """Anybody may ask for the status."""
    lab = flat(0)
    relay = lab.start_relay()
    somebody = as_somebody(lab)
    done = lab.relay.run(*somebody, lab.program("mnedc-ctl"), "stop", "--socket", lab.relay.socket_path, check=False)
    assert done.returncode != 0 and len(done.stderr.strip().splitlines()) == 1, done.stderr
    status = lab.relay.run(*somebody, lab.program("mnedc-ctl"), "status", "--json", "--socket", lab.relay.socket_path)
    assert json.loads(status.stdout)["process_id"] == relay.pid


def test_garbage_on_the_local_socket_costs_only_who_sent_it(flat):
    """Bytes, half a request, endless lines, wrong requests, and many who say nothing."""
    lab = flat(0)
    relay = lab.start_relay()

    def ask(data):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(lab.relay.socket_path)
            try:
                client.sendall(data)
                return client.recv(65536)
            except (BrokenPipeError, ConnectionResetError):
                return b""

    for data in (
        b"\n", b"{}\n", b"[]\n", b"\xff\xfe\x00\n", b'{"version":2,"command":"status"}\n',
        b'{"version":1,"command":"dance"}\n', b'{"version":1}\n', b"x" * 100_000, b"[" * 4000 + b"\n",
        random.Random(2).randbytes(3000) + b"\n",
    ):  # fmt: skip
        answer = ask(data)
        assert not answer or "error" in json.loads(answer), (data[:50], answer)
    silent = []
    for _ in range(20):
        silent.append(socket.socket(socket.AF_UNIX))
        silent[-1].connect(lab.relay.socket_path)
        silent[-1].send(b'{"version":1,')
    assert lab.relay.status()["process_id"] == relay.pid
    for each in silent:
        each.close()
    assert lab.relay.status() and relay.is_running


# --- The port ---


def test_garbage_on_the_port_costs_only_that_connection(flat):
    """Other protocols, noise, frames that are too long, of no type, or out of turn; two devices go on all the while."""
    lab = flat(2)
    running = lab.start_all()
    a, b = lab["d1"], lab["d2"]
    lost = a.watch(b.virtual_address())
    noise = random.Random(7)
    samples = [
        b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"SSH-2.0-x\r\n",
        b"\x00" * 4096, b"\xff" * 4096, *(noise.randbytes(noise.randrange(1, 5000)) for _ in range(30)),
        frame(HANDSHAKE), frame(HANDSHAKE, b"{}"), frame(HANDSHAKE, hello()), frame(HANDSHAKE, hello() + bytes(32)),
        frame(HANDSHAKE, hello(oldest=7, newest=9) + b"e" * 32), frame(HANDSHAKE, hello(oldest=2) + b"e" * 32),
        frame(HANDSHAKE, hello() + b"e" * 8000), 2 * frame(HANDSHAKE, hello() + b"e" * 32),
        frame(HANDSHAKE, hello() + b"e" * 32) + frame(HANDSHAKE, noise.randbytes(200)),
        frame(HANDSHAKE, hello() + b"e" * 32) + frame(DATA, b"x" * 100), frame(DATA, b"x" * 100),
        frame(PEER_HANDSHAKE, b"x" * 104), frame(CONTROL, b'{"type":"leave"}'), frame(PING, b"12345678"),
        bytes([HANDSHAKE, 0xFF, 0xFF, 0xFF]) + bytes(8), bytes([99, 0, 0, 0]) + bytes(8),
    ]  # fmt: skip
    for sample in samples:
        connection = a.connect(RELAY, PORT)
        try:
            connection.sendall(sample)
            if noise.random() < 0.5:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        connection.close()
    # One that is in, and then misbehaves.
    rogue, there = Key(), b.virtual_address()
    for bad in (
        lambda session: frame(DATA, b"", address=there),
        lambda session: frame(DATA, noise.randbytes(3000), address=there),
        lambda session: frame(DATA, noise.randbytes(3000), address="255.255.255.255"),
        lambda session: frame(PEER_HANDSHAKE, noise.randbytes(104), address=there),
        lambda session: frame(PEER_HANDSHAKE, b"", address=there),
        lambda session: frame(HANDSHAKE, b"{}"),
        lambda session: frame(CONTROL, b'{"type":"leave"}'),
        lambda session: session.sealed(CONTROL, b"{"),
        lambda session: session.sealed(CONTROL, b"[" * 60000),
        lambda session: session.sealed(CONTROL, b'{"type":"welcome"}'),
        lambda session: session.sealed(CONTROL, b'{"type":"locate","address":7}'),
        lambda session: session.sealed(CONTROL, b'{"type":"from the future"}'),
        lambda session: session.sealed(PING, b"x" * 49),
        lambda session: noise.randbytes(5000),
    ):
        session = Client(a.connect(RELAY, PORT), rogue)
        assert session.join("rogue")["type"] == "welcome"
        try:
            session.connection.sendall(bad(session))
        except OSError:
            pass
        until(lambda: a.ping(there)[0], "the devices still reach each other", 3)
        session.close()
        until(lambda: "rogue" not in lab.relay.peers(), "rogue is gone")
    assert lost() == []
    assert all(program.is_running for program in running.values())
    assert a.status()["device"]["joins"] == b.status()["device"]["joins"] == 1


def test_a_device_cannot_send_in_anothers_name(flat):
    """The relay writes the source itself, and a device takes no packet whose own source says otherwise."""
    lab = flat(1)
    lab.start_relay()
    lab.start_device("d1")
    node = lab["d1"]
    victim = node.socket(socket.SOCK_DGRAM, timeout=1)
    victim.bind((node.virtual_address(), 7777))
    rogue = Client(lab.relay.connect(RELAY, PORT))
    rogue.join("rogue")
    rogue.peer("d1")

    for source in ("10.0.0.1", "10.0.0.99", "8.8.8.8", rogue.address):
        rogue.send_packets(node.virtual_address(), udp(source, node.virtual_address(), 7777, f"from {source}".encode()))
    data, (sender, _) = victim.recvfrom(100)
    assert data == f"from {rogue.address}".encode() and sender == rogue.address
    assert node.status()["device"]["packets"]["misaddressed"] == 3
