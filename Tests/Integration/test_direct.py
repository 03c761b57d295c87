"""Direct paths: devices reach each other without the relay wherever a packet can."""

import re
import socket
import struct
import time

import pytest

from lab import RELAY, until
from packets import ECHO_REPLY, ECHO_REQUEST, echo, read_echo
from peer_client import DATA, PATH, frame, read_records, record
from test_protocol import stranger


@pytest.fixture
def pair(flat):
    """A lab with a relay and two devices on one network that have a direct path to each other."""
    lab = flat(2)
    lab.direct = True
    lab.start_relay()
    one, two = lab.devices
    for node in (one, two):
        lab.start_device(node)
    one.reaches(two.virtual_address())
    wait_for_direct(one, two)
    return lab, one, two


def path(node, peer):
    return node.peers()[peer.name].get("path")


def wait_for_direct(one, two):
    for node, peer in ((one, two), (two, one)):
        until(lambda: path(node, peer) == "tcp", f"{node.name} reaches {peer.name} directly", 60)


def cut(node, rule):
    node.run("nft", "add table inet cut; add chain inet cut in { type filter hook input priority 0; }; "
             f"add rule inet cut in {rule} drop")


def restore(node):
    node.run("nft", "delete table inet cut")


def test_two_devices_on_one_network_leave_the_relay_out(pair):
    lab, one, two = pair
    remotes = {node.peers()[peer.name]["remote"] for node, peer in ((one, two), (two, one))}
    assert any(re.fullmatch(rf"({one.address}|{two.address}):\d+", remote) for remote in remotes), remotes
    relay = next(program for program in lab.started if program.name.startswith("mnedcd"))
    relay.kill()
    assert one.ping(two.virtual_address(), 20, interval=0.1)[0] == 20
    until(lambda: "disconnected" in listing(one), "the device notices that the relay is gone", 60)
    assert one.ping(two.virtual_address(), 10, interval=0.1)[0] == 10
    assert one.peers()[two.name]["state"] == "online"
    done = one.mnedc("mnedc-peers", "ping", two.name, "--count", 2)
    assert "2 answered" in done.stdout and "directly by tcp " in done.stdout, done.stdout
    shown = one.mnedc("mnedc-peers", "show", two.name).stdout
    assert re.search(r"^path +tcp \S+:\d+$", shown, re.M), shown


def test_a_restarted_relay_changes_nothing_between_two_devices(pair):
    lab, one, two = pair
    lost = one.watch(two.virtual_address())
    relay = next(program for program in lab.started if program.name.startswith("mnedcd"))
    relay.kill()
    until(lambda: '"disconnected"' in listing(one) and '"disconnected"' in listing(two), "the relay is away", 60)
    lab.start_relay()
    for node, peer in ((one, two), (two, one)):
        until(lambda: '"disconnected"' not in listing(node) and peer.name in node.peers(), "both are back", 60)
    # Until then a device keeps a peer that the relay does not list.
    time.sleep(3)
    assert lost() == []
    assert path(one, two) == path(two, one) == "tcp"


def listing(node):
    return node.mnedc("mnedc-peers", "--json").stdout


def test_a_path_that_dies_silently_is_left_for_the_relay(pair):
    lab, one, two = pair
    lost = one.watch(two.virtual_address())
    time.sleep(0.5)
    cut(two, f"ip saddr {one.address} ip daddr {two.address}")
    until(lambda: path(one, two) == path(two, one) == "relay", "both take the relay", 60)
    one.reaches(two.virtual_address())
    assert len(lost()) < 1200
    restore(two)


