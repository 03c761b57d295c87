"""A device's side of the protocol, for tests that need many or unusual devices. It has no TUN: packets are bytes.

It was written from man/mnedc-protocol.7 alone, with another implementation of Noise (noiseprotocol on PyPI), so it
shows that the page is sufficient. While it waits, it answers pings and initiations and keeps its table of peers; it
does nothing on its own. A frame that does not open raises an exception.
"""

import base64
import contextlib
import hashlib
import json
import secrets
import socket
import struct
import time
import zlib
from typing import NamedTuple

import pytest

_noise = pytest.importorskip("noise.connection", reason="needs noiseprotocol; Tests/requirements.sh check")
_x25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.x25519")

HANDSHAKE, CONTROL, DATA, PEER_HANDSHAKE, PING, PONG = range(1, 7)
#: What the two ends of the connection seal.
SEALED = (CONTROL, PING, PONG)
TAG = 16
INITIATION, RESPONSE = 1, 2
#: The kind of sealed frame that is no packets.
MESSAGE = 1
PATH = 2
CIPHERS = ("aes-256-gcm", "chacha20-poly1305")
_NOISE_NAMES = {"aes-256-gcm": "AESGCM", "chacha20-poly1305": "ChaChaPoly"}


# --- Bytes and texts ---


def header(kind, length, address="0.0.0.0", flow=0):
    return struct.pack("!I4sHH", kind << 24 | length, socket.inet_aton(address), flow, 0)


def frame(kind, payload=b"", address="0.0.0.0", flow=0):
    """A frame as it is on the wire, whatever its payload is."""
    return header(kind, len(payload), address, flow) + payload


class Packet(NamedTuple):
    """A packet that came from another device."""

    sender: str
    content: bytes
    offload: bytes


class Frame(NamedTuple):
    """A frame that came."""

    kind: int
    address: str
    flow: int
    payload: bytes


