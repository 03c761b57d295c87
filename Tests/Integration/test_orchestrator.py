"""examples/edge-orchestration/ with a stand-in for an Edge Orchestration node, and the reference's file."""

import json
import re
import sys
import uuid
from pathlib import Path

import pytest

from lab import PORT, RELAY, REPOSITORY, until

EXAMPLE = REPOSITORY / "examples" / "edge-orchestration"
NODE_PORT = 56002
INTERFACE = "mnedctun0"
REFERENCE = "/var/edge-orchestration/mnedc/client-config.yaml"


class Device:
    """A node of the lab with the example's configuration, and an orchestrator beside it if it is to have one."""

    def __init__(self, node, device_id, has_node=True, hook=()):
        self.node, self.device_id = node, device_id
        self.met = node.lab.directory / f"{node.name}.met"
        text = (EXAMPLE / "device.yaml").read_text()
        text = re.sub("^device-id:.*", f"device-id: {device_id}", text, flags=re.MULTILINE)
        text = re.sub(r"/usr\S*/register\.py", ", ".join([str(EXAMPLE / "register.py"), *hook]), text)
        self.config = node.lab.directory / f"{node.name}.yaml"
        self.config.write_text(text)
        if has_node:
            self.start_node()
        self.program = node.start_mnedc("mnedc-join", "--server", RELAY, "--config", self.config)
        until(lambda: node.virtual_address(INTERFACE), f"{node.name} joins")

    def start_node(self):
        stand_in = Path(__file__).with_name("orchestrator.py")
        self.orchestrator = self.node.start(
            sys.executable, stand_in, NODE_PORT, self.met, name=f"node on {self.node.name}"
        )
        until(lambda: self.node.listens(NODE_PORT), "the node listens")

    def peers(self):
        """What the node has learned of each peer, by ID."""
        lines = self.met.read_text().splitlines() if self.met.exists() else []
        return {line["id"]: line for line in map(json.loads, lines)}


def device_id():
    return f"edge-orchestration-{uuid.uuid4()}"


def test_nodes_meet_by_the_virtual_network(flat):
    """Each hears of those that have a node, asks them at their virtual addresses, and of no other device."""
    lab = flat(3)
    lab.start_relay()
    lab.start_device("d3", device_id="plain")
    first = Device(lab["d1"], device_id())
    second = Device(lab["d2"], device_id())
    for here, there in ((first, second), (second, first)):
        met = until(lambda: here.peers().get(there.device_id), f"{here.node.name} meets {there.node.name}", 30)
        assert met["address"] == there.node.virtual_address(INTERFACE) and met["private"]
        assert met["info"] == [200, {"Platform": "docker", "ExecutionType": "container", "ServiceList": ["detector"]}]
        assert met["ping"] == [200, None] and met["score"] == [200, {"ScoreValue": 0.5}]
        assert here.peers().keys() == {there.device_id}
        told = here.node.peers()[there.device_id]
        assert told["platform"] == "docker" and told["execution_type"] == "container"

    # A node that is started anew has forgotten its peers, and hears of all of them again.
    assert first.orchestrator.stop() != 0
    first.met.unlink()
    register = (sys.executable, EXAMPLE / "register.py", "--all", "--socket", first.node.socket_path)
    done = first.node.run(*register, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "Connection refused" in done.stderr
    first.start_node()
    first.node.run(*register)
    until(lambda: first.peers().keys() == {second.device_id}, "it has met them again", 30)


def test_without_a_node_the_hook_says_so_and_waits_for_it(flat):
    """The daemon's log says so, and the node that starts later hears of the peers that are online."""
    lab = flat(2)
    lab.start_relay()
    device = Device(
        lab["d1"], device_id(), has_node=False, hook=["--socket", lab["d1"].socket_path, "--interval", "0.2"]
    )
    peer = Device(lab["d2"], device_id())
    says = "register.py, which join.on-peer names, has ended with status 1: register: cannot register"
    until(lambda: says in device.program.log, "the log says so")
    assert device.program.is_running
    device.start_node()
    until(lambda: peer.device_id in device.peers(), "the node meets the peer", 30)


@pytest.fixture
def reference(flat):
    """A device that sees a file of its own at the reference's place: (the lab, that file, what to put before a
    command).
    """
    lab = flat(1)
    directory = lab.directory / "var"
    (directory / "edge-orchestration" / "mnedc").mkdir(parents=True)
    before = ("unshare", "-m", "sh", "-c", f'mount --bind {directory} /var && exec "$@"', "sh")
    return lab, directory / "edge-orchestration" / "mnedc" / "client-config.yaml", before


def test_the_reference_implementations_file_names_the_relay_where_nothing_else_does(reference):
    """Said in the log and by --check; a configuration, an option or a name of a network counts for more."""
    lab, file, before = reference
    node = lab["d1"]
    lab.start_relay("--no-device")
    join = lab.program("mnedc-join")
    done = node.run(*before, join, "--check", check=False)
    assert done.returncode == 78 and "no relay is named" in done.stderr
    file.write_text(f"server-ip: {RELAY}\nport: {PORT}\n")
    checked = node.run(*before, join, "--check").stdout.splitlines()
    assert (
        REFERENCE in checked[0]
        and checked[0].startswith("# ")
        and f"server: {RELAY}:{PORT}" in checked[1].replace('"', "")
    )
    assert "other.example" in node.run(*before, join, "--check", "--server", "other.example").stdout.splitlines()[0]
    config = lab.directory / "own.yaml"
    config.write_text("log-level: info\n")
    # netcheck goes by the same file.
    checked = node.run(*before, lab.program("mnedc-ctl"), "netcheck", "--json", check=False)
    report = json.loads(checked.stdout)
    assert [each["server"] for each in report["servers"]] == [f"{RELAY}:{PORT}"]
    assert f"server is what {REFERENCE} says" in report["checks"][0]["finding"]
    named = node.run(*before, lab.program("mnedc-ctl"), "netcheck", "--json", "--config", config, check=False)
    assert json.loads(named.stdout)["servers"] == []
    for options in (("--config", config), ("--name", "shop")):
        assert node.run(*before, join, "--check", *options, check=False).returncode == 78

    paths = ("--socket", node.socket_path, "--state", node.state_path)
    device = node.start(*before, join, "--device-id", "d1", *paths, name="d1")
    until(node.virtual_address, "it joins")
    assert REFERENCE in device.log
    # What the first join has written names no relay, so the next start finds it in the same place.
    assert device.stop() == 0
    device = node.start(*before, join, *paths, name="d1")
    until(node.virtual_address, "it joins again")
    assert REFERENCE in device.log and "joined 10.0.0.0/24 as d1 " in device.log
    # The daemon's file is read again, the reference's too.
    file.write_text(f"server-ip: relay.example\nport: {PORT}\n")
    assert "relay.example" in node.mnedc("mnedc-ctl", "reload").stdout
    file.chmod(0o666)
    done = node.mnedc("mnedc-ctl", "reload", check=False)
    assert done.returncode != 0 and "can be changed by other users" in done.stderr
