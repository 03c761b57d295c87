"""mnedc-peers with real devices and a real relay: lists, filters, pings, events, hooks, and the examples for
orchestrators.
"""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

from lab import RELAY, REPOSITORY, until

EXAMPLES = REPOSITORY / "examples"


def peers(node, *options):
    """mnedc-peers with these options, as JSON."""
    return json.loads(node.mnedc("mnedc-peers", *options, "--json").stdout)["peers"]


def knows(node, *ids):
    """Whether `node` knows what these tell of themselves."""
    known = node.peers()
    return all("revision" in known.get(each, {}) for each in ids)


def test_devices_and_the_relay_know_what_each_other_offers(flat):
    """By their own exchange; and an ordinary user may ask."""
    lab = flat(2)
    lab.start_all()
    until(lambda: knows(lab["d1"], "d2") and knows(lab.relay, "d1", "d2"), "all know each other")
    seen = lab["d1"].peers()["d2"]
    assert seen["platform"].startswith("linux/") and seen["state"] == "online" and seen["path"] == "relay"
    assert seen["round_trip_ms"] > 0 and seen["proof_age"] >= 0 and "outer_address" not in seen
    by_relay = lab.relay.peers()["d2"]
    assert by_relay["outer_address"].startswith(lab["d2"].address + ":") and by_relay["platform"] == seen["platform"]
    for node in (lab["d1"], lab.relay):
        table = node.run(
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", lab.program("mnedc-peers"), "--socket",
            node.socket_path,
        ).stdout  # fmt: skip
        header, *lines = table.splitlines()
        assert header.split() == ["ADDRESS", "ID", "STATE", "PATH", "ROUND-TRIP", "PROOF", "PLATFORM", "SERVICES"]
        assert any("d2" in line and seen["platform"] in line for line in lines)


def test_lists_are_filtered_sorted_and_cut(flat):
    """By what can be told of devices that say nothing of themselves but the platform."""
    lab = flat(3)
    lab.start_all()
    d1 = lab["d1"]
    until(lambda: knows(d1, "d2", "d3"), "d1 knows the others")
    platform = d1.peers()["d2"]["platform"]
    assert {"d2", "d3"} <= {each["device_id"] for each in peers(d1, "--platform", platform, "--state", "online")}
    assert peers(d1, "--platform", "plan9/mips") == [] == peers(d1, "--service", "detector", "--label", "zone=hall")
    ids = [each["device_id"] for each in peers(d1, "--sort", "id")]
    assert ids == sorted(ids) and len(peers(d1, "--limit", 1)) == 1
    plain = d1.mnedc("mnedc-peers", "--no-header").stdout.splitlines()
    assert len(plain) == 4 and "this host" in plain[0]
    wide = d1.mnedc("mnedc-peers", "list", "--wide").stdout
    assert d1.peers()["d2"]["address6"] in wide and "LABELS" in wide
    tree = lab.relay.mnedc("mnedc-peers", "--tree").stdout
    assert re.search(rf"^{re.escape(d1.address)}\n└─ \S+ d1 online$", tree, re.MULTILINE)
    for wrong in (["--state", "asleep"], ["--sort", "x"], ["--limit", "0"], ["--service", ":"], ["--tree", "--json"]):
        assert d1.mnedc("mnedc-peers", *wrong, check=False).returncode == 64


def test_a_list_without_anybody_says_why(flat):
    """On standard error, so that what reads the table reads on; JSON says nothing of it."""
    lab = flat(1)
    lab.start_relay("--no-device")
    listed = lambda node, *options: node.mnedc("mnedc-peers", *options)
    for options in ([], ["--tree"], ["--no-header"]):
        done = listed(lab.relay, *options)
        assert done.stdout.splitlines() == (
            ["ADDRESS  ID  STATE  PATH  ROUND-TRIP  PROOF  PLATFORM  SERVICES"] if not options else []
        )
        assert done.stderr == ("" if "--no-header" in options else "no device is in the network\n")
    assert not listed(lab.relay, "--json").stderr
    for command, why in (("pending", "no device waits for approval"), ("invites", "no invite was made")):
        done = lab.relay.mnedc("mnedc-ctl", command)
        assert len(done.stdout.splitlines()) == 1 and done.stderr == f"{why}\n"
        assert not lab.relay.mnedc("mnedc-ctl", command, "--json").stderr
    lab.start_device("d1")
    done = listed(lab["d1"])
    assert len(done.stdout.splitlines()) == 2 and not done.stderr
    assert listed(lab["d1"], "--service", "camera").stderr == "no other device is in the network\n"
    assert listed(lab.relay, "--service", "camera").stderr == "the only other device does not match\n"


