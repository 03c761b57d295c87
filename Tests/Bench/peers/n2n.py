"""n2n: edges that reach each other through a supernode."""

from lab import RELAY, until

from .contestant import Contestant

PORT = 7654
NETWORK = "10.77.0"
HOSTS = {"mid": 11, "deep": 12}


class N2N(Contestant):
    name, title = "n2n", "n2n, supernode"
    packages, needs = ("n2n",), ("edge", "supernode")
    address = f"{NETWORK}.{HOSTS['deep']}"

    def start_relay(self):
        self.start("relay", self.program("supernode"), "-l", PORT, "-v")
        until(
            lambda: self.relay.run("ss", "-Hlun", f"sport = {PORT}").stdout or not self.all_run(),
            "supernode has its port",
        )

    def start_device(self, node):
        self.start(
            node.name, self.program("edge"), "-d", "n2n0", "-a", f"{NETWORK}.{HOSTS[node.name]}", "-s", "255.255.255.0",
            "-c", "bench", "-k", "bench", "-l", f"{RELAY}:{PORT}",
        )  # fmt: skip

    def is_in(self):
        return bool(self.deep.virtual_address("n2n0"))
