"""Devices under three levels of NAT know the truth about each other: presence, services, and place."""

import json

from lab import PORT, RELAY, until

NAMES = ("top", "mid", "deep")


def view(node):
    """{device ID: what counts of it} as a device sees its peers, the relay's own host left out."""
    return {
        name: {
            "address": peer["address"],
            "services": [(each["name"], each["health"]) for each in peer.get("services", [])],
            "labels": peer.get("labels"), "outer": peer.get("place", {}).get("outer"),
        }
        for name, peer in node.peers().items()
        if name in NAMES
    }  # fmt: skip


class Truth:
    """What holds of each device that is in, and whether the others and the relay see that."""

    def __init__(self, lab):
        self.lab = lab
        self.devices = {}

    def of_others(self, name):
        return {other: each for other, each in self.devices.items() if other != name}

    def is_seen(self, node, name=None):
        return view(node) == self.of_others(name)

    def holds(self, what, seats=None):
        """`seats`: on which node each device is, where that is not the one of its name."""
        for name in self.devices:
            node = self.lab[(seats or {}).get(name, name)]
            until(lambda: self.is_seen(node, name), f"{name} sees it as it is: {what}", 40)
        until(lambda: self.is_seen(self.lab.relay), f"the relay sees it as it is: {what}", 40)


def test_what_each_device_sees_is_the_truth(nat):
    """They join, change, leave, crash, and come back in another network."""
    nat.start_relay()
    configs, running = {}, {}
    for name in NAMES:
        configs[name] = nat.directory / f"{name}.yaml"
        configs[name].write_text(f"join: {{orchestration: {{services: [{name}-service], labels: {{name: {name}}}}}}}\n")
        running[name] = nat.start_device(name, "--config", configs[name])
    truth = Truth(nat)
    outer = {"top": "192.168.50.20", "mid": "192.168.50.61", "deep": "192.168.50.71"}
    for name in NAMES:
        truth.devices[name] = {
            "address": nat[name].virtual_address(), "services": [(f"{name}-service", "up")], "labels": {"name": name},
            "outer": outer[name],
        }  # fmt: skip
    truth.holds("all have joined")

    nat["deep"].mnedc("mnedc-ctl", "announce", "--down", "deep-service", "--up", "other", "--label", "zone=cellar")
    truth.devices["deep"] |= {
        "services": [("deep-service", "down"), ("other", "up")], "labels": {"name": "deep", "zone": "cellar"},
    }  # fmt: skip
    truth.holds("deep has changed")

    configs["mid"].write_text("join: {orchestration: {labels: {name: middle}}}\n")
    nat["mid"].mnedc("mnedc-ctl", "reload")
    truth.devices["mid"] |= {"services": [], "labels": {"name": "middle"}}
    truth.holds("mid has another file")

    left = truth.devices.pop("mid")
    assert running["mid"].stop() == 0
    truth.holds("mid has left")
    crashed = truth.devices.pop("top")
    running["top"].kill()
    truth.holds("top has crashed")

    # The device that was behind a router is where the one was that has crashed, with all that it had.
    paths = "--state", nat["mid"].state_path, "--config", configs["mid"]
    nat.start_device("top", *paths, device_id="mid", server=f"{RELAY}:{PORT}")
    truth.devices["mid"] = left | {"outer": outer["top"]}
    truth.holds("mid is in another network", seats={"mid": "top"})
    nat.start_device("mid", "--state", nat["top"].state_path, "--config", configs["top"], device_id="top")
    truth.devices["top"] = crashed | {"outer": outer["mid"]}
    truth.holds("both are in each other's network", seats={"mid": "top", "top": "mid"})


def test_a_relay_that_is_started_anew_moves_nobody(flat):
    """Programs that listen hear that the relay was away, and of nobody who has left; what all offer is known all the
    time.
    """
    lab = flat(3)
    relay = lab.start_all()["relay"]
    d1 = lab["d1"]

    def offers():
        return {name for name, peer in d1.peers().items() if "platform" in peer}

    until(lambda: {"d2", "d3"} <= offers(), "d1 knows what the others offer")
    listener = d1.start_mnedc("mnedc-peers", "--watch", "--json")
    until(lambda: listener.output, "the listener has begun")
    relay.kill()
    until(lambda: not d1.status()["device"]["state"] == "joined", "d1 has lost the relay")
    assert {"d2", "d3"} <= offers()
    lab.start_relay()

    def told():
        return [json.loads(line) for line in listener.output.splitlines()[1:]]

    until(lambda: any(each["event"] == "uplink-back" for each in told()), "the relay is back", 30)
    for node in lab.devices:
        until(lambda node=node: len(node.peers()) == 3 and all(
            each["state"] == "online" for each in node.peers().values()),
            f"{node.name} has all of them again", 30)  # fmt: skip
        assert {"d2", "d3"} <= offers()
    assert not [
        each for each in told() if each["event"] in ("left", "joined") and each["peer"]["device_id"] in ("d2", "d3")
    ]
