"""Open connections, and other devices, when something breaks."""

import errno
import hashlib
import os
import re
import signal
import socket
import threading
import time

from lab import Failure, until


class Stream:
    """A TCP connection between two devices that talks all the time, each line being echoed."""

    def __init__(self, here, there):
        listener = there.listen(there.virtual_address())
        self.client = here.connect(*listener.getsockname())
        self.server, _ = listener.accept()
        for each in (self.client, self.server):
            each.settimeout(40)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.echoed = 0
        self.error = None
        self.done = threading.Event()
        self.threads = [threading.Thread(target=body, daemon=True) for body in (self._echo, self._talk)]
        for thread in self.threads:
            thread.start()

    def _echo(self):
        try:
            while data := self.server.recv(4096):
                self.server.sendall(data)
        except OSError as error:
            self.error = self.error or error

    def _talk(self):
        try:
            while not self.done.is_set():
                line = b"%020d\n" % self.echoed
                self.client.sendall(line)
                back = b""
                while len(back) < len(line):
                    part = self.client.recv(len(line) - len(back))
                    if not part:
                        raise OSError("the connection was closed")
                    back += part
                if back != line:
                    raise OSError(f"sent {line}, got {back}")
                self.echoed += 1
                time.sleep(0.005)
        except OSError as error:
            self.error = self.error or error

    def goes_on(self, timeout=15):
        """Waits until lines sent from now on come back."""
        goal = self.echoed + 5
        until(lambda: self.error or self.echoed >= goal, "the stream goes on", timeout)
        if self.error:
            raise Failure(f"the stream broke: {self.error}")

    def finish(self):
        self.done.set()
        self.threads[1].join(45)
        if self.error:
            raise Failure(f"the stream broke: {self.error}")


def test_open_connections_survive_a_relay_that_is_killed_and_started_again(flat):
    """TUN and address stay, the devices come back, and TCP goes on where it was; so does a download."""
    lab = flat(2)
    running = lab.start_all()
    a, b = lab["d1"], lab["d2"]
    addresses = a.virtual_address(), b.virtual_address()
    stream = Stream(a, b)
    stream.goes_on()

    content = os.urandom(4 << 20)
    (lab.directory / "file").write_bytes(content)
    b.serve(lab.directory, addresses[1])
    received = lab.directory / "received"
    download = a.start(
        "curl", "-sSf", "--limit-rate", "2M", "--max-time", 60, "-o", received, f"http://{addresses[1]}:8000/file"
    )
    until(lambda: received.exists() and received.stat().st_size > 100_000, "the download begins")

    running["relay"].kill()
    time.sleep(0.5)
    assert (a.virtual_address(), b.virtual_address()) == addresses, "the addresses must stay while the relay is gone"
    lab.start_relay()
    stream.goes_on()
    until(lambda: a.status()["device"]["joins"] == 2 and b.status()["device"]["joins"] == 2, "both are in again")
    assert (a.virtual_address(), b.virtual_address()) == addresses
    assert download.wait(60) == 0, download.log
    assert hashlib.sha256(received.read_bytes()).digest() == hashlib.sha256(content).digest()
    stream.finish()


def test_open_connections_survive_a_link_that_is_cut_for_a_while(flat):
    """Nothing says that the link is dead but its silence: both ends find out within three keepalives."""
    lab = flat(2)
    config = lab.directory / "relay.yaml"
    config.write_text("relay:\n  keepalive: 500ms\n")
    lab.start_all("--config", config)
    a, b = lab["d1"], lab["d2"]
    stream = Stream(a, b)
    stream.goes_on()
    a.run("nft", "add table inet cut; add chain inet cut c { type filter hook output priority 0; }; "
                 "add rule inet cut c oifname eth0 drop")  # fmt: skip
    until(lambda: a.status()["device"]["state"] == "connecting", "the device finds out", 5)
    until(lambda: "d1" not in b.peers(), "the relay finds out", 5)
    a.run("nft", "delete table inet cut")
    stream.goes_on()
    stream.finish()
    until(lambda: "d1" in b.peers(), "d1 is back")


