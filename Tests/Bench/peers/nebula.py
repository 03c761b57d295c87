"""nebula through its relay: devices may use the relay's address alone, so they find no other way to each other."""

import json
import subprocess

from lab import RELAY, until

from .contestant import Contestant

PORT = 4242
NETWORK = "10.75.0"
HOSTS = {"relay": 1, "mid": 11, "deep": 12}


class Nebula(Contestant):
    name, title = "nebula", "nebula, its relay"
    packages, needs = ("nebula",), ("nebula", "nebula-cert")
    address, relay_address = f"{NETWORK}.{HOSTS['deep']}", f"{NETWORK}.{HOSTS['relay']}"

    def prepare(self):
        def certificate(*command):
            subprocess.run(
                [self.program("nebula-cert"), *command], check=True, capture_output=True, cwd=self.directory, timeout=30
            )

        certificate("ca", "-name", "bench")
        for name, number in HOSTS.items():
            certificate("sign", "-name", name, "-ip", f"{NETWORK}.{number}/24")
            self.write(name)

    def write(self, name):
        is_relay = name == "relay"
        place = self.directory
        relay = f"{NETWORK}.{HOSTS['relay']}"
        settings = {
            "pki": {"ca": f"{place}/ca.crt", "cert": f"{place}/{name}.crt", "key": f"{place}/{name}.key"},
            "static_host_map": {} if is_relay else {relay: [f"{RELAY}:{PORT}"]},
            "lighthouse": {"am_lighthouse": is_relay, "interval": 5, "hosts": [] if is_relay else [relay]},
            "listen": {"host": "0.0.0.0", "port": PORT if is_relay else 0},
            "relay": {"am_relay": is_relay, "use_relays": not is_relay, "relays": [] if is_relay else [relay]},
            "tun": {"dev": "nebula0"},
            "logging": {"level": "warning"},
            "firewall": {
                "outbound": [{"port": "any", "proto": "any", "host": "any"}],
                "inbound": [{"port": "any", "proto": "any", "host": "any"}],
            },
        }
        if not is_relay:
            settings["lighthouse"]["remote_allow_list"] = {"0.0.0.0/0": False, f"{RELAY}/32": True}
        # JSON is YAML.
        (self.directory / f"{name}.yml").write_text(json.dumps(settings, indent=2))

    def start_relay(self):
        self.run_nebula("relay")
        until(
            lambda: self.relay.run("ss", "-Hlun", f"sport = {PORT}").stdout or not self.all_run(), "nebula has its port"
        )

    def start_device(self, node):
        self.run_nebula(node.name)

    def run_nebula(self, name):
        self.start(name, self.program("nebula"), "-config", self.directory / f"{name}.yml")
