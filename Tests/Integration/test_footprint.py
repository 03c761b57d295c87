"""The memory of idle daemons."""

from pathlib import Path

from lab import iperf3, until


def limit(program):
    """Bytes that it may have resident, its code and its libraries' included; more in a debug build, which is not
    installed.
    """
    is_debug = "libswiftCore.so" in Path(f"/proc/{program.pid}/maps").read_text()
    return 16_000_000 if is_debug else 12_000_000


def test_the_daemons_keep_in_memory_only_what_they_use(flat):
    """After joining, and after traffic and requests, each is below its limit within seconds: what came for those goes
    again.
    """
    lab = flat(2)
    programs = lab.start_all()
    a, b = lab.devices

    def are_small(when):
        for name, program in programs.items():
            until(lambda: program.resident()[0] << 10 < limit(program), f"{name} is small {when}", 20)

    are_small("after joining")
    iperf3(a, b, b.virtual_address(), seconds=2)
    for node in (a, b, lab.relay):
        node.status(), node.peers()
    are_small("after traffic and requests")
    # They still do all of it, with what has to come back.
    a.reaches(b.virtual_address())
    assert lab.relay.status()["relay"]["online"] == 2
