"""What all contestants have in common."""

import os
import re
import shutil
import struct
from pathlib import Path

from lab import Failure, until

# Debian has daemons in directories that not every user's PATH names.
SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


class Contestant:
    """A way for traffic from `mid` to `deep`, by default through a relay and by interfaces of its own on both.

    `start_relay` and `start_device` start programs with `self.start`, which keeps them by role: their processor time
    and memory are counted, and they are ended by their process ID. What they write goes to `self.directory`, in the
    lab's.
    """

    #: What it is called in options and JSON, and in tables.
    name = title = ""
    #: What Debian calls it, and the programs that must then be there.
    packages: tuple = ()
    needs: tuple = ()
    #: A limit or the suite itself is nobody's alternative.
    is_peer = True
    #: Without, it carries TCP to `port` and nothing else.
    carries_ip = True
    port = None
    #: The measurements it takes part in; None: all.
    measures = None
    #: Where mid finds deep.
    address = ""
    #: Where the relay's host has an address of the network; None: it has none.
    relay_address = None

    def __init__(self, lab):
        self.lab = lab
        self.relay, self.mid, self.deep = lab.relay, lab["mid"], lab["deep"]
        self.directory = lab.directory / f"bench-{self.name}"
        self.directory.mkdir(mode=0o755)
        self.programs = {}
        self.is_prepared = False

    @classmethod
    def missing(cls):
        """The packages to install before it can take part."""
        return () if all(shutil.which(program, path=SEARCH) for program in cls.needs) else cls.packages

    @staticmethod
    def program(name):
        return shutil.which(name, path=SEARCH)

    # --- for each to define ---

    def prepare(self):
        """Makes keys and configurations, once."""

    def start_relay(self):
        """Starts the relay and returns once it takes connections."""

    def start_device(self, node):
        """Starts the device on `mid` or `deep`; it need not be in on return."""

    def is_in(self):
        """Whether deep has joined."""
        return self.relay_address is None or self.relay.ping(self.address, wait=0.5)[0]

    # --- start and stop ---

    def start(self, role, *command, node=None, **options):
        """Starts a program that is to be counted as `role`, on the node of that name."""
        node = node or self.lab[role]
        program = node.start(*command, name=f"{self.name} on {role}", **options)
        self.programs[role] = program
        return program

    def begin(self):
        """The relay and deep are in afterwards; mid is not."""
        if not self.is_prepared:
            self.prepare()
            self.is_prepared = True
        self.start_relay()
        self.start_device(self.deep)
        until(lambda: self.is_in() or not self.all_run(), f"{self.title}: deep joins", 30, interval=0.1)
        if not self.all_run():
            raise Failure(f"{self.title}: a program has ended: {self.last_words()}")

    def end(self):
        """Ends its programs by their process IDs, mid's and deep's first, and waits until their interfaces are gone."""
        problems = []
        for program in reversed(list(self.programs.values())):
            try:
                self.stop(program)
            except Failure as failure:
                problems.append(str(failure))
        self.programs.clear()
        for node in (self.relay, self.mid, self.deep):
            until(lambda node=node: not node.interfaces(), f"{self.title}: the interface on {node.name} is gone")
        if problems:
            raise Failure("; ".join(problems))

    def stop(self, program):
        program.stop()

    def all_run(self):
        return all(program.is_running for program in self.programs.values())

    def last_words(self):
        """The end of what its programs have said, in a line."""
        said = (f"{role}: {(program.output + program.log).strip()[-300:]}" for role, program in self.programs.items())
        return re.sub(r"\s+", " ", "; ".join(said))

    # --- what it costs ---

    def cpu(self):
        """{role: (all, user)}: seconds of processor time so far, of its programs and their children."""
        tick = os.sysconf("SC_CLK_TCK")
        found = {}
        for role, program in self.programs.items():
            user = system = 0
            for pid in family(program.pid):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
                # Its own, and that of its children that have ended.
                user += int(fields[11]) + int(fields[13])
                system += int(fields[12]) + int(fields[14])
            found[role] = ((user + system) / tick, user / tick)
        return found

    def memory(self):
        """{role: (bytes resident now, of it not backed by a file)}"""
        found = {}
        for role, program in self.programs.items():
            sums = [0, 0]
            for pid in family(program.pid):
                status = Path(f"/proc/{pid}/status").read_text()
                for place, key in enumerate(("VmRSS", "RssAnon")):
                    sums[place] += int(re.search(rf"{key}:\s+(\d+)", status)[1]) * 1024
            found[role] = tuple(sums)
        return found


def family(pid):
    """A process and all that descend from it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def echo_request(number):
    return struct.pack("!BBHHH", 8, 0, 0, 0, number & 0xFFFF)
