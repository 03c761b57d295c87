"""systemd-networkd and NetworkManager, the real ones in a booted system, and a device's interface: with the installed
files they do not manage it; without them, the daemon restores what they remove.

NetworkManager is the installed one, or the packages that Tests/requirements.sh unpacks to .build/debian.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest

from lab import INTERFACE, REPOSITORY, until
from test_systemd import System, needs_systemd

PACKAGING = REPOSITORY / "Sources" / "Packaging"
NETWORKD_FILE = "/usr/lib/systemd/network/05-mnedc.network"
MANAGER_FILE = "/usr/lib/NetworkManager/conf.d/mnedc.conf"

pytestmark = needs_systemd


def state(node):
    """Addresses and routes of the interface, and the unreachable routes, without what the kernel makes by itself."""
    found = set()
    for link in json.loads(node.run("ip", "-j", "address", "show", "dev", INTERFACE, check=False).stdout or "[]"):
        found.add(("up", "UP" in link["flags"]))
        found |= {(each["local"], each["prefixlen"]) for each in link["addr_info"] if each["scope"] == "global"}
    for family in "-4", "-6":
        for route in json.loads(node.run("ip", "-j", family, "route").stdout or "[]"):
            # Of the IPv6 ones, the device is loopback.
            kind = route.get("type", "unicast")
            if not route["dst"].startswith("fe80:") and (route.get("dev") == INTERFACE or kind == "unreachable"):
                found.add((kind, route["dst"]))
    return found


def restorations(device):
    return [line for line in device.log.splitlines() if "restored" in line]


@pytest.fixture
def managed(flat):
    """A lab of a relay, d1 and d2, and a booted system on d1 with a D-Bus."""
    lab = flat(2)
    lab.start_relay()
    lab.start_device("d2")
    system = System(lab, lab["d1"])
    if system.run("sh", "-c", "command -v dbus-daemon", check=False).returncode != 0:
        pytest.skip("there is no dbus-daemon")
    # As its package does it, but for what needs more of a system.
    system.write("/etc/systemd/system/dbus.socket",
                 "[Socket]\nListenStream=/run/dbus/system_bus_socket\n[Unit]\nDefaultDependencies=no\n")  # fmt: skip
    system.write(
        "/etc/systemd/system/dbus.service",
        "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\n[Service]\n"
        "ExecStart=dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation\n",
    )
    return lab, lab["d1"], system


def join(lab, node):
    """A device on d1 with all that it should have, and what that is."""
    device = lab.start_device(node)
    whole = until(lambda: len(found := state(node)) == 7 and found, "it has its addresses and routes")
    node.reaches(lab.relay.virtual_address())
    return device, whole


def comes_back(lab, node, whole, what):
    until(lambda: state(node) == whole, f"all is there again after {what}: {state(node) ^ whole}", 15)
    node.reaches(lab.relay.virtual_address())


# --- systemd-networkd ---


@pytest.fixture
def networkd(managed):
    """With eth0 as it is, and the rest by DHCP, which no server answers."""
    lab, node, system = managed
    system.write("/etc/systemd/network/10-eth0.network", "[Match]\nName=eth0\n[Network]\n"
                 f"Address={node.address}/24\nIPv6AcceptRA=no\nLinkLocalAddressing=no\n")  # fmt: skip
    system.write("/etc/systemd/network/90-all.network", "[Match]\nName=*\n[Network]\nDHCP=yes\n")
    system.write(NETWORKD_FILE, (PACKAGING / "network" / "05-mnedc.network").read_text())

    def start():
        # It goes round in circles about an address that differs from its own in nothing but the broadcast address.
        node.run("ip", "address", "flush", "dev", "eth0")
        system.run("systemctl", "daemon-reload")
        system.run("systemctl", "start", "dbus.socket", "systemd-networkd")
        until(lambda: setup("eth0") == ["configured"], f"networkd has configured eth0: {setup('eth0')}", 30)

    def setup(interface):
        """What networkd says that it does about the interface."""
        done = system.run("networkctl", "list", "--no-legend", "--no-pager", interface, check=False)
        return done.stdout.split()[-1:]

    return lab, node, system, start, setup


def change_networkd(system):
    """What an administrator does, each with its name."""
    yield "reconfigure", lambda: system.run("networkctl", "reconfigure", INTERFACE)

    def edit():
        system.write("/etc/systemd/network/90-all.network", "[Match]\nName=*\n[Network]\nDHCP=yes\nLLMNR=no\n")
        system.write("/etc/systemd/network/10-eth0.network",
                     system.run("cat", "/etc/systemd/network/10-eth0.network").stdout + "LLMNR=no\n")  # fmt: skip
        system.run("networkctl", "reload")

    yield "a reload after an edit", edit
    yield "a restart", lambda: system.run("systemctl", "restart", "systemd-networkd")


def test_networkd_leaves_the_interface_alone(networkd):
    """With the file that is installed, whatever other files match it; also the unreachable routes, which have no
    interface.
    """
    lab, node, system, start, setup = networkd
    start()
    device, whole = join(lab, node)
    until(lambda: setup(INTERFACE) == ["unmanaged"], "networkd has seen it")
    for what, change in change_networkd(system):
        change()
        until(lambda: setup("eth0") == ["configured"], f"networkd is done with {what}", 30)
        assert setup(INTERFACE) == ["unmanaged"]
        assert state(node) == whole, what
    node.reaches(lab.relay.virtual_address())
    assert not restorations(device), device.log
    # What waits for the network at the start of the system is not kept waiting.
    system.run("/lib/systemd/systemd-networkd-wait-online", "--timeout=20")


def test_what_networkd_takes_comes_back(networkd):
    """Without the file."""
    lab, node, system, start, setup = networkd
    system.run("rm", NETWORKD_FILE)
    start()
    device, whole = join(lab, node)
    until(lambda: setup(INTERFACE) == ["configuring"], "networkd has taken it")
    comes_back(lab, node, whole, "networkd has taken it")
    for what, change in change_networkd(system):
        before = len(restorations(device))
        change()
        # A restart leaves alone what is there.
        if what != "a restart":
            until(lambda: len(restorations(device)) > before, f"the device has noticed {what}")
        until(lambda: setup("eth0") == ["configured"], f"networkd is done with {what}", 30)
        comes_back(lab, node, whole, what)


# --- NetworkManager ---


def unpack(system, *packages):
    """Unpacks packages into the running system; False if one of them is not there."""
    for package in packages:
        files = sorted((REPOSITORY / ".build" / "debian").glob(f"{package}_*.deb"))
        if not files:
            return False
        archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", files[-1]], stdout=subprocess.PIPE)
        command = ["nsenter", "-t", str(system.first), "-a", "tar", "-x", "-C", "/", "--keep-directory-symlink"]
        subprocess.run(command, stdin=archive.stdout, check=True, capture_output=True, timeout=60)
        archive.stdout.close()
        assert archive.wait() == 0, package
    return True


@pytest.fixture
def network_manager(managed):
    """With eth0 left to the lab."""
    lab, node, system = managed
    if not Path("/usr/sbin/NetworkManager").exists() and not unpack(
        system, "network-manager", "libnm0", "libndp0", "libteamdctl0"
    ):
        pytest.skip("NetworkManager is neither installed nor unpacked (Tests/requirements.sh check)")
    system.run("ldconfig")
    system.write(
        "/etc/NetworkManager/NetworkManager.conf",
        "[main]\nplugins=keyfile\nauth-polkit=false\nno-auto-default=*\n"
        "[device-eth0]\nmatch-device=interface-name:eth0\nmanaged=0\n",
    )
    system.write(MANAGER_FILE, (PACKAGING / "NetworkManager" / "mnedc.conf").read_text())
    system.write(
        "/etc/systemd/system/NetworkManager.service",
        "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\nAfter=dbus.socket\n"
        "[Service]\nType=dbus\nBusName=org.freedesktop.NetworkManager\n"
        "ExecStart=/usr/sbin/NetworkManager --no-daemon\n",
    )

    def start():
        system.run("systemctl", "daemon-reload")
        system.run("systemctl", "start", "dbus.socket", "NetworkManager")
        until(lambda: system.run("nmcli", "general", check=False).returncode == 0, "NetworkManager answers", 30)

    def seen_as():
        done = system.run("nmcli", "--terse", "--fields", "DEVICE,STATE", "device", check=False).stdout
        return dict(line.split(":", 1) for line in done.splitlines()).get(INTERFACE)

    return lab, node, system, start, seen_as


def off_and_on(system):
    system.run("nmcli", "networking", "off")
    until(lambda: "disabled" in system.run("nmcli", "networking").stdout, "it is off")
    system.run("nmcli", "networking", "on")


@pytest.mark.parametrize("override", [False, True])
def test_network_manager_leaves_the_interface_alone(network_manager, override):
    """With the file that is installed, also where the administrator's own says anew what is not managed."""
    lab, node, system, start, seen_as = network_manager
    if override:
        system.write("/etc/NetworkManager/conf.d/zz.conf", "[keyfile]\nunmanaged-devices=interface-name:docker*\n")
    start()
    device, whole = join(lab, node)
    until(lambda: seen_as() == "unmanaged", f"NetworkManager has seen it: {seen_as()}")
    off_and_on(system)
    assert system.run("nmcli", "device", "disconnect", INTERFACE, check=False).returncode != 0
    assert seen_as() == "unmanaged"
    comes_back(lab, node, whole, "all of that")
    # The loopback interface, to which the unreachable route of IPv6 belongs, goes off with the network.
    changed = {each.strip() for line in restorations(device) for each in re.search(r"\((.*)\)", line)[1].split(",")}
    assert all(each.startswith("the unreachable route to fd") for each in changed), device.log


def test_what_network_manager_takes_comes_back(network_manager):
    """Without the file."""
    lab, node, system, start, seen_as = network_manager
    system.run("rm", MANAGER_FILE)
    start()
    device, whole = join(lab, node)
    until(lambda: "connected" in (seen_as() or ""), f"NetworkManager has seen it: {seen_as()}")
    for what, change in [
        ("off and on", lambda: off_and_on(system)),
        ("disconnect", lambda: system.run("nmcli", "device", "disconnect", INTERFACE)),
    ]:
        until(lambda: "connected" in (seen_as() or ""), f"NetworkManager sees it again: {seen_as()}")
        before = len(restorations(device))
        change()
        until(lambda: len(restorations(device)) > before, f"the device has noticed {what}")
        comes_back(lab, node, whole, what)
