"""Measures the suite between two devices under NAT, beside the plain routed path and a plain TCP relay.

Everything is measured in one run, one after the other in each round, because the machine's own speed changes from hour to
hour: what counts is the ratios. `mid` (one level of NAT) talks to `deep` (two levels):

    plain path   192.168.60.20 → 192.168.80.20, routed past NAT: no overlay at all
    socat        mid dials socat on the relay host, which dials a published port of deep: a TCP relay without TUN
    mnedc        by virtual address, through mnedcd on the relay host, sealed from end to end
    null cipher  the same, from a build that neither seals nor checks: what sealing costs
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Integration"))
import lab as labs  # noqa: E402
from lab import REPOSITORY, RELAY, Lab, until  # noqa: E402

GIB = 1 << 30
PUBLISHED = 5301


def say(text):
    print(text, file=sys.stderr, flush=True)


def build():
    """Builds the programs as they are installed; for their sizes, with the dynamic runtime; and with a cipher that does
    nothing, for this benchmark alone. Returns the three directories."""
    static, dynamic, null = (REPOSITORY / ".build" / name for name in ("release", "dynamic", "null-cipher"))
    say("Building the programs…")
    subprocess.run(["make", "--no-print-directory", "-C", REPOSITORY, "build"], check=True, stdout=sys.stderr)
    say("Building them with the dynamic runtime, for its sizes…")
    command = ["swift", "build", "--configuration", "release", "--package-path", REPOSITORY, "--scratch-path", dynamic]
    subprocess.run(command, check=True, stdout=sys.stderr)
    say("Building them with a cipher that does nothing…")
    command = [
        "swift", "build", "--configuration", "release", "--static-swift-stdlib", "-Xswiftc", "-DBENCHMARK_NULL_CIPHER",
        "--package-path", REPOSITORY, "--scratch-path", null,
    ]  # fmt: skip
    subprocess.run(command, check=True, stdout=sys.stderr)
    return static, dynamic / "release", null / "release"


def sizes(directory):
    """{program: bytes, stripped}"""
    found = {}
    for program in labs.PROGRAMS:
        stripped = REPOSITORY / ".build" / "bench" / f"{program}.stripped"
        subprocess.run(["strip", "-o", stripped, directory / program], check=True)
        found[program] = stripped.stat().st_size
        stripped.unlink()
    return found


class Bench:
    def __init__(self, lab, seconds, null=None):
        self.lab = lab
        self.null = null
        self.seconds = seconds
        self.mid, self.deep, self.relay = lab["mid"], lab["deep"], lab.relay
        self.results = {}
        self.port = 5400

    def add(self, name, value):
        self.results.setdefault(name, []).append(value)

    # --- the suite ---

    def start_suite(self):
        self.running = [
            self.lab.start_relay("--log-level", "warning"),
            self.lab.start_device("mid", "--log-level", "warning"),
            self.lab.start_device("deep", "--log-level", "warning"),
        ]
        self.virtual = self.deep.virtual_address()
        self.mid.reaches(self.virtual)

    def stop_suite(self):
        for program in reversed(self.running):
            program.stop()

    def null_stream(self):
        """One stream with the null cipher, in place of the suite as it is."""
        self.stop_suite()
        programs, self.lab.programs = self.lab.programs, self.null
        try:
            self.start_suite()
            self.add("tcp/null", self.stream(self.virtual)[0])
            self.stop_suite()
        finally:
            self.lab.programs = programs
        self.start_suite()

    def storm(self, count=1000):
        """How long many devices take to join a relay at once, from one program, over the loopback."""
        port = 4433
        relay = self.relay.start_mnedc(
            "mnedcd", "--no-device", "--pool", "10.99.0.0/16", "--listen", f"127.0.0.1:{port}", "--admission", "open",
            "--socket", self.lab.directory / "storm.sock", "--log-level", "warning",
        )  # fmt: skip
        until(lambda: self.relay.listens(port), "the relay listens")
        done = self.relay.run(self.lab.program("join-storm"), "127.0.0.1", port, count, timeout=120)
        self.add("storm/mnedc", float(done.stdout))
        relay.stop()
        shutil.rmtree(self.lab.directory / "storm.state", ignore_errors=True)

    def cpu(self):
        """CPU seconds of relay and both devices so far: (all, the part in user space)."""
        times = [program.cpu_seconds() for program in self.running]
        return sum(user + system for user, system in times), sum(user for user, _ in times)

    # --- one stream ---

    def stream(self, address, *options, port=None):
        """One TCP stream from mid to deep, or back with --reverse; (bits a second, bytes received)."""
        self.port += 1
        port = port or self.port
        report = labs.iperf3(self.mid, self.deep, address, *options, port=port, seconds=self.seconds)
        received = report["end"]["sum_received"]
        return received["bits_per_second"], received["bytes"]

    def plain_stream(self):
        self.add("tcp/plain", self.stream(self.deep.address)[0])

    def socat_stream(self):
        # iperf3 opens its second connection once the first is served, so socat must take both.
        port = PUBLISHED
        relay = self.relay.start(
            "socat", "-b", "131072", f"TCP-LISTEN:{port},fork,reuseaddr,nodelay",
            f"TCP:192.168.50.71:{port},nodelay",
        )  # fmt: skip
        until(lambda: self.relay.listens(port), "socat listens")
        rate, size = self.stream(RELAY, port=port)
        self.add("tcp/socat", rate)
        self.add("cpu/socat", self.with_children(relay) / (size / GIB))
        relay.stop()

    @staticmethod
    def with_children(program):
        """CPU seconds of a program and of its children, ended or not."""
        tick = os.sysconf("SC_CLK_TCK")
        seconds = 0
        children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
        for pid in [program.pid, *children]:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
            seconds += sum(int(field) for field in fields[11:15]) / tick
        return seconds

    def suite_stream(self, *options):
        before = self.cpu()
        rate, size = self.stream(self.virtual, *options)
        after = self.cpu()
        self.add("tcp/mnedc back" if "--reverse" in options else "tcp/mnedc", rate)
        self.add("cpu/mnedc", (after[0] - before[0]) / (size / GIB))
        self.add("cpu/mnedc user", (after[1] - before[1]) / (size / GIB))

    # --- latency ---

    def idle_ping(self, name, address):
        received, median, output = self.mid.ping(address, count=100, interval=0.05)
        if received < 100:
            say(f"  {100 - received} of 100 idle pings to {address} were lost")
        self.add(f"ping/{name}", median)

    def loaded_ping(self, name, address):
        self.port += 1
        listener = self.deep.start("iperf3", "--server", "--one-off", "--port", self.port)
        until(lambda: self.deep.listens(self.port), "iperf3 listens")
        load = self.mid.start("iperf3", "--client", address, "--port", self.port, "--time", self.seconds + 1)
        time.sleep(0.7)
        count = int((self.seconds - 0.2) / 0.02)
        done = self.mid.run("ping", "-n", "-c", count, "-i", "0.02", "-W", "2", address, check=False, timeout=60)
        times = sorted(float(part.split()[0]) for part in done.stdout.split("time=")[1:])
        self.add(f"loaded ping/{name}", statistics.fmean(times))
        self.add(f"loaded ping p99/{name}", times[min(len(times) - 1, int(len(times) * 0.99))])
        load.wait(60), listener.wait(60)

    # --- many small packets ---

    def datagrams(self, name, address):
        self.port += 1
        report = labs.iperf3(
            self.mid, self.deep, address, "--udp", "--length", "200", "--bandwidth", "0", "--get-server-output",
            port=self.port, seconds=2,
        )  # fmt: skip
        total = report["server_output_json"]["end"]["sum"] if "server_output_json" in report else report["end"]["sum"]
        delivered = total["packets"] - total["lost_packets"]
        self.add(f"datagrams/{name}", delivered / total["seconds"])

    # --- from nothing to the first answer ---

    def join(self):
        """Starts mnedc-join on top and pings deep through it without a pause until an answer comes."""
        node = self.lab["top"]
        command = [
            self.lab.program("mnedc-join"), "--server", f"{RELAY}:{labs.PORT}", "--device-id", "top", "--socket",
            node.socket_path, "--state", node.state_path, "--log-level", "warning",
        ]  # fmt: skip
        ping = node.enter(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP))
        ping.settimeout(0.0005)

        def start():
            began = time.perf_counter()
            return began, subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )

        began, process = node.enter(start)
        try:
            deadline = began + 10
            number = 0
            while True:
                number += 1
                try:
                    ping.sendto(struct.pack("!BBHHH", 8, 0, 0, 0, number & 0xFFFF), (self.virtual, 0))
                    ping.recvfrom(100)
                    break
                except OSError:
                    if time.perf_counter() > deadline:
                        raise labs.Failure("no ping was answered within 10 s of starting mnedc-join") from None
            self.add("join/mnedc", (time.perf_counter() - began) * 1000)
        finally:
            ping.close()
            process.terminate()
            process.wait()

    def round(self, suite):
        self.plain_stream()
        self.socat_stream()
        if suite:
            self.suite_stream()
            self.suite_stream("--reverse")
            if self.null:
                self.null_stream()
        self.idle_ping("plain", self.deep.address)
        if suite:
            self.idle_ping("mnedc", self.virtual)
        self.loaded_ping("plain", self.deep.address)
        if suite:
            self.loaded_ping("mnedc", self.virtual)
        self.datagrams("plain", self.deep.address)
        if suite:
            self.datagrams("mnedc", self.virtual)
            self.join()
            self.storm()

    def memory(self):
        """{program: (KiB resident now, at the highest, now without the program's own file)}"""
        names = ("mnedcd", "mnedc-join on mid", "mnedc-join on deep")
        return {name: program.resident() for name, program in zip(names, self.running)}


# --- the report -----------------------------------------------------------------------------------------------------


def table(rows, heading):
    widths = [max(len(str(row[column])) for row in [heading, *rows]) for column in range(len(heading))]
    lines = []
    for row in [heading, ["─" * width for width in widths], *rows]:
        first, *others = (str(cell) for cell in row)
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:]))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def report(results, memory, binaries):
    medians = {name: statistics.median(values) for name, values in results.items()}

    def cell(name, scale=1.0, digits=2):
        return f"{medians[name] / scale:.{digits}f}" if name in medians else "–"

    def ratio(name, other):
        return f"{medians[name] / medians[other]:.2f}" if name in medians and other in medians else "–"

    def above(name, other):
        return f"{medians[name] - medians[other]:+.3f} ms" if name in medians and other in medians else "–"

    def row(label, group, scale=1.0, digits=2, beside=""):
        return [label, *(cell(f"{group}/{kind}", scale, digits) for kind in ("plain", "socat", "mnedc")), beside]

    back = "tcp/mnedc back"
    rows = [
        row("one TCP stream, Gbit/s", "tcp", 1e9,
            beside=f"{ratio('tcp/mnedc', 'tcp/socat')} × socat, {ratio('tcp/mnedc', 'tcp/plain')} × plain"),
        ["the same, deep to mid", "", "", cell(back, 1e9), f"{ratio(back, 'tcp/socat')} × socat"],
        ["the same with a null cipher", "", "", cell("tcp/null", 1e9), f"sealed is {ratio('tcp/mnedc', 'tcp/null')} × that"],
        row("CPU s a GiB, relay and devices", "cpu"),
        ["of it in user space", "", "", cell("cpu/mnedc user"), ""],
        row("idle ping, median ms", "ping", digits=3, beside=above("ping/mnedc", "ping/plain")),
        row("ping under load, mean ms", "loaded ping"),
        row("ping under load, p99 ms", "loaded ping p99"),
        row("datagrams of 200 bytes, 1000/s", "datagrams", 1e3, 0,
            beside=f"{ratio('datagrams/mnedc', 'datagrams/plain')} × plain"),
        row("start to first ping, ms", "join", digits=1),
        row("1000 devices join at once, s", "storm"),
    ]  # fmt: skip
    text = table(rows, ["", "plain path", "socat", "mnedc", "mnedc beside"])
    if memory:
        rows = [[name, *(f"{part / 1024:.1f}" for part in parts)] for name, parts in memory.items()]
        text += "\n\n" + table(rows, ["resident after the runs, MiB", "now", "highest", "without files"])
    if binaries:
        kinds = list(binaries)
        rows = [[p, *(f"{binaries[k][p] / 1024:.0f}" for k in kinds)] for p in labs.PROGRAMS]
        rows.append(["together", *(f"{sum(binaries[k].values()) / 1024:.0f}" for k in kinds)])
        text += "\n\n" + table(rows, ["size stripped, KiB", *(f"{kind} runtime" for kind in kinds)])
    return medians, text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured (5)")
    parser.add_argument("--seconds", type=int, default=3, help="how long a stream lasts (3)")
    parser.add_argument("--build", metavar="DIRECTORY", help="take the programs from there; no building, no sizes")
    parser.add_argument("--without-suite", action="store_true", help="measure the plain path and socat only")
    options = parser.parse_args()

    if problem := labs.why_not():
        sys.exit(f"bench: {problem}")
    output = REPOSITORY / ".build" / "bench"
    output.mkdir(parents=True, exist_ok=True)
    binaries, null = {}, None
    if options.build:
        os.environ["BUILD"] = options.build
    elif not options.without_suite:
        static, dynamic, null = build()
        os.environ["BUILD"] = str(static)
        binaries = {"static": sizes(static), "dynamic": sizes(dynamic)}

    began = time.monotonic()
    memory = {}
    with Lab.nat() as lab:
        lab.nat_lab("open")
        lab.nat_lab("publish", "deep", PUBLISHED)
        bench = Bench(lab, options.seconds, null)
        try:
            if not options.without_suite:
                bench.start_suite()
            for number in range(1, options.rounds + 1):
                say(f"Round {number} of {options.rounds}…")
                bench.round(not options.without_suite)
            if not options.without_suite:
                memory = bench.memory()
        except labs.Failure:
            for name, text in lab.logs():
                if "mnedc" in name:
                    say(f"--- {name}\n{text}")
            raise
    medians, text = report(bench.results, memory, binaries)
    when = time.strftime("%Y-%m-%dT%H:%M:%S")
    file = output / f"{when.replace(':', '')}.json"
    file.write_text(
        json.dumps(
            {
                "version": 1, "time": when, "rounds": options.rounds, "cores": os.cpu_count(),
                "kernel": os.uname().release, "medians": medians, "runs": bench.results,
                "resident_kib": memory, "binary_bytes": binaries,
            },
            indent=2,
        )
    )  # fmt: skip
    print(f"\nMedians of {options.rounds} rounds, mid to deep, {os.cpu_count()} cores for everything:\n\n{text}\n")
    print(f"{file.relative_to(REPOSITORY)}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except labs.Failure as failure:
        sys.exit(f"bench: {failure}")
