"""Other programs change a daemon's interface: the daemon restores it, on a device and on the relay's host, and logs
that once.
"""

import json
import re
import time
from pathlib import Path

import pytest

from lab import INTERFACE, RELAY, Failure, until
from test_explain import explain, fails_at, works


def state(node, interface=INTERFACE):
    """Whether it is up, its MTU, addresses and routes, and the unreachable routes, without what the kernel makes by
    itself.
    """
    found = set()
    for link in json.loads(node.run("ip", "-j", "address", "show", "dev", interface, check=False).stdout or "[]"):
        found |= {("up", {"UP", "LOWER_UP"} <= set(link["flags"])), ("mtu", link["mtu"])}
        found |= {(each["local"], each["prefixlen"]) for each in link["addr_info"] if each["scope"] == "global"}
    for family in "-4", "-6":
        for route in json.loads(node.run("ip", "-j", family, "route").stdout or "[]"):
            kind = route.get("type", "unicast")
            if not route["dst"].startswith("fe80:") and (route.get("dev") == interface or kind == "unreachable"):
                found.add((kind, route["dst"]))
    return found


def unreachable(node):
    return {network for kind, network in state(node) if kind == "unreachable"}


def whole(node, interface=INTERFACE):
    """Its state once all is there: link and MTU, two addresses, two routes and two unreachable ones."""
    return until(lambda: len(found := state(node, interface)) == 8 and found, "it has its addresses and routes")


def lines(program, word="restored"):
    return [line for line in program.log.splitlines() if word in line]


#: What another program does, and what of it the log names.
DISTURBANCES = {
    "ip link set mnedc0 down": "was down",
    "ip link set mnedc0 down; ip link set mnedc0 up": "the address fd",
    "for each in 1 0; do echo $each >/proc/sys/net/ipv6/conf/mnedc0/disable_ipv6; done": "the address fd",
    "ip link set mnedc0 mtu 1200": "MTU was 1200",
    "ip link set mnedc0 mtu 1200; ip link set mnedc0 mtu 1400": "the address fd",
    "ip address flush dev mnedc0": "the address 10.0.0.",
    "ip route flush dev mnedc0; ip -6 route flush dev mnedc0": "the route to 10.0.0.0/24",
    "ip link set mnedc0 carrier off": "no carrier",
    "ip route del unreachable 10.0.0.0/24": "the unreachable route to 10.0.0.0/24",
}


@pytest.mark.parametrize("where", ["d1", "relay"])
def test_what_another_program_takes_from_the_interface_comes_back(flat, where):
    """Each at once, with one line; packets flow again. On the relay's host the daemon has given up root by then."""
    lab = flat(1)
    running = lab.start_all()
    node, other = lab[where], lab["d1" if where == "relay" else "relay"]
    before = whole(node)
    if where == "relay":
        status = Path(f"/proc/{running['relay'].pid}/status").read_text()
        assert not re.search(r"^Uid:\t0\t", status, re.MULTILINE), "the relay has become another user"
    said = 0
    for command, word in DISTURBANCES.items():
        node.run("sh", "-c", command)
        # That it was as before throughout would be seen as well; the line tells that it was not.
        until(lambda: len(lines(running[where])) > said, f"{command}: it is said")
        until(lambda: state(node) == before, f"{command}: all is there again, but {state(node) ^ before}")
        assert word in lines(running[where])[-1], command
        said = len(lines(running[where]))
        # A row of changes would be restored more and more slowly.
        node.mnedc("mnedc-ctl", "reload")
    node.reaches(other.virtual_address())
    other.reaches(node.virtual_address())
    assert not node.status()["device"].get("interface_problem")


def test_ipv6_that_is_switched_off_is_said_and_comes_back(flat):
    """Without it, nothing names an IPv6 address of this host."""
    lab = flat(2)
    running = lab.start_all()
    d1 = lab["d1"]
    before = whole(d1)
    address6 = d1.status()["device"]["address6"]
    d1.run("sh", "-c", f"echo 1 >/proc/sys/net/ipv6/conf/{INTERFACE}/disable_ipv6")
    until(lambda: "address6" not in d1.status()["device"], "the status has no such address")
    assert len(lines(running["d1"], "no IPv6 address")) == 1
    works(d1, "d2")
    fails_at(d1, lab["d2"].status()["device"]["address6"], "address", address6)
    d1.run("sh", "-c", f"echo 0 >/proc/sys/net/ipv6/conf/{INTERFACE}/disable_ipv6")
    until(lambda: state(d1) == before and d1.status()["device"].get("address6") == address6, "it is there again")