def test_bulk_moves_from_the_relay_to_a_direct_path_and_back(flat):
    lab = flat(2)
    lab.direct = True
    lab.start_relay()
    one, two = lab.devices
    for node, peer in ((one, two), (two, one)):
        cut(node, f"ip saddr {peer.address} ip daddr {node.address}")
        lab.start_device(node)
    one.reaches(two.virtual_address())
    listener = two.start("iperf3", "--server", "--one-off")
    until(lambda: two.listens(5201), "iperf3 listens")
    client = one.start("iperf3", "--client", two.virtual_address(), "--time", 60, "--json")
    until(lambda: one.run("ss", "-Htn", "dport = 5201").stdout.count("ESTAB") >= 2, "data flows", 30)
    assert path(one, two) == "relay"
    for node in (one, two):
        restore(node)
        # A change of the host's network has both try again at once.
        link = node.run("ip", "-4", "-o", "addr").stdout.split(f" {node.address}/")[0].split()[-2]
        node.run("ip", "address", "add", f"192.168.99.{node.address.rsplit('.')[-1]}/32", "dev", link)
    wait_for_direct(one, two)
    time.sleep(1)
    for node, peer in ((one, two), (two, one)):
        cut(node, f"ip saddr {peer.address} ip daddr {node.address}")
    until(lambda: path(one, two) == path(two, one) == "relay", "both take the relay", 60)
    time.sleep(1)
    assert client.is_running and listener.is_running, client.output
    # Neither move made the stream send again what was under way, but for what the cut took.
    found = re.findall(r"bytes_sent:(\d+)(?: bytes_retrans:(\d+))?", one.run("ss", "-Htin", "dport = 5201").stdout)
    sent, again = max((int(sent), int(again or 0)) for sent, again in found)
    assert again <= max(sent * 0.02, 8 << 20), found


def test_a_device_that_may_not_leaves_direct_paths_alone(flat):
    lab = flat(2)
    lab.direct = True
    lab.start_relay()
    one, two = lab.devices
    config = lab.directory / "off.yaml"
    config.write_text("join: {direct: off}\n")
    lab.start_device(one, "--config", config)
    lab.start_device(two)
    one.reaches(two.virtual_address())
    assert one.ping(two.virtual_address(), 10, interval=0.1)[0] == 10
    assert path(one, two) == path(two, one) == "relay"


def test_a_device_under_two_routers_reaches_one_above_directly(nat):
    nat.direct = True
    nat.start_relay()
    for name in ("deep", "top", "mid"):
        nat.start_device(name)
    for one, two in (("deep", "top"), ("mid", "top")):
        nat[one].reaches(nat[two].virtual_address())
        wait_for_direct(nat[one], nat[two])
    nat["mid"].reaches(nat["deep"].virtual_address())


def test_a_peer_that_was_revoked_while_the_relay_was_away_is_dropped(pair):
    lab, one, two = pair
    relay = next(program for program in lab.started if program.name.startswith("mnedcd"))
    # The relay hears of the operator before the devices are back.
    for node in (one, two):
        cut(node, f"ip saddr {RELAY} tcp sport 3334")
    until(lambda: '"disconnected"' in listing(one) and '"disconnected"' in listing(two), "the relay is away", 90)
    assert one.ping(two.virtual_address(), 5, interval=0.1)[0] == 5
    lab.relay.mnedc("mnedc-ctl", "revoke", two.name, "--yes")
    restore(one)
    until(lambda: one.ping(two.virtual_address())[0] == 0, "the revoked device is out", 90)
    assert two.name not in one.peers()
    assert relay.is_running


CHALLENGE, RESPONSE, REPORT = 1, 2, 3


