"""The first join: what it writes, what it gives back, what it waits for, and how a device starts over."""

import json
import re

import pytest
from lab import INTERFACE, PORT, RELAY, until
from test_admission import asked, ctl, devices, forged, invite

SERVER = f"{RELAY}:{PORT}"


def configured(node, text="", name="device"):
    """A configuration file of the node's own, which is there."""
    path = node.lab.directory / f"{node.name}-{name}.yaml"
    path.write_text(text)
    return path


def run(node, config, *options, **more):
    """Starts mnedc-join with nothing but a configuration file and options."""
    return node.start_mnedc("mnedc-join", "--config", config, *options, **more)


def joins(program, timeout=15):
    until(lambda: "mnedc-join: joined " in program.log or not program.is_running, "it joins", timeout)
    assert program.is_running, program.log


def ends(program, status, says):
    assert program.wait(20) == status, program.log
    last = program.log.strip().splitlines()[-1]
    assert last.startswith("mnedc-join: ") and re.search(says, last), program.log
    return last


def key(node):
    return json.loads(node.mnedc("mnedc-ctl", "key", "--json").stdout)["fingerprint"]


def collide(node, address="10.0.0.77/29", name="docker7"):
    """As a container engine does: a bridge with addresses of the pool."""
    node.run("ip", "link", "add", name, "type", "bridge")
    node.run("ip", "address", "add", address, "dev", name)
    node.run("ip", "link", "set", name, "up")
    return lambda: node.run("ip", "link", "delete", name)


# --- What a first join writes ---


def test_a_device_that_was_approved_starts_again_without_options(flat):
    """The first join writes the server, its key and the ID, in the background as well."""
    lab = flat(1)
    lab.start_relay(admission="approve")
    node = lab["d1"]
    config = configured(node, "# Of the hall.\njoin: {names: off}\n")
    first = run(node, config, "--server", SERVER, "--device-id", "one", "--background")
    until(lambda: asked(lab, "pending")["devices"], "it is pending")
    ctl(lab, "approve", "one")
    assert first.wait(20) == 0, first.log
    relay_key = asked(lab, "key")["key"]
    assert config.read_text() == (
        f'# Of the hall.\njoin: {{names: off}}\nserver: "{SERVER}"\nserver-key: "{relay_key}"\ndevice-id: "one"\n'
    )
    node.mnedc("mnedc-ctl", "stop")
    until(lambda: not node.processes(), "it ends")
    again = run(node, config)
    joins(again)
    assert node.status()["device"]["device_id"] == "one"


@pytest.mark.parametrize("by", ["invite", "server"])
def test_the_default_id_and_the_relays_key_are_written_too(flat, by):
    """They are the same at the next start without the state, a reload finds nothing new, and the relay may change its
    key.
    """
    lab = flat(1)
    lab.start_relay("--no-device", admission=None if by == "invite" else "open")
    node, config = lab["d1"], configured(lab["d1"])
    first = run(node, config, *([invite(lab)] if by == "invite" else ["--server", SERVER]))
    joins(first)
    name, relay_key = node.status()["device"]["device_id"], asked(lab, "key")["key"]
    assert config.read_text() == f'server: "{SERVER}"\nserver-key: "{relay_key}"\ndevice-id: "{name}"\n'
    reloaded = json.loads(node.mnedc("mnedc-ctl", "reload", "--json").stdout)
    assert not reloaded["applied"] and not reloaded["needs_restart"]
    ctl(lab, "rotate-key")
    until(lambda: "has replaced its key" in first.log, "the device hears of the new key")
    assert first.stop() == 0
    node.run("rm", "-f", f"{node.state_path}/device-id", f"{node.state_path}/known-relays")
    joins(run(node, config))
    assert node.status()["device"]["device_id"] == name


def test_a_start_by_the_file_alone_leaves_the_file(flat):
    """It says what the next start needs, and several devices may share it."""
    lab = flat(1)
    lab.start_relay("--no-device")
    text = f"server: {SERVER}\n"
    config = configured(lab["d1"], text)
    joins(run(lab["d1"], config))
    assert config.read_text() == text


