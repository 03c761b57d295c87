"""A network that collides with a host's own networks: the host loses none of its own."""

import json

import pytest
from lab import PORT, RELAY, until

POOL = "10.0.0.0/24"


def join(node, *options, device_id=None, **more):
    """Runs mnedc-join until it ends by itself."""
    return node.mnedc(
        "mnedc-join",
        "--server",
        f"{RELAY}:{PORT}",
        "--device-id",
        device_id or node.name,
        *options,
        check=False,
        **more,
    )


def last_error(node):
    return node.status()["device"].get("last_error", "")


def addresses(node, interface):
    done = node.run("ip", "-j", "-4", "address", "show", "dev", interface)
    return [info["local"] for link in json.loads(done.stdout) for info in link.get("addr_info", [])]


def move_into(node, address):
    """Gives the host one more network, on the interface site0."""
    node.run("ip", "link", "add", "site0", "type", "veth", "peer", "name", "site1")
    for interface in ("site0", "site1"):
        node.run("ip", "link", "set", interface, "up")
    node.run("ip", "address", "add", address, "dev", "site0")


def way_to(node, address):
    """The interface that packets for an address leave by."""
    return json.loads(node.run("ip", "-j", "route", "get", address).stdout)[0]["dev"]


@pytest.mark.parametrize(
    "setup, other",
    [
        ("address add 10.0.3.4/16 dev eth0", "10.0.0.0/16 on eth0 (address 10.0.3.4)"),
        ("address add 10.0.0.9/32 dev lo", "10.0.0.9/32 on lo (address 10.0.0.9)"),
        ("address add 10.1.0.1 peer 10.0.0.8 dev eth0", "10.0.0.8/32 on eth0 (address 10.1.0.1)"),
        ("route add 10.0.0.128/25 via 192.168.50.1", "10.0.0.128/25 on eth0 (route)"),
        ("route add 10.0.0.0/8 via 192.168.50.1", "10.0.0.0/8 on eth0 (route)"),
        ("route add blackhole 10.0.0.128/26", "10.0.0.128/26 (route)"),
        ("route add 10.0.0.0/30 nexthop via 192.168.50.1 nexthop via 192.168.50.2", "10.0.0.0/30 on eth0 (route)"),
        ("-6 route add fc00::/7 dev eth0", "fc00::/7 on eth0 (route)"),
    ],
    ids=["address", "single address", "peer", "narrow route", "wide route", "blackhole", "two ways", "IPv6"],
)
def test_a_network_that_collides_is_refused_by_name_and_can_be_allowed(flat, setup, other):
    """The line names both sides and the ways out; the host stays as it was."""
    lab = flat(1)
    lab.start_relay()
    node = lab["d1"]
    node.run("ip", *setup.split())
    before = node.run("ip", "route").stdout
    done = join(node)
    assert done.returncode == 75, done.stderr
    assert f" overlaps with {other}; " in done.stderr and "--allow-overlap" in done.stderr
    assert ("relay.pool6: another /96" if setup.startswith("-6") else "relay.pool: auto") in done.stderr
    assert [line for line in done.stderr.splitlines() if "overlaps" in line] == [done.stderr.splitlines()[-1]]
    if not setup.startswith("-6"):
        assert f"the network {POOL} " in done.stderr
    assert node.run("ip", "route").stdout == before and node.interfaces() == []

    lab.start_device(node, "--allow-overlap")
    assert node.virtual_address() == "10.0.0.2"


