"""IPv4 packets as bytes, for tests that exchange packets with a device without a kernel."""

import socket
import struct

ICMP, UDP = 1, 17
ECHO_REPLY, ECHO_REQUEST = 0, 8
PARTIAL_CHECKSUM = 1
UDP_SEGMENTS = 5


def checksum(data):
    """The Internet checksum of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ipv4(protocol, source, destination, payload):
    ends = socket.inet_aton(source) + socket.inet_aton(destination)
    head = struct.pack("!BBHIBBH", 0x45, 0, 20 + len(payload), 0, 64, protocol, 0) + ends
    return head[:10] + checksum(head).to_bytes(2) + head[12:] + payload


def udp(source, destination, port, payload, from_port=7777):
    """Without a checksum, which UDP over IPv4 allows."""
    return ipv4(UDP, source, destination, struct.pack("!HHHH", from_port, port, 8 + len(payload), 0) + payload)


def udp_super_packet(source, destination, port, payload, segment_size, from_port=7777):
    """(packet, offload header) of datagrams of `segment_size` bytes in one, whose checksums the receiver is to make."""
    packet = udp(source, destination, port, payload, from_port)
    pseudo_header = packet[12:20] + struct.pack("!HH", UDP, len(packet) - 20)
    packet = packet[:26] + (checksum(pseudo_header) ^ 0xFFFF).to_bytes(2) + packet[28:]
    return packet, struct.pack("<BBHHHH", PARTIAL_CHECKSUM, UDP_SEGMENTS, 28, segment_size, 20, 6)


def echo(kind, source, destination, rest):
    """An ICMP echo; `rest` is identifier, sequence number and data, of an even length."""
    return ipv4(ICMP, source, destination, struct.pack("!BBH", kind, 0, checksum(bytes([kind, 0]) + rest)) + rest)


def read_echo(packet):
    """(kind, rest) of an ICMP packet, or None."""
    return (packet[20], packet[24:]) if packet[9] == ICMP else None