@pytest.mark.parametrize("kind", ["another relay", "no regular file"])
def test_a_join_without_an_invite_leaves_a_file_that_is_not_for_it(flat, kind):
    """It joins all the same, and says what to write if that file was meant."""
    lab = flat(1)
    lab.start_relay()
    node = lab["d1"]
    text = "server: elsewhere.example\n" if kind == "another relay" else ""
    config = configured(node, text)
    if kind == "no regular file":
        config = "/dev/null"
    program = run(node, config, "--server", SERVER, "--device-id", "one")
    joins(program)
    assert ('write to another: server: "' in program.log) == (kind == "no regular file"), program.log
    if kind == "another relay":
        assert config.read_text() == text


def test_a_copy_that_takes_another_id_keeps_it(flat):
    """The file that came with the copy has the original's ID, with the owner's comment; the new ID replaces it."""
    lab = flat(2)
    lab.start_relay(admission=None)
    original, copy = lab["d1"], lab["d2"]
    joins(run(original, configured(original), "--device-id", "cam-a", invite(lab)))
    server = ctl(lab, "key", "--json")
    relay_key = json.loads(server.stdout)["key"]
    text = f"server: {SERVER}  # the relay\nserver-key: {relay_key}\ndevice-id: cam-a # on the case\n"
    config = configured(copy, text)
    first = run(copy, config, "--device-id", "cam-b", invite(lab))
    joins(first)
    assert config.read_text() == text.replace("cam-a", '"cam-b"')
    assert first.stop() == 0
    again = run(copy, config)
    joins(again)
    assert {"cam-a", "cam-b"} <= devices(lab).keys()


def test_a_second_copy_of_an_image_is_told_that_it_is_one(flat):
    """Two machines with one machine ID and host name: the first is not to be revoked."""
    lab = flat(2)
    lab.start_relay("--no-device", admission=None)
    line = invite(lab, "--uses", "2")
    joins(run(lab["d1"], configured(lab["d1"]), line))
    second = run(lab["d2"], configured(lab["d2"]), line)
    last = ends(second, 69, "comes from the host name and /etc/machine-id; this machine is probably a copy")
    assert "--device-id" in last and "revoke" not in second.log
    joins(run(lab["d2"], configured(lab["d2"]), "--device-id", "second", line))


def test_a_copy_of_an_image_that_has_joined_is_told_that_it_is_one(flat):
    """The file of the image names the first machine's ID; the state, with the key, was removed from the image."""
    lab = flat(2)
    lab.start_relay("--no-device", admission=None)
    line = invite(lab, "--uses", "2")
    config = configured(lab["d1"])
    joins(run(lab["d1"], config, line))
    name = lab["d1"].status()["device"]["device_id"]
    copied = configured(lab["d2"], config.read_text())
    refused = run(lab["d2"], copied, line)
    ends(refused, 69, rf"another device has the ID {name}, which {copied} gives \(device-id\).*a copy.*--device-id")
    joins(run(lab["d2"], copied, "--device-id", "second", line))
    assert copied.read_text() == config.read_text().replace(name, "second")


def test_a_device_that_has_lost_its_key_hears_what_to_do(flat):
    """Before it is refused, and then."""
    lab = flat(1)
    lab.start_relay("--no-device", admission=None)
    node, config = lab["d1"], configured(lab["d1"])
    first = run(node, config, "--device-id", "one", invite(lab))
    joins(first)
    assert first.stop() == 0
    node.run("rm", f"{node.state_path}/device.key")
    advice = r"restore device\.key from a backup, or .*`mnedc-ctl revoke one`\) and join with a new invite"
    again = run(node, config, invite(lab))
    ends(again, 69, f"it knows one by another key.*{advice}")
    assert (
        len(
            re.findall(
                f"warning: {node.state_path}/device.key is missing.*the new one under this ID; {advice}", again.log
            )
        )
        == 1
    )
    ctl(lab, "revoke", "one", "--yes")
    joins(run(node, config, invite(lab)))


# --- What is given back ---


