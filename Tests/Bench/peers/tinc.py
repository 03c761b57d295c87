"""tinc through a third host: both devices know the relay alone."""

import subprocess

from lab import RELAY, until

from .contestant import Contestant

PORT = 655
NETWORK = "10.74.0"
HOSTS = {"relay": 1, "mid": 11, "deep": 12}


class Tinc(Contestant):
    name, title = "tinc", "tinc"
    packages, needs = ("tinc",), ("tincd",)
    address, relay_address = f"{NETWORK}.{HOSTS['deep']}", f"{NETWORK}.{HOSTS['relay']}"

    def prepare(self):
        public = {}
        for name, number in HOSTS.items():
            place = self.directory / name
            (place / "hosts").mkdir(parents=True)
            relay = name == "relay"
            (place / "tinc.conf").write_text(
                f"Name = {name}\nInterface = tinc0\n" + ("AddressFamily = ipv4\n" if relay else "ConnectTo = relay\n")
            )
            (place / "tinc-up").write_text(
                f'#!/bin/sh\nip address add {NETWORK}.{number}/24 dev "$INTERFACE"\nip link set "$INTERFACE" up\n'
            )
            (place / "tinc-up").chmod(0o755)
            host = place / "hosts" / name
            # Devices are reached through whom they are connected to; tinc would try directly first.
            host.write_text(
                f"Subnet = {NETWORK}.{number}/32\n"
                + (f"Address = {RELAY}\nPort = {PORT}\n" if relay else "IndirectData = yes\n")
            )
            subprocess.run(
                [self.program("tincd"), "--config", place, "--generate-keys=2048"], check=True, capture_output=True,
                stdin=subprocess.DEVNULL, timeout=60,
            )  # fmt: skip
            public[name] = host.read_text()
        for name in HOSTS:
            for other, text in public.items():
                (self.directory / name / "hosts" / other).write_text(text)

    def start_relay(self):
        self.run_tinc("relay")
        until(lambda: self.relay.listens(PORT) or not self.all_run(), "tincd listens")

    def start_device(self, node):
        self.run_tinc(node.name)

    def run_tinc(self, name):
        self.start(
            name, self.program("tincd"), "--config", self.directory / name, "--pidfile", self.directory / f"{name}.pid",
            "--no-detach", "--debug=1",
        )  # fmt: skip
