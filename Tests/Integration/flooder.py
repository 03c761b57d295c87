"""Members and unauthenticated connections that send one kind of frame as fast as possible.

    flooder.py RELAY:PORT KIND COUNT [ADDRESS...]

Runs as a program of its own in the network of a node. COUNT connections, each a device of its own, send frames of this
kind. When the relay closes one, it is made again, and standard output gets the reason once. ADDRESS are those of other
devices, for kinds of frames that have a receiver.
"""

import hashlib
import itertools
import json
import select
import socket
import sys
import time

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from peer_client import (
    CONTROL, DATA, HANDSHAKE, PEER_HANDSHAKE, PING, PONG, SEALED, TAG, Client, Key, frame, header, hello, to_text,
)  # fmt: skip

KEY = to_text(Key().public)


def message(**members):
    return [(CONTROL, json.dumps(members).encode(), "0.0.0.0")]


def kinds(addresses):
    """{name: the frames that are sent over and over} of a member."""
    one, two = (list(addresses) + ["10.0.0.250", "10.0.0.251"])[:2]
    return {
        "ping": [(PING, b"x" * 8, "0.0.0.0")],
        "pong": [(PONG, b"x" * 8, "0.0.0.0")],
        "unknown message": message(type="song"),
        "long unknown message": message(type="song", text="x" * 100_000),
        "many members": message(type="song", **{f"m{number}": number for number in range(9000)}),
        "next-key": message(type="next-key", key=KEY),
        "locate an address": message(type="locate", address=one),
        "locate nobody": message(type="locate", address="10.0.0.252"),
        "locate a label": message(type="locate", label="no-such-device"),
        "sync": message(type="sync"),
        "leave": message(type="leave"),
        "decline": message(type="decline"),
        "drain": message(type="drain"),
        "join": message(type="join", device_id="x", instance="y", ciphers=[]),
        "network": message(type="network"),
        "welcome": message(type="welcome"),
        "pending": message(type="pending"),
        "refused": message(type="refused", code="other", text=""),
        "peers": message(type="peers", revision=1, joined=[], left=[]),
        "unreachable": message(type="unreachable", address=one),
        "relay-key": message(type="relay-key", key=KEY),
        "next-key-accepted": message(type="next-key-accepted", key=KEY),
        "next-key-refused": message(type="next-key-refused", code="busy", text=""),
        "no JSON": [(CONTROL, b"\xff" * 40, "0.0.0.0")],
        "data for nobody": [(DATA, b"", "10.0.0.252")],
        "data for two in turn": [(DATA, bytes(40), one), (DATA, bytes(40), two)],
        "peer-handshake": [(PEER_HANDSHAKE, bytes([1, 1, 0, 0]) + bytes(100), one)],
        "peer-handshake for nobody": [(PEER_HANDSHAKE, bytes(108), "10.0.0.252")],
        "unknown frame": [(9, b"", "0.0.0.0")],
    }


#: What strangers send: before they are in, or while an operator has to decide.
STRANGERS = ("handshake", "ping while pending")


class Flood:
    """One connection, and what is sent on it."""

    def __init__(self, relay, kind, number, frames):
        self.kind, self.number, self.frames = kind, number, frames
        # A member is the same in every flood, or the pool would be full.
        self.name = f"stranger-{number}" if kind in STRANGERS else f"member-{number}"
        self.key = Key(None if kind in STRANGERS else hashlib.sha256(self.name.encode()).digest())
        self.connection = socket.create_connection(relay, timeout=10)
        self.client = Client(self.connection, self.key)
        self.pending = b""
        self.cipher, self.counter = None, 0
        if self.kind == "handshake":
            self.batch = frame(HANDSHAKE, hello() + self.key.public)
        else:
            self.client.ask_to_join(self.name)
            answer = self.client.next_message("welcome", "pending", "refused")
            if answer["type"] == "refused":
                raise ConnectionError(answer["code"])
            self.cipher, self.counter = ChaCha20Poly1305(bytes(self.client._sealing.k)), self.client._sealing.n
        self.connection.settimeout(None)

    def more(self):
        """Frames for a while, sealed if they are to be."""
        if self.cipher is None:
            return self.batch
        parts = []
        for kind, payload, address in itertools.islice(
            itertools.cycle(self.frames), 300 if len(self.frames[0][1]) < 1000 else 10
        ):
            if kind not in SEALED:
                parts.append(frame(kind, payload, address))
                continue
            head = header(kind, len(payload) + TAG)
            parts.append(head + self.cipher.encrypt(bytes(4) + self.counter.to_bytes(8, "little"), payload, head))
            self.counter += 1
        return b"".join(parts)

    def send(self):
        self.pending = self.pending or self.more()
        self.pending = self.pending[self.connection.send(self.pending, socket.MSG_DONTWAIT) :]

    def read(self):
        """Discards what the relay sends, except its last message."""
        if self.cipher is None:
            if not self.connection.recv(1 << 16):
                raise ConnectionError("closed")
            raise ConnectionError("answered")  # the handshake; another connection begins one more
        received = self.client.receive()
        if received is None:
            raise ConnectionError("closed")
        if received.kind == CONTROL and b'"refused"' in received.payload:
            raise ConnectionError(json.loads(received.payload).get("code"))


def begin(relay, kind, number, frames):
    """A flood that has begun; the relay may still be dealing with an earlier one."""
    while True:
        try:
            return Flood(relay, kind, number, frames)
        except (OSError, ConnectionError):
            time.sleep(0.01)


def main(relay, kind, count, *addresses):
    host, _, port = relay.partition(":")
    frames = kinds(addresses).get(kind, [(PING, b"x" * 8, "0.0.0.0")])
    floods = [begin((host, int(port)), kind, number, frames) for number in range(int(count))]
    floods = {flood.connection: flood for flood in floods}
    print("begun", flush=True)
    said = set()
    while True:
        readable, writable, _ = select.select(list(floods), list(floods), [])
        for connection in dict.fromkeys(readable + writable):
            flood = floods[connection]
            try:
                if connection in readable:
                    flood.read()
                if connection in writable:
                    flood.send()
            except (OSError, ConnectionError) as error:
                if str(error) not in said:
                    print(error, flush=True)
                    said.add(str(error))
                del floods[connection]
                connection.close()
                flood = begin((host, int(port)), kind, flood.number, frames)
                floods[flood.connection] = flood


if __name__ == "__main__":
    main(*sys.argv[1:])
