"""The benchmark: its computations, and that each installed contestant carries traffic and leaves nothing behind."""

import sys
import xml.etree.ElementTree

import pytest

import lab as labs

sys.path.append(str(labs.REPOSITORY / "Tests" / "Bench"))

import measures
import network
import report
from peers import CONTESTANTS
from peers.contestant import Contestant
from peers.suite import NullCipher

OTHERS = [kind for kind in CONTESTANTS if kind is not NullCipher]
PEERS = [kind.name for kind in CONTESTANTS if kind.is_peer]
FOUND = {
    "plain": {"tcp": 14e9, "ping_mean": 0.1},
    "socat": {"tcp": 8e9, "cpu": 0.5},
    "mnedc": {
        "tcp": 6e9, "ping_mean": 0.35, "resident_mid": 11e6, "slow_used": 0.93, "slow_p99": 50.0, "cpu": 1.3,
        "cpu_relay": 0.4, "cpu_mid": 0.45, "cpu_deep": 0.45,
    },
    "openvpn": {"tcp": 0.2e9, "ping_mean": 0.5},
    "openvpn-9000": {"tcp": 1e9},
}  # fmt: skip


@pytest.mark.no_lab
def test_targets_are_ratios_in_one_run_and_those_without_figures_are_left_out():
    checks = {check[0]: check for check in report.targets(FOUND, PEERS)}
    assert len(checks) == 9
    assert not report.met(checks["CPU s a GiB, relay and both devices"])
    assert checks["CPU a GiB of the dearest of the three / plain TCP relay"][1] == pytest.approx(0.9)
    relay = checks["one TCP stream / plain TCP relay"]
    assert report.verdict(relay) == "one TCP stream / plain TCP relay: 0.75, target at least 1.0: missed"
    assert checks["one TCP stream / best peer in any tuning"][1] == 6 and not report.met(relay)
    assert report.verdict(checks["idle ping above the plain path, mean ms"]).endswith("0.25, target at most 0.3: met")
    assert not report.met(checks["ping p99 on a 20 Mbit/s link, one flow, ms"])
    assert report.met(checks["20 Mbit/s link used, one flow, %"])
    assert report.targets({}, PEERS) == []


@pytest.mark.no_lab
def test_the_chart_is_an_svg_with_a_bar_for_each_figure_and_the_tables_have_a_row_for_each_contestant():
    titles = {kind.name: kind.title for kind in CONTESTANTS}
    root = xml.etree.ElementTree.fromstring(report.chart(FOUND, titles, "a & b <c>"))
    bars = [each for each in root.iter("{http://www.w3.org/2000/svg}rect") if each.get("width") != "100%"]
    assert len(bars) == 5 + 3 + 1 + 1 + 2
    assert max(float(bar.get("width")) for bar in bars) <= 200
    text = report.tables(FOUND, titles)
    assert all(titles[name] in text for name in FOUND) and "tinc" not in text
    xml.etree.ElementTree.fromstring(report.chart({}, titles, ""))


@pytest.mark.no_lab
@pytest.mark.parametrize("most", [20_000, 60_000, 95_000, 200_000])
def test_the_search_finds_the_highest_rate_that_arrives(most):
    """Of a path that takes so many packets a second, and in a flood of 100,000 loses half of what it could take."""

    def attempt(rate):
        return rate, rate if rate <= most else most / 2

    found = measures.search(attempt, 100_000, attempt(100_000)[1])
    assert found == pytest.approx(min(most, 100_000), rel=0.1)


@pytest.mark.no_lab
def test_who_is_not_installed_names_the_packages_to_install():
    class Absent(Contestant):
        packages, needs = ("nobody-has-this",), ("no-such-program",)

    assert Absent.missing() == ("nobody-has-this",)
    for kind in OTHERS:
        assert not kind.needs or kind.packages, kind.name


@pytest.mark.parametrize("kind", OTHERS, ids=[kind.name for kind in OTHERS])
def test_a_contestant_carries_traffic_through_the_relay_and_leaves_nothing(nat, kind):
    if kind.missing():
        pytest.skip(f"not installed: {', '.join(kind.missing())}")
    network.usual_tcp(nat)
    network.apart(nat)
    contestant, measure = kind(nat), measures.Measures(nat, 1)
    before = nat["mid"].run("ip", "-o", "-4", "address").stdout
    for _ in range(2):
        try:
            contestant.begin()
            joined = measure.join(contestant)
            assert measure.stream(contestant)["tcp"] > 0
            if kind.carries_ip and kind.name != "plain":
                assert joined["join"] > 0
            for role, (resident, anonymous) in contestant.memory().items():
                assert resident > anonymous > 0, role
        finally:
            contestant.end()
        assert nat["mid"].run("ip", "-o", "-4", "address").stdout == before
        assert nat["mid"].ping(nat["deep"].address, wait=0.3)[0] == 0


def test_the_slow_link_is_slow_and_its_use_is_counted_and_everything_is_taken_back(nat):
    mid, deep = nat["mid"], nat["deep"]
    nat.nat_lab("open")
    ends = network.cables(nat)
    before = [node.run("ethtool", "-k", name).stdout for node, name in ends]
    with network.slow_link(nat, loss=1):
        sent = network.sent_bytes(nat, network.DOWN)
        done = labs.iperf3(mid, deep, deep.address, seconds=1)
        assert done["end"]["sum_received"]["bits_per_second"] < network.RATE * 1.3
        assert network.sent_bytes(nat, network.DOWN) - sent > done["end"]["sum_received"]["bytes"]
        assert "tcp-segmentation-offload: off" in mid.run("ethtool", "-k", "eth0").stdout
    assert [node.run("ethtool", "-k", name).stdout for node, name in ends] == before
    assert "tbf" not in nat["r2"].run("tc", "qdisc").stdout + nat["r3"].run("tc", "qdisc").stdout
    assert "lab-loss" not in nat["r3"].run("nft", "list", "tables").stdout
