"""The main promise: devices under two levels of NAT reach each other by virtual address, with ordinary programs."""

import hashlib
import itertools
import os

from lab import INTERFACE, iperf3, until


def test_every_device_reaches_every_other_through_two_levels_of_nat(nat):
    """Ping, a download with its SHA-256, and iperf3 both ways, where nobody reaches anybody directly."""
    nat.start_all()
    top, mid, deep = nat["top"], nat["mid"], nat["deep"]
    virtual = {node.name: node.virtual_address() for node in (nat.relay, top, mid, deep)}
    assert virtual["relay"] == "10.0.0.1"
    assert len(set(virtual.values())) == 4 and all(address.startswith("10.0.0.") for address in virtual.values())

    for here, there in itertools.permutations((nat.relay, top, mid, deep), 2):
        assert here.ping(virtual[there.name], count=3, interval=0.05)[0] == 3, f"{here.name} → {there.name}"
    for here, there in ((mid, deep), (deep, mid), (top, deep)):
        assert here.ping(there.address, wait=0.3)[0] == 0, f"{here.name} reaches {there.name} directly"

    content = os.urandom(24 << 20)
    (nat.directory / "file").write_bytes(content)
    for server, client, port in ((deep, mid, 8001), (mid, deep, 8002)):
        server.serve(nat.directory, virtual[server.name], port)
        received = nat.directory / f"received-{port}"
        client.run(
            "curl", "-sSf", "--max-time", 60, "-o", received, f"http://{virtual[server.name]}:{port}/file", timeout=70
        )
        assert hashlib.sha256(received.read_bytes()).digest() == hashlib.sha256(content).digest()

    for options in ([], ["--reverse"], ["--bidir"]):
        report = iperf3(mid, deep, virtual["deep"], *options, seconds=1)
        assert report["end"]["sum_received"]["bytes"] > 1 << 20


def test_peers_come_and_go(nat):
    """mnedc-peers lists who is there, on devices and on the relay, and forgets who has left."""
    running = nat.start_all()
    top, mid, deep = nat["top"], nat["mid"], nat["deep"]
    peers = top.peers()
    assert {"mid", "deep"} <= peers.keys() and "top" not in peers
    assert peers["deep"]["address"] == deep.virtual_address() and peers["deep"]["state"] == "online"
    assert {"top", "mid", "deep"} <= nat.relay.peers().keys()
    table = mid.mnedc("mnedc-peers").stdout
    assert "deep" in table and deep.virtual_address() in table

    assert running["deep"].stop() == 0
    until(lambda: "deep" not in top.peers(), "top forgets deep")
    until(lambda: "deep" not in nat.relay.peers(), "the relay forgets deep")
    assert INTERFACE not in deep.interfaces()
    nat.start_device("deep")
    until(lambda: "deep" in top.peers(), "top learns of deep again")


def test_a_device_tells_where_it_sits(nat):
    """The routers that it is behind, by the errors that they send, and the address that the relay sees."""
    nat.start_all()

    def place(name):
        return nat[name].status()["device"].get("place")

    for name in ("top", "mid", "deep"):
        until(lambda name=name: place(name), f"{name} knows where it sits", 30)
    found = {name: place(name) for name in ("top", "mid", "deep")}
    assert found["top"] == {"hops": [], "local": "192.168.50.20", "outer": "192.168.50.20"}
    assert found["mid"] == {"hops": ["192.168.60.1"], "local": "192.168.60.20", "outer": "192.168.50.61"}
    assert found["deep"] == {
        "hops": ["192.168.80.1", "192.168.70.1"], "local": "192.168.80.20", "outer": "192.168.50.71",
    }  # fmt: skip
    assert place("relay") is None
    shown = nat["deep"].mnedc("mnedc-ctl", "status").stdout
    assert "192.168.80.20 behind 192.168.80.1, 192.168.70.1; the relay sees 192.168.50.71" in shown
