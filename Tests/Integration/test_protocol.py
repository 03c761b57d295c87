"""man/mnedc-protocol.7 is sufficient to take part, and the bytes on the wire reveal nothing to others.

The client of peer_client.py was written from the page alone. Here it meets the real programs as a correct member, as an
incorrect one, and as an unauthenticated connection at the relay's port.
"""

import collections
import contextlib
import json
import random
import re
import select
import socket
import struct
import threading
import time

import pytest

from lab import PORT, RELAY, until
from packets import ECHO_REPLY, ECHO_REQUEST, PARTIAL_CHECKSUM, UDP_SEGMENTS, echo, read_echo, udp, udp_super_packet
from peer_client import (
    CIPHERS, CONTROL, DATA, HANDSHAKE, INITIATION, PEER_HANDSHAKE, PING, PONG, RESPONSE, Client, Key, PeerSession,
    frame,
    from_text, header, hello, noise, peer_header, peer_prologue, read_invite, record, relay_prologue, to_text,
)  # fmt: skip
from test_admission import asked, ctl, invite, parts
from test_docs import literals, protocol_page, section_with_subsections
from test_traffic import UDP_SEGMENT


# --- The page's examples ---


def example_frames():
    """The bytes of every frame in EXAMPLES."""
    shown = literals(section_with_subsections(protocol_page(), "EXAMPLES"))
    return [bytes.fromhex(each) for each in shown if re.match(r"0[1-6] 00 00 .. (.. ){7}..\n", each)]


def seal(cipher_state, kind, payload):
    head = header(kind, len(payload) + 16)
    return head + cipher_state.encrypt_with_ad(head, payload)


@pytest.mark.no_lab
@pytest.mark.filterwarnings("ignore:One of ephemeral keypairs is already set")
def test_who_computes_the_pages_examples_gets_what_it_shows():
    """From the private keys, by somebody else's Noise; every byte of every frame."""
    relay, device, peer = (Key(bytes([byte]) * 32) for byte in (0x21, 0x11, 0x31))
    first = hello(relay.public)
    up = noise("XX", "chacha20-poly1305", relay_prologue(first), True, device, ephemeral=b"\x12" * 32)
    down = noise("XX", "chacha20-poly1305", relay_prologue(first), False, relay, ephemeral=b"\x22" * 32)
    join = b'{"type":"join","device_id":"hub","instance":"5f3c","ciphers":["aes-256-gcm"]}'
    welcome = (
        b'{"type":"welcome","address":"10.0.0.4","pool":"10.0.0.0/24","relay_address":"10.0.0.1","keepalive_ms":2000}'
    )
    hello_message = bytes(up.write_message())
    assert down.read_message(hello_message) == b""
    proof = bytes(down.write_message(b"\x01"))
    assert up.read_message(proof) == b"\x01"
    join_message = bytes(up.write_message(join))
    assert down.read_message(join_message) == join

    head = peer_header(INITIATION, "aes-256-gcm", 0x01020304)
    prologue = peer_prologue(head, ("10.0.0.4", "hub"), ("10.0.0.2", "d1"))
    here = noise("IK", "aes-256-gcm", prologue, True, device, peer.public, ephemeral=b"\x13" * 32)
    there = noise("IK", "aes-256-gcm", prologue, False, peer, ephemeral=b"\x32" * 32)
    initiation = bytes(here.write_message())
    assert there.read_message(initiation) == b""
    response = bytes(there.write_message(b"\x05\x06\x07\x08"))
    assert here.read_message(response) == b"\x05\x06\x07\x08"
    session = PeerSession(here, 0x01020304, 0x05060708)
    packet = bytes.fromhex("4500001e00004000401126ca0a0000040a0000029c400009000ae7216869")

    to_peer = "10.0.0.2"
    challenge = b"\x01" + bytes(7) + bytes(range(1, 9))
    assert example_frames() == [
        frame(HANDSHAKE, first + hello_message),
        frame(HANDSHAKE, proof),
        frame(HANDSHAKE, join_message),
        seal(down.noise_protocol.cipher_state_encrypt, CONTROL, welcome),
        seal(up.noise_protocol.cipher_state_encrypt, PING, bytes(range(1, 9))),
        frame(PEER_HANDSHAKE, head + initiation, to_peer),
        frame(PEER_HANDSHAKE, peer_header(RESPONSE, "aes-256-gcm", 0x01020304) + response, to_peer),
        frame(DATA, session.seal(record(packet)), to_peer, 0xDC01),
        frame(DATA, session.seal(), to_peer),
        frame(DATA, session.seal(challenge, kind=2, path=1), "10.0.0.4", 0xFFFF),
    ]