def test_a_program_that_goes_on_is_named_and_waited_for(flat):
    """The log says it once, the status says it, explain says what is missing; a reload restores at once."""
    lab = flat(2)
    running = lab.start_all()
    d1, device = lab["d1"], running["d1"]
    before = whole(d1)
    flush = f"while ip address flush dev {INTERFACE}; do sleep 0.05; done"
    program = d1.start("sh", "-c", flush, name="another program")
    problem = until(lambda: d1.status()["device"].get("interface_problem"), "the status says it", 40)
    assert "again and again" in problem
    # The number of repairs in it rises.
    until(
        lambda: d1.status()["device"].get("interface_problem", "none") in d1.mnedc("mnedc-ctl", "status").stdout,
        "the table says the same",
    )
    (line,) = lines(device, "in a row")
    assert "THE INTERFACE in mnedc-join(8)" in line
    fails_at(d1, "d2", "address", "does not have this host's virtual address", "reload")
    count = len(device.log.splitlines())
    # The rate is bounded, and so is the log.
    time.sleep(5)
    assert len(device.log.splitlines()) == count, device.log
    program.stop()
    d1.mnedc("mnedc-ctl", "reload")
    until(lambda: state(d1) == before, "a reload restores it")
    assert not d1.status()["device"].get("interface_problem")
    works(d1, "d2")


def test_a_new_connection_restores_the_interface_without_waiting(flat):
    """Also while other programs are waited for."""
    lab = flat(1)
    running = lab.start_all()
    d1 = lab["d1"]
    before = whole(d1)
    program = d1.start(
        "sh", "-c", f"while ip address flush dev {INTERFACE}; do sleep 0.05; done", name="another program"
    )
    until(lambda: "every 16 s" in d1.status()["device"].get("interface_problem", ""), "the pauses are long", 60)
    program.stop()
    d1.run("ip", "address", "flush", "dev", INTERFACE)
    running["relay"].kill()
    lab.start_relay()
    until(lambda: d1.status()["device"]["joins"] == 2, "it joins again", 12)
    assert state(d1) == before


def test_a_renamed_interface_is_followed(flat):
    """Status, explain and the hook have its new name, and it is restored under that."""
    lab = flat(2)
    running = {"relay": lab.start_relay()}
    d1 = lab["d1"]
    seen = lab.directory / "seen"
    hook = lab.directory / "hook"
    hook.write_text(f'#!/bin/sh\necho "$MNEDC_INTERFACE" >>{seen}\n')
    hook.chmod(0o755)
    config = lab.directory / "d1.yaml"
    config.write_text(f"join: {{on-peer: [{hook}]}}\n")
    running["d1"] = lab.start_device("d1", "--config", config)
    before = whole(d1)
    d1.run("sh", "-c", f"ip link set {INTERFACE} down; ip link set {INTERFACE} name other0; ip link set other0 up")
    until(lambda: d1.status()["device"]["interface"] == "other0", "the status has its name")
    until(lambda: state(d1, "other0") == before, "it has its addresses and routes")
    assert lines(running["d1"], f"the interface {INTERFACE} is called other0 now")
    lab.start_device("d2")
    until(lambda: seen.exists() and "other0" in seen.read_text(), "the hook hears its name")
    report = works(d1, "d2")
    assert "other0" in report["by"]["route"]["finding"]
    d1.run("ip", "address", "flush", "dev", "other0")
    until(lambda: state(d1, "other0") == before, "it is restored")
    # The lab looks for interfaces that are left.
    running["d1"].stop()
    assert not d1.interfaces() and not unreachable(d1)


