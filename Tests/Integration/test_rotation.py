"""Keys of devices and of the relay are replaced while sessions and connections go on."""

import json
import re
import threading

from lab import RELAY, until
from test_admission import asked, ctl, devices, fails, invite, trusted_keys, start


def key(node):
    return json.loads(node.mnedc("mnedc-ctl", "key", "--json").stdout)["key"]


def rotate(node, *options, **more):
    return node.mnedc("mnedc-ctl", "rotate-key", *options, **more)


def conversation(lab, one, other):
    """An open TCP connection by virtual address: a function that sends a line through it and expects it back."""
    listener = other.listen(other.virtual_address(), 7777)

    def echo():
        connection, _ = listener.accept()
        while line := connection.recv(100):
            connection.sendall(line)

    threading.Thread(target=echo, daemon=True).start()
    client = one.connect(other.virtual_address(), 7777, timeout=20)

    def say(line):
        client.sendall(line)
        assert client.recv(100) == line

    say(b"hello\n")
    return say


def test_a_device_gets_a_new_key_and_keeps_its_id_its_address_and_its_connections(flat):
    lab = flat(2)
    lab.start_relay(admission=None)
    one, other = lab["d1"], lab["d2"]
    program = start(one, invite(lab))
    start(other, invite(lab))
    address, old, say = one.virtual_address(), key(one), conversation(lab, one, other)
    fingerprint = devices(lab)["d1"]["fingerprint"]

    done = rotate(one)
    assert done.stdout.startswith("the new key is mnedc-device:"), done
    new = key(one)
    assert new != old and new in done.stdout
    say(b"still there\n")
    assert one.virtual_address() == address
    assert devices(lab)["d1"]["fingerprint"] != fingerprint
    say(b"and again\n")

    # It starts with the new key, which is the only one that the relay takes.
    program.stop()
    start(one)
    assert key(one) == new and one.virtual_address() == address
    one.reaches(other.virtual_address())


def test_a_device_that_dies_between_two_keys_goes_on_with_either(flat):
    """As after a kill between the relay's word and the file: the next key is there still, and the relay knows it or
    not.
    """
    lab = flat(1)
    lab.start_relay(admission=None)
    device = lab["d1"]
    program = start(device, invite(lab))
    old = device.run("cat", f"{device.state_path}/device.key").stdout
    rotate(device)
    new = key(device)
    program.kill()
    # The relay knows the new key alone; the files say that the old one is the present one.
    device.run("mv", f"{device.state_path}/device.key", f"{device.state_path}/device.key.next")
    device.run("sh", "-c", f"umask 077; printf '%s' '{old}' >{device.state_path}/device.key")
    program = start(device)
    until(lambda: key(device) == new, "the new key is in its place")
    program.kill()
    # And the other way: the relay has never heard of the next key.
    device.run("sh", "-c", f"umask 077; printf '%s' '{old}' >{device.state_path}/device.key.next")
    start(device)
    until(lambda: key(device) != new, "the next key has taken its place")


def test_a_relay_gets_a_new_key_and_its_devices_know_it_by_themselves(flat):
    lab = flat(3)
    relay = lab.start_relay()
    here, pinned, away = lab["d1"], lab["d2"], lab["d3"]
    old = asked(lab, "key")["key"]
    lab.start_device("d1")
    there = start(pinned, invite(lab))
    gone = lab.start_device("d3")
    gone.stop()
    say = conversation(lab, here, pinned)

    new = json.loads(ctl(lab, "rotate-key", "--json").stdout)["key"]
    assert new != old
    say(b"nothing has happened\n")
    until(lambda: new in trusted_keys(here), "the device trusts the new key")
    # Who was away is met with the old key, and told.
    assert old in trusted_keys(away)
    lab.start_device("d3")
    until(lambda: new in trusted_keys(away), "the device trusts the new key too")

    # All of it holds after a restart of everybody.
    there.stop(), relay.stop()
    lab.start_relay()
    assert asked(lab, "key")["key"] == new
    program = start(pinned)
    pinned.reaches(here.virtual_address())

    # An invite of now has the new key, which the device knows to be that of the relay that its file names.
    program.stop()
    ctl(lab, "forget", "d2")
    start(pinned, invite(lab))
    pinned.reaches(here.virtual_address())


def test_a_stolen_relay_key_is_good_for_nothing_once_it_is_forgotten(flat):
    lab = flat(2)
    lab.start_relay()
    here, away = lab["d1"], lab["d2"]
    lab.start_device("d1")
    lab.start_device("d2").stop()
    old, invited = invite(lab, "--uses", "3"), asked(lab, "key")["fingerprint"]
    answer = json.loads(ctl(lab, "rotate-key", "--forget-old", "--json").stdout)
    new = answer["key"]
    until(lambda: new in trusted_keys(here), "the device trusts the new key")
    done = away.mnedc("mnedc-join", "--server", RELAY, "--device-id", "d2", check=False)
    assert done.returncode == 77 and "but server-key pins SHA256:" in done.stderr, done.stderr

    # Invites that name it are of no use any more, and both sides say so.
    assert answer["revoked_invites"] == 1
    assert [(each["state"], each["uses_left"]) for each in asked(lab, "invites")["invites"]] == [("revoked", 3)]
    says = f"the invite names {re.escape(invited)}: .*ask its operator for another invite"
    fails(away, old, says=says, status=77)
    invite(lab)
    text = ctl(lab, "rotate-key", "--forget-old").stdout
    assert text.endswith("\n1 invite is revoked, as it names the old key; mnedc-ctl invite makes new ones\n"), text
    assert "invite" not in ctl(lab, "rotate-key", "--forget-old").stdout, "there is none to tell of"


def test_a_device_has_no_old_key_to_forget(flat):
    """It keeps the one that it has."""
    lab = flat(1)
    lab.start_all()
    former = key(lab["d1"])
    done = rotate(lab["d1"], "--forget-old", check=False)
    assert done.returncode == 69 and "this is a device, and --forget-old is for a relay" in done.stderr, done.stderr
    assert key(lab["d1"]) == former


def test_a_key_is_not_replaced_behind_the_relays_back(flat):
    lab = flat(1)
    relay = lab.start_relay()
    device = lab["d1"]
    lab.start_device("d1")
    relay.stop()
    until(lambda: device.status()["device"]["state"] == "connecting", "the device has lost its relay")
    done = rotate(device, check=False)
    assert done.returncode != 0 and "has not joined" in done.stderr