# --- A member that behaves ---


def stranger(lab, node="d2", **options):
    """The client on a node's network, in as `stranger`."""
    client = Client(lab[node].connect(RELAY, PORT), **options)
    answer = client.join("stranger")
    assert answer["type"] == "welcome", answer
    return client


def links(node):
    return node.status()["device"]["peer_links"]


def acquainted(node, peers, client=None):
    """Waits until the device has sessions with so many, a client among them. Returns the counts."""
    if client:
        address = node.virtual_address()
        client.wait(lambda: any(sender == address for sender, _ in client.messages), f"{node.name} asks what it is")
    until(lambda: links(node)["sessions"] == peers, f"{node.name} has met {peers} others")
    return links(node)


def test_a_stranger_takes_part(flat):
    """It is listed, sees who comes and goes, has its questions answered, and takes its leave."""
    lab = flat(2)
    lab.start_relay()
    lab.start_device("d1")
    client = stranger(lab)
    assert client.welcome["pool"] == "10.0.0.0/24" and client.welcome["relay_address"] == "10.0.0.1"
    assert client.peer("d1")["address"] == lab["d1"].virtual_address()
    until(lambda: "stranger" in lab["d1"].peers(), "d1 hears of it")
    assert lab["d1"].peers()["stranger"]["address"] == lab.relay.peers()["stranger"]["address"] == client.address

    device = lab.start_device("d2")
    address = client.peer("d2")["address"]
    assert address == lab["d2"].virtual_address()
    assert device.stop() == 0
    client.wait(lambda: address not in client.peers, "it hears that d2 has left")

    client.send(PING, b"are you there?")
    client.wait(lambda: client.pongs, "the relay answers")
    assert client.pongs == [b"are you there?"]
    client.tell({"type": "locate", "address": address})
    assert client.next_message("unreachable") == {"type": "unreachable", "address": address}
    client.tell({"type": "locate", "address": lab["d1"].virtual_address()})
    answer = client.next_message("peers")
    assert answer["since"] == answer["revision"] and [each["device_id"] for each in answer["joined"]] == ["d1"]
    client.tell({"type": "sync"})
    assert len(client.next_message("peers")["joined"]) >= 2
    client.live(2.5)
    assert lab["d1"].peers()["stranger"]["state"] == "online", "it answers the relay's pings"

    client.leave()
    until(lambda: "stranger" not in lab["d1"].peers(), "d1 loses it", 2)
    assert "stranger" not in lab.relay.peers()


def test_a_stranger_joins_with_an_invite(flat):
    """It knows from it which relay it is; and needs it once."""
    lab = flat(1)
    lab.start_relay(admission=None)
    relay_key, token, servers = read_invite(invite(lab))
    assert servers == [f"{RELAY}:{PORT}"]

    def join(device_id, key=None, **options):
        client = Client(lab["d1"].connect(RELAY, PORT), key, relay_key)
        answer = client.join(device_id, **options)
        return client, answer.get("code", answer["type"])

    assert join("stranger")[1] == "invite-needed"
    assert join("stranger", token=bytes(16))[1] == "invite-unknown"
    client, answer = join("stranger", token=token, address="10.0.0.40")
    assert (answer, client.address) == ("welcome", "10.0.0.40")
    assert join("another", token=token)[1] == "invite-used-up"
    again, answer = join("stranger", client.key)
    assert (answer, again.address) == ("welcome", "10.0.0.40"), "nobody answers at the older connection"
    assert client.next_message("refused")["code"] == "session-replaced"


