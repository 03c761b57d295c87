"""SoftEther over TCP: its clients' interfaces are ports of one virtual switch on the relay. UDP acceleration is off."""

import contextlib
import os
import re
import signal

from lab import RELAY, Failure, until

from .contestant import Contestant, family

PORT = 5555
NETWORK = "10.78.0"
HOSTS = {"mid": 11, "deep": 12}
PROGRAMS = "/usr/libexec/softether"

# It writes to directories that are compiled in; each node has its own ones there, and nobody else sees them.
_APART = """
place=$1; shift
for part in lib log; do
  mkdir -p "$place/$part" && mount -t tmpfs none "/var/$part" && mkdir "/var/$part/softether" &&
    mount --bind "$place/$part" "/var/$part/softether" || exit 71
done
mount -t tmpfs none /run && mkdir /run/softether && exec "$@"
"""


class SoftEther(Contestant):
    name, title = "softether", "SoftEther, TCP"
    packages = ("softether-vpnserver", "softether-vpnclient", "softether-vpncmd")
    needs = ("vpnserver", "vpnclient", "vpncmd")
    address = f"{NETWORK}.{HOSTS['deep']}"

    def prepare(self):
        server = self.run_program("relay", "vpnserver")
        self.command("relay", "ServerPasswordSet bench", password=False)
        self.command("relay", "HubCreate bench /PASSWORD:bench")
        self.command("relay", "Hub bench", "UserCreate user /GROUP:none /REALNAME:none /NOTE:none",
                     "UserPasswordSet user /PASSWORD:bench")  # fmt: skip
        self.command("relay", "Flush")
        for name in HOSTS:
            client = self.run_program(name, "vpnclient")
            self.command(
                name, "NicCreate bench",
                f"AccountCreate bench /SERVER:{RELAY}:{PORT} /HUB:bench /USERNAME:user /NICNAME:bench",
                "AccountPasswordSet bench /PASSWORD:bench /TYPE:standard",
                "AccountDetailSet bench /MAXTCP:1 /INTERVAL:1 /TTL:0 /HALF:no /BRIDGE:no /MONITOR:no /NOTRACK:no "
                "/NOQOS:no /DISABLEUDP:yes",
                # It connects by itself from the next start on.
                "AccountStartupSet bench",
            )  # fmt: skip
            # It writes its settings on ending; what watches over it then ends too.
            os.kill(family(client.pid)[-1], signal.SIGTERM)
            client.wait(30)
        self.stop(server)
        self.programs.clear()

    def run_program(self, role, program):
        started = self.start(
            role, "unshare", "--mount", "sh", "-c", _APART, "sh", self.directory / role,
            f"{PROGRAMS}/{program}/{program}",
            "execsvc",
        )  # fmt: skip
        # The service answers vpncmd at a port of its own.
        port = PORT if program == "vpnserver" else 9931
        until(lambda: self.lab[role].listens(port) or not started.is_running, f"{program} on {role} listens", 20)
        return started

    def command(self, role, *lines, password=True):
        """Gives vpncmd these commands, and raises if one of them fails."""
        script = self.directory / "commands"
        script.write_text("\n".join(lines) + "\n")
        where = [f"localhost:{PORT}", "/SERVER"] if role == "relay" else ["localhost", "/CLIENT"]
        if role == "relay" and password:
            where.append("/PASSWORD:bench")
        done = self.lab[role].run(self.program("vpncmd"), *where, f"/IN:{script}", check=False, timeout=30)
        if done.returncode != 0 or "Error occurred" in done.stdout:
            raise Failure(f"vpncmd on {role}: {done.stdout.strip()[-500:]}")
        return done.stdout

    def start_relay(self):
        self.run_program("relay", "vpnserver")

    def start_device(self, node):
        self.run_program(node.name, "vpnclient")
        until(lambda: node.interfaces() or not self.all_run(), "vpnclient makes its interface", 20)
        for interface in node.interfaces():
            node.run("ip", "address", "add", f"{NETWORK}.{HOSTS[node.name]}/24", "dev", interface)
            node.run("ip", "link", "set", interface, "up")

    def is_in(self):
        return re.search(r"Status +\|Connected", self.command("deep", "AccountList"))

    def stop(self, program):
        """What was started watches over its child, the service, which would take half a minute to end by itself."""
        for pid in family(program.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        program.wait()
