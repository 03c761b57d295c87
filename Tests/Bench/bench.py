"""Measures the suite between two devices under NAT, beside what a user would pick instead of it, and two limits.

Everything is measured in one run, because the machine's own speed changes from hour to hour: what counts is the ratios.
In each round the contestants (see peers) take turns, alone in the network: one starts, is measured (see measures),
ends. `mid` (one level of NAT) talks to `deep` (two levels) through the relay's host; the routers let nothing else
through:

    plain        the limit: routed past NAT, no overlay at all
    socat        the limit of a relay: a TCP relay without an interface and without a cipher
    mnedc        by virtual address, through mnedcd on the relay host, sealed from end to end
    null-cipher  the same, from a build that neither seals nor checks: what sealing costs (not with --build)
    the others   as far as their packages are installed
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Integration"))
import lab as labs  # noqa: E402
import measures  # noqa: E402
import network  # noqa: E402
from lab import REPOSITORY, Lab  # noqa: E402
from peers import CONTESTANTS  # noqa: E402
from peers.suite import NullCipher  # noqa: E402
from report import chart, medians, met, say, table, tables, targets, verdict  # noqa: E402


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
    def __init__(self, lab, contestants, names, options, control):
        self.lab = lab
        self.congestion_control = control
        self.contestants = [kind(lab) for kind in contestants]
        self.names = names
        self.measures = measures.Measures(lab, options.seconds)
        self.ends_at = time.monotonic() + options.minutes * 60
        #: How many rounds all contestants had their turn in.
        self.rounds = 0
        #: {contestant: {figure: [a value a round]}}
        self.runs = {}
        #: What went wrong, in a line each.
        self.problems = []

    def round(self):
        """Whether there was time for all."""
        for contestant in self.contestants:
            if time.monotonic() > self.ends_at:
                say(f"  no time is left for {contestant.title} and those behind it (--minutes)")
                return False
            began = time.monotonic()
            self.turn(contestant)
            say(f"  {contestant.title}: {time.monotonic() - began:.0f} s")
        self.rounds += 1
        return True

    def turn(self, contestant):
        """Starts one contestant, measures it and ends it. What it fails in has no figure; the others go on."""
        try:
            contestant.begin()
            self.keep(contestant, self.measures.join(contestant))
            for name in self.names:
                if contestant.measures and name not in contestant.measures:
                    continue
                try:
                    self.measures.settle(contestant)
                    self.keep(contestant, measures.ALL[name](self.measures, contestant))
                except (labs.Failure, OSError) as failure:
                    self.problem(f"{contestant.title}: {name}: {failure}")
            for role, (resident, anonymous) in contestant.memory().items():
                self.keep(contestant, {f"resident_{role}": resident, f"anonymous_{role}": anonymous})
        except (labs.Failure, OSError) as failure:
            # A process that has ended has no figures: an OSError.
            self.problem(f"{contestant.title}: {failure}; {contestant.last_words()}")
        finally:
            try:
                contestant.end()
            except labs.Failure as failure:
                self.problem(f"{contestant.title}: {failure}")

    def keep(self, contestant, figures):
        for name, value in figures.items():
            self.runs.setdefault(contestant.name, {}).setdefault(name, []).append(value)

    def problem(self, text):
        self.problems.append(text)
        say(f"  {text}")


def choose(names):
    """The contestants of these names, or all; those that cannot take part are left out, and how to get them is said."""
    known = {kind.name: kind for kind in CONTESTANTS}
    chosen = [known[name] for name in names] if names else list(CONTESTANTS)
    missing = [kind for kind in chosen if kind.missing()]
    if missing:
        packages = sorted({package for kind in missing for package in kind.missing()})
        say(f"Without {', '.join(kind.title for kind in missing)}; to have them: apt-get install {' '.join(packages)}")
    return [kind for kind in chosen if kind not in missing]


def arguments():
    what = "".join(f"  {name:<10} {function.__doc__.splitlines()[0]}\n" for name, function in measures.ALL.items())
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"measurements, beside joining and memory, which are always taken:\n{what}",
    )  # fmt: skip
    names = [kind.name for kind in CONTESTANTS]
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured (3)")
    parser.add_argument("--seconds", type=int, default=2, help="how long a stream lasts (2)")
    parser.add_argument("--minutes", type=float, default=24, help="no contestant's turn begins after that time (24)")
    parser.add_argument("--quick", action="store_true", help="one round, one second a stream")
    parser.add_argument(
        "--contestants", nargs="+", choices=names, metavar="NAME", help=f"only these of {', '.join(names)}"
    )
    parser.add_argument(
        "--only", nargs="+", choices=measures.ALL, metavar="NAME", help="only these measurements, see below"
    )
    parser.add_argument("--build", metavar="DIRECTORY", help="take the programs from there; no building, no sizes")
    options = parser.parse_args()
    if options.quick:
        options.rounds = options.seconds = 1
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds are at least 1")
    return options


def main():
    options = arguments()
    if problem := labs.why_not():
        sys.exit(f"bench: {problem}")
    contestants = choose(options.contestants)
    output = REPOSITORY / ".build" / "bench"
    output.mkdir(parents=True, exist_ok=True)
    binaries = {}
    if options.build:
        os.environ["BUILD"] = options.build
    elif any(kind.name in ("mnedc", "null-cipher") for kind in contestants):
        static, dynamic, NullCipher.build = build()
        os.environ["BUILD"] = str(static)
        binaries = {"static": sizes(static), "dynamic": sizes(dynamic)}
    if NullCipher.build is None:
        contestants = [kind for kind in contestants if kind is not NullCipher]
    if not contestants:
        sys.exit("bench: there is nobody left to measure")

    began = time.monotonic()
    with Lab.nat() as lab:
        control = network.usual_tcp(lab)
        network.apart(lab)
        names = [name for name in measures.ALL if name in (options.only or measures.ALL)]
        bench = Bench(lab, contestants, names, options, control)
        for number in range(1, options.rounds + 1):
            say(f"Round {number} of {options.rounds}, {(time.monotonic() - began) / 60:.1f} minutes…")
            if not bench.round():
                break
        logs = lab.logs()
    if any(problem.startswith("MNEDC") for problem in bench.problems):
        for name, text in logs:
            if "mnedc" in name:
                say(f"--- {name}\n{text}")
    if not bench.runs:
        sys.exit("bench: nothing was measured" + "".join(f"\n  {problem}" for problem in bench.problems))
    show(options, bench, binaries, output, time.monotonic() - began)
    # A peer that fails says nothing of the suite; the suite that fails does.
    sys.exit(any(problem.startswith("MNEDC") for problem in bench.problems))


def show(options, bench, binaries, output, seconds):
    """Prints the tables and the targets, and writes the JSON and the chart."""
    found = medians(bench.runs)
    titles = {kind.name: kind.title for kind in CONTESTANTS}
    checks = targets(found, [kind.name for kind in CONTESTANTS if kind.is_peer])
    when = time.strftime("%Y-%m-%dT%H:%M:%S")
    machine = (
        f"{processor()}, {os.cpu_count()} cores for everything, Linux {os.uname().release}, {bench.congestion_control}"
    )
    note = f"{when}, {bench.rounds} of {options.rounds} rounds complete, {machine}"
    document = {
        "version": 1, "time": when, "rounds": bench.rounds, "seconds": options.seconds, "processor": processor(),
        "cores": os.cpu_count(), "kernel": os.uname().release,
        "congestion_control": bench.congestion_control, "medians": found, "runs": bench.runs,
        "targets": [
            {"name": check[0], "value": check[1], "bound": check[2], "target": check[3], "met": met(check)}
            for check in checks
        ],
        "problems": bench.problems, "binary_bytes": binaries,
    }  # fmt: skip
    file = output / f"{when.replace(':', '')}.json"
    file.write_text(json.dumps(document, indent=2))
    drawn = file.with_suffix(".svg")
    drawn.write_text(chart(found, titles, note))

    print(f"\n{note}; medians, from mid to deep:\n\n{tables(found, titles)}\n")
    if binaries:
        rows = [[p, *(f"{binaries[k][p] / 1024:.0f}" for k in binaries)] for p in labs.PROGRAMS]
        rows.append(["together", *(f"{sum(binaries[k].values()) / 1024:.0f}" for k in binaries)])
        print(table(rows, ["size stripped, KiB", *(f"{kind} runtime" for kind in binaries)]) + "\n")
    for check in checks:
        print(verdict(check))
    for problem in bench.problems:
        print(f"without a figure: {problem}")
    print(f"\n{file.relative_to(REPOSITORY)}, {drawn.relative_to(REPOSITORY)}, {seconds:.0f} s")


def processor():
    """What the processor calls itself."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return os.uname().machine


if __name__ == "__main__":
    try:
        main()
    except labs.Failure as failure:
        sys.exit(f"bench: {failure}")