@pytest.mark.parametrize("ciphers", [CIPHERS, CIPHERS[:1], CIPHERS[1:]], ids=["both", "AES", "ChaCha"])
def test_a_stranger_and_a_device_exchange_packets_in_sessions_that_either_begins(flat, ciphers):
    """An echo of the device's kernel that the client answers as responder; one of its own that the kernel answers."""
    lab = flat(2)
    lab.start_relay()
    lab.start_device("d1")
    node = lab["d1"]
    address = node.virtual_address()
    client = stranger(lab, ciphers=ciphers)
    before = acquainted(node, 2, client)
    ping = node.start("ping", "-n", "-c", 3, "-i", "0.2", "-W", 5, client.address)

    def answered():
        while client.packets:
            packet = client.packets.pop(0)
            kind, rest = read_echo(packet.content)
            assert (packet.sender, kind) == (address, ECHO_REQUEST)
            client.send_packets(address, echo(ECHO_REPLY, client.address, address, rest))
        return not ping.is_running

    client.wait(lambda: answered() or client.send(PING, b""), "ping ends")
    assert "3 received" in ping.output, ping.output
    assert links(node)["sessions"] == before["sessions"]

    for cipher in ciphers:
        client.begin(address, cipher)
        rest = b"1234by " + cipher.encode().ljust(21)
        client.send_packets(address, echo(ECHO_REQUEST, client.address, address, rest))
        client.wait(lambda: client.packets, "the kernel answers")
        packet = client.packets.pop()
        assert packet.sender == address and read_echo(packet.content) == (ECHO_REPLY, rest)
    after = links(node)
    assert [after[key] - before[key] for key in ("answers", "sessions", "forged")] == [len(ciphers), len(ciphers), 0]


@pytest.mark.parametrize("higher", [False, True], ids=["with the lower key", "with the higher key"])
def test_a_stranger_and_a_device_that_begin_at_once_come_to_one_session(flat, higher):
    """The initiation of the lower key counts, and the other end answers it."""
    lab = flat(2)
    lab.start_relay()
    lab.start_device("d1")
    node, address = lab["d1"], lab["d1"].virtual_address()
    before = acquainted(node, 1)
    theirs = parts(json.loads(node.mnedc("mnedc-ctl", "key", "--json").stdout)["key"])
    client = stranger(lab, key=next(key for key in iter(Key, None) if (key.public > theirs) == higher))
    client.peer("d1")
    until(lambda: "stranger" in node.peers(), "d1 hears of it")
    ping = node.start("ping", "-n", "-c", 1, "-W", 5, client.address)
    until(lambda: links(node)["initiations"] > before["initiations"], "d1 begins")
    client.begin(address)
    client.wait(lambda: client.packets, "the echo request comes")
    assert read_echo(client.packets[0].content)[0] == ECHO_REQUEST
    client.send_packets(address, echo(ECHO_REPLY, client.address, address, read_echo(client.packets[0].content)[1]))
    assert ping.wait() == 0
    after = links(node)
    assert [after[key] - before[key] for key in ("sessions", "answers")] == [1, 0 if higher else 1]


