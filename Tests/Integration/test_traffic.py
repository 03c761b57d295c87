"""Every byte that enters at one end leaves at the other, whatever its size and whatever else happens.

The reference implementation read TCP in pieces of 1024 bytes and took each for a packet, so these tests vary sizes and
send packets close together.
"""

import hashlib
import random
import socket
import struct
import threading
import time

import pytest

from lab import Failure, until

UDP_SEGMENT = 103
PATTERN = random.Random(1).randbytes(1 << 17)


def datagram(number, size):
    """A datagram whose bytes follow from its number and size; the number is inside if it fits."""
    start = (number * 977 + size) & 0xFFFF
    body = PATTERN[start : start + size]
    return struct.pack("!I", number) + body[4:] if size >= 4 else PATTERN[size : 2 * size]


def is_whole(data):
    size = len(data)
    if size < 4:
        return data == PATTERN[size : 2 * size]
    return data == datagram(struct.unpack_from("!I", data)[0], size)


class Receiver(threading.Thread):
    """Takes datagrams on a node and checks every one."""

    def __init__(self, node, address):
        super().__init__(daemon=True)
        self.socket = node.socket(socket.SOCK_DGRAM, timeout=0.1)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self.socket.bind((address, 0))
        self.address = self.socket.getsockname()
        self.sizes = {}
        self.broken = []
        self.done = threading.Event()
        self.start()

    @property
    def count(self):
        return sum(self.sizes.values())

    def run(self):
        while not self.done.is_set():
            try:
                data = self.socket.recv(1 << 17)
            except TimeoutError:
                continue
            self.sizes[len(data)] = self.sizes.get(len(data), 0) + 1
            if not is_whole(data):
                self.broken.append(len(data))

    def finish(self):
        self.done.set()
        self.join()


@pytest.fixture
def pair(flat):
    """Two joined devices and their virtual addresses, and a function that loads the path both ways."""
    lab = flat(2)
    lab.start_all()
    a, b = lab["d1"], lab["d2"]
    addresses = a.virtual_address(), b.virtual_address()

    def load():
        server = b.start("iperf3", "--server", "--one-off")
        until(lambda: b.listens(5201), "iperf3 listens")
        client = a.start("iperf3", "--client", addresses[1], "--bidir", "--time", "60", "--bitrate", "300M")
        until(lambda: "ESTAB" in b.run("ss", "-tn", "sport = 5201").stdout, "the load begins")
        return server, client

    return a, b, *addresses, load


def sweep(sender, receiver, sizes, rounds=20, pause=0.0):
    """Sends datagrams of all `sizes` back to back, and again those that were lost, until each has arrived once."""
    number = 0
    sent = 0
    missing = list(sizes)
    for _ in range(rounds):
        for size in missing:
            number += 1
            sender.sendto(datagram(number, size), receiver.address)
            if pause:
                time.sleep(pause)
        sent += len(missing)
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline and any(size not in receiver.sizes for size in missing):
            time.sleep(0.02)
        missing = [size for size in missing if size not in receiver.sizes]
        if not missing:
            return sent
    raise Failure(f"datagrams of {len(missing)} sizes never arrived, such as {missing[:10]} bytes")


