"""mnedc-ctl netcheck: its findings before a device joins, and that it leaves nothing at the relay."""

import json
import re
import subprocess
import sys

from lab import PORT, RELAY, programs, until
from test_misuse import as_somebody

SERVER = f"{RELAY}:{PORT}"


def netcheck(node, *arguments, config=None, prefix=(), status=None):
    """The report, whose exit status agrees with it, with the checks by name."""
    if config is None:
        config = node.lab.directory / f"{node.name}.yaml"
        if not config.exists():
            config.write_text(f"join: {{state: {node.state_path}}}\n")
    done = node.run(
        *prefix, node.lab.program("mnedc-ctl"), "netcheck", *arguments, "--config", config, "--json", check=False
    )  # fmt: skip
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["version"] == 1 and report["works"] == (done.returncode == 0) == (not done.stderr)
    if status is not None:
        assert done.returncode == status, (done.stderr, report)
    report["by"] = {check["name"]: check for check in report["checks"]}
    for server in report["servers"]:
        server["by"] = {check["name"]: check for check in server["checks"]}
    return report


def test_a_host_that_could_join_is_told_so_and_leaves_nothing_at_the_relay(flat):
    """No session, lease, device or refusal; the relay's log says nothing of it."""
    lab = flat(1)
    relay = lab.start_relay(admission="approve")
    # The relay's own device has joined by then.
    before = until(lambda: (s := lab.relay.status()["relay"])["joining"] == 0 and s, "nobody is joining")
    log = relay.log
    report = netcheck(lab["d1"], SERVER, status=0)
    (server,) = report["servers"]
    assert server["works"] and server["address"] == server["server"] == SERVER
    assert server["protocol_version"] == 1 and server["fingerprint"] == before["fingerprint"]
    assert "packets of 1500 bytes get through both ways" in server["by"]["mtu"]["finding"]
    assert server["round_trip_ms"] > 0 and server["path_mtu"] == 1500 and 1000 < server["segment_size"] < 1500
    assert server["routers"] == [] and server["by"]["key"]["result"] == "warn", "nobody has pinned it"
    assert report["by"]["capability"]["result"] == "ok" and report["by"]["pool"]["result"] == "ok"
    assert any("throughput" in each for each in report["not_measured"])
    after = until(lambda: (s := lab.relay.status()["relay"])["joining"] == 0 and s, "the connections are gone")
    for key in ("online", "pending", "joining", "refused", "malformed", "not_authentic"):
        assert after[key] == before[key], key
    assert len(after["sessions"]) == len(before["sessions"]) and relay.log == log
    for command, key in (("devices", "devices"), ("pending", "devices")):
        listed = json.loads(lab.relay.mnedc("mnedc-ctl", command, "--json").stdout)[key]
        assert [each["admitted_by"] for each in listed] == (["host"] if command == "devices" else []), "the host itself"
    text = lab["d1"].run(lab.program("mnedc-ctl"), "netcheck", SERVER).stdout
    assert "joining should work" in text and SERVER in text and "not measured" in text


def test_the_relays_key_is_held_against_what_is_pinned_invited_or_known(flat):
    """The wrong one fails with the status of a refused relay."""
    lab = flat(1)
    lab.start_relay(admission=None)
    d1, key = lab["d1"], json.loads(lab.relay.mnedc("mnedc-ctl", "key", "--json").stdout)["key"]
    invite = json.loads(lab.relay.mnedc("mnedc-ctl", "invite", "--server", SERVER, "--json").stdout)["invite"]
    assert netcheck(d1, invite, status=0)["servers"][0]["by"]["key"]["result"] == "ok"
    wrong = "mnedc-relay:" + "A" * 43
    for pinned, status, result in ((key, 0, "ok"), (wrong, 77, "fail")):
        config = lab.directory / "pinned.yaml"
        config.write_text(f"server: {SERVER}\nserver-key: {pinned}\njoin: {{state: {d1.state_path}}}\n")
        assert netcheck(d1, config=config, status=status)["servers"][0]["by"]["key"]["result"] == result
    assert not any(path.name == "d1.state" for path in lab.directory.iterdir()), "no state directory is made"
    device = lab.start_device(d1, invite, "--config", lab.directory / "joined.yaml")
    report = netcheck(d1, SERVER, status=0)
    assert report["by"]["tun"]["result"] == "warn" and "already" in report["by"]["tun"]["finding"]
    config = lab.directory / "running.yaml"
    config.write_text(f"join: {{state: {d1.state_path}, socket: {d1.socket_path}}}\n")
    tun = netcheck(d1, SERVER, config=config, status=0)["by"]["tun"]
    assert tun["result"] == "ok" and "the daemon that runs here" in tun["finding"], (
        "a healthy device is not warned of itself"
    )
    assert report["by"]["pool"]["result"] == "ok", "its own interface is in nobody's way"
    assert device.is_running
    # Who may not look into the state directory is told to be root, not of options that netcheck does not have.
    config = lab.directory / "unpinned.yaml"
    config.write_text(f"server: {SERVER}\njoin: {{state: {d1.state_path}}}\n")
    config.chmod(0o644)
    text = d1.run(*as_somebody(lab), lab.program("mnedc-ctl"), "netcheck", "--config", config, check=False).stdout
    assert re.search(r"whether it was met before cannot be seen: .*Permission denied", text) and "--state" not in text
    assert "run this as root" in text and text.count("as root tells whether that is enough") >= 1, text


