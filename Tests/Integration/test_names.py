"""DEVICE-ID.mnedc resolves on every device: by a server of its own, by systemd-resolved, and by the hosts file."""

import os
import re
import shutil
import socket
import stat
import struct
import subprocess
from pathlib import Path

import pytest
from lab import REPOSITORY, RELAY, until
from test_ipv6 import address6

pytestmark = pytest.mark.skipif(not shutil.which("dig"), reason="not installed: dig (bind9-dnsutils)")


def config(lab, text):
    path = lab.directory / "names.yaml"
    path.write_text(text)
    return ("--config", path)


class Answer:
    def __init__(self, text):
        self.text = text
        self.status = re.search(r"status: (\w+)", text)[1]
        self.flags = re.search(r";; flags: ([a-z ]*);", text)[1].split()
        self.sections = {}
        name = None
        for line in text.splitlines():
            if match := re.match(r";; (\w+) SECTION:", line):
                name = match[1]
            elif line and not line.startswith(";") and name:
                self.sections.setdefault(name, []).append(line.split(None, 4))

    def values(self, kind):
        return [record[4] for record in self.sections.get("ANSWER", []) if record[3] == kind]

    @property
    def authority(self):
        return [(record[0], record[3]) for record in self.sections.get("AUTHORITY", [])]


def dig(node, *question, server=None):
    """Asks the server of this device, or the one at `server`."""
    command = ("dig", f"@{server or node.virtual_address()}", "+tries=2", "+time=5", *question)
    return Answer(node.run(*command).stdout)


def addresses(node, name):
    return dig(node, f"{name}.mnedc", "A").values("A")


def test_names_of_devices_are_answered_on_each_of_them(nat):
    """A, AAAA and PTR of every device, this one and the relay's host among them; by UDP and TCP, over IPv4 and IPv6."""
    nat.start_all()
    nodes = [nat.relay, *nat.devices]
    for node in nodes:
        for other in nodes:
            label, address, six = other.status()["device"]["device_id"].lower(), other.virtual_address(), address6(other)
            until(lambda: addresses(node, label) == [address], f"{node.name} knows {label}")
            assert dig(node, f"{label}.mnedc", "AAAA").values("AAAA") == [six]
            assert dig(node, "-x", address).values("PTR") == [f"{label}.mnedc."]
            assert dig(node, "-x", six).values("PTR") == [f"{label}.mnedc."]
    node, other = nat.devices[0], nat.devices[1]
    name = f"{other.status()['device']['device_id']}.mnedc"
    for options in (("+tcp",), ("+noedns",), ("+tcp", "+noedns"), ("+bufsize=100",), ("+dnssec",)):
        assert dig(node, *options, name).values("A") == [other.virtual_address()], options
    for options in ((), ("+tcp",)):
        assert dig(node, *options, name, server=address6(node)).values("A") == [other.virtual_address()]


def test_what_there_is_not_is_answered_right(flat):
    """NODATA and NXDOMAIN with the SOA that lets them be kept, the case of the question, and REFUSED for what is not ours."""
    lab = flat(2)
    lab.start_relay()
    lab.start_device("d1", device_id="Kitchen_Hub.2")
    lab.start_device("d2")
    node = lab["d1"]
    until(lambda: addresses(node, "d2"), "the name of d2")
    found = dig(node, "kItchen-hUB-2.MNEDC")
    assert found.status == "NOERROR" and "aa" in found.flags and "ra" not in found.flags
    assert found.sections["ANSWER"][0][:4] == ["kItchen-hUB-2.MNEDC.", "5", "IN", "A"]
    nothing = dig(node, "d2.mnedc", "MX")
    assert nothing.status == "NOERROR" and "ANSWER" not in nothing.sections and nothing.authority == [("mnedc.", "SOA")]
    for name in ("nobody.mnedc", "kitchen_hub.2.mnedc", "a.d2.mnedc", "x" * 63 + ".mnedc", r"\000\255.mnedc"):
        missing = dig(node, name)
        assert missing.status == "NXDOMAIN" and missing.authority == [("mnedc.", "SOA")], name
    assert dig(node, "-x", "10.0.0.200").status == "NXDOMAIN"
    assert dig(node, "0.0.10.in-addr.arpa", "SOA").values("SOA")
    assert dig(node, "mnedc", "SOA").values("SOA")[0].startswith("kitchen-hub-2.mnedc. ")
    assert dig(node, "mnedc", "NS").values("NS") == ["kitchen-hub-2.mnedc."]
    assert dig(node, "mnedc").authority == [("mnedc.", "SOA")]
    assert set(record[3] for record in dig(node, "d2.mnedc", "ANY").sections["ANSWER"]) == {"A", "AAAA"}
    for question in (("example.com",), (".", "NS"), ("-x", "192.0.2.1"), ("mnedc", "AXFR", "+tcp"), ("d2.mnedc", "CH", "A")):
        if "AXFR" in question:
            assert "Transfer failed" in node.run("dig", f"@{node.virtual_address()}", *question, check=False).stdout
        else:
            assert dig(node, *question).status == "REFUSED", question
    assert dig(node, "+edns=1", "+noednsneg", "d2.mnedc").status == "BADVERS"
    assert dig(node, "+opcode=notify", "d2.mnedc").status == "NOTIMP"