def test_a_stranger_and_a_device_leave_segmentation_to_each_other(flat):
    """Datagrams in one super-packet: the client's, which the device's kernel cuts, and the kernel's, as it comes."""
    lab = flat(2)
    lab.start_relay()
    lab.start_device("d1")
    client, address = stranger(lab), lab["d1"].virtual_address()
    client.peer("d1")
    until(lambda: "stranger" in lab["d1"].peers(), "d1 hears of it")
    kernel = lab["d1"].socket(socket.SOCK_DGRAM)
    kernel.bind((address, 7777))
    datagrams = [bytes([65 + number]) * 1000 for number in range(20)] + [b"the rest"]
    packet, offload = udp_super_packet(client.address, address, 7777, b"".join(datagrams), 1000)
    client.send(DATA, client.begin(address).seal(record(packet, offload)), address=address, flow=1)
    assert [kernel.recv(2000) for _ in datagrams] == datagrams

    kernel.setsockopt(socket.SOL_UDP, UDP_SEGMENT, 1000)
    kernel.sendto(b"".join(datagrams), (client.address, 9999))
    # In parts of whole datagrams, since d1 does not know yet that the client is fast.
    whole = b"".join(datagrams)
    client.wait(lambda: sum(len(came.content) - 28 for came in client.packets) == len(whole), "all of it comes")
    done = 0
    for came in client.packets:
        part = whole[done : done + len(came.content) - 28]
        done += len(part)
        flags, segmentation, _, size, start, offset = struct.unpack("<BBHHHH", came.offload)
        assert (flags, start, offset) == (PARTIAL_CHECKSUM, 20, 6)
        assert (segmentation, size) == ((UDP_SEGMENTS, 1000) if len(part) > 1000 else (0, 0))
        expected, _ = udp_super_packet(address, client.address, 9999, part, 1000)
        assert came.content[20:] == expected[20:], "ports, length, partial checksum and payload"
    assert any(len(came.content) > 1028 for came in client.packets)


def test_a_stranger_and_a_device_tell_each_other_what_they_are(flat):
    """Each asks the other; an echo is answered; what is no message changes nothing."""
    lab = flat(2)
    lab.start_relay()
    lab.start_device("d1")
    client, address = stranger(lab), lab["d1"].virtual_address()
    client.wait(lambda: (address, {"type": "ask"}) in client.messages, "d1 asks what it is")
    client.say(address, {"type": "ask"})

    def told():
        return next((told for _, told in client.messages if told["type"] == "orchestration"), None)

    information = client.wait(told, "d1 tells")
    assert information["device_id"] == "d1" and information["platform"].startswith("linux/")
    assert information["services"] == [] and information["labels"] == {} and information["revision"] >= 0
    for bad in (b"", b"{", b"\xff\xfe", b"[" * 16000, b"9" * 20000, b'{"type":"song"}'):
        client.say(address, bad)
    client.say(address, {"type": "ask", "have": information["revision"]})
    client.say(address, {"type": "echo", "number": 77})
    client.wait(lambda: (address, {"type": "unchanged"}) in client.messages, "d1 has nothing new")
    client.wait(lambda: (address, {"type": "echo-reply", "number": 77}) in client.messages, "d1 answers")
    assert lab["d1"].status()["device"]["joins"] == 1 and links(lab["d1"])["forged"] == 0


def test_a_stranger_takes_a_new_key(flat):
    """It offers it, comes back with it, and the former one is good for nothing then."""
    lab = flat(1)
    lab.start_relay()
    lab.start_device("d1")
    client, new = stranger(lab, "d1"), Key()
    client.tell({"type": "next-key", "key": to_text(client.key.public)})
    assert client.next_message("next-key-accepted", "next-key-refused")["code"] == "key-bound"
    client.tell({"type": "next-key", "key": to_text(new.public)})
    assert client.next_message("next-key-accepted", "next-key-refused")["key"] == to_text(new.public)
    again = Client(lab["d1"].connect(RELAY, PORT), new)
    again.join("stranger", instance=client.instance)
    assert again.address == client.address
    assert client.next_message("refused")["code"] == "session-replaced"
    assert again.begin_again(again.peer("d1")["address"])
    assert Client(lab["d1"].connect(RELAY, PORT), client.key).join("stranger")["code"] == "device-id-taken"


