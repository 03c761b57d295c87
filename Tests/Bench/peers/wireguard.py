"""WireGuard in user space (wireguard-go): the relay is a hub that routes between its two peers."""

import subprocess
from pathlib import Path

from lab import RELAY, until

from .contestant import Contestant

PORT = 51820
NETWORK = "10.76.0"
HOSTS = {"relay": 1, "mid": 11, "deep": 12}
SOCKETS = Path("/var/run/wireguard")


class WireGuard(Contestant):
    name, title = "wireguard-go", "wireguard-go hub"
    packages, needs = ("wireguard-go", "wireguard-tools"), ("wireguard-go", "wg")
    address, relay_address = f"{NETWORK}.{HOSTS['deep']}", f"{NETWORK}.{HOSTS['relay']}"

    def __init__(self, lab):
        super().__init__(lab)
        self.sockets = []

    def prepare(self):
        def wg(*command, text=None):
            return subprocess.run(
                ["wg", *command], check=True, capture_output=True, text=True, input=text, timeout=30
            ).stdout.strip()

        private = {name: wg("genkey") for name in HOSTS}
        public = {name: wg("pubkey", text=key) for name, key in private.items()}
        peers = {
            "relay": "".join(
                f"[Peer]\nPublicKey = {public[name]}\nAllowedIPs = {NETWORK}.{HOSTS[name]}/32\n"
                for name in ("mid", "deep")
            )
        }
        for name in ("mid", "deep"):
            peers[name] = (
                f"[Peer]\nPublicKey = {public['relay']}\nAllowedIPs = {NETWORK}.0/24\nEndpoint = {RELAY}:{PORT}\n"
                "PersistentKeepalive = 5\n"
            )
        for name in HOSTS:
            port = f"ListenPort = {PORT}\n" if name == "relay" else ""
            (self.directory / f"{name}.conf").write_text(
                f"[Interface]\nPrivateKey = {private[name]}\n{port}{peers[name]}"
            )

    def start_relay(self):
        # A hub sends packets out where they came in; it need not tell their senders every time.
        self.settings("0 >conf/all/send_redirects", "0 >conf/default/send_redirects", "1 >ip_forward")
        self.run_wireguard("relay")

    def start_device(self, node):
        self.run_wireguard(node.name)

    def run_wireguard(self, name):
        node = self.lab[name]
        # Its socket has the interface's name and is in a directory of all namespaces; a name has at most 15 characters.
        interface = f"wg{self.lab.prefix.removeprefix('mt').replace('-', '.')}{name[0]}"
        self.start(name, self.program("wireguard-go"), "--foreground", interface)
        socket = SOCKETS / f"{interface}.sock"
        self.sockets.append(socket)
        until(lambda: socket.exists() or not self.all_run(), "wireguard-go takes a configuration", interval=0.002)
        node.run("wg", "setconf", interface, self.directory / f"{name}.conf")
        node.run("ip", "address", "add", f"{NETWORK}.{HOSTS[name]}/24", "dev", interface)
        node.run("ip", "link", "set", interface, "up")

    def end(self):
        try:
            super().end()
        finally:
            while self.sockets:
                self.sockets.pop().unlink(missing_ok=True)
            self.settings("0 >ip_forward", "1 >conf/all/send_redirects", "1 >conf/default/send_redirects")

    def settings(self, *changes):
        """Changes settings of the relay's kernel, each as `echo` writes it."""
        self.relay.run("sh", "-c", "; ".join(["cd /proc/sys/net/ipv4", *(f"echo {change}" for change in changes)]))