def test_peers_are_not_answered_and_bad_messages_do_no_harm(flat):
    """Each device asks its own server; what is no question is dropped, or answered as such."""
    lab = flat(2)
    lab.start_all()
    node, other = lab["d1"], lab["d2"]
    address = node.virtual_address()
    other.reaches(address)
    assert dig(other, "d1.mnedc", server=address).status == "REFUSED"
    with node.socket(socket.SOCK_DGRAM) as udp:
        udp.settimeout(5)
        for message in (b"", b"\0" * 11, b"\0" * 2 + b"\x80" + b"\0" * 9, os.urandom(4000)):
            udp.sendto(message, (address, 53))
        udp.sendto(b"\x12\x34\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", (address, 53))
        while (answer := udp.recv(4096))[:2] != b"\x12\x34":
            pass
        assert answer[3] & 15 == 1
    # Half a question holds nobody up, and more connections than there is room for are closed.
    half = [node.connect(address, 53) for _ in range(40)]
    for connection in half[:10]:
        try:
            connection.sendall(struct.pack(">H", 100) + b"x")
        except OSError:
            pass
    assert addresses(node, "d2") == [other.virtual_address()]
    for connection in half:
        connection.close()
    assert until(lambda: dig(node, "+tcp", "d2.mnedc").status == "NOERROR", "there is room again")


def test_names_come_and_go_with_their_devices(flat):
    """A device that leaves, one that comes, and an uplink that is lost, meanwhile and after."""
    lab = flat(3)
    running = lab.start_all()
    node = lab["d1"]
    until(lambda: addresses(node, "d3"), "the name of d3")
    assert running["d3"].stop() == 0
    until(lambda: dig(node, "d3.mnedc").status == "NXDOMAIN", "its name goes")
    lab.start_device("d3", "--state", lab.directory / "other.state", device_id="other")
    until(lambda: addresses(node, "other") == [lab["d3"].virtual_address()], "another name comes")
    running["relay"].kill()
    until(lambda: node.status()["device"]["state"] == "connecting", "the device notices")
    assert addresses(node, "other") and addresses(node, "d1") == [node.virtual_address()]
    lab.start_relay("--pool", "10.77.0.0/24")
    until(lambda: (node.virtual_address() or "").startswith("10.77."), "another address")
    until(lambda: addresses(node, "d1") == [node.virtual_address()], "the server is at the new address")
    until(lambda: (addresses(node, "d2") or [""])[0].startswith("10.77."), "a peer is at its new one")


def test_in_a_large_network_the_relay_is_asked(flat):
    """A device that knows nobody finds who is there, and hears who is not."""
    lab = flat(2)
    lab.start_relay(*config(lab, "relay: {peer-list: 0}\n"))
    lab.start_device("d1")
    lab.start_device("d2")
    node = lab["d1"]
    assert not node.peers().get("d2")
    assert addresses(node, "d2") == [lab["d2"].virtual_address()]
    assert dig(node, "nobody.mnedc").status == "NXDOMAIN"
    assert dig(node, "-x", lab["d2"].virtual_address()).values("PTR") == ["d2.mnedc."]


def test_a_device_whose_name_is_anothers_is_refused(flat):
    """The refusal names both and what to do; the operator sees to it, and the other one may come."""
    lab = flat(3)
    lab.start_relay()
    lab.start_device("d1", device_id="kitchen.hub")
    refused = lab["d2"].mnedc("mnedc-join", "--server", RELAY, "--device-id", "Kitchen_Hub", check=False)
    assert refused.returncode != 0
    for part in ("Kitchen_Hub", "kitchen.hub", "kitchen-hub.mnedc", "--device-id", "mnedc-ctl revoke kitchen.hub"):
        assert part in refused.stderr, part
    lab.start_device("d3", device_id="kitchen-hub2")
    lab.relay.mnedc("mnedc-ctl", "revoke", "kitchen.hub")
    lab.start_device("d2", device_id="Kitchen_Hub")
    until(lambda: addresses(lab["d3"], "kitchen-hub") == [lab["d2"].virtual_address()], "the name is the other's now")


