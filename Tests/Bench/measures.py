"""What is measured of a contestant, each a function of it that gives {name of a figure: value}.

All traffic goes from mid to deep, but what is called `back` comes from deep to mid. Rates are bits or packets a second,
times ms, processor time seconds a GiB and microseconds a packet, shares parts of 1.
"""

import json
import re
import signal
import socket
import statistics
import time
from pathlib import Path

import network
from lab import Failure, iperf3, until
from peers.contestant import echo_request

GIB = 1 << 30
SMALL = 200
#: What may be lost of small packets that count as delivered.
LOSS = 0.01

_ports = iter(range(5401, 60000))


class Measures:
    """`seconds` is how long a stream lasts."""

    def __init__(self, lab, seconds):
        self.lab = lab
        self.seconds = seconds
        self.mid, self.deep = lab["mid"], lab["deep"]

    def port(self, contestant):
        return contestant.port or next(_ports)

    def settle(self, contestant):
        """Waits until what an earlier measurement has left in queues is gone."""
        if contestant.carries_ip:
            until(lambda: self.mid.ping(contestant.address)[0], f"{contestant.title}: mid reaches deep", 20)

    # --- from nothing to the first answer ---

    def join(self, contestant):
        """Starts mid's part, and pings deep through it without a pause until an answer comes."""
        if not contestant.carries_ip:
            return {}
        ping = self.mid.enter(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP))
        ping.settimeout(0.0005)
        try:
            began = time.perf_counter()
            contestant.start_device(self.mid)
            for number in range(1, 1 << 30):
                try:
                    ping.sendto(echo_request(number), (contestant.address, 0))
                    ping.recvfrom(100)
                    break
                except OSError:
                    if time.perf_counter() > began + 30:
                        raise Failure(f"no ping was answered within 30 s: {contestant.last_words()}") from None
            return {"join": (time.perf_counter() - began) * 1000} if contestant.programs else {}
        finally:
            ping.close()

    # --- streams ---

    def stream(self, contestant, *options):
        """One TCP stream, and the processor time of each process a GiB."""
        before = contestant.cpu()
        report = iperf3(
            self.mid, self.deep, contestant.address, *options, port=self.port(contestant), seconds=self.seconds
        )
        after = contestant.cpu()
        received = report["end"]["sum_received"]
        if not received["bytes"]:
            raise Failure("nothing of the stream arrived")
        figures = {"tcp": received["bits_per_second"]}
        if spent := spend(before, after):
            figures |= {f"cpu_{role}": total / (received["bytes"] / GIB) for role, (total, _) in spent.items()}
            figures["cpu"] = sum(total for total, _ in spent.values()) / (received["bytes"] / GIB)
            figures["cpu_user"] = sum(user for _, user in spent.values()) / (received["bytes"] / GIB)
        return figures

    def back(self, contestant):
        """One TCP stream from deep to mid."""
        return {"tcp_back": self.stream(contestant, "--reverse")["tcp"]}

    def four(self, contestant):
        """Four TCP streams."""
        return {"tcp_four": self.stream(contestant, "--parallel", "4")["tcp"]}

    def wire(self, contestant):
        """One TCP stream over links without segmentation offload, as on a wire."""
        with network.as_on_a_wire(self.lab):
            return {"tcp_wire": self.stream(contestant)["tcp"]}

    # --- small packets ---

    def datagrams(self, contestant):
        """200-byte packets a second that arrive, at the highest rate that loses hardly any, and in a flood."""
        if not contestant.carries_ip:
            return {}
        best = {}

        def attempt(rate):
            before = contestant.cpu()
            sent, arrived = self.send_datagrams(contestant, rate)
            if arrived >= sent * (1 - LOSS) and arrived > best.get("datagrams", 0):
                spent = spend(before, contestant.cpu())
                share = 1e6 / (arrived * self.probe)
                best.clear()
                best["datagrams"] = arrived
                if spent:
                    best["packet"] = sum(total for total, _ in spent.values()) * share
                    best.update({f"packet_{role}": total * share for role, (total, _) in spent.items()})
            return sent, arrived

        sent, flooded = attempt(0)
        if not best:
            search(attempt, sent, flooded)
        return {"datagrams": 0.0} | best | {"datagrams_flood": flooded}

    @property
    def probe(self):
        return min(self.seconds, 1)

    def send_datagrams(self, contestant, rate):
        """Packets a second (sent, received), with so many asked for; 0: as many as iperf3 can send."""
        self.settle(contestant)
        end = iperf3(
            self.mid, self.deep, contestant.address, "--udp", "--length", SMALL, "--bandwidth", int(rate * SMALL * 8),
            "--window", window(), port=self.port(contestant), seconds=self.probe,
        )["end"]  # fmt: skip
        # The receiver does not know of what was lost at the end.
        received = end.get("sum_received", end["sum"])
        seconds = end["sum"]["seconds"]
        return end["sum"]["packets"] / seconds, (received["packets"] - received["lost_packets"]) / seconds

    # --- latency ---

    def idle(self, contestant):
        """Pings with nothing else under way."""
        if not contestant.carries_ip:
            return {}
        times, _ = self.pings(contestant, 2)
        return {
            "ping_mean": statistics.fmean(times), "ping_p50": percentile(times, 50), "ping_p99": percentile(times, 99)
        }  # fmt: skip

    def loaded(self, contestant):
        """Pings beside a TCP stream."""
        if not contestant.carries_ip:
            return {}
        found = self.beside_bulk(contestant, 1)
        return {f"loaded_{name}": found[name] for name in ("mean", "p50", "p99", "lost")}

    def slow(self, contestant):
        """Pings beside streams on a 20 Mbit/s link: one, one from deep to mid, and four."""
        with network.slow_link(self.lab):
            return (
                named("slow", self.beside_bulk(contestant, 1, network.DOWN))
                | named("slow_back", self.beside_bulk(contestant, 1, network.UP))
                | named("slow_four", self.beside_bulk(contestant, 4, network.DOWN))
            )

    def lossy(self, contestant):
        """Pings beside one and four streams on a 20 Mbit/s link that loses 1 %."""
        with network.slow_link(self.lab, loss=1):
            return named("lossy", self.beside_bulk(contestant, 1, network.DOWN)) | named(
                "lossy_four", self.beside_bulk(contestant, 4, network.DOWN)
            )

    def beside_bulk(self, contestant, flows, end=None):
        """Pings while so many TCP streams run, towards deep or from it, as `end` of the slow link says.

        The pings, the link's use (a share) and what of it was goodput: bits a second.
        """
        self.settle(contestant)
        port = self.port(contestant)
        seconds = max(self.seconds, 1)
        listener = self.deep.start("iperf3", "--server", "--one-off", "--port", port)
        until(lambda: self.deep.listens(port) or not listener.is_running, "iperf3 listens")
        options = ["--reverse"] if end == network.UP else []
        bulk = self.mid.start(
            "iperf3", "--client", contestant.address, "--port", port, "--time", seconds + 2,
            "--parallel", flows, "--json",
            *options,
        )  # fmt: skip
        try:
            # By then slow start is over, and what it has filled has found its level.
            time.sleep(1.5)
            before, began = network.sent_bytes(self.lab, end) if end else 0, time.monotonic()
            found = {}
            if contestant.carries_ip:
                times, lost = self.pings(contestant, seconds)
                found = {"mean": statistics.fmean(times), "lost": lost}
                found |= {f"p{part}": percentile(times, part) for part in (50, 99)}
            else:
                time.sleep(seconds)
            if end:
                used = (network.sent_bytes(self.lab, end) - before) * 8 / (time.monotonic() - began)
                found["used"] = used / network.RATE
            bulk.wait(seconds + 30)
            report = json.loads(bulk.output or "{}")
            if "error" in report or "end" not in report:
                raise Failure(f"{contestant.title}: iperf3: {report.get('error', 'no report')}")
            found["goodput"] = report["end"]["sum_received"]["bits_per_second"]
            return found
        finally:
            bulk.stop()
            listener.stop()

    def pings(self, contestant, seconds, interval=0.01):
        """Pings for so long: (the answers' round trips, sorted; the share of pings that was lost).

        Those behind the last that was answered may be under way still, and do not count.
        """
        ping = self.mid.start("ping", "-n", "-i", interval, contestant.address)
        time.sleep(seconds)
        # With a deadline of its own, it would end at the first ICMP error instead.
        ping.signal(signal.SIGINT)
        ping.wait()
        answers = re.findall(r"icmp_seq=(\d+) .*time=([0-9.]+) ms", ping.output)
        if not answers:
            raise Failure(f"{contestant.title}: no ping of {seconds} s was answered")
        numbers = {int(number) for number, _ in answers}
        return sorted(float(passed) for _, passed in answers), 1 - len(numbers) / max(numbers)

    # --- many at once ---

    def storm(self, contestant, count=1000):
        """A thousand devices join mnedcd at once, from one program, over the loopback."""
        if contestant.name != "mnedc":
            return {}
        port, relay = 4433, self.lab.relay
        daemon = relay.start_mnedc(
            "mnedcd", "--no-device", "--pool", "10.99.0.0/16", "--listen", f"127.0.0.1:{port}", "--admission", "open",
            "--socket", self.lab.directory / "storm.sock", "--state", contestant.directory / f"storm-{next(_ports)}",
            "--log-level", "warning",
        )  # fmt: skip
        try:
            until(lambda: relay.listens(port), "the relay listens")
            done = relay.run(self.lab.program("join-storm"), "127.0.0.1", port, count, timeout=120)
            return {"storm": float(done.stdout)}
        finally:
            daemon.stop()


