"""DEVICE-ID.mnedc resolves on every device: by its own server, by systemd-resolved, and by the hosts file."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from lab import REPOSITORY, RELAY, Program, until
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
            label, address, six = (
                other.status()["device"]["device_id"].lower(),
                other.virtual_address(),
                address6(other),
            )
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
    """NODATA and NXDOMAIN with the SOA that lets them be kept, the case of the question, and REFUSED for what is not
    ours.
    """
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
    for question in (
        ("example.com",),
        (".", "NS"),
        ("-x", "192.0.2.1"),
        ("mnedc", "AXFR", "+tcp"),
        ("d2.mnedc", "CH", "A"),
    ):
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


@pytest.mark.parametrize("names", ["auto", "resolver"])
def test_a_port_that_is_taken_is_a_warning(flat, names):
    """And it is had soon after it is free, which status says; with names off there is no server and no right to have
    one.
    """
    lab = flat(1)
    lab.start_relay()
    node = lab["d1"]
    taken = node.socket(socket.SOCK_DGRAM)
    node.enter(lambda: taken.bind(("0.0.0.0", 53)))
    device = lab.start_device("d1", *config(lab, f"join: {{names: {names}}}\n"))
    until(lambda: "port 53" in device.log, "the warning")
    assert "another program has port 53" in device.log
    until(lambda: "port 53" in names_status(node)["note"], "status says it")
    taken.close()
    until(lambda: node.listens(53), "the server runs", 30)
    until(lambda: "port 53" not in names_status(node)["note"], "status says it no more")
    assert addresses(node, "d1")
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
    assert re.match(
        re.escape(before.decode()) + rf"\n# BEGIN mnedc mnedc0 process {device.pid} started \d+ in \d+\n", text
    )
    assert text.endswith("\n# END mnedc mnedc0\n")
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
    """As a device is started by default; its relay, which is no longer root's, says that it cannot, and nobody else
    writes there.
    """
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


def test_the_block_is_put_back_when_another_program_changes_the_file(flat):
    """However that changes it, whose lines stay; each time said in the log, and not without end."""
    lab = flat(2)
    hosts, new = lab.directory / "hosts", lab.directory / "new"
    hosts.write_text("127.0.0.1 localhost\n")
    lab.start_relay("--no-device")
    device = lab.start_device("d1", *config(lab, f"join: {{hosts-file: {hosts}}}\n"))
    until(lambda: "\td1.mnedc\n" in hosts.read_text(), "the names are there")
    text = "127.0.0.1 localhost\n10.1.1.1 printer\n"

    def rename():
        new.write_text(text)
        new.rename(hosts)

    def remove():
        hosts.unlink()
        rename()

    def edit():
        hosts.write_text(hosts.read_text().replace("\td1.mnedc", "\tanother.mnedc"))

    for change in (rename, lambda: hosts.write_text(text), remove, edit):
        told = device.log.count("in it again")
        change()
        until(lambda: "\td1.mnedc\n" in hosts.read_text(), "the names are back", 30)
        assert text in hosts.read_text()
        until(lambda: device.log.count("in it again") == told + 1, "the log says so", 30)
    # A program that does it all the time has its way most of the time.
    for _ in range(200):
        rename()
    until(lambda: "\td1.mnedc\n" in hosts.read_text(), "the names are back", 60)
    assert device.log.count("in it again") < 20
    lab.start_device("d2")
    until(lambda: "\td2.mnedc\n" in hosts.read_text(), "a new name is not held up by that", 30)
    assert device.stop() == 0 and hosts.read_text() == text


def test_what_a_killed_daemon_has_left_goes_with_the_next_start_of_any(flat):
    """A relay's or a device's, whatever interface it has; a block whose daemon runs stays."""
    lab = flat(2)
    hosts = lab.directory / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    options = config(lab, f"join: {{hosts-file: {hosts}}}\nrelay: {{admission: open, user: root}}\n")
    lab.start_relay("--no-device")
    block = lambda name: f"\t{name}.mnedc\n" in hosts.read_text()  # noqa: E731

    def kill(device):
        until(lambda: block("d1"), "the names of d1")
        device.kill()
        assert block("d1")

    kill(lab.start_device("d1", "--interface", "first0", *options, wait=False))
    lab["d2"].start_mnedc("mnedcd", "--no-device", *options)
    until(lambda: not block("d1"), "a relay has removed them")

    kill(lab.start_device("d1", "--interface", "second0", *options, wait=False))
    other = lab.start_device("d2", *options, "--socket", str(lab.directory / "other.sock"))
    until(lambda: block("d2") and "second0" not in hosts.read_text(), "a device has removed them")

    # Another daemon of the same interface, in a network namespace of its own.
    device = lab.start_device("d1", *options)
    until(lambda: hosts.read_text().count("# BEGIN mnedc mnedc0 ") == 2, "both have a block")
    assert device.stop() == 0
    until(lambda: hosts.read_text().count("# BEGIN mnedc mnedc0 ") == 1, "one has gone")
    assert f"process {other.pid} " in hosts.read_text()
    assert other.stop() == 0 and hosts.read_text() == "127.0.0.1 localhost\n"


def test_a_hosts_file_that_is_replaced_during_a_look_up_is_looked_at_again(flat):
    """The first look-up waits for a name server that does not answer, and may not count for the next minute."""
    lab = flat(1)
    lab.start_relay("--no-device")
    node = lab["d1"]
    silent = lab.relay.socket(socket.SOCK_DGRAM, timeout=20)
    silent.bind((RELAY, 53))
    (node.etc / "resolv.conf").write_text(f"nameserver {RELAY}\noptions timeout:3 attempts:1\n")
    text = node.hosts.read_text()
    node.hosts.unlink()
    node.hosts.symlink_to("hosts.elsewhere")
    node.start_mnedc("mnedc-join", "--server", RELAY, "--device-id", "d1")
    while b"\x02d1\x05mnedc\x00" not in silent.recv(4096):
        pass
    new = node.etc / "hosts.new"
    new.write_text(text)
    new.rename(node.hosts)
    until(lambda: "\td1.mnedc" in node.hosts.read_text(), "the file has the name")
    until(lambda: names_status(node)["resolves"], "the name resolves", 20)
    assert names_status(node)["by"] == "hosts-file"


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


# A directory, a socket at which somebody answers if asked to, and a resolvectl that writes down what it is told.
STAND_IN = """
import os, socket, subprocess, sys
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
os.makedirs("/run/systemd/resolve")
service = socket.socket(socket.AF_UNIX)
service.bind("/run/systemd/resolve/io.systemd.Resolve")
if sys.argv[1] == "runs":
    service.listen()
    service.set_inheritable(True)
