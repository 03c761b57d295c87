"""Measures what recovery costs and takes: the bytes of an idle device, and the return of a thousand after a restart.

The programs are those of $BUILD, or the newest built; `swift build --configuration release` makes them. Needs root.
"""

import argparse
import re
import statistics
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "Integration"))

import lab as labs  # noqa: E402
from lab import PORT, Lab, until  # noqa: E402

DAY = 86_400


def count_bytes(node):
    """Counts TCP to and from the relay's port from now on: a function that gives (packets, bytes of IP) so far."""
    node.run(
        "nft",
        "add table inet count; add chain inet count out { type filter hook output priority 0; }; "
        "add chain inet count in { type filter hook input priority 0; }; "
        f"add rule inet count out tcp dport {PORT} counter; add rule inet count in tcp sport {PORT} counter",
    )

    def read():
        found = re.findall(
            r"counter packets (\d+) bytes (\d+)", node.run("nft", "list", "table", "inet", "count").stdout
        )
        return sum(int(packets) for packets, _ in found), sum(int(size) for _, size in found)

    return read


def idle(keepalive, idle_keepalive, seconds):
    """(echoes, packets and bytes of IP an echo, bytes a day) of an idle device, asked every `idle_keepalive` s."""
    with Lab.flat(1) as lab:
        config = lab.directory / "relay.yaml"
        config.write_text(f"relay:\n  keepalive: {keepalive}s\n  idle-keepalive: {idle_keepalive}s\n")
        lab.start_relay("--config", config)
        node = lab["d1"]
        counted = count_bytes(node)
        lab.start_device("d1")

        def echoes():
            link = node.status()["device"]["link"]
            # A ping and a pong.
            return (link["received_frames"] + link["sent_frames"]) / 2

        # By then what is sent at joining is over, and the interval has grown as far as it does.
        time.sleep(max(5, 10 * idle_keepalive if idle_keepalive > keepalive else 0, 35 * keepalive))
        before, began = (echoes(), *counted()), time.monotonic()
        time.sleep(seconds)
        after, passed = (echoes(), *counted()), time.monotonic() - began
        number, packets, size = (b - a for a, b in zip(before, after))
        return number, packets / number, size / number, size * DAY / passed


def come_back(count, downtime, rounds):
    """Seconds from the open port until the last of `count` devices is in again, by round."""
    times = []
    for number in range(rounds):
        with Lab.flat(1) as lab:
            options = (
                "--no-device",
                "--pool",
                "10.99.0.0/16",
                "--listen",
                f"127.0.0.1:{PORT}",
                "--log-level",
                "warning",
            )
            relay = lab.start_relay(*options)
            crowd = lab.relay.start(lab.program("join-storm"), "127.0.0.1", PORT, count, "--return")
            until(lambda: crowd.output.count("\n") == 1, "all are in", 120)
            relay.stop()
            until(lambda: "gone" in crowd.output, "the relay is gone", 30)
            time.sleep(downtime)
            lab.start_relay(*options, wait=False)
            # The last look that found the port closed: if anything, too early.
            opened = time.clock_gettime(time.CLOCK_BOOTTIME)
            while not lab.relay.listens(PORT):
                opened = time.clock_gettime(time.CLOCK_BOOTTIME)
            if crowd.wait(120) != 0:
                raise labs.Failure(crowd.log)
            times.append(float(crowd.output.split()[-1]) - opened)
            print(f"  round {number + 1}: {times[-1]:.2f} s", file=sys.stderr)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often a restart is measured (5)")
    parser.add_argument("--seconds", type=int, default=240, help="how long an idle device is watched (240)")
    options = parser.parse_args()
    if problem := labs.why_not():
        sys.exit(f"recovery: {problem}")

    for keepalive, idle_keepalive in ((2, 2), (2, 30)):
        number, packets, size, day = idle(keepalive, idle_keepalive, options.seconds)
        print(
            f"idle, asked every {idle_keepalive} s: {number:.0f} echoes, "
            f"{packets:.2f} packets and {size:.1f} bytes of IP each, "
            f"{day / 1e6:.2f} MB a day"
        )
    for downtime in (0, 10, 30):
        times = come_back(1000, downtime, options.rounds)
        print(
            f"1000 devices, relay away for {downtime} s: "
            f"all back {statistics.median(times):.2f} s after the port is open "
            f"(median of {len(times)}; {min(times):.2f} to {max(times):.2f})"
        )


if __name__ == "__main__":
    main()
