"""A device's side of the wire protocol, for tests that need many devices or strange ones. No TUN, no packets.

It speaks what man/mnedc-protocol.7 states: frames of 12 bytes and a payload, control messages in JSON.
"""

import json
import secrets
import struct

HANDSHAKE, CONTROL, DATA, PING, PONG = 1, 2, 3, 5, 6


def frame(kind, payload=b"", address="0.0.0.0", flow=0):
    parts = bytes(int(part) for part in address.split("."))
    return struct.pack("!I4sHH", kind << 24 | len(payload), parts, flow, 0) + payload


class Session:
    """A connection to the relay, on a connected socket."""

    def __init__(self, connection):
        self.connection = connection
        self.welcome = None

    def send(self, kind, payload=b"", **options):
        self.connection.sendall(frame(kind, payload, **options))

    def tell(self, message, kind=CONTROL):
        self.send(kind, json.dumps(message).encode())

    def receive(self):
        """(type, address, payload) of the next frame; None when the relay has closed the connection."""
        header = self._exactly(12)
        if header is None:
            return None
        word, address, _, _ = struct.unpack("!I4sHH", header)
        payload = self._exactly(word & 0xFFFFFF)
        return word >> 24, ".".join(map(str, address)), payload

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            try:
                part = self.connection.recv(count - len(data))
            except ConnectionResetError:
                return None
            if not part:
                return None
            data += part
        return data

    def next_message(self, *types):
        """The next control message of one of these types; pings are answered meanwhile. None at the end."""
        while (received := self.receive()) is not None:
            kind, _, payload = received
            if kind == PING:
                self.send(PONG, payload)
            elif kind == CONTROL:
                message = json.loads(payload)
                if message["type"] in types:
                    return message
        return None

    def ask_to_join(self, device_id, address=None, required=None, instance=None):
        request = {
            "type": "join", "versions": [1], "device_id": device_id, "instance": instance or secrets.token_hex(8),
        }  # fmt: skip
        if address:
            request |= {"address": address, "address_required": bool(required)}
        self.tell(request, HANDSHAKE)

    def join(self, device_id, **options):
        """Asks to be let in, and returns the relay's answer: a welcome or a refusal."""
        self.ask_to_join(device_id, **options)
        answer = self.next_message("welcome", "refused")
        if answer and answer["type"] == "welcome":
            self.welcome = answer
        return answer

    @property
    def address(self):
        return self.welcome["address"]

    def leave(self):
        self.tell({"type": "leave"})
        self.connection.close()

    def close(self):
        self.connection.close()
