"""IPv6 in the network: every lease has an address in the network's /96."""

import errno
import hashlib
import ipaddress
import os
import socket
import sys
import time

import pytest
from lab import Failure, iperf3, until

_SERVER = """
import socketserver, sys, socket
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while self.rfile.readline().strip():
            pass
        data = open(sys.argv[2], "rb").read()
        self.wfile.write(b"HTTP/1.0 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(data) + data)
class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
Server((sys.argv[1], 8000), Handler).serve_forever()
"""


def address6(node):
    """The IPv6 address that the daemon here says it has."""
    return node.status()["device"].get("address6")


def configured6(node):
    """The IPv6 addresses of the interface, as `ip` lists them."""
    lines = node.run("ip", "-o", "-6", "address", "show", "dev", "mnedc0").stdout.splitlines()
    return [line.split()[3] for line in lines]


def disable_ipv6(node):
    node.run("sh", "-c", "for i in all default; do echo 1 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; done")


def warnings(program, text):
    return [line for line in program.log.splitlines() if text in line]


def test_every_device_reaches_every_other_by_ipv6_across_nats(nat):
    """Small packets, packets as large as the MTU, and such as have to be fragmented; the relay's host is one of them.
    """
    nat.start_all()
    nodes = [nat.relay, *nat.devices]
    for node in nodes:
        for other in nodes:
            if node is not other:
                node.reaches(address6(other))
                for size in (1400 - 48, 5000):
                    assert node.ping(address6(other), size=size, wait=5)[0] == 1, (node.name, other.name, size)


def test_the_address_goes_with_the_lease_and_the_reports_say_it(flat):
    """The last 32 bits are the IPv4 address; `status` and `mnedc-peers` agree with the interface."""
    lab = flat(2)
    lab.start_all()
    own = {name: address6(lab[name]) for name in ("relay", "d1", "d2")}
    network = ipaddress.ip_network(own["d1"] + "/96", strict=False)
    assert network.network_address in ipaddress.ip_network("fd00::/8")
    for name, address in own.items():
        node = lab[name]
        assert configured6(node) == [f"{address}/96"]
        lease = ipaddress.ip_address(node.virtual_address())
        assert ipaddress.ip_address(address) == network.network_address + int(lease)
        assert f"{lease}, {address} (mnedc0)" in node.mnedc("mnedc-ctl", "status").stdout
    assert lab["d1"].peers()["d2"]["address6"] == own["d2"]
    assert lab.relay.peers()["d1"]["address6"] == own["d1"]


@pytest.mark.parametrize("options", [(), ("--no-offload",)], ids=["offload", "no offload"])
def test_tcp_and_udp_go_over_ipv6_in_super_packets_and_cut(flat, options):
    """Between a host with segmentation offload and one with or without."""
    lab = flat(2)
    lab.start_relay()
    lab.start_device("d1")
    lab.start_device("d2", *options)
    a, b = lab["d1"], lab["d2"]
    a.reaches(address6(b))
    for way in ((), ("--reverse",)):
        report = iperf3(a, b, address6(b), *way, seconds=1)
        assert report["end"]["sum_received"]["bytes"] > 100_000, report["end"]
        report = iperf3(a, b, address6(b), "--udp", "--bitrate", "5M", *way, seconds=1)
        assert report["end"]["sum"]["packets"] - report["end"]["sum"]["lost_packets"] > 50, report["end"]

    content = os.urandom(3 << 20)
    (lab.directory / "file").write_bytes(content)
    b.start(sys.executable, "-c", _SERVER, address6(b), lab.directory / "file", name="server")
    until(lambda: b.listens(8000), "the server listens")
    a.run("curl", "-gsSf", "--max-time", 60, "-o", lab.directory / "got", f"http://[{address6(b)}]:8000/", timeout=70)
    assert hashlib.sha256((lab.directory / "got").read_bytes()).digest() == hashlib.sha256(content).digest()


def test_a_packet_for_an_absent_ipv6_address_is_answered_at_once(flat):
    """By ICMPv6, for ping and TCP, on a device and on the relay's host."""
    lab = flat(1)
    lab.start_all()
    network = ipaddress.ip_network(address6(lab["d1"]) + "/96", strict=False).network_address
    absent = str(network + int(ipaddress.ip_address("10.0.0.200")))
    for node in (lab["d1"], lab.relay):
        began = time.monotonic()
        received, _, output = node.ping(absent, wait=10)
        assert received == 0 and "Address unreachable" in output, output
        connection = node.enter(lambda: socket.socket(socket.AF_INET6))
        lab.sockets.append(connection)
        connection.settimeout(10)
        try:
            connection.connect((absent, 80))
            raise Failure("connected to nobody")
        except OSError as error:
            assert error.errno == errno.EHOSTUNREACH, error
        assert time.monotonic() - began < 9
    # An address of the /96 that no lease of the pool goes with.
    outside = str(network + int(ipaddress.ip_address("10.0.7.7")))
    assert "Address unreachable" in lab["d1"].ping(outside, wait=10)[2]


def test_a_host_without_ipv6_takes_part_by_ipv4_and_says_so_once(flat):
    """Switched off by sysctl before the join; its peers have both."""
    lab = flat(2)
    relay = lab.start_relay()
    disable_ipv6(lab["d1"])
    device = lab.start_device("d1")
    lab.start_device("d2")
    lab["d1"].reaches(lab["d2"].virtual_address())
    assert address6(lab["d1"]) is None and configured6(lab["d1"]) == []
    assert lab["d1"].ping(lab["d2"].virtual_address())[0] == 1
    lab["d2"].reaches(address6(lab.relay))
    relay.kill()
    lab.start_relay()
    until(lambda: lab["d1"].status()["device"]["joins"] == 2, "d1 is in again", 30)
    assert len(warnings(device, "mnedc0 has no IPv6 address")) == 1, device.log


def test_an_interface_with_an_mtu_too_small_for_ipv6_has_ipv4_alone(flat):
    """Linux has IPv6 from 1280 bytes on."""
    lab = flat(2)
    lab.start_relay()
    config = lab.directory / "small.yaml"
    config.write_text("join: {mtu: 1279}\n")
    device = lab.start_device("d1", "--config", config)
    lab.start_device("d2")
    lab["d1"].reaches(lab["d2"].virtual_address())
    assert address6(lab["d1"]) is None and configured6(lab["d1"]) == []
    assert len(warnings(device, "an MTU of 1279 bytes is too small for IPv6")) == 1, device.log
    assert "Address unreachable" not in lab["d2"].ping(lab["d2"].peers()["d1"]["address6"])[2]


def test_an_open_connection_over_ipv6_survives_a_restart_of_the_relay(flat):
    """Address and interface stay, as those of IPv4 do."""
    lab = flat(2)
    running = lab.start_all()
    a, b = lab["d1"], lab["d2"]
    listener = b.enter(lambda: socket.create_server((address6(b), 0), family=socket.AF_INET6))
    client = a.enter(lambda: socket.create_connection(listener.getsockname()[:2], timeout=30))
    server, _ = listener.accept()
    lab.sockets += [listener, client, server]
    for each in (client, server):
        each.settimeout(60)
    before = [address6(node) for node in (a, b)]
    running["relay"].kill()
    client.sendall(b"before the relay is back\n")
    assert [configured6(node) for node in (a, b)] == [[f"{address}/96"] for address in before]
    # The same key, by which it makes the same IPv6 network.
    lab.start_relay()
    assert server.recv(100) == b"before the relay is back\n"
    server.sendall(b"and back\n")
    assert client.recv(100) == b"and back\n"
    assert [address6(node) for node in (a, b)] == before