def test_a_port_that_is_taken_is_a_warning(flat):
    """And it is had soon after it is free; with names off there is no server and no right to have one."""
    lab = flat(1)
    lab.start_relay()
    node = lab["d1"]
    taken = node.socket(socket.SOCK_DGRAM)
    node.enter(lambda: taken.bind(("0.0.0.0", 53)))
    device = lab.start_device("d1")
    until(lambda: "port 53" in device.log, "the warning")
    assert "another program has port 53" in device.log
    taken.close()
    query = ("dig", f"@{node.virtual_address()}", "+tries=1", "+time=1", "d1.mnedc")
    until(lambda: node.run(*query, check=False).returncode == 0, "the server runs", 30, interval=0.5)
    assert device.stop() == 0
    lab.start_device("d1", *config(lab, "join: {names: off}\n"))
    assert node.run("dig", f"@{node.virtual_address()}", "+tries=1", "+time=1", "d1.mnedc", check=False).returncode != 0


def test_the_hosts_file_has_a_block_of_names(flat):
    """What is around it stays; it goes when the program ends, and what a killed one has left when the next starts."""
    lab = flat(2)
    hosts = lab.directory / "hosts"
    before = b"127.0.0.1 localhost\n# no end of line"
    hosts.write_bytes(before)
    hosts.chmod(0o604)
    options = config(lab, f"join: {{hosts-file: {hosts}}}\n")
    lab.start_relay()
    device = lab.start_device("d1", *options)
    lab.start_device("d2")
    node, other = lab["d1"], lab["d2"]
    wanted = f"{other.virtual_address()}\td2.mnedc\n"
    until(lambda: wanted in hosts.read_text(), "the name of d2")
    text = hosts.read_text()
    assert text.startswith(before.decode() + "\n# BEGIN mnedc mnedc0\n") and text.endswith("\n# END mnedc mnedc0\n")
    assert f"{address6(other)}\td2.mnedc\n" in text and f"{node.virtual_address()}\td1.mnedc\n" in text
    assert stat.S_IMODE(hosts.stat().st_mode) == 0o604
    # As the system looks names up, with this file in place of /etc/hosts.
    looked_up = node.run("unshare", "-m", "sh", "-c", f"mount --bind {hosts} /etc/hosts; getent ahostsv4 d2.mnedc")
    assert looked_up.stdout.startswith(other.virtual_address())
    device.kill()
    assert wanted in hosts.read_text()
    hosts.write_bytes(hosts.read_bytes() + b"192.0.2.1 behind\n")
    device = lab.start_device("d1", *options)
    until(lambda: hosts.read_text().count("# BEGIN mnedc") == 1 and wanted in hosts.read_text(), "one block again")
    assert device.stop() == 0
    assert hosts.read_bytes() == before + b"\n192.0.2.1 behind\n"


def test_without_systemd_resolved_the_names_are_in_the_systems_hosts_file(flat):
    """As a device is started by default; its relay, which is no longer root's, says that it cannot, and nobody else writes there."""
    lab = flat(3)
    node, other = lab["d1"], lab["d2"]
    before = node.hosts.read_bytes()
    relay = lab.start_relay()
    device = lab.start_device("d1")
    lab.start_device("d2", *config(lab, "join: {hosts-file: off}\n"))
    resolved = lambda: node.run("getent", "ahostsv4", "d2.mnedc", check=False).stdout.split()[:1]
    until(lambda: resolved() == [other.virtual_address()], "d2.mnedc resolves")
    assert b"# BEGIN mnedc" not in other.hosts.read_bytes() + lab.relay.hosts.read_bytes()
    if Path(f"/proc/{relay.pid}").stat().st_uid != 0:
        said = [line for line in relay.log.splitlines() if "/etc/hosts" in line]
        assert len(said) == 1 and "systemd-resolved does not run" in said[0] and "warning" not in said[0], relay.log
    assert device.stop() == 0
    assert node.hosts.read_bytes() == before
    (lab.directory / "names.yaml").write_text("join: {names: resolver}\n")
    lab.start_device("d3", "--config", lab.directory / "names.yaml")
    until(lambda: addresses(lab["d3"], "d2"), "the server knows d2")
    assert b"# BEGIN mnedc" not in lab["d3"].hosts.read_bytes()


