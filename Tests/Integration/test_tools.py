"""The output of mnedc-ctl and mnedc-peers for people and for programs."""

import json

import pytest

from lab import PORT, RELAY, until


def test_status_says_how_the_relay_and_a_device_do(flat):
    """As JSON of version 1, and as text."""
    lab = flat(1)
    running = lab.start_all()
    lab["d1"].reaches("10.0.0.1")
    relay, device = lab.relay.status(), lab["d1"].status()
    assert (relay["version"], relay["program"], relay["process_id"]) == (1, "mnedcd", running["relay"].pid)
    assert relay["relay"]["pool"] == "10.0.0.0/24" and relay["relay"]["address"] == "10.0.0.1"
    assert relay["relay"]["online"] == 1 and relay["relay"]["capacity"] == 253
    assert {each["device_id"] for each in relay["relay"]["sessions"]} >= {"d1"}
    assert (device["version"], device["program"]) == (1, "mnedc-join")
    assert device["device"]["state"] == "joined" and device["device"]["address"] == "10.0.0.2"
    assert device["device"]["packets"]["sent"] > 0
    for node, expected in ((lab.relay, "10.0.0.0/24"), (lab["d1"], "10.0.0.2")):
        assert expected in node.mnedc("mnedc-ctl", "status").stdout


def test_peers_in_json_and_in_a_table_agree(flat):
    """And go on being listed, as unknown, while the relay is gone."""
    lab = flat(2)
    running = lab.start_all()
    listing = json.loads(lab["d1"].mnedc("mnedc-peers", "--json").stdout)
    assert listing["version"] == 1 and listing["network"] == "10.0.0.0/24" and listing["complete"]
    address6 = lab["d1"].status()["device"]["address6"]
    own = {"address": lab["d1"].virtual_address(), "address6": address6, "device_id": "d1", "state": "online"}
    assert own.items() <= listing["self"].items() and listing["self"]["platform"].startswith("linux/")
    table = lab["d1"].mnedc("mnedc-peers").stdout
    for peer in listing["peers"]:
        assert peer["address"] in table and peer["device_id"] in table
    assert "\x1b" not in table, "no colour where there is no terminal"
    running["relay"].kill()
    until(lambda: lab["d1"].peers()["d2"]["state"] == "unknown", "d1 does not know about d2 any more")


def test_stop_ends_the_relay_and_the_devices_notice(flat):
    """mnedc-ctl stop; the daemon's own status is 0."""
    lab = flat(1)
    running = lab.start_all()
    lab.relay.mnedc("mnedc-ctl", "stop")
    assert running["relay"].wait() == 0
    until(lambda: lab["d1"].status()["device"]["state"] == "connecting", "the device notices")
    lab.start_relay()
    until(lambda: lab["d1"].status()["device"]["state"] == "joined", "the device is back")


def test_options_override_the_config_file_and_check_shows_what_holds(flat):
    """--check names what is in force, and starts nothing."""
    lab = flat(1)
    config = lab.directory / "mnedc.yaml"
    config.write_text(
        f"server: {RELAY}:4000\ndevice-id: from-file\nlog-level: debug\n"
        "relay:\n  listen: 0.0.0.0:4000\n  pool: 10.44.0.0/16\n  device: false\n"
    )
    shown = lab.relay.mnedc("mnedcd", "--config", config, "--pool", "10.55.0.0/24", "--check").stdout
    assert "10.55.0.0/24" in shown and "10.44.0.0/16" not in shown and "4000" in shown
    assert not lab.relay.interfaces()
    lab.start_relay("--config", config, "--pool", "10.55.0.0/24")
    device = lab["d1"].start_mnedc("mnedc-join", "--config", config)
    until(lambda: lab["d1"].virtual_address(), "the device joins")
    assert device.is_running and lab["d1"].virtual_address() == "10.55.0.2"
    assert "from-file" in lab.relay.peers()


def test_a_config_file_of_the_reference_is_enough_for_a_device(flat):
    """`server-ip` and `port`, and nothing else."""
    lab = flat(1)
    config = lab.directory / "reference.yaml"
    config.write_text(f"server-ip: {RELAY}\nport: {PORT}\n")
    lab.start_relay()
    lab["d1"].start_mnedc("mnedc-join", "--config", config, "--device-id", "d1")
    until(lambda: lab["d1"].virtual_address(), "the device joins")


@pytest.mark.parametrize("program", ["mnedcd", "mnedc-join", "mnedc-peers", "mnedc-ctl"])
def test_help_fits_a_screen_and_names_the_program(flat, program):
    """And goes to standard output, with status 0; so does the version."""
    node = flat(0).relay
    shown = node.run(node.lab.program(program), "--help").stdout
    assert program in shown and len(shown.splitlines()) <= 40
    assert node.run(node.lab.program(program), "--version").stdout.strip()
