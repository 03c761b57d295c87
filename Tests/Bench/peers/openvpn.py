"""OpenVPN over TCP with client-to-client: packets between devices go through the server's process."""

import re
import subprocess

from lab import RELAY, until

from .contestant import Contestant

PORT = 1194
ADDRESSES = {"mid": "10.71.0.11", "deep": "10.71.0.12"}


class OpenVPN(Contestant):
    """As it is by default."""

    name, title = "openvpn", "OpenVPN, TCP"
    packages, needs = ("openvpn", "openssl"), ("openvpn", "openssl")
    address, relay_address = ADDRESSES["deep"], "10.71.0.1"
    #: On both sides.
    tuning = ""

    def prepare(self):
        prints = {}
        for name in ("relay", "mid", "deep"):
            key, certificate = self.directory / f"{name}.key", self.directory / f"{name}.crt"
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-keyout", key, "-out", certificate, "-days", "2", "-subj", f"/CN={name}"],
                check=True, capture_output=True, timeout=30,
            )  # fmt: skip
            done = subprocess.run(
                ["openssl", "x509", "-in", certificate, "-noout", "-fingerprint", "-sha256"],
                check=True, capture_output=True, text=True, timeout=30,
            )  # fmt: skip
            prints[name] = re.search(r"=([0-9A-F:]+)", done.stdout)[1]
        clients = self.directory / "clients"
        clients.mkdir()
        for name, address in ADDRESSES.items():
            (clients / name).write_text(f"ifconfig-push {address} 255.255.255.0\n")
            self.write(
                name, f"client\nremote {RELAY} {PORT}\nproto tcp-client\nnobind\nconnect-retry 1", prints["relay"]
            )
        server = f"""proto tcp-server
port {PORT}
server 10.71.0.0 255.255.255.0
topology subnet
client-to-client
client-config-dir {clients}
dh none"""
        self.write("relay", server, f"\n{prints['mid']}\n{prints['deep']}\n")

    def write(self, name, role, trusted):
        trust = f"<peer-fingerprint>{trusted}</peer-fingerprint>" if "\n" in trusted else f"peer-fingerprint {trusted}"
        (self.directory / f"{name}.conf").write_text(
            f"{role}\ndev tun\nkey {self.directory}/{name}.key\ncert {self.directory}/{name}.crt\n{trust}\nverb 1\n"
            f"keepalive 10 60\n{self.tuning}"
        )

    def start_relay(self):
        self.run_openvpn("relay")
        until(lambda: self.relay.listens(PORT) or not self.all_run(), "openvpn listens")

    def start_device(self, node):
        self.run_openvpn(node.name)

    def run_openvpn(self, name):
        self.start(name, self.program("openvpn"), "--config", self.directory / f"{name}.conf")


class OpenVPN9000(OpenVPN):
    """With large packets on its interface, which is what makes it fastest over TCP."""

    name, title = "openvpn-9000", "OpenVPN, MTU 9000"
    tuning = "tun-mtu 9000\nmssfix 0\n"