os.environ["PATH"] = sys.argv[2] + ":" + os.environ["PATH"]
os.execvp(sys.argv[3], sys.argv[3:])
"""


def names_status(node):
    """How the names resolve there, as the status tells."""
    return {"note": "", "resolves": None} | ((node.status() or {}).get("device", {}).get("names", {"by": None}))


def test_systemd_resolved_is_told_where_it_answers(flat):
    """By resolvectl. Where programs do not ask it, or it takes nothing, or only its files are there, the hosts file has
    the names, and the status says why.
    """
    lab = flat(1)
    lab.start_relay("--no-device")
    node = lab["d1"]
    tools = lab.directory / "bin"
    tools.mkdir()
    told = lab.directory / "told"
    tool = tools / "resolvectl"
    tool.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    tool.chmod(0o755)
    before = node.hosts.read_bytes()

    def join(how):
        command = (lab.program("mnedc-join"), *node._with_paths("mnedc-join", ("--server", RELAY, "--device-id", "d1")))
        program = node.start("unshare", "-m", sys.executable, "-c", STAND_IN, how, tools, *command, name="d1")
        until(lambda: names_status(node)["resolves"], "the names resolve")
        assert b"\td1.mnedc\n" in node.hosts.read_bytes() and names_status(node)["hosts_file"] == "/etc/hosts"
        return program

    device = join("runs")
    first, second = told.read_text().splitlines()[:2]
    assert first == f"dns mnedc0 {node.virtual_address()} {address6(node)}"
    assert second.startswith("domain mnedc0 ~mnedc ~0.0.10.in-addr.arpa ~") and "ip6.arpa" in second
    assert "programs of this host do not ask it" in names_status(node)["note"]
    assert "do not ask it" in node.mnedc("mnedc-ctl", "status").stdout and "warning" not in device.log
    assert device.stop() == 0 and node.hosts.read_bytes() == before

    tool.write_text("#!/bin/sh\necho 'not today' >&2\nexit 1\n")
    device = join("runs")
    assert "warning: systemd-resolved runs but cannot be told" in device.log and "not today" in device.log
    assert "resolvectl dns mnedc0" in device.log and addresses(node, "d1")
    assert device.stop() == 0

    told.unlink()
    tool.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    device = join("has ended")
    assert not told.exists() and "systemd-resolved does not run" in names_status(node)["note"]
    assert "warning" not in device.log and device.stop() == 0


def resolved_programs():
    """systemd-resolved and resolvectl, installed or from requirements.sh; None if they do not run here."""
    for root in (Path("/"), REPOSITORY / ".build" / "debian"):
        programs = root / "lib/systemd/systemd-resolved", root / "usr/bin/resolvectl"
        if all(program.exists() for program in programs):
            done = subprocess.run([programs[0], "--version"], capture_output=True)
            return programs if done.returncode == 0 else None
    return None


class Resolved:
    """systemd-resolved itself, with a bus of its own, on a node of a lab; programs there ask it if `is_asked`."""

    def __init__(self, node, is_asked=True):
        programs = resolved_programs()
        if not programs or not shutil.which("dbus-daemon"):
            pytest.skip("systemd-resolved or dbus-daemon is not here; Tests/requirements.sh check")
        self.node = node
        if is_asked:
            (node.etc / "resolv.conf").write_text("nameserver 127.0.0.53\n")
        self.program = node.start(
            "unshare", "-m", REPOSITORY / "Tests/Integration/resolved.sh", *programs, name="resolved"
        )
        until(lambda: "ready" in self.program.output or not self.program.is_running, "systemd-resolved answers", 40)
        assert self.program.is_running, self.program.log
        self.process = int(re.search(r"ready (\d+)", self.program.output)[1])

    def enter(self, command):
        path = f"/run/tools:{os.environ['PATH']}"
        return [
            "nsenter",
            f"--target={self.program.pid}",
            "--mount",
            "--net",
            "env",
            f"PATH={path}",
            *map(str, command),
        ]

    def run(self, *command, check=True):
        done = subprocess.run(self.enter(command), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout

    def join(self, *options):
        command = self.node._with_paths("mnedc-join", ("--server", RELAY, "--device-id", self.node.name, *options))
        program = Program("d1", self.enter((self.node.lab.program("mnedc-join"), *command)), self.node.lab.directory)
        self.node.lab.started.append(program)
        return program

    def looked_up(self, name):
        """What programs find."""
        return self.run("getent", "ahostsv4", name, check=False).split()[:1]

    def query(self, name):
        """What systemd-resolved finds."""
        return self.run("sh", "-c", f"resolvectl --legend=no query {name} 2>&1", check=False)


def test_systemd_resolved_itself_finds_the_names(flat):
    """Names, addresses, who is not there. It is told again when it has forgotten, and nothing is left behind."""
    lab = flat(2)
    lab.start_relay()
    d1, d2 = lab.devices
    lab.start_device(d2, device_id="Kitchen.Hub")
    resolved = Resolved(d1)
    before = d1.hosts.read_bytes()
    device = resolved.join()
    until(lambda: names_status(d1)["resolves"], "the names resolve", 30)
    assert d1.status()["device"]["names"] == {"domain": "mnedc", "by": "systemd-resolved", "resolves": True}
    until(lambda: resolved.looked_up("kitchen-hub.mnedc") == [d2.virtual_address()], "the name of d2", 30)
    hub = resolved.query("kitchen-hub.mnedc")
    assert d2.virtual_address() in hub and address6(d2) in hub and d1.virtual_address() in resolved.query("d1.mnedc")
    assert "kitchen-hub.mnedc" in resolved.query(d2.virtual_address()) and "not found" in resolved.query("nobody.mnedc")
    (name,) = [each for each in explained(d1, "Kitchen.Hub") if each["name"] == "name"]
    assert name["result"] == "ok" and "kitchen-hub.mnedc" in name["finding"]

    # As when systemd-networkd is started anew, it forgets what it was told.
    resolved.run("resolvectl", "revert", "mnedc0")
    assert resolved.looked_up("kitchen-hub.mnedc") != [d2.virtual_address()]
    until(lambda: resolved.looked_up("kitchen-hub.mnedc") == [d2.virtual_address()], "it is told again", 60)
    assert d1.hosts.read_bytes() == before
    assert device.stop() == 0
    until(lambda: "mnedc0" not in resolved.run("resolvectl", "domain"), "it has forgotten the interface")


def explained(node, peer):
    return json.loads(node.mnedc("mnedc-ctl", "explain", peer, "--json").stdout)["steps"]


def test_where_programs_do_not_ask_systemd_resolved_the_hosts_file_has_the_names(flat):
    """When another program has written resolv.conf, at the start or later, and when systemd-resolved has ended."""
    lab = flat(1)
    lab.start_relay()
    node = lab["d1"]
    resolved = Resolved(node, is_asked=False)
    before = node.hosts.read_bytes()
    device = resolved.join()
    until(lambda: names_status(node)["resolves"], "the names resolve", 30)
    assert names_status(node)["by"] == "hosts-file" and "do not ask it" in names_status(node)["note"]
    assert "~mnedc" in resolved.run("resolvectl", "domain", "mnedc0")
    assert device.stop() == 0 and node.hosts.read_bytes() == before

    (node.etc / "resolv.conf").write_text("nameserver 127.0.0.53\n")
    device = resolved.join()
    until(
        lambda: names_status(node)["by"] == "systemd-resolved" and names_status(node)["resolves"],
        "by systemd-resolved",
        30,
    )
    assert node.hosts.read_bytes() == before
    (node.etc / "new").write_text("# written by another program\n")
    (node.etc / "new").rename(node.etc / "resolv.conf")
    until(lambda: b"\td1.mnedc\n" in node.hosts.read_bytes(), "the names are in the hosts file", 60)
    until(lambda: names_status(node)["resolves"], "and resolve", 30)
    assert device.stop() == 0 and node.hosts.read_bytes() == before

    (node.etc / "resolv.conf").write_text("nameserver 127.0.0.53\n")
    device = resolved.join()
    until(lambda: names_status(node)["by"] == "systemd-resolved", "by systemd-resolved again", 30)
    os.kill(resolved.process, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{resolved.process}").exists(), "systemd-resolved has ended")
    assert "resolve" in resolved.run("ls", "/run/systemd")
    node.mnedc("mnedc-ctl", "reload")
    until(lambda: resolved.looked_up("d1.mnedc") == [node.virtual_address()], "the names are in the hosts file", 60)
    assert "does not run" in names_status(node)["note"]