def test_a_pool_with_addresses_of_the_internet_is_refused_unless_it_is_allowed(flat):
    """At the relay's host, at a device, and when a pool grows; the line names the key."""
    lab = flat(1)
    for options in ([], ["--check"], ["--no-device"]):
        refused = lab.relay.mnedc("mnedcd", "--admission", "open", "--pool", "8.8.8.0/24", *options, check=False)
        assert refused.returncode == 78 and "join.allow-public-pool" in refused.stderr, refused.stderr
        assert "the pool 8.8.8.0/24 has addresses of the Internet" in refused.stderr
    for pool, words in (("169.254.3.0/24", "link-local addresses"), ("192.0.2.0/24", "documentation")):
        refused = lab.relay.mnedc("mnedcd", "--pool", pool, "--check", check=False)
        assert refused.returncode == 78 and f"the pool {pool} is reserved for {words}" in refused.stderr
    config = lab.directory / "allow.yaml"
    config.write_text("join: {allow-public-pool: true}\n")
    lab.start_relay("--pool", "8.8.8.0/24", "--no-device", "--config", config)
    node = lab["d1"]
    done = join(node)
    assert done.returncode == 78 and "join.allow-public-pool" in done.stderr, done.stderr
    assert node.interfaces() == []
    lab.start_device(node, "--config", config)
    assert node.virtual_address() == "8.8.8.2"


def test_a_pool_does_not_grow_into_the_internet(flat):
    """Neither at the relay's host nor by a reload; all goes on as it was."""
    lab = flat(1)
    config = lab.directory / "relay.yaml"
    config.write_text("relay: {pool: 172.16.0.0/24, admission: open}\n")
    relay = lab.start_relay("--config", config, admission=None)
    lab.start_device("d1")
    config.write_text("relay: {pool: 172.0.0.0/8, admission: open}\n")
    lab.relay.mnedc("mnedc-ctl", "reload", check=False)
    until(lambda: "the pool stays as it is: the pool 172.0.0.0/8 has addresses" in relay.log, "the relay says so")
    lab["d1"].reaches("172.16.0.1")


def test_default_routes_and_routes_of_other_tables_are_no_collision(flat):
    """Whole or in halves, as VPNs make them; a special table is for special cases."""
    lab = flat(1)
    lab.start_relay()
    node = lab["d1"]
    for route in ("default", "0.0.0.0/1", "128.0.0.0/1"):
        node.run("ip", "route", "add", route, "via", "192.168.50.1")
    node.run("ip", "route", "add", "10.0.0.0/24", "via", "192.168.50.1", "table", "77")
    node.run("ip", "-6", "route", "add", "default", "dev", "eth0")
    lab.start_device(node)
    node.reaches("10.0.0.1")


def test_routes_to_more_than_the_pool_that_drop_packets_are_no_collision(flat):
    """Guards against packets for private addresses that leave by the default route, as routers have them."""
    lab = flat(1)
    lab.start_relay()
    node = lab["d1"]
    for route in ("unreachable 10.0.0.0/8", "blackhole 10.0.0.0/20"):
        node.run("ip", "route", "add", *route.split())
    node.run("ip", "-6", "route", "add", "unreachable", "fc00::/7")
    device = lab.start_device(node)
    node.reaches("10.0.0.1")
    assert "overlaps" not in device.log and "collision" not in node.status()["device"]


def test_a_route_to_more_than_the_pool_does_not_make_a_joined_device_drop_out(flat):
    """Peers stay in reach, nothing is said of a collision, and the device is back after the relay was away."""
    lab = flat(1)
    relay = lab.start_relay()
    node = lab["d1"]
    device = lab.start_device(node)
    node.run("ip", "route", "add", "10.0.0.0/8", "dev", "eth0")
    node.run("ip", "-6", "route", "add", "fc00::/7", "dev", "eth0")
    node.reaches("10.0.0.1")
    relay.stop()
    lab.start_relay()
    until(lambda: node.status()["device"]["joins"] == 2, "the device is in again", 60)
    node.reaches("10.0.0.1")
    # So it is after a restart of the device.
    device.stop()
    again = lab.start_device(node)
    node.reaches("10.0.0.1")
    assert "overlaps" not in device.log + again.log and "collision" not in node.status()["device"]


def test_a_collision_is_told_to_who_waits_for_the_background(flat):
    """With the status of what passes by itself."""
    lab = flat(1)
    lab.start_relay()
    lab["d1"].run("ip", "address", "add", "10.0.0.7/24", "dev", "eth0")
    done = join(lab["d1"], "--background")
    assert done.returncode == 75 and done.stderr.count("overlaps with") == 1, done.stderr


