"""mnedc-ctl explain names the step that a test has broken, for each step of a path, with the real programs."""

import json

from lab import INTERFACE, until

STEPS = ["interface", "address", "route", "uplink", "relay", "peer", "session", "echo", "packets", "name"]


def explain(node, peer, *options, check=True):
    """The report, whose exit status agrees with it."""
    done = node.mnedc("mnedc-ctl", "explain", peer, "--json", *options, check=False)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["version"] == 1 and report["works"] == (done.returncode == 0)
    first = next((step["name"] for step in report["steps"] if step["result"] == "fail"), None)
    assert report.get("failed_step") == first and (done.returncode, bool(done.stderr)) in ((0, False), (69, True))
    if first:
        assert f"fails at {first}" in done.stderr
        # Only these have nothing that somebody could do.
        assert all(step.get("advice") for step in report["steps"] if step["result"] in ("fail", "warn"))
    report["by"] = {step["name"]: step for step in report["steps"]}
    return report


def fails_at(node, peer, step, *words):
    """Waits until the walk ends there: what has happened may take a moment to be known."""
    report = until(
        lambda: (r := explain(node, peer, "--timeout", "2s")).get("failed_step") == step and r,
        f"the walk fails at {step}",
        30,
    )
    for word in words:
        assert word in report["by"][step]["finding"] + report["by"][step].get("advice", ""), report["by"][step]
    return report


def works(node, peer):
    return until(lambda: (r := explain(node, peer)).get("works") and r, f"the path to {peer} works", 20)


def test_a_path_that_works_is_walked_from_a_device_and_from_the_relay(flat):
    """By ID, name and address, by an ordinary user too; table and JSON say the same."""
    lab = flat(2)
    lab.start_all()
    d1, address = lab["d1"], lab["d2"].virtual_address()
    for name in ("d2", "d2.mnedc", address):
        report = works(d1, name)
        assert [step["name"] for step in report["steps"]] == STEPS
        assert {step["result"] for step in report["steps"]} == {"ok"}, report["steps"]
        assert (report["device_id"], report["address"]) == ("d2", address)
        assert report["round_trip_ms"] > 0 and report["relay_round_trip_ms"] > 0
    text = d1.run(
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", lab.program("mnedc-ctl"), "explain", "d2",
        "--socket",
        d1.socket_path,
    ).stdout  # fmt: skip
    assert "works" in text and all(step in text for step in STEPS) and "FAIL" not in text
    report = works(lab.relay, "d1")
    assert report["by"]["peer-uplink"]["result"] == "ok" and d1.address in report["by"]["peer-uplink"]["finding"]
    assert "own host" in report["by"]["uplink"]["finding"]


def test_who_is_not_there_is_told_from_who_never_was(flat):
    """A near name is suggested; the relay's host knows what became of a device."""
    lab = flat(3)
    running = lab.start_all()
    d1, relay = lab["d1"], lab.relay
    fails_at(d1, "d22", "peer", "did you mean d2?")
    fails_at(d1, "d1", "peer", "this host itself")
    fails_at(relay, "never-was", "peer", "never admitted")
    running["d2"].stop()
    fails_at(d1, "d2", "peer", "switched off or revoked")
    fails_at(relay, "d2", "peer", "known, but not connected")
    relay.mnedc("mnedc-ctl", "revoke", "d3")
    fails_at(relay, "d3", "peer", "was revoked", "forget d3")
    # The device itself is told why it is not in.
    fails_at(lab["d3"], "d1", "uplink", "revoked", "the line above says why there is no connection")
    fails_at(d1, "8.8.8.8", "peer", "no address of this network")
    assert d1.mnedc("mnedc-ctl", "explain", "", check=False).returncode == 64


def test_firewalls_that_drop_or_refuse_packets_are_found_behind_an_echo_that_comes(flat):
    """The daemons reach each other; their kernels do not."""
    lab = flat(2)
    lab.start_all()
    d1, d2 = lab["d1"], lab["d2"]
    works(d1, "d2")
    # With ICMP and without: a namespace begins without leave to send an echo.
    d2.run("nft", "add table ip block; add chain ip block in { type filter hook input priority 0; }")
    d2.run("nft", f"add rule ip block in iifname {INTERFACE} drop")
    report = fails_at(d1, "d2", "packets", "firewall")
    assert report["by"]["echo"]["result"] == "ok"
    assert "on d2" in report["by"]["packets"]["advice"] and "on this host" not in report["by"]["packets"]["advice"]
    d1.run("sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647")
    fails_at(d1, "d2", "packets", "neither ICMP nor TCP")
    d2.run("nft", "flush chain ip block in")
    d2.run("nft", f"add rule ip block in iifname {INTERFACE} ip protocol tcp drop")
    works(d1, "d2")
    d2.run("nft", "delete table ip block")
    d1.run("nft", "add table ip block; add chain ip block out { type filter hook output priority 0; }")
    d1.run("nft", f"add rule ip block out oifname {INTERFACE} drop")
    report = fails_at(d1, "d2", "packets")
    assert "on this host" in report["by"]["packets"]["advice"] and "on d2" not in report["by"]["packets"]["advice"]


def test_a_silent_peer_and_a_silent_or_stopped_relay_are_told_apart(flat):
    """A frozen peer fails at the session or the echo, a frozen relay at the relay, and a stopped one at the uplink."""
    lab = flat(2)
    running = lab.start_all()
    d1 = lab["d1"]
    works(d1, "d2")

    running["d2"].pause()
    report = explain(d1, "d2", "--timeout", "2s")
    assert report["failed_step"] in ("session", "echo") and report["by"]["relay"]["result"] == "ok"
    running["d2"].resume()
    works(d1, "d2")

    running["relay"].pause()
    report = explain(d1, "d2", "--timeout", "500ms")
    assert report["failed_step"] in ("relay", "uplink")
    running["relay"].resume()
    works(d1, "d2")

    running["relay"].stop()
    report = fails_at(d1, "d2", "uplink", "netcheck")
    assert report["by"]["peer"]["result"] == "skipped"


def test_a_peer_whose_traffic_is_dropped_on_its_way_to_the_relay_is_found(flat):
    """As by a NAT that has forgotten it."""
    lab = flat(2)
    lab.start_all()
    d1, d2 = lab["d1"], lab["d2"]
    works(d1, "d2")
    d2.run("nft", "add table ip cut; add chain ip cut out { type filter hook output priority 0; }")
    d2.run("nft", "add rule ip cut out tcp dport 3334 drop")
    report = explain(d1, "d2", "--timeout", "1s")
    assert report["failed_step"] in ("session", "echo", "peer")
    d2.run("nft", "delete table ip cut")
    works(d1, "d2")