@pytest.mark.parametrize("where", ["d1", "relay"])
@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_an_interface_that_is_gone_ends_the_program(flat, where, how):
    """At once, although no packet comes, with a status at which the service manager restarts it; nothing is left."""
    lab = flat(1)
    running = lab.start_all()
    node = lab[where]
    whole(node)
    if how == "deleted":
        node.run("ip", "link", "delete", INTERFACE)
    else:
        elsewhere = lab["relay" if where == "d1" else "d1"]
        node.run("ip", "link", "set", INTERFACE, "netns", elsewhere.namespace, "name", "moved0")
    assert running[where].wait(10) == 71
    assert "deleted the interface mnedc0, or moved it to another network namespace" in running[where].log
    assert not unreachable(node)
    if how == "moved":
        until(lambda: "moved0" not in elsewhere.interfaces(), "it goes with the program")


def test_an_interface_that_is_gone_is_noticed_without_a_relay(flat):
    """While nothing reads from it."""
    lab = flat(1)
    running = lab.start_all()
    whole(lab["d1"])
    running["relay"].kill()
    until(lambda: lab["d1"].status()["device"]["state"] == "connecting", "it has noticed", 30)
    lab["d1"].run("ip", "link", "delete", INTERFACE)
    assert running["d1"].wait(10) == 71


# --- Packets for the network stay in it ---


def leaves_by_the_router(node, *targets):
    """Those for which the kernel would send packets to the router."""
    return [target for target in targets if "eth0" in node.run("ip", "route", "get", target, check=False).stdout]


def test_packets_for_the_network_never_leave_by_another_interface(flat):
    """While the device is joined, whatever becomes of its interface; afterwards the host is as it was."""
    lab = flat(2)
    running = lab.start_all()
    d1 = lab["d1"]
    d1.run("ip", "route", "add", "default", "via", RELAY)
    d1.run("ip", "-6", "address", "add", "fd99::1/64", "dev", "eth0", "nodad")
    d1.run("ip", "-6", "route", "add", "default", "via", "fd99::2")
    whole(d1)
    targets = ["10.0.0.77", lab["d2"].status()["device"]["address6"]]
    assert leaves_by_the_router(d1, "8.8.8.8", "2001:db8::1", *targets) == ["8.8.8.8", "2001:db8::1"]
    # Never, not even in the moment in which the interface is down.
    capture = d1.start("sh", "-c", f"for i in $(seq 20); do ip link set {INTERFACE} down; "
                       f"ip route get {targets[0]} | grep -c eth0; "
                       f"ip -6 route get {targets[1]} | grep -c eth0; done")  # fmt: skip
    capture.wait(20)
    assert set(capture.output.split()) == {"0"}, capture.output
    running["d1"].stop()
    assert not unreachable(d1)
    assert leaves_by_the_router(d1, *targets) == targets


def test_what_a_killed_program_leaves_is_removed_at_the_next_start(flat):
    """Also where the relay has another pool by then."""
    lab = flat(1)
    relay = lab.start_relay("--pool", "10.1.0.0/24", "--no-device")
    device = lab.start_device("d1")
    d1 = lab["d1"]
    before = until(lambda: len(found := unreachable(d1)) == 2 and found, "there are both")
    device.kill()
    until(lambda: not d1.interfaces(), "the interface goes with the program")
    assert unreachable(d1) == before
    # It is no network of the host, for netcheck as for joining.
    device = lab.start_device("d1")
    assert unreachable(d1) == before
    device.kill()
    relay.stop()
    lab.start_relay("--pool", "10.2.0.0/24", "--no-device", "--state", lab.directory / "another")
    # The configuration pins the former relay's key since the first join.
    d1.run("rm", "-r", d1.state_path, *lab.directory.glob("d1*.join.yaml"))
    lab.start_device("d1")
    after = until(lambda: len(found := unreachable(d1)) == 2 and found, "there are both")
    assert "10.2.0.0/24" in after and not after & before


def test_a_relay_without_an_interface_removes_what_its_killed_process_has_left(flat):
    """As the other daemons."""
    lab = flat(0)
    relay = lab.start_relay()
    until(lambda: len(unreachable(lab.relay)) == 2, "there are both")
    relay.kill()
    assert len(unreachable(lab.relay)) == 2
    lab.start_relay("--no-device")
    assert not unreachable(lab.relay)


