"""Members and unauthenticated connections that send as fast as possible hardly affect other devices.

One table (flooder.py) has every frame type and control message. Debug programs on a busy machine say little about round
trips, so the margin is wide: before sessions took turns, one flooder raised pings above a second here. RelayTests and
LinkTests count the work of a turn. The promise, at most 2 ms more than in quiet times with one flooder and 10 ms more
with ten, holds for optimised programs on a machine of their own: BUILD=.build/release and pytest -s print the table.
"""

import re
import sys
from pathlib import Path

import pytest

from lab import PORT, RELAY, until

FLOODER = Path(__file__).with_name("flooder.py")
#: In milliseconds: what 95 % of the pings may take in any case, and how many times that of quiet times.
ALWAYS, TIMES = 800, 10


def names():
    from flooder import STRANGERS, kinds

    return [*kinds(()), *STRANGERS]


def percentile(node, address, seconds):
    """What 95 % of the pings take at the most, in milliseconds; those without an answer count as 1000."""
    done = node.run("ping", "-n", "-i", "0.01", "-w", seconds, "-W", 1, address, check=False, timeout=60)
    times = [float(found) for found in re.findall(r"time=([\d.]+)", done.stdout)]
    sent = int(re.search(r"(\d+) packets transmitted", done.stdout)[1])
    times += [1000.0] * max(0, sent - len(times) - 1)
    return sorted(times)[int(len(times) * 0.95)]


def start_flood(node, kind, count, *addresses):
    flood = node.start(
        "nice", "-n", 10, sys.executable, FLOODER, f"{RELAY}:{PORT}", kind, count, *addresses, name=f"flood of {kind}"
    )
    until(lambda: "begun" in flood.output or not flood.is_running, f"the flood of {kind} begins", 60)
    assert flood.is_running, flood.log
    return flood


@pytest.mark.long
@pytest.mark.xdist_group("processor")
def test_no_flood_makes_others_wait(flat):
    """One flooder and ten, of each kind; those that the relay ends come back at once. Of debug programs ten show more
    than one does.
    """
    pytest.importorskip("cryptography")
    lab = flat(5)
    # One thread, or the others would be served by another.
    relay = lab.start_relay("--config", config(lab, "open"), admission=None)
    a, b, c, d, host = lab.devices
    for node in (a, b, c, d):
        lab.start_device(node)
    a.reaches(b.virtual_address())
    addresses = (c.virtual_address(), d.virtual_address())
    quiet = max(percentile(a, b.virtual_address(), 2) for _ in range(2))
    counts = (10,) if lab.programs.name == "debug" else (1, 10)
    found = {}
    for kind in names():
        if "pending" in kind:
            config(lab, "approve")
            lab.relay.mnedc("mnedc-ctl", "reload")
        for count in counts:
            flood = start_flood(host, kind, count, *addresses)
            found[kind, count] = percentile(a, b.virtual_address(), 1)
            flood.kill()
    table = "\n".join(f"{kind:28} {count:2} {time:8.1f} ms" for (kind, count), time in found.items())
    print(f"{'quiet':28}    {quiet:8.1f} ms\n{table}")
    assert max(found.values()) <= max(ALWAYS, TIMES * quiet), f"quiet {quiet:.1f} ms\n{table}"
    assert relay.is_running and all(node.status()["device"]["joins"] == 1 for node in (a, b, c, d))


def config(lab, admission):
    path = lab.directory / "relay.yaml"
    path.write_text(f"relay: {{threads: 1, admission: {admission}}}\n")
    return path


@pytest.mark.parametrize("kind", ["ping", "next-key", "unknown message"])
def test_who_goes_on_flooding_is_ended_with_a_reason(flat, kind):
    """After ten seconds; the flooder is told, and one line of the log says so."""
    pytest.importorskip("cryptography")
    lab = flat(2)
    relay = lab.start_relay()
    lab.start_device(lab["d1"])
    flood = start_flood(lab["d2"], kind, 1)
    until(lambda: "busy" in flood.output, "the flooder is told", 60)
    flood.kill()
    until(lambda: "control, ping and pong frames" in relay.log, "the log says why")
    said = [line for line in relay.log.splitlines() if "control, ping and pong frames" in line]
    assert len(said) == 1 and "member-0" in said[0] and "more than 500" in said[0], said
    assert lab["d1"].status()["device"]["joins"] == 1