def test_the_configuration_can_allow_an_overlap(flat):
    """As the option does."""
    lab = flat(1)
    lab.start_relay()
    lab["d1"].run("ip", "route", "add", "10.0.0.0/8", "via", "192.168.50.1")
    config = lab.directory / "allow.yaml"
    config.write_text("join: {allow-overlap: true}\n")
    lab.start_device("d1", "--config", config)
    lab["d1"].reaches("10.0.0.1")


def test_two_networks_with_the_same_addresses_are_a_collision(flat):
    """A second device on the same host does not take the first one's network."""
    lab = flat(1)
    lab.start_all()
    node = lab["d1"]
    done = join(node, "--interface", "other0", "--socket", lab.directory / "other.sock", device_id="other")
    assert done.returncode == 75
    assert f"the network {POOL} overlaps with {POOL} on mnedc0 (address 10.0.0.2)" in done.stderr
    node.reaches("10.0.0.1")


def test_a_network_in_which_the_relays_own_address_lies_is_refused(nat):
    """The uplink would go into itself."""
    nat.start_relay("--no-device", "--pool", "192.168.50.0/24")
    done = join(nat["mid"])
    assert done.returncode == 75, done.stderr
    assert f"the network 192.168.50.0/24 has the address {RELAY}, at which this host reaches the relay" in done.stderr


def test_a_relay_whose_own_host_collides_does_not_start(flat):
    """It says so; relay only, or allowed, it does."""
    lab = flat(1)
    lab.relay.run("ip", "address", "add", "10.0.3.4/16", "dev", "eth0")
    done = lab.relay.mnedc("mnedcd", check=False)
    assert done.returncode == 75, done.stderr
    assert f"the network {POOL} overlaps with 10.0.0.0/16 on eth0 (address 10.0.3.4); " in done.stderr
    assert "--no-device" in done.stderr and lab.relay.interfaces() == []
    lab.start_relay("--no-device").stop()
    config = lab.directory / "allow.yaml"
    config.write_text("join: {allow-overlap: true}\n")
    lab.start_relay("--config", config)
    lab.start_device("d1")
    lab["d1"].reaches("10.0.0.1")


def test_a_relay_with_another_pool_does_not_make_a_joined_device_collide(flat):
    """The device keeps what it has, says why it is not in, and joins as soon as the collision is over."""
    lab = flat(1)
    node = lab["d1"]
    move_into(node, "10.9.0.77/24")
    first = lab.start_relay()
    device = lab.start_device(node)
    first.stop()
    lab.start_relay("--pool", "10.9.0.0/24")
    until(lambda: "10.9.0.0/24 on site0" in last_error(node), "the collision is told", 30)
    assert device.is_running and addresses(node, "mnedc0") == ["10.0.0.2"]
    assert way_to(node, "10.9.0.5") == "site0"
    node.run("ip", "address", "delete", "10.9.0.77/24", "dev", "site0")
    until(lambda: addresses(node, "mnedc0") == ["10.9.0.2"], "the device has joined", 60)
    node.reaches("10.9.0.1")


def test_a_host_that_comes_into_a_network_with_the_same_addresses_gets_them_back(flat):
    """Without an uplink, the interface gives its address up for the host's new network, and has it again afterwards."""
    lab = flat(2)
    running = lab.start_all()
    node = lab["d1"]
    own = node.virtual_address()
    # The relay goes first, so that the device is without an uplink when the host moves.
    running["relay"].kill()
    until(lambda: node.status()["device"]["state"] == "connecting", "the device notices", 30)
    move_into(node, "10.0.0.77/24")
    until(lambda: addresses(node, "mnedc0") == [], "the interface gives its address up", 60)
    assert way_to(node, "10.0.0.99") == "site0"
    assert "address" not in node.status()["device"]
    assert running["d1"].log.count("mnedc0 has no address until that is over") == 1
    lab.start_relay()
    until(lambda: "on site0" in last_error(node), "the collision is told", 60)
    assert running["d1"].is_running and addresses(node, "mnedc0") == []
    node.run("ip", "link", "delete", "site0")
    until(lambda: addresses(node, "mnedc0") == [own], "the device is in again", 90)
    node.reaches(lab["d2"].virtual_address(), 30)
