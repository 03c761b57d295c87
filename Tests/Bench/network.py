"""What the benchmark does to the links of a lab with two levels of NAT, and takes back."""

import contextlib
import json
import re

from lab import Failure

RATE = 20_000_000
#: Whose queue is in front of the slow link: going down to deep, and up from it. Both are routers, which queue what
#: comes; a host's own queue would tell its TCP at once.
DOWN, UP = ("r2", "lan0"), ("r3", "wan0")
OFFLOADS = {"tso": "tcp-segmentation-offload", "gso": "generic-segmentation-offload", "gro": "generic-receive-offload"}


def usual_tcp(lab):
    """TCP is CUBIC from now on, as Linux comes, whatever this host's default is; a program may ask for another on its
    sockets.

    Where the host does not let namespaces have CUBIC, it is Reno, which every host has and which fills queues as well.
    A bulk stream by BBR would leave the queue of a slow link almost empty, and every latency beside it small. Returns
    which it is.
    """
    for control in ("cubic", "reno"):
        command = f"echo {control} >/proc/sys/net/ipv4/tcp_congestion_control"
        if all(node.run("sh", "-c", command, check=False).returncode == 0 for node in lab.nodes.values()):
            return control
    raise Failure("this host lets namespaces have neither CUBIC nor Reno")


def apart(lab):
    """From now on the routers of mid and deep let nothing out but to the relay: no contestant finds a way past it."""
    for router in ("r1", "r2"):
        lab[router].run(
            "nft",
            "add table ip bench-apart; add chain ip bench-apart forward { type filter hook forward priority -10; }; "
            f'add rule ip bench-apart forward oifname "wan0" ip daddr != {lab.relay.address} drop',
        )


def together(lab):
    """Ends `apart`."""
    for router in ("r1", "r2"):
        lab[router].run("nft", "delete table ip bench-apart")


def cables(lab):
    """[(node, interface)]: both ends of all virtual cables."""
    found = []
    for node in lab.nodes.values():
        links = json.loads(node.run("ip", "-j", "link", "show", "type", "veth").stdout or "[]")
        # Of some versions of ip, a link of another type is an empty object.
        found += [(node, link["ifname"]) for link in links if link]
    return found


@contextlib.contextmanager
def as_on_a_wire(lab):
    """No packet on a cable is larger than its MTU: segmentation and receive offloads are off."""
    before = []
    try:
        for node, interface in cables(lab):
            shown = node.run("ethtool", "-k", interface).stdout
            states = {
                short: re.search(rf"^{long}: (on|off)", shown, re.MULTILINE)[1] for short, long in OFFLOADS.items()
            }
            before.append((node, interface, states))
            node.run("ethtool", "-K", interface, *(word for short in OFFLOADS for word in (short, "off")))
        yield
    finally:
        for node, interface, states in before:
            node.run("ethtool", "-K", interface, *(word for pair in states.items() for word in pair))


@contextlib.contextmanager
def slow_link(lab, loss=0):
    """The link above r3, one of deep's routers, has 20 Mbit/s both ways, and 50 ms of queue at either end.

    `loss`: so many percent of the packets are lost at random, both ways.
    """
    with as_on_a_wire(lab):
        try:
            for node, interface in (DOWN, UP):
                lab[node].run(
                    "tc", "qdisc", "replace", "dev", interface, "root", "tbf", "rate", f"{RATE}bit", "burst", "5kb",
                    "latency", "50ms",
                )  # fmt: skip
            if loss:
                lab.nat_lab("loss", "r3", loss)
            yield
        finally:
            lab.nat_lab("loss", "r3", "off")
            for node, interface in (DOWN, UP):
                lab[node].run("tc", "qdisc", "delete", "dev", interface, "root", check=False)


def sent_bytes(lab, end):
    """Bytes that have gone onto the slow link from this end so far: Ethernet's headers too, and what was lost later."""
    node, interface = end
    shown = json.loads(lab[node].run("tc", "-s", "-j", "qdisc", "show", "dev", interface, "root").stdout)
    return next(each["bytes"] for each in shown if each["kind"] == "tbf")
