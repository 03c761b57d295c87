"""The programs do not rely on system calls that move all bytes at once, never block and are never interrupted."""

import hashlib
import os

import pytest

from lab import PORT, RELAY, until


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_everything_works_though_system_calls_do_less_than_they_were_asked(flat, seed, monkeypatch):
    """Joining by an invite, in the background too; reports; a download byte for byte; the end."""
    lab = flat(2)
    a, b = lab["d1"], lab["d2"]
    monkeypatch.setenv("MNEDC_SYSTEM_CALL_FAULTS", str(seed))
    relay = lab.start_relay(admission="invite")
    if "system calls do less" not in relay.log:
        pytest.skip("the programs are no debug build, which alone can make system calls fail")
    line = lab.relay.mnedc("mnedc-ctl", "invite", "--uses", 2, "--server", f"{RELAY}:{PORT}").stdout.strip()
    for node in (a, b):
        config = lab.directory / f"{node.name}.yaml"
        node.mnedc("mnedc-join", "--background", "--config", config, "--device-id", node.name, line)
        assert node.virtual_address()
    for node, other in ((a, b), (b, a)):
        until(lambda: other.name in node.peers(), f"{node.name} knows {other.name}", 30)
        assert node.status()["device"]["state"] == "joined"
    a.reaches(b.virtual_address(), 30)

    content = os.urandom(1 << 20)
    (lab.directory / "file").write_bytes(content)
    b.serve(lab.directory, b.virtual_address())
    received = lab.directory / "received"
    a.run("curl", "-sSf", "--max-time", 60, "-o", received, f"http://{b.virtual_address()}:8000/file", timeout=90)
    assert hashlib.sha256(received.read_bytes()).digest() == hashlib.sha256(content).digest()

    sessions = lab.relay.status()["relay"]
    assert sessions["online"] >= 2 and not sessions["refused"], sessions
    for node in (a, b):
        node.mnedc("mnedc-ctl", "stop")
        until(lambda: not node.interfaces(), f"{node.name} has left", 30)
    assert relay.stop() == 0