#: By the names that `--only` takes, in the order in which they are made; `join` is always made, as mid has to join.
ALL = {
    "ping": Measures.idle,
    "stream": Measures.stream,
    "back": Measures.back,
    "four": Measures.four,
    "loaded": Measures.loaded,
    "wire": Measures.wire,
    "datagrams": Measures.datagrams,
    "slow": Measures.slow,
    "lossy": Measures.lossy,
    "storm": Measures.storm,
}


def window():
    """Bytes of the buffers of iperf3's sockets: a receiver with the usual 200 KiB loses packets that came as they
    should.
    """
    most = (int(Path(f"/proc/sys/net/core/{kind}mem_max").read_text()) for kind in "rw")
    return min(1 << 20, *most)


def spend(before, after):
    """{role: (all, user)}: seconds of processor time in between."""
    return {role: tuple(b - a for a, b in zip(before[role], after[role])) for role in before}


def search(attempt, sent, flooded, steps=5):
    """Looks for the highest rate that arrives, but for a share of LOSS, and returns it, or 0.

    `attempt(rate)` tries one, and gives the rates that were sent and arrived; `sent` and `flooded` are those of a
    flood.
    """

    def holds(rate):
        sent, arrived = attempt(rate)
        return arrived >= sent * (1 - LOSS)

    # A flood may cost what is sent in vain, so that more arrives if less is sent; rarely three times less.
    low, high, floor = 0.0, sent, flooded * 0.3
    if holds(flooded * 0.95):
        low = floor = flooded * 0.95
    else:
        high = flooded * 0.95
    for _ in range(steps):
        rate = (floor * high) ** 0.5
        if holds(rate):
            low = floor = rate
        else:
            high = rate
    return low


def percentile(ordered, part):
    return ordered[min(len(ordered) - 1, int(len(ordered) * part / 100))]


def named(prefix, figures):
    return {f"{prefix}_{name}": value for name, value in figures.items()}