def test_a_device_that_is_not_in_says_so_where_it_lists_nobody(flat):
    """And where it is said why."""
    lab = flat(1)
    lab.start_relay("--no-device", admission="approve")
    lab["d1"].start_mnedc("mnedc-join", "--server", RELAY, "--device-id", "d1")
    until(lab["d1"].status, "it answers")
    assert re.match(
        r"this host has not joined its network: .*operator of the relay", lab["d1"].mnedc("mnedc-peers").stderr
    )


def test_options_stand_before_and_behind_a_command_and_only_with_the_right_one(flat):
    """Those of the list without a command, too."""
    lab = flat(1)
    lab.start_all()
    node = lab["d1"]
    name = next(iter(node.peers()))
    assert [each["device_id"] for each in peers(node, "list")] == [name] == [each["device_id"] for each in peers(node)]
    socket = ("--socket", node.socket_path)
    for words in (
        ["show", name, "--json", *socket],
        ["--json", *socket, "show", name],
        [*socket, "show", "--json", name],
    ):
        assert json.loads(node.run(lab.program("mnedc-peers"), *words).stdout)["peers"][0]["device_id"] == name
    assert node.run(lab.program("mnedc-peers"), "list", "--no-header", *socket).stdout.count("\n") == 2
    for words in (["show", name, "--tree"], ["--limit", "2", "ping", name]):
        done = node.mnedc("mnedc-peers", *words, check=False)
        option = next(word for word in words if word.startswith("--"))
        assert done.returncode == 64 and f"unknown option '{option}'" in done.stderr


def test_ping_measures_from_device_to_device(flat):
    """By ID, by label or by address, from the relay too; the exit status says whether there was an answer."""
    lab = flat(2)
    lab.start_relay()
    lab.start_device("d1")
    silent = lab.start_device("d2", device_id="D2.Cam")
    until(lambda: "D2.Cam" in lab["d1"].peers(), "d1 knows D2.Cam")
    for name in ("D2.Cam", "d2-cam", lab["d2"].virtual_address()):
        lines = lab["d1"].mnedc("mnedc-peers", "ping", name, "-c", 2, "-i", "100ms").stdout.splitlines()
        assert len(lines) == 3 and lines[2].startswith("2 sent, 2 answered, 0 % lost; round trip min ")
        assert re.fullmatch(rf"answer from D2.Cam \(10\.0\.0\.\d+\): [\d.]+ ms by the relay .*:3334", lines[0])
    line = lab.relay.mnedc("mnedc-peers", "ping", "D2.Cam", "-c", 1).stdout.splitlines()[0]
    assert re.fullmatch(r"answer from D2.Cam \(10\.0\.0\.\d+\): [\d.]+ ms by the relay on this host", line), line
    pong = json.loads(lab.relay.mnedc("mnedc-peers", "ping", "D2.Cam", "--count", 1, "--json").stdout)
    assert pong["device_id"] == "D2.Cam" and pong["round_trip_ms"] > 0 and pong["path"] == "relay"
    silent.pause()
    done = lab["d1"].mnedc("mnedc-peers", "ping", "d2-cam", "-c", 1, "--timeout", "500ms", check=False)
    silent.resume()
    assert done.returncode == 1 and "100 % lost" in done.stdout and "has not answered" in done.stderr
    done = lab["d1"].mnedc("mnedc-peers", "ping", "nobody", check=False)
    assert done.returncode == 69 and "no peer has the ID" in done.stderr


def test_show_tells_all_of_one_device(flat):
    """And asks it first if it has to."""
    lab = flat(2)
    lab.start_all()
    d1 = lab["d1"]
    shown = json.loads(d1.mnedc("mnedc-peers", "show", "d2", "--json").stdout)
    assert [each["device_id"] for each in shown["peers"]] == ["d2"] and shown["peers"][0]["revision"] >= 1
    text = d1.mnedc("mnedc-peers", "show", lab["d2"].virtual_address()).stdout
    assert re.search(r"^device ID +d2$", text, re.MULTILINE) and "platform" in text
    assert "platform" in lab.relay.mnedc("mnedc-peers", "show", "d2").stdout
    assert d1.mnedc("mnedc-peers", "show", "d1", check=False).returncode == 69
    assert all("revision" in each for each in peers(d1, "--fetch"))