def test_what_stands_in_the_way_is_named(flat):
    """Nobody listens, no answer, no relay, no name; one server that works is enough."""
    lab = flat(1)
    d1 = lab["d1"]

    def fails(step, *servers, status=69):
        report = netcheck(d1, *servers, "--timeout", "1s", status=status)
        check = report["servers"][0]["by"][step]
        assert check["result"] == "fail" and check["advice"], check
        return check["finding"]

    assert "refused" in fails("connect", SERVER)
    assert "looked up" in fails("name", "relay.invalid")
    # Nobody has it, on the switch that both are on.
    assert "in time" in fails("connect", "192.168.50.250") or "no route" in fails("connect", "192.168.50.250")
    lab.relay.serve(str(lab.directory), RELAY, 8000)
    fails("relay", f"{RELAY}:8000")
    relay = lab.start_relay()
    relay.pause()
    assert "says nothing" in fails("relay", SERVER)
    relay.resume()
    lab.relay.run("nft", "add table ip x; add chain ip x in { type filter hook input priority 0; }")
    lab.relay.run("nft", f"add rule ip x in tcp dport {PORT} drop")
    assert "in time" in fails("connect", SERVER)
    lab.relay.run("nft", "delete table ip x")
    report = netcheck(d1, f"{RELAY}:9", SERVER, status=0)
    assert [server["works"] for server in report["servers"]] == [False, True]
    assert netcheck(d1, status=78)["by"]["server"]["result"] == "fail"


def test_a_host_that_cannot_make_an_interface_or_has_the_pool_is_told(flat):
    """Without CAP_NET_ADMIN, as an ordinary user, with a pool that is taken, with a mistake in the file."""
    lab = flat(1)
    lab.start_relay()
    d1 = lab["d1"]
    report = netcheck(d1, SERVER, prefix=["setpriv", "--bounding-set=-net_admin"], status=77)
    assert report["by"]["capability"]["result"] == "fail" and report["servers"][0]["works"]
    config = lab.directory / "open.yaml"
    config.write_text("{}\n")
    config.chmod(0o644)
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    report = netcheck(d1, SERVER, config=config, prefix=user, status=0)
    assert report["by"]["capability"]["result"] == "warn"
    config.chmod(0o600)
    report = netcheck(d1, SERVER, config=config, prefix=user, status=0)
    assert report["by"]["configuration"]["result"] == "warn" and "as root" in report["by"]["configuration"]["advice"]
    config.chmod(0o644)
    d1.run("ip", "link", "add", "lan0", "type", "bridge")
    d1.run("ip", "address", "add", "10.0.0.77/16", "dev", "lan0")
    d1.run("ip", "link", "set", "lan0", "up")
    pool = netcheck(d1, SERVER, status=75)["by"]["pool"]
    assert pool["result"] == "fail" and "lan0" in pool["finding"] and "10.0.0.0/24" in pool["finding"]
    allowed = lab.directory / "allowed.yaml"
    allowed.write_text("join: {allow-overlap: true}\n")
    assert netcheck(d1, SERVER, config=allowed, status=0)["by"]["pool"]["result"] == "ok"
    config.write_text("srver: x\n")
    report = netcheck(d1, SERVER, config=config, status=78)
    assert (
        report["by"]["configuration"]["result"] == "fail" and "open.yaml:1" in report["by"]["configuration"]["finding"]
    )
    assert "server" not in netcheck(d1, config=config, status=78)["by"], "a wrong file may name one"


def test_levels_of_nat_are_counted_as_far_as_routers_tell(nat):
    """From two levels down, both routers are named; from one, the one."""
    nat.start_relay()
    (server,) = netcheck(nat["mid"], SERVER, status=0)["servers"]
    assert re.search(
        r"behind one router with a private address \(192[\d.]+\): a NAT, most", server["by"]["nat"]["finding"]
    ), server
    (server,) = netcheck(nat["deep"], SERVER, status=0)["servers"]
    assert len(server["routers"]) >= 2 and "NATs" in server["by"]["nat"]["finding"], server
    assert server["by"]["nat"]["finding"].count("192.168.") >= 3