def test_a_stalled_receiver_does_not_slow_two_others_down(flat):
    """A stopped device, to which two others send as fast as they can, costs nobody else a packet."""
    lab = flat(4)
    running = lab.start_all()
    a, b, flood, stalled = (lab[f"d{n}"] for n in range(1, 5))
    where = stalled.virtual_address()
    listener = stalled.listen(where)
    connections = [node.connect(*listener.getsockname()) for node in (a, flood)]
    running["d4"].pause()
    stop = threading.Event()

    def send(connection):
        connection.settimeout(0.2)
        while not stop.is_set():
            try:
                connection.sendall(bytes(1 << 16))
            except TimeoutError:
                pass

    threads = [threading.Thread(target=send, args=(each,)) for each in connections]
    sender = flood.socket(socket.SOCK_DGRAM)
    sender.setblocking(False)

    def pour():
        while not stop.is_set():
            try:
                sender.sendto(bytes(1300), (where, 9))
            except BlockingIOError:
                time.sleep(0.001)
            time.sleep(0.0002)

    threads.append(threading.Thread(target=pour))
    for thread in threads:
        thread.start()
    try:
        time.sleep(1)
        received, median, output = a.ping(b.virtual_address(), count=40, interval=0.05)
        assert received == 40, output
        assert median < 100, f"a ping past a stalled receiver takes {median} ms"
        stream = Stream(a, b)
        stream.goes_on()
        stream.finish()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        running["d4"].resume()
    a.reaches(where)


def test_a_ping_to_an_absent_address_is_answered_at_once(flat):
    """The kernel says Destination Host Unreachable, as it does in a LAN, but without its three seconds."""
    lab = flat(1)
    lab.start_all()
    began = time.monotonic()
    received, _, output = lab["d1"].ping("10.0.0.200", wait=5)
    assert received == 0 and "Destination Host Unreachable" in output, output
    assert time.monotonic() - began < 1.5
    # TCP learns it as well.
    connection = lab["d1"].socket(timeout=5)
    began = time.monotonic()
    try:
        connection.connect(("10.0.0.201", 80))
        raise Failure("connected to nobody")
    except OSError as error:
        assert error.errno == errno.EHOSTUNREACH, error
    assert time.monotonic() - began < 3


def test_a_device_that_leaves_is_absent_at_once_and_back_when_it_joins(flat):
    """Whoever pings it is told, and reaches it again as soon as it is back."""
    lab = flat(2)
    running = lab.start_all()
    a, address = lab["d1"], lab["d2"].virtual_address()
    running["d2"].stop()
    until(lambda: "Destination Host Unreachable" in a.ping(address)[2], "its absence is told")
    lab.start_device("d2")
    a.reaches(address)


def test_a_lossy_link_slows_a_download_but_does_not_break_it(nat):
    """With two packets of a hundred lost on each of two links, both ways."""
    nat.start_all()
    mid, deep = nat["mid"], nat["deep"]
    for name in ("mid", "deep"):
        nat.nat_lab("loss", name, 2)
    content = os.urandom(2 << 20)
    (nat.directory / "file").write_bytes(content)
    address = deep.virtual_address()
    deep.serve(nat.directory, address)
    received = nat.directory / "received"
    mid.run("curl", "-sSf", "--max-time", 60, "-o", received, f"http://{address}:8000/file", timeout=70)
    assert hashlib.sha256(received.read_bytes()).digest() == hashlib.sha256(content).digest()


def test_idle_programs_sleep(flat):
    """Joined and idle, with a peer stopped and connections that say nothing, nobody burns CPU."""
    lab = flat(2)
    running = lab.start_all()
    silent = [lab["d1"].connect(lab.relay.address, 3334) for _ in range(3)]
    lab["d1"].connect(lab.relay.address, 3334).close()
    running["d2"].pause()
    before = {name: sum(program.cpu_seconds()) for name, program in running.items()}
    time.sleep(2)
    for name, program in running.items():
        assert sum(program.cpu_seconds()) - before[name] <= 0.1, f"{name} burns CPU while idle"
    running["d2"].resume()
    assert silent


def test_sigterm_and_sigint_end_the_daemons_with_status_0(flat):
    """And nothing is left: no interface, no socket, no session."""
    lab = flat(2)
    running = lab.start_all()
    for name, number in (("d1", signal.SIGTERM), ("d2", signal.SIGINT), ("relay", signal.SIGTERM)):
        running[name].signal(number)
        assert running[name].wait() == 0, running[name].log
        assert not lab[name].interfaces()
        assert not os.path.exists(lab[name].socket_path)
        if name != "relay":
            until(
                lambda: not re.search(rf'"{name}"', lab.relay.mnedc("mnedc-ctl", "status", "--json").stdout),
                "the relay notices",
            )