def test_two_networks_on_one_host_have_routes_of_their_own(flat):
    """Each keeps its own and leaves the other's alone, whether it ends, is killed or starts again."""
    lab = flat(2)
    lab.start_relay("--pool", "10.1.0.0/24", "--no-device")
    lab["d2"].start_mnedc("mnedcd", "--no-device", "--admission", "open", "--pool", "10.2.0.0/24")
    until(lab["d2"].status, "the second relay answers")
    d1 = lab["d1"]

    def second():
        program = d1.start_mnedc("mnedc-join", "--server", lab["d2"].address, "--device-id", "d1",
                                "--interface", "mnedc1",
                                 "--socket", f"{lab.directory}/second.sock")  # fmt: skip
        until(lambda: d1.virtual_address("mnedc1") or not program.is_running, "the second joins", 20)
        assert program.is_running, program.log
        return program

    def has(*networks):
        return {each for each in unreachable(d1) if "." in each} == set(networks)

    first = lab.start_device("d1")
    other = second()
    assert has("10.1.0.0/24", "10.2.0.0/24")
    other.kill()
    assert has("10.1.0.0/24", "10.2.0.0/24")
    first.stop()
    assert has("10.2.0.0/24")
    first = lab.start_device("d1")
    assert has("10.1.0.0/24")
    other = second()
    assert has("10.1.0.0/24", "10.2.0.0/24")
    other.stop()
    assert has("10.1.0.0/24")
    assert not lines(first), first.log


# --- explain ---


class Contested:
    """Another program that runs a command again and again, and a device that restores it slowly, as long as the `with`
    lasts.
    """

    def __init__(self, node, command):
        self.node, self.command = node, command

    def __enter__(self):
        self.program = self.node.start(
            "sh", "-c", f"while :; do {self.command}; sleep 0.02; done", name="another program"
        )
        until(lambda: self.node.status()["device"].get("interface_problem"), f"{self.command}: the status says it", 40)

    def __exit__(self, *_):
        try:
            self.program.stop()
        except Failure:
            self.program.kill()
        self.node.mnedc("mnedc-ctl", "reload")


def test_a_missing_route_is_told_from_another_that_wins_in_the_family_that_was_asked_for(flat):
    """By an address for its family alone, by a name for both."""
    lab = flat(2)
    lab.start_all()
    d1 = lab["d1"]
    whole(d1)
    peer, peer6 = lab["d2"].virtual_address(), lab["d2"].status()["device"]["address6"]
    for name in ("d2", peer, peer6):
        works(d1, name)
    report = works(d1, "d2")
    assert peer in report["by"]["route"]["finding"] and peer6 in report["by"]["route"]["finding"]
    assert peer not in works(d1, peer6)["by"]["route"]["finding"]

    # Another wins. By IPv4 all goes well.
    d1.run("ip", "-6", "route", "add", f"{peer6}/128", "dev", "eth0")
    for name in ("d2", peer6):
        fails_at(d1, name, "route", "another route wins", "eth0", "remove")
    works(d1, peer)
    d1.run("ip", "-6", "route", "replace", "blackhole", f"{peer6}/128")
    d1.run("ip", "-6", "route", "del", f"{peer6}/128", "dev", "eth0", check=False)
    fails_at(d1, peer6, "route", "another route wins", "refuses", "blackhole")
    d1.run("ip", "-6", "route", "del", "blackhole", f"{peer6}/128")
    d1.run("ip", "route", "add", f"{peer}/32", "via", RELAY)
    for name in ("d2", peer):
        fails_at(d1, name, "route", "another route wins", "eth0")
    works(d1, peer6)
    d1.run("ip", "route", "del", f"{peer}/32")

    # The own one is missing, with and without a default route; the daemon restores it slowly, because it goes on.
    with Contested(d1, f"ip route flush dev {INTERFACE}"):
        for name in ("d2", peer):
            fails_at(d1, name, "route", "no route to 10.0.0.0/24", "refused", "mnedc-ctl reload")
        assert explain(d1, peer6)["works"]
    for name in ("d2", peer, peer6):
        works(d1, name)