def to_text(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def from_text(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def hello(relay_key=None, oldest=1, newest=1):
    """The beginning of the first message of a device that expects this key of the relay, or none."""
    hint = hashlib.sha256(relay_key).digest()[:8] if relay_key else bytes(8)
    return struct.pack("!BBH8s", oldest, newest, 0, hint)


def read_invite(line):
    """(the relay's key, the token, [host:port]) of an invite."""
    prefix, _, text = line.partition(":")
    content = from_text(text)
    assert prefix == "mnedc-invite" and content[0] == 1
    assert zlib.crc32(content[:-4]) == int.from_bytes(content[-4:])
    servers, rest = [], content[50:-4]
    for _ in range(content[49]):
        servers.append(rest[1 : 1 + rest[0]].decode())
        rest = rest[1 + rest[0] :]
    return content[1:33], content[33:49], servers


def record(packet, offload=bytes(10)):
    """A packet record; without more, of a packet that is complete."""
    return struct.pack("!I", len(offload) + len(packet)) + offload + packet


def read_records(content):
    """(packet, offload header) of each record in a frame's content."""
    found = []
    while content:
        (length,) = struct.unpack_from("!I", content)
        found.append((content[14 : 4 + length], content[4:14]))
        content = content[4 + length :]
    return found


# --- Keys and handshakes ---


class Key:
    """A device's key pair."""

    def __init__(self, private=None):
        self.private = private or secrets.token_bytes(32)
        self.public = _x25519.X25519PrivateKey.from_private_bytes(self.private).public_key().public_bytes_raw()


def noise(pattern, cipher, prologue, initiates, key, remote=None, ephemeral=None):
    """One end of a Noise handshake that has begun. Without `ephemeral`, that key is random."""
    end = _noise.NoiseConnection.from_name(f"Noise_{pattern}_25519_{_NOISE_NAMES[cipher]}_SHA256".encode())
    end.set_prologue(prologue)
    end.set_keypair_from_private_bytes(_noise.Keypair.STATIC, key.private)
    if remote:
        end.set_keypair_from_public_bytes(_noise.Keypair.REMOTE_STATIC, remote)
    if ephemeral:
        end.set_keypair_from_private_bytes(_noise.Keypair.EPHEMERAL, ephemeral)
    end.set_as_initiator() if initiates else end.set_as_responder()
    end.start_handshake()
    return end


def relay_prologue(hello):
    return b"MNEDC relay" + hello


def peer_header(step, cipher, session):
    return struct.pack("!BBHI", step, CIPHERS.index(cipher) + 1, 0, session)


def peer_prologue(initiation_header, initiator, responder):
    """Each of the two is (address, device ID)."""
    prologue = b"MNEDC peer" + initiation_header
    for address, device_id in (initiator, responder):
        prologue += socket.inet_aton(address) + bytes([len(device_id)]) + device_id.encode()
    return prologue


class PeerSession:
    """A session of two devices: its keys, and its number at each end."""

    def __init__(self, noise, ours, theirs):
        self.sealing = noise.noise_protocol.cipher_state_encrypt
        self.opening = noise.noise_protocol.cipher_state_decrypt
        self.ours, self.theirs = ours, theirs
        #: {path: the counter of the next frame}
        self.counters = {}

    def seal(self, content=b"", counter=None, kind=0, path=0):
        """Seals a data frame's payload with this counter; without one, with the next after the path's highest used."""
        counter = self.counters.get(path, 0) if counter is None else counter
        self.counters[path] = max(self.counters.get(path, 0), counter + 1)
        head = struct.pack("!IIQ", self.theirs, kind << 24 | path, counter)
        return head + self.sealing.cipher.cipher.encrypt(_nonce(self.sealing, head), content, head)

    def open(self, payload):
        head = payload[:16]
        return self.opening.cipher.cipher.decrypt(_nonce(self.opening, head), payload[16:], head)


def _nonce(state, head):
    """The path of a sealed frame's header in four bytes, and its counter as the cipher has it."""
    return b"\0" + head[5:8] + state.cipher.format_nonce(int.from_bytes(head[8:]))[4:]


# --- The device ---


class Client:
    """A device on a socket that is connected to a relay."""

    def __init__(self, connection, key=None, relay_key=None, ciphers=CIPHERS):
        self.connection = connection
        self.key = key or Key()
        #: The relay's key: the one that it must have, if one was given, and the one that it has, once that is known.
        self.relay_key = relay_key
        self.ciphers = ciphers
        self.device_id = self.instance = None
        self.welcome = None
        #: {address: what the relay tells of the device there}
        self.peers = {}
        #: What it tells of itself.
        self.orchestration = {"revision": 1, "platform": "other/riscv64", "services": [], "labels": {}}
        #: [(sender's address, message)], of peers.
        self.messages = []
        #: {address: the session to seal with}
        self.sessions = {}
        #: Every Packet that has come from other devices.
        self.packets = []
        #: The payloads of all pongs.
        self.pongs = []
        self._received = bytearray()
        self._handshake = self._sealing = self._opening = None
        self._revision = self._begun = None
        #: {(address, our number): (age, session)}, of all sessions.
        self._known = {}
        #: {address: (our number, cipher, handshake)}
        self._initiations = {}

    # Frames

    def send(self, kind, payload=b"", address="0.0.0.0", flow=0):
        """Sends a frame; seals it if its type is sealed and the handshake is complete."""
        self.connection.sendall(self.sealed(kind, payload, address, flow))

    def sealed(self, kind, payload=b"", address="0.0.0.0", flow=0):
        """The bytes of the next frame, for a test that changes them before it sends them."""
        if kind in SEALED and self._sealing:
            head = header(kind, len(payload) + TAG, address, flow)
            return head + self._sealing.encrypt_with_ad(head, bytes(payload))
        return frame(kind, bytes(payload), address, flow)

    def tell(self, message):
        self.send(CONTROL, json.dumps(message).encode())

    def receive(self):
        """The next frame, opened; None when the relay has closed the connection."""
        if not self._have(12):
            return None
        head = bytes(self._received[:12])
        word, address, flow, _ = struct.unpack("!I4sHH", head)
        kind, length = word >> 24, word & 0xFFFFFF
        if not self._have(12 + length):
            return None
        payload = bytes(self._received[12 : 12 + length])
        del self._received[: 12 + length]
        if kind in SEALED and self._opening:
            payload = self._opening.decrypt_with_ad(head, payload)
        return Frame(kind, socket.inet_ntoa(address), flow, payload)

    def _have(self, count):
        """Reads until there are so many bytes; keeps what has come if the time is over before."""
        while len(self._received) < count:
            try:
                part = self.connection.recv(1 << 16)
            except ConnectionResetError:
                return False
            if not part:
                return False
            self._received += part
        return True

    def step(self):
        """Receives a frame, answers it if that is due, and returns it; None at the end of the connection."""
        received = self.receive()
        if received is None:
            return None
        if received.kind == PING:
            # The relay may have closed the connection behind its last word, which is still to be read.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.send(PONG, received.payload)
        elif received.kind == PONG:
            self.pongs.append(received.payload)
        elif received.kind == CONTROL:
            message = json.loads(received.payload)
            if message["type"] == "welcome":
                self.welcome = message
            elif message["type"] == "peers":
                self._take_peers(message)
        try:
            if received.kind == PEER_HANDSHAKE:
                self._take_peer_handshake(received)
            elif received.kind == DATA:
                self._take_data(received)
        except BrokenPipeError:
            pass  # The relay has closed the connection, which is not the end of what has come.
        return received

    def wait(self, condition, what, timeout=10.0):
        """Handles frames until `condition` returns something true, and returns that."""
        deadline = time.monotonic() + timeout
        usual = self.connection.gettimeout()
        try:
            while not (value := condition()):
                self.connection.settimeout(max(deadline - time.monotonic(), 0.001))
                if self.step() is None:
                    raise ConnectionError(f"the relay has closed the connection; waited until {what}")
            return value
        except TimeoutError:
            raise TimeoutError(f"waited {timeout:g} s in vain until {what}") from None
        finally:
            self.connection.settimeout(usual)

    def live(self, seconds):
        """Handles frames for a while, as an idle device does."""
        end = time.monotonic() + seconds
        try:
            self.wait(lambda: time.monotonic() >= end, "the time is over", seconds)
        except TimeoutError:
            pass

    def next_message(self, *types):
        """The next control message of one of these types; None at the end."""
        while (received := self.step()) is not None:
            if received.kind == CONTROL:
                message = json.loads(received.payload)
                if message["type"] in types:
                    return message
        return None

    # Joining

    def shake_hands(self, hello_bytes=None):
        """Exchanges the handshake's first two messages; returns None, or the relay's unencrypted refusal."""
        first = hello_bytes or hello(self.relay_key)
        self._handshake = noise("XX", "chacha20-poly1305", relay_prologue(first), True, self.key)
        self.send(HANDSHAKE, first + self._handshake.write_message())
        answer = self.receive()
        assert answer is not None, "the relay has closed the connection without an answer"
        if answer.kind == CONTROL:
            return json.loads(answer.payload)
        assert answer.kind == HANDSHAKE
        assert self._handshake.read_message(answer.payload)[0] == 1, "the relay has chosen version 1"
        found = self._handshake.noise_protocol.handshake_state.rs.public_bytes
        assert self.relay_key in (None, found), "the relay has another key"
        self.relay_key = found
        return None

    def ask_to_join(self, device_id, address=None, required=None, instance=None, token=None):
        """Completes the handshake, with the join in it; returns None, or the relay's unencrypted refusal."""
        self.device_id, self.instance = device_id, instance or secrets.token_hex(8)
        request = {
            "type": "join", "device_id": device_id, "instance": self.instance, "ciphers": list(self.ciphers),
        }  # fmt: skip
        if address:
            request |= {"address": address, "address_required": bool(required)}
        if token:
            request["token"] = to_text(token)
        if refusal := self.shake_hands():
            return refusal
        self.send(HANDSHAKE, self._handshake.write_message(json.dumps(request).encode()))
        self._sealing = self._handshake.noise_protocol.cipher_state_encrypt
        self._opening = self._handshake.noise_protocol.cipher_state_decrypt
        return None

    def join(self, device_id, **options):
        """Joins, and returns the relay's answer: a welcome or a refusal."""
        return self.ask_to_join(device_id, **options) or self.next_message("welcome", "refused")

    @property
    def address(self):
        return self.welcome["address"]

    def leave(self):
        self.tell({"type": "leave"})
        self.connection.close()

    def close(self):
        self.connection.close()

    # Peers

    def _take_peers(self, message):
        since = message.get("since")
        if since is None:
            self._begun = {}
        elif self._revision is None or since > self._revision:
            self.tell({"type": "sync"})
            return
        elif message["revision"] < self._revision:
            return
        self._revision = message["revision"]
        table = self.peers if self._begun is None else self._begun
        for address in message["left"]:
            table.pop(address, None)
        for peer in message["joined"]:
            if peer["address"] != self.address:
                table[peer["address"]] = peer
        if self._begun is not None and not message.get("more"):
            self.peers, self._begun = self._begun, None

    def peer(self, device_id):
        """Waits until the relay announces the device, and returns what it says."""
        return self.wait(
            lambda: next((each for each in self.peers.values() if each["device_id"] == device_id), None),
            f"the relay tells of {device_id}",
        )

    # Sessions with peers

    def begin(self, address, cipher=None, timeout=10.0):
        """Initiates a session with the peer there, and returns it once it may be used."""
        peer, former = self.peers[address], self.sessions.get(address)
        shared = [each for each in CIPHERS if each in self.ciphers and each in peer["ciphers"]]
        cipher = cipher or shared[0]
        number = secrets.randbits(32)
        head = peer_header(INITIATION, cipher, number)
        prologue = peer_prologue(head, (self.address, self.device_id), (address, peer["device_id"]))
        end = noise("IK", cipher, prologue, True, self.key, from_text(peer["key"]))
        self._initiations[address] = number, cipher, end
        self.send(PEER_HANDSHAKE, head + end.write_message(), address=address)
        self.wait(lambda: self.sessions.get(address) is not former, f"{address} responds", timeout)
        return self.sessions[address]

    def begin_again(self, address, attempts=20):
        """As `begin`, and repeats it as a device does, since the peer may not know this device yet."""
        for _ in range(attempts - 1):
            try:
                return self.begin(address, timeout=1.0)
            except TimeoutError:
                pass
        return self.begin(address, timeout=1.0)

    def send_packets(self, address, *packets, flow=1):
        """Sends packets in one frame of the present session, or of a new one if there is none."""
        session = self.sessions.get(address) or self.begin(address)
        self.send(DATA, session.seal(b"".join(map(record, packets))), address=address, flow=flow)

    def _take_peer_handshake(self, received):
        step, cipher, _, number = struct.unpack_from("!BBHI", received.payload)
        if step == INITIATION:
            self._respond(received.address, CIPHERS[cipher - 1], number, received.payload)
        else:
            self._finish(received.address, CIPHERS[cipher - 1], number, received.payload)

    def _respond(self, address, cipher, number, payload):
        peer = self.peers.get(address)
        if peer is None:
            return
        if address in self._initiations and self.key.public < from_text(peer["key"]):
            return  # Both have begun, and ours is the one that counts.
        self._initiations.pop(address, None)
        prologue = peer_prologue(payload[:8], (address, peer["device_id"]), (self.address, self.device_id))
        end = noise("IK", cipher, prologue, False, self.key)
        end.read_message(payload[8:])
        if end.noise_protocol.handshake_state.rs.public_bytes != from_text(peer["key"]):
            return
        ours = secrets.randbits(32)
        answer = peer_header(RESPONSE, cipher, number) + end.write_message(ours.to_bytes(4))
        self.send(PEER_HANDSHAKE, answer, address=address)
        # It is not used before the initiator has shown that it is no recording.
        self._remember(address, PeerSession(end, ours, number))

    def _finish(self, address, cipher, number, payload):
        ours, begun_with, end = self._initiations.get(address, (None, None, None))
        if (number, cipher) != (ours, begun_with):
            return
        theirs = int.from_bytes(end.read_message(payload[8:])[:4])
        del self._initiations[address]
        self.sessions[address] = self._remember(address, PeerSession(end, ours, theirs))
        self.send(DATA, self.sessions[address].seal(), address=address)

    def _remember(self, address, session):
        self._known[address, session.ours] = len(self._known), session
        return session

    def _take_data(self, received):
        number = int.from_bytes(received.payload[:4])
        if (received.address, number) not in self._known:
            return
        age, session = self._known[received.address, number]
        content = session.open(received.payload)
        kind = received.payload[4]
        current = self.sessions.get(received.address)
        if current is None or age > self._known[received.address, current.ours][0]:
            self.sessions[received.address] = session
        if kind == MESSAGE:
            self._take_message(received.address, json.loads(content))
        elif kind != PATH:
            self.packets += [Packet(received.address, *each) for each in read_records(content)]

    # Messages of peers

    def say(self, address, message):
        """Sends a message: a dictionary, or any bytes."""
        content = message if isinstance(message, bytes) else json.dumps(message).encode()
        session = self.sessions.get(address) or self.begin(address)
        self.send(DATA, session.seal(content, kind=MESSAGE), address=address, flow=0xFFFF)

    def _take_message(self, address, message):
        self.messages.append((address, message))
        if message["type"] == "echo":
            self.say(address, {"type": "echo-reply", "number": message["number"]})
        elif message["type"] == "ask":
            own = self.orchestration | {"device_id": self.device_id}
            known = message.get("have") == own["revision"]
            self.say(address, {"type": "unchanged"} if known else own | {"type": "orchestration"})
