"""The two limits: nothing between mid and deep but routers, and a TCP relay without interface and without cipher."""

import network
from lab import RELAY, until

from .contestant import Contestant


class Plain(Contestant):
    """The routed path past NAT, no overlay at all; there only while this contestant runs, or others would find it too.
    """

    name, title = "plain", "plain path"
    is_peer = False

    def start_relay(self):
        self.address = self.deep.address
        network.together(self.lab)
        self.lab.nat_lab("open")

    def end(self):
        self.lab.nat_lab("close")
        network.apart(self.lab)


class Socat(Contestant):
    """socat on the relay's host, which dials a port of deep that the routers forward."""

    name, title = "socat", "plain TCP relay"
    packages = needs = ("socat",)
    is_peer = False
    carries_ip = False
    address, port = RELAY, 5301

    def start_relay(self):
        self.lab.nat_lab("publish", "deep", self.port)
        # iperf3 opens its second connection once the first is served, so socat must take both.
        self.start(
            "relay", "socat", "-b", "131072", f"TCP-LISTEN:{self.port},fork,reuseaddr,nodelay",
            f"TCP:{self.lab['r2'].address}:{self.port},nodelay",
        )  # fmt: skip
        until(lambda: self.relay.listens(self.port), "socat listens")

    def end(self):
        try:
            super().end()
        finally:
            self.lab.nat_lab("close")