def test_a_stranger_learns_the_relays_new_key(flat):
    """When it is in, and when it comes later and expects the former one."""
    lab = flat(1)
    lab.start_relay()
    client = stranger(lab, "d1")
    former = client.relay_key
    ctl(lab, "rotate-key")
    key = client.next_message("relay-key")["key"]
    assert asked(lab, "key")["key"] == "mnedc-relay:" + key and from_text(key) != former
    later = Client(lab["d1"].connect(RELAY, PORT), relay_key=former)
    assert later.join("later")["type"] == "welcome"
    assert later.next_message("relay-key")["key"] == key
    new = Client(lab["d1"].connect(RELAY, PORT), relay_key=from_text(key))
    assert new.join("new")["type"] == "welcome"


# --- What is on the wire ---


class Recorder:
    """A place on the way to the relay where every byte is kept, and bytes can be changed."""

    def __init__(self, node, port):
        self.node, self.port = node, port
        self.up, self.down = bytearray(), bytearray()
        #: Called with what goes up, and returns what is to go up in its place.
        self.change = lambda data: data
        self._done = threading.Event()
        self._threads = []

    def __enter__(self):
        self._start(self._accept, self.node.listen(self.node.address, self.port))
        return self

    def __exit__(self, *_):
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _start(self, body, *arguments):
        self._threads.append(threading.Thread(target=body, args=arguments))
        self._threads[-1].start()

    def _accept(self, listener):
        listener.settimeout(0.1)
        while not self._done.is_set():
            try:
                here, _ = listener.accept()
            except TimeoutError:
                continue
            there = self.node.connect(RELAY, PORT)
            self._start(self._pass, here, there, self.up, lambda data: self.change(data))
            self._start(self._pass, there, here, self.down, lambda data: data)

    def _pass(self, source, target, kept, change):
        with contextlib.suppress(OSError):
            while not self._done.is_set():
                if select.select([source], [], [], 0.1)[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        break
                    kept += data
                    target.sendall(change(data))
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def kinds(recording):
    """{type: how many} of the frames of a connection's direction."""
    found, place = collections.Counter(), 0
    while place + 12 <= len(recording):
        word = int.from_bytes(recording[place : place + 4])
        found[word >> 24] += 1
        place += 12 + (word & 0xFFFFFF)
    return found


def test_who_records_everything_learns_neither_names_nor_secrets_nor_content(flat):
    """Every byte of a device's connection, from its first join with an invite on."""
    lab = flat(2)
    lab.start_relay(admission=None)
    marker = b"MNEDC-MARKER-123"
    names = "hidden-recorded-device", "hidden-other-device"
    here, there = lab["d1"], lab["d2"]
    with Recorder(lab.relay, 4444) as recorder:
        line = invite(lab, "--server", f"{RELAY}:4444")
        _, token, _ = read_invite(line)
        for node in (here, there):
            (lab.directory / f"{node.name}.yaml").write_text("join: {direct: off}\n")
        options = ("--config", lab.directory / "d1.yaml", "--device-id", names[0])
        device = here.start_mnedc("mnedc-join", line, *options)
        until(here.virtual_address, "the recorded device joins")
        other = invite(lab)
        there.start_mnedc("mnedc-join", other, "--config", lab.directory / "d2.yaml", "--device-id", names[1])
        until(lambda: names[1] in here.peers(), "the recorded device hears of the other")
        address = there.virtual_address()

        (lab.directory / "file").write_bytes(marker * 1000)
        there.serve(lab.directory, address)
        fetched = here.run("curl", "-sSf", "-H", f"X-Marker: {marker.decode()}", f"http://{address}:8000/file").stdout
        assert fetched == marker.decode() * 1000
        assert "2 received" in here.run("ping", "-n", "-c", 2, "-i", "0.1", "-p", marker.hex(), address).stdout
        keys = [json.loads(node.mnedc("mnedc-ctl", "key", "--json").stdout)["key"] for node in (here, there)]
        addresses = [here.virtual_address(), address]
        assert device.stop() == 0

    up, down = kinds(recorder.up), kinds(recorder.down)
    assert (up[HANDSHAKE], down[HANDSHAKE]) == (2, 1) and up[CONTROL] and down[CONTROL] >= 2
    assert up[PEER_HANDSHAKE] and down[PEER_HANDSHAKE] and up[DATA] >= 3 and down[DATA] >= 3
    assert len(recorder.down) > 1000 * len(marker)
    texts = [
        *names, *addresses, *keys, *(key.partition(":")[2] for key in keys), line, to_text(token), "HTTP/1", "GET ",
        '"type"', "device_id", "welcome", "instance", "ciphers", "leave", "10.0.0.",
    ]  # fmt: skip
    secrets = [marker, token, parts(line), *(parts(key) for key in keys), *map(str.encode, texts)]
    for secret in secrets:
        for recording in (recorder.up, recorder.down):
            assert secret not in recording, secret


def test_a_bit_that_is_changed_on_the_way_costs_the_connection_and_no_more(flat):
    """The relay cannot open a ping or pong; the device comes back with its address and its sessions with peers."""
    lab = flat(2)
    lab.start_relay()
    with Recorder(lab.relay, 4444) as recorder:
        lab.start_device("d1", server=f"{RELAY}:4444")
        lab.start_device("d2")
        here, there = lab["d1"], lab["d2"]
        address = here.virtual_address()
        here.reaches(there.virtual_address())
        acquainted(here, 2)

        def flip(data):
            if data[0] not in (PING, PONG):
                return data
            recorder.change = lambda data: data
            return data[:-1] + bytes([data[-1] ^ 1])

        recorder.change = flip
        until(lambda: here.status()["device"]["joins"] == 2, "d1 is back")
        assert here.virtual_address() == address
        here.reaches(there.virtual_address()), there.reaches(address)
        assert lab.relay.status()["relay"]["not_authentic"] == 1
        assert links(here)["sessions"] == 2


# --- A member that does not behave ---


class Victim:
    """A device, and a client in a session with it that does what it likes."""

    def __init__(self, lab):
        self.lab, self.node = lab, lab["d1"]
        self.address = self.node.virtual_address()
        self.client = stranger(lab)
        self.client.peer("d1")
        until(lambda: "stranger" in self.node.peers(), "d1 hears of the client")
        acquainted(self.node, 3, self.client)
        self.session = self.client.begin(self.address)
        self.sessions = 4
        self.socket = self.node.socket(socket.SOCK_DGRAM)
        self.socket.bind((self.address, 7777))

    def sealed(self, text, counter=None, source=None):
        """A frame's payload, with a datagram that the victim would hear."""
        packet = udp(source or self.client.address, self.address, 7777, text.encode())
        return self.session.seal(record(packet), counter)

    def send(self, *payloads):
        for payload in payloads:
            self.client.send(DATA, payload, address=self.address, flow=1)

    def hears(self):
        """What it has heard until now: frames of one flow stay in order."""
        self.send(self.sealed("that is all"))
        heard = []
        while (text := self.socket.recv(1000).decode()) != "that is all":
            heard.append(text)
        return heard

    def counts(self):
        device = self.node.status()["device"]
        return device["peer_links"] | {"misaddressed": device["packets"]["misaddressed"]}


@pytest.fixture
def victim(flat):
    """With another device whose pings to it are not to be lost meanwhile."""
    lab = flat(3)
    lab.start_relay()
    lab.start_device("d1"), lab.start_device("d3")
    lab["d3"].reaches(lab["d1"].virtual_address())
    found = Victim(lab)
    lost = lab["d3"].watch(found.address)
    yield found
    assert lost() == []
    device = found.node.status()["device"]
    assert device["joins"] == 1 and device["packets"]["malformed"] == 0


def test_a_frame_that_comes_again_is_dropped(victim):
    """Counted, and the session goes on."""
    once = victim.sealed("once")
    victim.send(once, once, once)
    assert victim.hears() == ["once"]
    victim.send(once)
    assert victim.hears() == []
    assert victim.counts()["replayed"] == 3 and victim.counts()["forged"] == 0


def test_frames_may_come_in_another_order_within_2048(victim):
    """What is older cannot be told from what has come before, and is dropped."""
    ahead = [victim.sealed(f"number {number}", number) for number in (9, 7, 8)]
    victim.send(*ahead, *ahead)
    assert victim.hears() == ["number 9", "number 7", "number 8"]
    assert victim.counts()["replayed"] == 3
    victim.send(*(victim.sealed(f"number {number}", number) for number in (6000, 3953, 3952, 5999, 0)))
    assert victim.hears() == ["number 6000", "number 3953", "number 5999"]
    assert victim.counts()["replayed"] == 5 and victim.counts()["forged"] == 0


def test_a_frame_that_was_cut_or_changed_is_dropped_and_the_right_one_taken(victim):
    """Any bit of it, any length of it; none of these uses the counter up."""
    right = victim.sealed("right")
    changed = [
        right[:place] + bytes([right[place] ^ 1 << place % 8]) + right[place + 1 :] for place in range(len(right))
    ]
    victim.send(*changed)
    assert victim.hears() == []
    counts = victim.counts()
    assert (counts["unknown_session"], counts["forged"], counts["replayed"]) == (4, len(right) - 4, 0)

    victim.send(*(right[:length] for length in range(len(right))), right + b"x")
    assert victim.hears() == []
    counts = victim.counts()
    assert counts["unknown_session"] + counts["forged"] == 2 * len(right) + 1
    victim.send(right)
    assert victim.hears() == ["right"]
    victim.client.wait(
        lambda: victim.counts()["sessions"] == victim.sessions + 1,
        "d1, which saw unknown sessions, has begun a new one",
    )


def test_a_packet_in_anothers_name_is_dropped(victim):
    """Of a member, of the relay's host, of somebody outside; well sealed, all of them."""
    sources = ("10.0.0.1", victim.lab["d3"].virtual_address(), victim.address, "10.0.0.99", "8.8.8.8", "127.0.0.1")
    victim.send(*(victim.sealed("forged", source=source) for source in sources))
    assert victim.hears() == []
    assert victim.counts()["misaddressed"] == len(sources) and victim.counts()["forged"] == 0


def test_a_recorded_initiation_does_not_move_a_session(victim):
    """The answer is for nobody, and both go on with the keys that they have."""
    client, head = victim.client, peer_header(INITIATION, "aes-256-gcm", 77)
    prologue = peer_prologue(head, (client.address, "stranger"), (victim.address, "d1"))
    end = noise("IK", "aes-256-gcm", prologue, True, client.key, from_text(client.peers[victim.address]["key"]))
    recorded = head + end.write_message()
    for _ in range(3):
        client.send(PEER_HANDSHAKE, recorded, address=victim.address)
        client.send_packets(victim.address, echo(ECHO_REQUEST, client.address, victim.address, b"1234"))
        client.wait(lambda: client.packets, "the kernel answers by the session that there is")
        assert client.packets.pop().sender == victim.address
    assert victim.counts()["sessions"] == victim.sessions


def test_more_initiations_than_a_device_answers_cost_nobody_else(victim):
    """20 in a row and 5 a second are answered; a new device gets its session meanwhile."""
    client = victim.client
    remote = from_text(client.peers[victim.address]["key"])
    for number in range(300):
        head = peer_header(INITIATION, "aes-256-gcm", number)
        prologue = peer_prologue(head, (client.address, "stranger"), (victim.address, "d1"))
        end = noise("IK", "aes-256-gcm", prologue, True, client.key, remote)
        client.send(PEER_HANDSHAKE, head + end.write_message(), address=victim.address)
    victim.lab.start_device("d2")
    victim.lab["d2"].reaches(victim.address)
    assert victim.hears() == []
    counts = victim.counts()
    assert counts["limited"] >= 200 and counts["answers"] + counts["limited"] >= 301


# --- A stranger at the port ---


@pytest.fixture
def others(flat):
    """Two devices that ping each other without loss, and a third host to knock from."""
    lab = flat(3)
    lab.start_relay()
    lab.start_device("d1"), lab.start_device("d2")
    lab["d1"].reaches(lab["d2"].virtual_address())
    lost = lab["d1"].watch(lab["d2"].virtual_address())
    yield lab
    assert lost() == []
    assert [lab[name].status()["device"]["joins"] for name in ("d1", "d2")] == [1, 1]


def begun(lab):
    """A connection that has got as far as the relay's proof."""
    client = Client(lab["d3"].connect(RELAY, PORT))
    assert client.shake_hands() is None
    return client


def last_word(client):
    """The code in the clear with which the relay has closed the connection."""
    message = client.next_message("refused")
    assert client.receive() is None
    return message["code"]


def test_garbage_in_the_place_of_a_handshake_is_refused_in_the_clear(others):
    """And counted by what it was: what makes no sense, and what nobody has sealed."""
    dice = random.Random(5)
    first = Client(others["d3"].connect(RELAY, PORT))
    first.connection.sendall(bytes([HANDSHAKE, 0, 0x20, 1]) + bytes(8))
    assert last_word(first) == "protocol-error", "8193 bytes are too many as soon as they are announced"
    for garbage in (
        bytes([HANDSHAKE, 0, 0x20, 1]) + bytes(8), frame(DATA, b"x" * 64), frame(PING, b"12345678"), bytes(12),
        frame(CONTROL, b'{"type":"leave"}'), frame(HANDSHAKE, b"")[:-1] + b"x",
    ):  # fmt: skip
        client = begun(others)
        client.connection.sendall(garbage)
        assert last_word(client) == "protocol-error", garbage
    malformed = others.relay.status()["relay"]["malformed"]
    assert malformed == 7
    for garbage in (b"", b"x", dice.randbytes(64), dice.randbytes(500), dice.randbytes(8192)):
        client = begun(others)
        client.connection.sendall(frame(HANDSHAKE, garbage))
        assert last_word(client) == "protocol-error", garbage
    counted = others.relay.status()["relay"]
    assert counted["malformed"] + counted["not_authentic"] == 12 and counted["not_authentic"] >= 3


def test_a_handshake_that_dribbles_is_ended_after_ten_seconds(others):
    """Whether it is the first message or the last that does not come; bytes buy no time."""
    lab = others
    message = frame(HANDSHAKE, hello() + b"e" * 32)
    slow = [Client(lab["d3"].connect(RELAY, PORT)), begun(lab)]
    began = time.monotonic()
    for number in range(40):
        for client in slow:
            client.connection.sendall(message[number : number + 1])
        time.sleep(0.2)
    assert lab.relay.status()["relay"]["joining"] == 2
    assert [last_word(client) for client in slow] == ["silent", "silent"]
    assert 9 < time.monotonic() - began < 15


def test_300_handshakes_that_are_not_finished_hold_nobody_up(others):
    """A third of each kind: without a byte, within the first message, and before the last."""
    lab = others
    half_open = []
    for _ in range(100):
        half_open.append(lab["d3"].connect(RELAY, PORT))
        half_open.append(lab["d3"].connect(RELAY, PORT))
        half_open[-1].sendall(frame(HANDSHAKE, hello() + b"e" * 32)[:30])
        half_open.append(begun(lab))
    assert lab.relay.status()["relay"]["joining"] == 300
    began = time.monotonic()
    lab.start_device("d3")
    assert time.monotonic() - began < 2
    lab["d3"].reaches(lab["d1"].virtual_address())
    assert lab.relay.status()["relay"]["joining"] == 300