def events(program):
    return [json.loads(line) for line in program.output.splitlines()]


def test_a_subscriber_is_told_who_comes_and_goes(flat):
    """On a device and on the relay: a snapshot, then an object a line; a lost uplink too."""
    lab = flat(3)
    running = lab.start_all()
    d1 = lab["d1"]
    watchers = [node.start_mnedc("mnedc-peers", "--watch", "--json") for node in (d1, lab.relay)]
    lines = d1.start_mnedc("mnedc-peers", "--watch")
    for watcher in watchers:
        until(lambda: watcher.output, "the snapshot comes")
        first = events(watcher)[0]
        assert first["event"] == "snapshot" and first["version"] == 1
        assert {"d2", "d3"} <= {each["device_id"] for each in first["report"]["peers"]}
    until(lambda: "d3" in lines.output, "the table comes")

    def told(watcher, kind, who):
        return any(
            each["event"] == kind and each.get("peer", {}).get("device_id") == who for each in events(watcher)[1:]
        )

    running["d3"].stop()
    for watcher in watchers:
        until(lambda: told(watcher, "left", "d3"), "d3 has left")
    lab.start_device("d3")
    for watcher in watchers:
        until(lambda: told(watcher, "joined", "d3"), "d3 is back")
        until(lambda: any("revision" in each.get("peer", {}) for each in events(watcher)[2:]), "it has told of itself")
    until(lambda: re.search(r"d3  left\n(.*\n)*.*d3  joined", lines.output), "the lines say so")
    running["relay"].kill()
    until(lambda: events(watchers[0])[-1]["event"] == "uplink-lost", "the uplink is lost")
    lab.start_relay()
    until(lambda: any(each["event"] == "uplink-back" for each in events(watchers[0])), "the uplink is back")
    assert watchers[1].wait() == 69 and "has ended" in watchers[1].log
    watchers[0].signal(signal.SIGINT)
    assert watchers[0].wait() == 0


def test_watch_redraws_a_terminal_in_place_and_leaves_it_as_it_was(flat):
    """Whatever its size becomes."""
    lab = flat(2)
    running = lab.start_all()
    d1 = lab["d1"]
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    before = termios.tcgetattr(slave)
    watch = subprocess.Popen(
        ["ip", "netns", "exec", d1.namespace, lab.program("mnedc-peers"), "--watch", "--socket", d1.socket_path],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    seen = bytearray()

    def read():
        while select.select([master], [], [], 0)[0]:
            seen.extend(os.read(master, 65536))
        return seen.decode()

    try:
        until(lambda: "d2" in read(), "the table is drawn")
        assert "\x1b[?1049h" in read() and "\x1b[?25l" in read()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 14, 0, 0))
        seen.clear()
        os.kill(watch.pid, signal.SIGWINCH)

        def fits():
            frame = read().rpartition("\x1b[J")[0].rpartition("\x1b[H")[2]
            return frame and all(
                len(re.sub(r"\x1b\[[\d;]*\w", "", line).strip("\r\n")) <= 14 for line in frame.splitlines()
            )

        until(fits, "it is drawn again, no wider than the terminal")
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        running["d2"].stop()
        until(lambda: "\x1b[H" in read() and "d2" not in read().rpartition("\x1b[H")[2], "d2 is gone")
        watch.send_signal(signal.SIGINT)
        until(lambda: watch.poll() is not None, "it ends")
        assert watch.returncode == 0
        assert read().endswith("\x1b[?25h\x1b[?1049l") and termios.tcgetattr(slave) == before
    finally:
        watch.kill()
        watch.wait()
        os.close(master), os.close(slave)


HOOK = """#!/bin/sh
umask 077
grep CapEff /proc/self/status >>{log}.caps
peer="$MNEDC_PEER_ID $MNEDC_PEER_ADDRESS"
echo "$MNEDC_EVENT $peer $MNEDC_INTERFACE $MNEDC_PEER_PLATFORM" >>{log}
printf '%s\\n' "$MNEDC_PEER_JSON" >>{log}.json
exit 3
"""


