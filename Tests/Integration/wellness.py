"""Whether all is well in a lab: what must hold again after every fault."""

import os
import signal
import threading
import time
from pathlib import Path

from lab import Failure

# What a relay's interrupted change of keys goes on with the next time.
_MAY_STAY = {"relay.key.next"}


def all_is_well(lab, timeout=75.0):
    """Waits until each device has one session, knows and reaches exactly the others, and nothing is left behind."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            trouble = _sessions(lab) or _leftovers(lab) or _pings(lab)
        except (Failure, KeyError, OSError) as failure:
            trouble = str(failure)
        if not trouble:
            return
        if time.monotonic() >= deadline:
            raise Failure(f"all is not well after {timeout:g} s: {trouble}")
        time.sleep(0.1)


def _sessions(lab):
    status = lab.relay.status()
    if not status:
        return "the relay does not answer"
    own = status["device"]["device_id"]
    everybody = {own} | {node.name for node in lab.devices}
    sessions = sorted(session["device_id"] for session in status["relay"]["sessions"])
    if sessions != sorted(everybody):
        return f"the relay has sessions with {sessions}"
    if status["relay"]["joining"] or status["relay"]["pending"]:
        return f"{status['relay']['joining']} are joining, {status['relay']['pending']} pending"
    for node in lab.devices:
        state = node.status()
        if not state or state["device"]["state"] != "joined":
            return f"{node.name} has not joined"
        if known := node.peers().keys() ^ (everybody - {node.name}):
            return f"{node.name} is wrong about {sorted(known)}"
    return None


def _leftovers(lab):
    nodes = [lab.relay, *lab.devices]
    started = {program.pid for program in lab.started if program.is_running}
    for node in nodes:
        daemon = node.status()["process_id"]
        if len(node.interfaces()) != 1:
            return f"{node.name} has the interfaces {node.interfaces()}"
        if others := set(node.processes()) - started - {daemon}:
            return f"{node.name} runs {[(pid, _command(pid)) for pid in others]} too"
    sockets = {path.name for path in lab.directory.glob("*.sock")}
    if sockets != {f"{node.name}.sock" for node in nodes}:
        return f"the sockets are {sorted(sockets)}"
    for node in nodes:
        for name in os.listdir(node.state_path):
            if name not in _MAY_STAY and (name.startswith(".") or name.endswith((".new", ".next", "-journal"))):
                return f"{node.name} has left {name}"
    return None


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return "what has just ended"


def _pings(lab):
    nodes = [lab.relay, *lab.devices]
    for node in nodes:
        for other in nodes:
            if node is not other and not node.ping(other.virtual_address())[0]:
                return f"{node.name} does not reach {other.name}"
    return None


class Traffic:
    """Datagrams from every device to every other, all the time, so that a fault finds everybody busy."""

    def __init__(self, lab):
        self.pings = [
            node.start("ping", "-n", "-i", "0.02", "-s", "1000", other.virtual_address(), name="traffic")
            for node in lab.devices
            for other in [lab.relay, *lab.devices]
            if node is not other
        ]

    def stop(self):
        for each in self.pings:
            each.signal(signal.SIGINT)
        for each in self.pings:
            each.wait()


def all_is_well_under(lab, traffic):
    """Waits until all is well under this traffic, ends it, and waits again."""
    try:
        all_is_well(lab)
    finally:
        traffic.stop()
    all_is_well(lab)


class Cut:
    """Drops everything on a node's link, both ways, until `mend`."""

    def __init__(self, node):
        self.node = node
        node.run(
            "nft",
            "add table inet cut; "
            "add chain inet cut out { type filter hook output priority 0; }; add rule inet cut out oifname eth0 drop; "
            "add chain inet cut in { type filter hook input priority 0; }; add rule inet cut in iifname eth0 drop",
        )

    def mend(self):
        self.node.run("nft", "delete table inet cut")


def beside(lab, body):
    """Runs `body` in a thread. Returns a function that waits for its end and returns its result or raises its error."""
    outcome = []

    def run():
        try:
            outcome.append((body(), None))
        except BaseException as error:  # handed to who waits
            said = "".join(f"\n--- {name}:\n{text}" for name, text in lab.logs()) if lab else ""
            outcome.append((None, Failure(f"{error}{said}")))

    thread = threading.Thread(target=run)
    thread.start()

    def wait():
        thread.join()
        value, error = outcome[0]
        if error:
            raise error
        return value

    return wait
