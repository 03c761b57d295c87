"""Measures what a relay's sessions and their traffic cost it, at 2, 100, 1,000 and 10,000 devices.

For each size a fresh `mnedcd --no-device` runs in a namespace, and `relay-load` beside it: all the devices in one
process, with real handshakes and real TCP connections over the loopback, but no interfaces. Frames of 1400 bytes go
between random pairs:

    paced      at a rate at which nothing has to wait: what a frame costs, and how long it takes
    full       with so many frames under way at any time, each device asking eight others in one call: the throughput.
               Between few devices, several frames share a system call, and cost less
    scattered  the same with frames that nobody answers: so little work for relay-load that the relay is the limit

But for the last, every second frame answers another. Each of the two programs has a core of its own, so that neither
takes the other's time. The relay asks for signs of life every five minutes only, so that they do not count as the
frames' cost; what they cost is measured by themselves, at the larger sizes, with a relay as it is by default. At last
the relay has both cores, and relay-load what it leaves of them: what the second core adds.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Integration"))
import lab as labs  # noqa: E402
from lab import REPOSITORY, Lab, until  # noqa: E402
from report import say, table  # noqa: E402

SIZES = (2, 100, 1000, 10_000)
PORT = 4434


def on(core):
    """For the start of a process that is to have this core alone."""
    return lambda: os.sched_setaffinity(0, {core})


class Scale:
    def __init__(self, lab, options):
        self.lab = lab
        self.options = options
        self.cores = sorted(os.sched_getaffinity(0))
        self.quiet = lab.directory / "quiet.yaml"
        self.quiet.write_text("relay: {keepalive: 300s, idle-keepalive: 300s}\n")

    def load(self, devices, relay, rounds, core):
        """Runs relay-load against a relay, on a core or wherever; what it reports."""
        command = [
            self.lab.program("relay-load"), "--process", relay.pid, "--port", PORT, "--devices", devices, "--rate",
            self.options.rate, "--window", self.options.window, "--seconds", self.options.seconds, "--rounds", rounds,
        ]  # fmt: skip
        more = {} if core is None else {"preexec_fn": on(core)}
        done = self.lab.relay.run(*command, timeout=600, **more)
        return json.loads(done.stdout)

    def through_relay(self, devices, rounds, apart=True, usual=False):
        """The same through a relay of its own; `apart`: each program on a core of its own; `usual`: it asks for signs
        of life as often as relays do.
        """
        state = self.lab.directory / f"scale-{devices}-{apart}-{usual}"
        relay = self.lab.relay.start_mnedc(
            "mnedcd", *([] if usual else ["--config", self.quiet]), "--no-device", "--pool", "10.0.0.0/16", "--listen",
            f"127.0.0.1:{PORT}", "--admission", "open", "--socket", f"{state}.sock", "--log-level", "warning",
            **({"preexec_fn": on(self.cores[0])} if apart else {}),
        )  # fmt: skip
        until(lambda: self.lab.relay.listens(PORT) or not relay.is_running, "the relay listens")
        try:
            return medians(self.load(devices, relay, rounds, self.cores[1] if apart else None))
        finally:
            relay.stop()
            shutil.rmtree(f"{state}.state", ignore_errors=True)


def medians(found):
    """A report with the medians of its rounds."""
    for kind in ("paced", "full", "scattered"):
        rounds = found[kind]
        found[f"{kind}_rounds"] = rounds
        found[kind] = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    return found


def thousands(number):
    return f"{number / 1000:.0f}"


def report(runs, living, shared):
    """The tables; `runs` and `living` are {devices: report}."""
    sessions, paced, fast = [], [], []
    for devices, found in runs.items():
        name, memory, usual = f"{devices:,}", found["relay"], living.get(devices)
        sessions.append(
            [name, f"{found['joining_seconds']:.1f}", f"{memory['a_session'] / 1024:.1f}"]
            + ([f"{usual['relay']['idle_share']:.1%}"] if usual else [""])
        )
        for title, one in ((name, found["paced"]), (f"{name}, signs of life too", usual and usual["paced"])):
            if one:
                paced.append(
                    [
                        title, f"{one['relay_microseconds']:.1f}", f"{one['relay_user_microseconds']:.1f}",
                        f"{one['p50_microseconds']:.0f}", f"{one['p99_microseconds']:.0f}", f"{one['dropped']:.0f}",
                    ]
                )  # fmt: skip
    for name, found in [(f"{devices:,}", found) for devices, found in runs.items()] + [
        (f"{shared['devices']:,}, both cores", shared)
    ]:
        for kind in ("full", "scattered"):
            one = found[kind]
            fast.append(
                [
                    f"{name}, {kind}", thousands(one["frames_a_second"]), f"{one['bits_a_second'] / 1e9:.2f}",
                    f"{one['relay_microseconds']:.1f}", f"{one['generator_microseconds']:.1f}",
                    f"{one['relay_share']:.0%}",
                    f"{one['generator_share']:.0%}", f"{one['p50_microseconds'] / 1000:.1f}",
                    f"{one['p99_microseconds'] / 1000:.1f}", f"{one['dropped']:.0f}",
                ]
            )  # fmt: skip
    return "\n\n".join(
        [
            table(sessions, ["devices", "join s", "KiB a session", "CPU when idle"]),
            table(paced, ["paced", "CPU µs a frame", "in user space", "p50 µs", "p99 µs", "dropped"]),
            table(
                fast,
                ["as many as go through", "1000 frames/s", "Gbit/s", "CPU µs a frame", "relay-load's", "relay's share",
                 "relay-load's", "p50 ms", "p99 ms", "dropped"],
            ),
        ]
    )  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of devices")
    parser.add_argument("--rate", type=int, default=10_000, help="frames a second of the paced traffic (10000)")
    parser.add_argument("--window", type=int, default=256, help="frames under way in the full traffic (256)")
    parser.add_argument("--seconds", type=int, default=3, help="how long each measurement takes (3)")
    parser.add_argument("--rounds", type=int, default=3, help="how often traffic is measured, for its medians (3)")
    parser.add_argument("--build", metavar="DIRECTORY", default=REPOSITORY / ".build" / "release", help="the programs")
    options = parser.parse_args()

    if problem := labs.why_not():
        sys.exit(f"scale: {problem}")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("scale: the relay and what loads it need a core each, and there is only one")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most < max(options.sizes) + 100:
        sys.exit(f"scale: {max(options.sizes)} devices need that many open files; the limit is {most} (ulimit -Hn)")

    began = time.monotonic()
    with Lab.flat(0) as lab:
        lab.programs = Path(options.build).resolve()
        scale = Scale(lab, options)
        runs, living = {}, {}
        for devices in options.sizes:
            say(f"{devices} devices…")
            runs[devices] = scale.through_relay(devices, options.rounds)
        for devices in [size for size in options.sizes if size >= 1000]:
            say(f"{devices} devices, asked for signs of life as usual…")
            living[devices] = scale.through_relay(devices, 1, usual=True)
        most = min(max(options.sizes), 1000)
        say(f"{most} devices, with both cores for the relay…")
        shared = scale.through_relay(most, options.rounds, apart=False)
    when = time.strftime("%Y-%m-%dT%H:%M:%S")
    output = REPOSITORY / ".build" / "bench"
    output.mkdir(parents=True, exist_ok=True)
    file = output / f"scale-{when.replace(':', '')}.json"
    file.write_text(
        json.dumps(
            {
                "version": 1, "time": when, "cores": os.cpu_count(), "kernel": os.uname().release,
                "runs": list(runs.values()), "living": list(living.values()), "shared": shared,
            },
            indent=2,
        )
    )  # fmt: skip
    print(f"\n{report(runs, living, shared)}\n")
    costs = [run["paced"]["relay_microseconds"] for run in runs.values()]
    print(f"A paced frame costs up to {max(costs) / min(costs) - 1:.0%} more at one size than at another.")
    if most in runs:
        gain = shared["scattered"]["frames_a_second"] / runs[most]["scattered"]["frames_a_second"] - 1
        print(f"With what relay-load leaves of a second core, the relay takes {gain:+.0%} of scattered frames.")
    print(f"{file.relative_to(REPOSITORY)}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except labs.Failure as failure:
        sys.exit(f"scale: {failure}")