def test_a_command_is_run_for_what_becomes_of_peers(flat):
    """With the event in its environment and no rights; a reload takes another one, and failures are logged now and
    then.
    """
    lab = flat(2)
    log, hook, config = lab.directory / "told", lab.directory / "hook", lab.directory / "d1.yaml"
    hook.write_text(HOOK.format(log=log))
    hook.chmod(0o755)
    config.write_text(f"join:\n  on-peer: [{hook}, argument]\n")
    lab.start_relay()
    d1 = lab.start_device("d1", "--config", config)
    d2 = lab.start_device("d2")

    def told():
        return log.read_text().splitlines() if log.exists() else []

    until(lambda: any(line.startswith(("joined d2", "changed d2")) for line in told()), "d2 is told of")
    address = lab["d2"].virtual_address()
    d2.stop()
    until(lambda: f"left d2 {address} mnedc0 " in told(), "d2 is told to have left")
    assert set((lab.directory / "told.caps").read_text().split()[1::2]) == {"0" * 16}
    about = [json.loads(line) for line in (lab.directory / "told.json").read_text().splitlines()]
    assert {"d2"} <= {each["device_id"] for each in about}
    assert d1.log.count("has ended with status 3") == 1
    config.write_text("join: {}\n")
    report = lab["d1"].mnedc("mnedc-ctl", "reload").stdout
    assert "join.on-peer" in report
    count = len(told())
    lab.start_device("d2")
    until(lambda: knows(lab["d1"], "d2"), "d2 is known again")
    assert len(told()) == count


def offers(lab, node, services, **more):
    """A configuration with what that device offers."""
    config = lab.directory / f"{node}.yaml"
    told = {"platform": "linux/arm64", "services": services, **more}
    config.write_text(json.dumps({"join": {"orchestration": told}}))
    return config


def test_the_bridge_answers_as_an_orchestrator_expects(flat):
    """GET /api/v1/discoverymgr/orchestrationinfo on a device's virtual address, asked from a peer."""
    lab = flat(2)
    lab.start_relay()
    lab.start_device("d1")
    lab.start_device("d2", "--config", offers(lab, "d2", ["detector", "camera"], **{"execution-type": "container"}))
    address = lab["d2"].virtual_address()
    lab["d2"].start(
        sys.executable, EXAMPLES / "orchestration-bridge.py", "--socket", lab["d2"].socket_path, name="bridge"
    )
    until(lambda: lab["d2"].listens(56002), "the bridge listens")
    base = f"http://{address}:56002"
    answer = json.loads(lab["d1"].run("curl", "-sS", f"{base}/api/v1/discoverymgr/orchestrationinfo").stdout)
    expected = {"Platform": "linux/arm64", "ExecutionType": "container", "ServiceList": ["detector", "camera"]}
    assert answer == expected
    lab["d2"].mnedc("mnedc-ctl", "announce", "--down", "camera")
    answer = json.loads(lab["d1"].run("curl", "-sS", f"{base}/api/v1/discoverymgr/orchestrationinfo").stdout)
    assert answer["ServiceList"] == ["detector"]
    status = lambda path, *options: (
        lab["d1"]
        .run(  # noqa: E731
            "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *options, base + path
        )
        .stdout
    )
    # A node asks with a body.
    body = ("-X", "GET", "-d", '{"devID":"DevID"}')
    assert status("/api/v1/discoverymgr/orchestrationinfo", *body) == status("/api/v1/ping") == "200"
    assert status("/") == status("/api/v1/scoringmgr/score", *body) == "404"
    second = lab["d2"].run(
        sys.executable, EXAMPLES / "orchestration-bridge.py", "--socket", lab["d2"].socket_path, check=False
    )
    assert second.returncode == 1 and second.stderr.count("\n") == 1 and "Address already in use" in second.stderr
    said = lab["d2"].run(sys.executable, EXAMPLES / "orchestration-bridge.py", "--help").stdout
    assert "It lists only" in " ".join(said.split())