def test_a_join_that_the_device_calls_off_costs_no_invite(flat):
    """The relay has no device and no lease of it, and the same line is good once the host has room."""
    lab = flat(1)
    lab.start_relay(admission=None)
    node, line = lab["d1"], invite(lab)
    remove = collide(node)
    program = run(node, configured(node), "--device-id", "two", line)
    ends(program, 75, r"the network 10\.0\.0\.0/24 overlaps with 10\.0\.0\.72/29 on docker7 \(address 10\.0\.0\.77\)")
    assert asked(lab, "invites")["invites"][0]["state"] == "usable"
    assert "two" not in devices(lab) and "two" not in {each["device_id"] for each in asked(lab, "leases")["leases"]}
    remove()
    joins(run(node, configured(node), "--device-id", "two", line))


# --- Collisions later ---


def test_a_collision_is_told_when_it_begins_and_when_it_ends(flat):
    """The log, the status and the list of peers name both networks; the device stays joined, also after a reconnect."""
    lab = flat(2)
    running = lab.start_all()
    node, device = lab["d1"], running["d1"]
    own = node.virtual_address()
    both = "the network 10.0.0.0/24 overlaps with 10.0.0.72/29 on docker7 (address 10.0.0.77)"
    remove = collide(node)
    until(lambda: both in device.log, "the log names both networks")
    status = node.status()["device"]
    assert status["collision"] == both and status["state"] == "joined"
    assert both in node.mnedc("mnedc-ctl", "status").stdout
    assert both in node.mnedc("mnedc-peers").stdout
    assert json.loads(node.mnedc("mnedc-peers", "--json").stdout)["collision"] == both
    node.reaches(lab["d2"].virtual_address())
    remove()
    over = "the collision is over: no other network of this host uses addresses of 10.0.0.0/24"
    until(lambda: over in device.log, "the log says that it is over")
    assert "collision" not in node.status()["device"]

    # At a reconnect it waits for the end of the collision, without a session that comes and goes at the relay.
    remove = collide(node)
    until(lambda: node.status()["device"].get("collision"), "it collides again")
    running["relay"].kill()
    relay = lab.start_relay()
    until(lambda: both in node.status()["device"].get("last_error", ""), "it waits", 60)
    listed = node.mnedc("mnedc-peers", check=False)
    assert both in listed.stdout + listed.stderr
    assert "d1 joined" not in relay.log
    remove()
    until(lambda: node.virtual_address() == own, "it is in again", 60)
    node.reaches(lab["d2"].virtual_address(), 30)


def test_a_known_device_that_starts_in_such_a_place_waits_until_it_has_left(flat):
    """For longer than the time for the first join; who waits for the background is told in time."""
    lab = flat(1)
    lab.start_relay()
    node = lab["d1"]
    config = configured(node)
    first = run(node, config, "--server", SERVER, "--device-id", "one")
    joins(first)
    assert first.stop() == 0
    remove = collide(node)
    waits = run(node, config, "--timeout", "1s")
    until(lambda: "overlaps with" in waits.log, "it collides")
    assert "one" not in lab.relay.peers()
    other = run(
        node, config, "--timeout", "1s", "--background", "--interface", "other0", "--socket",
        lab.directory / "other.sock", "--state", node.state_path,
    )  # fmt: skip
    ends(other, 75, "could not join within 1s: the network 10.0.0.0/24 overlaps")
    # It has tried many times by now, and said so once.
    assert waits.is_running and waits.log.count("overlaps with") == 1
    remove()
    joins(waits, 60)


# --- Starting over ---