def test_back_to_back_datagrams_of_every_size_arrive_whole_under_load(pair):
    """1 to 1500 bytes, one after the other without a pause, both ways at once, beside TCP both ways."""
    a, b, address_a, address_b, load = pair
    load()
    receivers = Receiver(a, address_a), Receiver(b, address_b)
    senders = b.socket(socket.SOCK_DGRAM), a.socket(socket.SOCK_DGRAM)
    failures = []

    def run(sender, receiver):
        try:
            sweep(sender, receiver, range(1, 1501))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=each) for each in zip(senders, receivers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for receiver in receivers:
        receiver.finish()
        assert not receiver.broken, f"datagrams of these sizes arrived changed: {receiver.broken[:10]}"
        assert set(receiver.sizes) == set(range(1, 1501)), "sizes arrived that nobody sent"
    assert not failures, failures


def test_datagrams_up_to_64_kib_arrive_whole_in_fragments(pair):
    """What is larger than the MTU crosses as IP fragments."""
    a, b, _, address_b, load = pair
    load()
    receiver = Receiver(b, address_b)
    sizes = [1372, 1373, 1400, 1401, 2000, 2744, 2745, 4095, 4096, 8191, 16384, 32768, 65000, 65507]
    sweep(a.socket(socket.SOCK_DGRAM), receiver, sizes, pause=0.01)
    receiver.finish()
    assert not receiver.broken and set(receiver.sizes) == set(sizes)


def test_a_udp_super_packet_arrives_as_its_datagrams(pair):
    """64 KiB of datagrams handed to the kernel in one call (UDP_SEGMENT) are told apart again at the other end."""
    a, b, _, address_b, _ = pair
    receiver = Receiver(b, address_b)
    sender = a.socket(socket.SOCK_DGRAM)
    for segment in (200, 1000, 1372):
        sender.setsockopt(socket.SOL_UDP, UDP_SEGMENT, segment)
        count = min(60000 // segment, 60)
        run = b"".join(datagram(n, segment) for n in range(1, count + 1)) + datagram(0, 77)
        before = receiver.count
        for _ in range(5):
            sender.sendto(run, receiver.address)
            if receiver.sizes.get(segment, 0) >= count:
                break
            time.sleep(0.1)
        until(lambda: receiver.sizes.get(segment, 0) >= count, f"datagrams of {segment} bytes arrive")
        assert receiver.count > before
    receiver.finish()
    assert not receiver.broken and set(receiver.sizes) == {200, 1000, 1372, 77}


def test_tcp_super_packets_arrive_whole_both_ways_under_load(pair):
    """48 MiB each way over one connection, in pieces from one byte to far beyond 64 KiB."""
    a, b, _, address_b, load = pair
    load()
    listener = b.listen(address_b)
    client = a.connect(*listener.getsockname())
    server, _ = listener.accept()
    server.settimeout(60), client.settimeout(60)
    total = 48 << 20
    digests = {}

    def send(connection, name, seed):
        pieces, digest, left = random.Random(seed), hashlib.sha256(), total
        while left:
            size = min(left, pieces.choice((1, 7, 1000, 1348, 1349, 9000, 65535, 65536, 65537, 131072)))
            start = pieces.randrange(len(PATTERN) - size + 1)
            piece = PATTERN[start : start + size]
            digest.update(piece)
            connection.sendall(piece)
            left -= size
        digests[name] = digest.hexdigest()

    def receive(connection, name):
        digest, left = hashlib.sha256(), total
        while left:
            piece = connection.recv(min(left, 1 << 20))
            if not piece:
                break
            digest.update(piece)
            left -= len(piece)
        digests[name] = digest.hexdigest()

    threads = [
        threading.Thread(target=send, args=(client, "up sent", 1)),
        threading.Thread(target=receive, args=(server, "up received")),
        threading.Thread(target=send, args=(server, "down sent", 2)),
        threading.Thread(target=receive, args=(client, "down received")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert digests["up sent"] == digests["up received"]
    assert digests["down sent"] == digests["down received"]


def test_devices_with_and_without_offload_understand_each_other(flat):
    """A device without segmentation offload splits what it is sent in software, and the other takes its plain packets.
    """
    lab = flat(2)
    lab.start_relay()
    lab.start_device("d1")
    lab.start_device("d2", "--no-offload")
    a, b = lab["d1"], lab["d2"]
    a.reaches(b.virtual_address())
    for here, there in ((a, b), (b, a)):
        listener = there.listen(there.virtual_address())
        client = here.connect(*listener.getsockname())
        server, _ = listener.accept()
        content = random.Random(3).randbytes(8 << 20)
        thread = threading.Thread(target=client.sendall, args=(content,))
        thread.start()
        received = bytearray()
        while len(received) < len(content) and (piece := server.recv(1 << 20)):
            received += piece
        thread.join()
        assert bytes(received) == content
        receiver = Receiver(there, there.virtual_address())
        sender = here.socket(socket.SOCK_DGRAM)
        sender.setsockopt(socket.SOL_UDP, UDP_SEGMENT, 1000)
        sender.sendto(b"".join(datagram(n, 1000) for n in range(1, 41)) + datagram(41, 9), receiver.address)
        until(lambda: receiver.count == 41, "41 datagrams arrive")
        receiver.finish()
        assert not receiver.broken


def test_broadcast_and_multicast_reach_every_peer(flat):
    """Discovery protocols work across the overlay: one packet from a TUN goes to all."""
    lab = flat(3)
    lab.start_all()
    source = lab["d1"]
    listeners = []
    for name in ("d2", "d3"):
        heard = lab[name].socket(socket.SOCK_DGRAM, timeout=5)
        heard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        heard.bind(("", 5353))
        interface = socket.inet_aton(lab[name].virtual_address())
        heard.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("224.0.0.251") + interface)
        listeners.append(heard)
    sender = source.socket(socket.SOCK_DGRAM)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(source.virtual_address()))
    for group in ("224.0.0.251", "10.0.0.255"):
        sender.sendto(group.encode(), (group, 5353))
        for heard in listeners:
            assert heard.recv(100) == group.encode()


def test_devices_of_a_large_network_find_each_other_by_need(flat):
    """The relay tells of nobody who was not asked for; traffic flows all the same, and mnedc-peers says what it knows.
    """
    lab = flat(3)
    config = lab.directory / "relay.yaml"
    config.write_text("relay:\n  peer-list: 0\n")
    lab.start_relay("--config", config)
    for node in lab.devices:
        lab.start_device(node)
    a, b, c = lab.devices
    a.reaches(b.virtual_address())
    assert a.ping(b.virtual_address(), count=5)[0] == 5
    a.reaches("10.0.0.1")
    until(lambda: set(b.peers()) == {"d1"}, "d2 knows whom it deals with")
    assert "The network is large" in c.mnedc("mnedc-peers").stdout
    assert set(lab.relay.peers()) == {"d1", "d2", "d3"}, "the relay knows all"