def test_a_hosts_file_that_is_mounted_is_written_in_place_and_a_link_is_refused(flat):
    """As in a container; the warning says what is wrong."""
    lab = flat(1)
    lab.start_relay()
    hosts, link = lab.directory / "hosts", lab.directory / "link"
    hosts.write_text("127.0.0.1 localhost\n")
    link.symlink_to(hosts)
    device = lab.start_device("d1", *config(lab, f"join: {{hosts-file: {link}}}\n"))
    until(lambda: "symbolic link" in device.log, "the warning")
    assert device.log.count("cannot have the names") == 1 and device.stop() == 0
    subprocess.run(["mount", "--bind", hosts, hosts], check=True)
    try:
        device = lab.start_device("d1", *config(lab, f"join: {{hosts-file: {hosts}}}\n"))
        until(lambda: "\td1.mnedc\n" in hosts.read_text(), "the name")
        assert device.stop() == 0
        assert hosts.read_text() == "127.0.0.1 localhost\n"
    finally:
        subprocess.run(["umount", hosts], check=True)


def test_systemd_resolved_is_told_where_it_runs(flat):
    """By resolvectl, here one that writes down what it was told; its failure is one warning that says what to do."""
    lab = flat(1)
    lab.start_relay("--no-device")
    node = lab["d1"]
    tools = lab.directory / "bin"
    tools.mkdir()
    told = lab.directory / "told"
    tool = tools / "resolvectl"
    tool.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    tool.chmod(0o755)
    start = (
        "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/resolve && "
        f'PATH={tools}:$PATH exec "$0" "$@"'
    )
    options = ("--server", RELAY, "--device-id", "d1")

    def join():
        command = (lab.program("mnedc-join"), *node._with_paths("mnedc-join", options))
        return node.start("unshare", "-m", "sh", "-c", start, *command, name="d1")

    # What a start without systemd-resolved has left, and nothing new.
    before = node.hosts.read_bytes()
    node.hosts.write_bytes(before + b"# BEGIN mnedc mnedc0\n10.0.0.9\told.mnedc\n# END mnedc mnedc0\n")
    device = join()
    until(lambda: told.exists() and told.read_text().count("\n") == 2, "resolvectl is called")
    first, second = told.read_text().splitlines()
    assert first == f"dns mnedc0 {node.virtual_address()} {address6(node)}"
    assert second.startswith("domain mnedc0 ~mnedc ~0.0.10.in-addr.arpa ~") and "ip6.arpa" in second
    assert node.hosts.read_bytes() == before
    assert device.stop() == 0
    tool.write_text("#!/bin/sh\necho 'not today' >&2\nexit 1\n")
    device = join()
    until(lambda: "not today" in device.log, "the warning")
    assert "resolvectl dns mnedc0" in device.log and device.is_running and addresses(node, "d1")
    assert device.stop() == 0


def resolved_programs():
    """systemd-resolved and resolvectl, installed or as requirements.sh has unpacked them; None if they do not run here."""
    for root in (Path("/"), REPOSITORY / ".build" / "debian"):
        programs = root / "lib/systemd/systemd-resolved", root / "usr/bin/resolvectl"
        if all(program.exists() for program in programs):
            done = subprocess.run([programs[0], "--version"], capture_output=True)
            return programs if done.returncode == 0 else None
    return None


def test_systemd_resolved_itself_finds_the_names(flat):
    """The real one, with a bus of its own: names, addresses, who is not there; and nothing is left behind."""
    programs = resolved_programs()
    if not programs or not shutil.which("dbus-daemon"):
        pytest.skip("systemd-resolved or dbus-daemon is not here; Tests/requirements.sh check")
    lab = flat(2)
    lab.start_relay()
    d1, d2 = lab.devices
    lab.start_device(d2, device_id="Kitchen.Hub")
    join = lab.program("mnedc-join"), *d1._with_paths("mnedc-join", ("--server", RELAY, "--device-id", "d1"))
    names = f"kitchen-hub.mnedc,d1.mnedc,{d2.virtual_address()},nobody.mnedc"
    done = d1.run(
        "unshare", "-m", REPOSITORY / "Tests/Integration/resolved.sh", *programs, names, *join, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    hub, own, reverse, nobody, end = done.stdout.splitlines()
    assert d2.virtual_address() in hub and address6(d2) in hub
    assert d1.name in own and "10.0.0.3" in own
    assert "kitchen-hub.mnedc" in reverse and "not found" in nobody and end == "gone"