class DirectEnd:
    """The client's end of a direct connection to a device, on its path 1."""

    def __init__(self, client, address, connection):
        self.client, self.address, self.connection = client, address, connection
        self.session = client.sessions[address]
        #: (kind, path, content) of every frame that has come, opened.
        self.frames = []

    def send(self, content, kind=0, path=1, flow=0xFFFF):
        payload = self.session.seal(content, kind=kind, path=path)
        self.connection.sendall(frame(DATA, payload, self.client.address, flow))

    def tell(self, kind, number):
        self.send(struct.pack("!B7xQ", kind, number), kind=PATH)

    def receive(self, kind):
        """The content of the next frame of this kind; challenges are answered."""
        while True:
            head = self._read(12)
            assert head, "the device has closed the connection"
            word, sender = struct.unpack("!I4s", head[:8])
            assert (word >> 24, socket.inet_ntoa(sender)) == (DATA, self.address)
            payload = self._read(word & 0xFFFFFF)
            content = self.session.open(payload)
            self.frames.append((payload[4], int.from_bytes(payload[5:8]), content))
            if payload[4] == PATH and content[0] == CHALLENGE:
                self.tell(RESPONSE, int.from_bytes(content[8:16]))
            if payload[4] == kind:
                return content

    def _read(self, count):
        data = b""
        while len(data) < count and (part := self.connection.recv(count - len(data))):
            data += part
        return data


def test_another_implementation_takes_a_direct_path(flat):
    """As the protocol's page has it: candidates, challenge and response, packets, reports."""
    pytest.importorskip("cryptography")
    lab = flat(2)
    lab.direct = True
    lab.start_relay()
    node = lab["d1"]
    lab.start_device(node)
    client = stranger(lab)
    address = node.virtual_address()
    rest = b"1234by the relay".ljust(30)
    assert client.peer("d1")["address"] == address
    client.begin_again(address)
    client.send_packets(address, echo(ECHO_REQUEST, client.address, address, rest))

    def offer():
        return next((message for sender, message in client.messages if message["type"] == "candidates"), None)

    host, port = client.wait(offer, "d1 offers its addresses")["tcp"][0].rsplit(":", 1)
    assert host == node.address
    client.wait(lambda: client.packets, "the kernel answers by the relay")
    end = DirectEnd(client, address, lab["d2"].connect(host, int(port)))
    end.tell(CHALLENGE, 7)
    answer = end.receive(PATH)
    while answer[0] != RESPONSE:
        answer = end.receive(PATH)
    assert answer == struct.pack("!B7xQ", RESPONSE, 7)
    until(lambda: node.peers()["stranger"]["path"] == "tcp" or end.receive(PATH) and False, "d1 takes the path", 20)

    client.packets.clear()
    rest = b"1234directly".ljust(30)
    end.send(record(echo(ECHO_REQUEST, client.address, address, rest)), flow=1)
    content = end.receive(0)
    while not content:
        content = end.receive(0)
    (packet, *_), *_ = read_records(content)
    assert read_echo(packet) == (ECHO_REPLY, rest)
    paths = {path for _, path, _ in end.frames}
    assert len(paths) == 1 and paths.pop() > 0
    # Packets have come, so a report says how far.
    report = end.receive(PATH)
    while report[0] != REPORT:
        report = end.receive(PATH)
    assert int.from_bytes(report[8:16]) >= 2

    # A frame of another path, or in another's name, ends the connection.
    end.send(b"", path=2)
    assert closes(end.connection)
    until(lambda: node.peers()["stranger"]["path"] == "relay", "d1 takes the relay again", 20)


def closes(connection):
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return True


def test_strangers_get_nothing_from_the_direct_port(pair):
    """Garbage, silence, and more connections than a device keeps cost nobody else anything."""
    lab, one, two = pair
    port = next(int(line.split()[3].rsplit(":", 1)[1]) for line in one.run("ss", "-Hltn").stdout.splitlines()
                if line.split()[3].startswith("*:"))
    idle = [lab.relay.connect(one.address, port) for _ in range(40)]
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(300), b"\x03\x00\x00\x20" + bytes(44), b"\xff" * 100):
        connection = lab.relay.connect(one.address, port)
        connection.sendall(garbage)
        assert closes(connection)
    # The first ones had to make room.
    assert closes(idle[0])
    assert one.ping(two.virtual_address(), 5, interval=0.1)[0] == 5
    assert path(one, two) == path(two, one) == "tcp"
    for connection in idle:
        connection.close()