def test_a_reset_leaves_one_network_for_another_and_keeps_the_rest_of_the_file(flat):
    """While the program runs it is refused, without an invite too; a join that fails changes nothing."""
    lab = flat(2)
    lab.start_relay(admission=None)
    host, node = lab["d2"], lab["d1"]
    second = host.start_mnedc("mnedcd", "--no-device", "--pool", "10.9.0.0/24", "--listen", f"{host.address}:4444")
    until(host.status, "the other relay answers")
    config = configured(node, "# Mine.\njoin:\n  mtu: 1300 # small\n")
    first = run(node, config, "--device-id", "one", invite(lab))
    joins(first)
    before, old = config.read_text(), key(node)

    def other(*options):
        return host.mnedc("mnedc-ctl", "invite", "--server", f"{host.address}:4444", *options).stdout.strip()

    line = other()
    without = run(node, config, "--reset")
    assert without.wait() == 64 and "--reset needs an invite" in without.log
    meanwhile = run(node, config, "--reset", line)
    ends(meanwhile, 73, r"process \d+ answers at .* already; stop it")
    assert first.stop() == 0
    refused = run(node, config, line)
    ends(refused, 78, "names another relay .*--reset")
    fails = run(node, config, "--reset", forged(line, 1))
    ends(fails, 69, "does not know this invite")
    link = lab.directory / "link.yaml"
    link.symlink_to(config)
    ends(run(node, link, "--reset", line), 73, "is no regular file")
    assert config.read_text() == before
    # Or the next start would offer the new key to the former relay.
    assert "device.key." not in node.run("ls", node.state_path).stdout
    # One that is killed leaves its key, which the former relay does not hear of.
    second.pause()
    killed = run(node, config, "--reset", line)
    until(lambda: "device.key.reset" in node.run("ls", node.state_path).stdout, "it has a new key")
    killed.kill()
    second.resume()
    again = run(node, config)
    joins(again)
    until(lambda: "device.key." not in node.run("ls", node.state_path).stdout, "the new key is gone")
    assert key(node) == old and again.stop() == 0

    moved = run(node, config, "--reset", "--device-id", "two", line)
    joins(moved)
    assert node.virtual_address() == "10.9.0.2" and key(node) != old
    text = config.read_text()
    assert text.startswith("# Mine.\njoin:\n  mtu: 1300 # small\n") and "4444" in text and SERVER not in text
    assert 'device-id: "two"' in text and text.count("\n") == before.count("\n")
    new = key(node)
    assert moved.stop() == 0
    last = run(node, config)
    joins(last)
    assert node.virtual_address() == "10.9.0.2" and key(node) == new


def test_a_copy_becomes_a_device_of_its_own_while_the_original_runs(flat):
    """As the refusal advises."""
    lab = flat(2)
    lab.start_relay(admission=None)
    original, copy = lab["d1"], lab["d2"]
    joins(run(original, configured(original), "--device-id", "cam", invite(lab)))
    lab.relay.run("cp", "-a", original.state_path, copy.state_path)
    config = configured(copy, configured(original, name="none").read_text())
    refused = run(copy, config, "--device-id", "cam", invite(lab))
    advice = ends(refused, 69, "key of cam is in use")
    assert "mnedc-join --reset --device-id NAME" in advice
    joins(run(copy, config, "--reset", "--device-id", "cam-b", invite(lab)))
    assert {"cam", "cam-b"} <= devices(lab).keys() and key(copy) != key(original)
    original.reaches(copy.virtual_address())


# --- Addresses that come later ---


def test_listeners_take_an_address_when_the_host_gets_it(flat):
    """The relay's own, as before DHCP; and the metrics at the device's virtual address."""
    lab = flat(1)
    lab.relay.run("ip", "address", "delete", f"{RELAY}/24", "dev", "eth0")
    relay = lab.start_relay("--listen", SERVER)
    assert f"this host does not have the address {RELAY} yet" in relay.log
    node = lab["d1"]
    config = configured(node, f"metrics: {{listen: 10.0.0.2:9834}}\nserver: {SERVER}\ndevice-id: d1\n")
    device = run(node, config)
    until(lambda: "10.0.0.2:9834/metrics once this host has that address" in device.log, "it says what it waits for")
    lab.relay.run("ip", "address", "add", f"{RELAY}/24", "dev", "eth0")
    joins(device, 30)
    shown = node.run("curl", "-sS", "--max-time", 10, "http://10.0.0.2:9834/metrics").stdout
    assert "mnedc_build" in shown and INTERFACE in node.interfaces()
