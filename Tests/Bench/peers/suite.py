"""The suite itself, and a build of it that neither seals nor checks."""

from lab import PORT, RELAY

from .contestant import Contestant


class Suite(Contestant):
    """By virtual address through mnedcd on the relay's host, sealed from end to end."""

    name, title = "mnedc", "MNEDC"
    is_peer = False

    def start_relay(self):
        self.programs["relay"] = self.lab.start_relay("--log-level", "warning")

    def start_device(self, node):
        self.programs[node.name] = node.start_mnedc(
            "mnedc-join", "--server", f"{RELAY}:{PORT}", "--device-id", node.name, "--log-level", "warning"
        )

    def is_in(self):
        self.address = self.deep.virtual_address()
        return self.address


class NullCipher(Suite):
    """What sealing costs: one stream, in place of the suite as it is. Not there unless it was built."""

    name, title = "null-cipher", "MNEDC, null cipher"
    measures = ("stream",)
    #: The directory of that build.
    build = None

    def begin(self):
        self.sealed, self.lab.programs = self.lab.programs, self.build
        super().begin()

    def end(self):
        try:
            super().end()
        finally:
            self.lab.programs = self.sealed
