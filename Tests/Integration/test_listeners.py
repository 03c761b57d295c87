"""One user's many connections do not keep others from being served: local socket, metrics, names."""

import os
import re
import sys

import pytest

from lab import PORT, RELAY, until

METRICS = 9834

# Opens connections to an address, as many at a time as are said, sends what is said by each, and closes them; as a user
# without rights, forever.
FLOOD = """
import os, socket, sys
family, address, count = socket.AF_UNIX, sys.argv[1], int(sys.argv[2])
data = sys.argv[3].encode().decode("unicode_escape").encode("latin-1")
if ":" in address:
    family, (host, _, port) = socket.AF_INET, address.rpartition(":")
    address = (host, int(port))
os.setgroups([]), os.setgid(4242), os.setuid(4242)
print("ready", flush=True)
while True:
    opened = []
    for _ in range(count):
        each = socket.socket(family)
        each.setblocking(False)
        try:
            each.connect(address)
        except OSError:
            pass
        opened.append(each)
    for each in opened:
        try:
            if data:
                each.send(data)
        except OSError:
            pass
        each.close()
"""


@pytest.fixture
def flood(flat):
    """flood(node, address, count, data): begins one, and returns once it has begun."""
    started = []

    def begin(node, address, count, data=""):
        program = node.start(sys.executable, "-c", FLOOD, address, count, data, name=f"flood of {address}")
        started.append(program)
        until(lambda: "ready" in program.output, "the flood begins")
        return program

    yield begin
    for program in started:
        program.kill()


@pytest.mark.long
@pytest.mark.parametrize("data", ["", '{"command":"status","version":1}\\n'])
def test_root_and_other_users_are_served_while_one_user_floods_the_local_socket(flat, flood, data):
    """Root at once, by a socket of its own; another user within the time that the tool waits."""
    lab = flat(1)
    relay = lab.start_relay("--no-device")
    device = lab.start_device("d1")
    for node in (lab.relay, lab["d1"]):
        flood(node, node.socket_path, 200, data)
        for _ in range(20):
            node.mnedc("mnedc-ctl", "status")
        somebody = ("setpriv", "--reuid=4321", "--regid=4321", "--clear-groups")
        for _ in range(5):
            node.run(*somebody, lab.program("mnedc-ctl"), "key", "--socket", node.socket_path, "--timeout", "30s")
    assert relay.is_running and device.is_running


def test_the_socket_of_root_is_for_root_and_the_daemons_user(flat):
    """The kernel lets nobody else connect; it goes with the daemon, and a killed one's is replaced."""
    lab = flat(0)
    relay = lab.start_relay("--no-device")
    path = lab.relay.socket_path + ".root"
    owner = os.stat(path)
    assert oct(owner.st_mode & 0o777) == "0o600" and owner.st_uid == os.stat(f"/proc/{relay.pid}").st_uid != 0
    refused = lab.relay.run(
        "setpriv", "--reuid=4321", "--regid=4321", "--clear-groups", sys.executable, "-c",
        f"import socket; socket.socket(socket.AF_UNIX).connect({path!r})", check=False,
    )  # fmt: skip
    assert "PermissionError" in refused.stderr
    lab.relay.mnedc("mnedc-ctl", "devices")
    # Where only the one for all is left, root is served there.
    os.unlink(path)
    lab.relay.mnedc("mnedc-ctl", "devices")
    relay.kill()
    relay = lab.start_relay("--no-device")
    assert os.path.exists(path)
    assert relay.stop() == 0 and not os.path.exists(path) and not os.path.exists(lab.relay.socket_path)


def test_a_socket_with_a_long_path_has_no_second_one(flat):
    """And serves root all the same."""
    lab = flat(0)
    path = str(lab.directory / "x")
    path += "x" * (107 - len(path))
    lab.relay.start_mnedc("mnedcd", "--no-device", "--socket", path)
    until(lambda: lab.relay.mnedc("mnedc-ctl", "devices", "--socket", path, check=False).returncode == 0, "it answers")
    assert not os.path.exists(path + ".root")


@pytest.mark.parametrize(
    ("count", "data"),
    [(200, ""), (200, "GET /metrics HTTP/1.1\\r\\n"), (40, "GET /metrics HTTP/1.0\\r\\n\\r\\n")],
    ids=["silent", "half a request", "whole requests"],
)
def test_metrics_are_given_while_one_user_floods_their_port(flat, flood, count, data):
    """Each within the time that a collector waits."""
    lab = flat(0)
    config = lab.directory / "metrics.yaml"
    config.write_text(f"metrics: {{listen: {METRICS}}}\n")
    lab.start_relay("--no-device", "--config", config)
    flood(lab.relay, f"127.0.0.1:{METRICS}", count, data)
    for _ in range(5):
        again = ("--max-time", 30, "--retry", 5, "--retry-all-errors")
        shown = lab.relay.run("curl", "-sS", *again, f"http://127.0.0.1:{METRICS}/metrics", timeout=200).stdout
        assert "mnedc_build_info" in shown
    lab.relay.mnedc("mnedc-ctl", "status")


def test_connections_that_are_kept_open_make_room_for_a_question_for_a_name(flat):
    """The oldest that waits for nothing gives way; what is asked right away is answered."""
    lab = flat(1)
    lab.start_relay("--no-device")
    node = lab["d1"]
    device = lab.start_device("d1", "--server", f"{RELAY}:{PORT}")
    address = node.virtual_address()
    until(lambda: f"names in mnedc are answered at {address}" in device.log, "names are answered")
    silent = [node.connect(address, 53) for _ in range(100)]
    for _ in range(10):
        with node.connect(address, 53) as connection:
            name = b"".join(bytes([len(part)]) + part for part in (b"d1", b"mnedc")) + b"\0"
            query = b"\x12\x34\x01\x00\x00\x01" + bytes(6) + name + b"\0\x01\0\x01"
            connection.sendall(len(query).to_bytes(2, "big") + query)
            answer = connection.recv(1000)
            assert re.search(bytes(map(int, address.split("."))), answer, re.DOTALL), answer
    for each in silent:
        each.close()