def test_a_task_goes_to_the_least_loaded_device_that_offers_what_it_needs(nat):
    """Under up to two levels of NAT, and what changes counts at once; the tree shows who sits behind what."""
    nat.start_relay()
    detector = {"name": "detector", "version": "1.2", "port": 8080}
    nat.start_device("top", "--config", offers(nat, "top", ["camera"], labels={"zone": "hall"}))
    nat.start_device("mid", "--config", offers(nat, "mid", [detector]))
    nat.start_device("deep", "--config", offers(nat, "deep", [detector]))
    top = nat["top"]
    nat["mid"].mnedc("mnedc-ctl", "announce", "--load", "0.75")
    nat["deep"].mnedc("mnedc-ctl", "announce", "--load", "0.25")
    until(lambda: all("load" in top.peers().get(each, {}) for each in ("mid", "deep")), "top knows the loads")
    tool = f"{nat.program('mnedc-peers')} --socket {top.socket_path}"

    def place():
        done = top.run(
            EXAMPLES / "place-task.sh", "sh", "-c", "echo $PEER $PORT", env={**os.environ, "MNEDC_PEERS": tool}
        )
        return done.stdout.split()

    assert place() == [nat["deep"].virtual_address(), "8080"]
    watch = top.start_mnedc("mnedc-peers", "--service", "detector", "--watch", "--json")
    until(lambda: watch.output, "the snapshot comes")
    nat["deep"].mnedc("mnedc-ctl", "announce", "--degraded", "detector")
    until(
        lambda: any(e["event"] == "changed" and e["peer"]["device_id"] == "deep" for e in events(watch)), "it is told"
    )
    assert place() == [nat["mid"].virtual_address(), "8080"]
    found = [each["device_id"] for each in peers(nat.relay, "--service", "detector:1")]
    assert found == ["mid"] and [each["device_id"] for each in peers(nat["mid"], "--label", "zone=hall")] == ["top"]
    until(lambda: all("place" in each for each in peers(nat.relay)), "everybody has told where it sits", 30)
    address = {name: nat[name].virtual_address() for name in ("top", "mid", "deep")}
    tree = f"""\
relay
└─ 10.0.0.1 {nat.relay.status()["device"]["device_id"]} this host
192.168.50.20
└─ {address["top"]} top online
192.168.50.61
└─ 192.168.60.1
   └─ {address["mid"]} mid online
192.168.50.71
└─ 192.168.70.1
   └─ 192.168.80.1
      └─ {address["deep"]} deep online
"""
    assert nat.relay.mnedc("mnedc-peers", "--tree").stdout.startswith(tree)
    # Who sits where is told from device to device, too.
    assert "   └─ 192.168.80.1\n" in nat["mid"].mnedc("mnedc-peers", "--tree").stdout
    shown = top.mnedc("mnedc-peers", "show", "deep").stdout
    assert re.search(r"^services +detector, 1.2, port 8080, degraded$", shown, re.MULTILINE)


def test_the_example_of_placing_a_task_says_what_is_missing(flat):
    """There is no detector here."""
    lab = flat(2)
    lab.start_all()
    done = lab["d1"].run(
        EXAMPLES / "place-task.sh", "true", check=False,
        env={**os.environ, "MNEDC_PEERS": f"{lab.program('mnedc-peers')} --socket {lab['d1'].socket_path}"},
    )  # fmt: skip
    assert done.returncode != 0 and "no device" in done.stderr


def test_a_peer_goes_by_its_host_name_also_where_the_relay_has_to_be_asked(flat):
    """As its names do."""
    lab = flat(2)
    config = lab.directory / "relay.yaml"
    config.write_text("relay: {peer-list: 1}\n")
    lab.start_relay("--config", config)
    d1, d2 = lab.devices
    lab.start_device(d1), lab.start_device(d2, device_id="Kitchen.Hub")
    until(lambda: not json.loads(d1.mnedc("mnedc-peers", "--json").stdout)["complete"], "d1 is not told of all", 30)
    shown = d1.mnedc("mnedc-peers", "show", "kitchen-hub").stdout
    assert "Kitchen.Hub" in shown and "platform" in shown
    answer = d1.mnedc("mnedc-peers", "ping", "kitchen-hub.mnedc", "-c", 1).stdout
    assert f"answer from Kitchen.Hub ({d2.virtual_address()})" in answer
    missing = d1.mnedc("mnedc-peers", "show", "nobody", check=False)
    assert missing.returncode == 69 and "no peer has the ID" in missing.stderr


def test_what_a_terminal_would_obey_is_not_repeated_raw(flat):
    """An argument may be a stranger's words."""
    lab = flat(1)
    done = lab["d1"].mnedc("mnedc-peers", "--state", "a\x1b[31m\u202eb", check=False)
    assert done.returncode == 64 and "\x1b" not in done.stderr and "\u202e" not in done.stderr
