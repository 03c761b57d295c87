"""Metrics by mnedc-ctl metrics and by HTTP, and the examples that use them."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

import lab as labs
from lab import REPOSITORY, until

MONITORING = REPOSITORY / "examples" / "monitoring"
PORT = 9834
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


# --- Reading ---


def promtool(*arguments, **options):
    """Runs it; the test is left out where it cannot be had."""
    unpacked = REPOSITORY / ".build" / "debian" / "usr" / "bin" / "promtool"
    program = shutil.which("promtool") or (unpacked if unpacked.exists() else None)
    if program is None:
        pytest.skip("there is no promtool; Tests/requirements.sh check unpacks it")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=60, **options)


def parsed(text):
    """{name: family} of a text of OpenMetrics, by the strict parser of Prometheus' own client library."""
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    return {family.name: family for family in parser.text_string_to_metric_families(text)}


def values(text):
    """{series: value} of either text."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines)}


def names(text):
    """What the samples of an OpenMetrics text are called, of families without one among them."""
    suffixes = {"gauge": "", "counter": "_total", "info": "_info"}
    return {name + suffixes[kind] for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)}


def get(node, *options, path="/metrics", port=PORT, address="127.0.0.1"):
    """(status, head, body) as curl gets it."""
    shown = node.run("curl", "-sS", "--max-time", 10, "-i", *options, f"http://{address}:{port}{path}").stdout
    head, _, body = shown.replace("\r\n", "\n").partition("\n\n")
    return int(head.split()[1]), head, body


def asked(node, *options):
    return node.mnedc("mnedc-ctl", "metrics", *options).stdout


def configured(lab, text, name="metrics.yaml"):
    config = lab.directory / name
    config.write_text(text)
    return config


@pytest.fixture
def watched(flat):
    """A relay and a device that give their metrics out."""
    lab = flat(1)
    config = configured(lab, f"metrics: {{listen: {PORT}}}\n")
    lab.start_relay("--config", config)
    lab.start_device("d1", "--config", config)
    until(lambda: "d1" in lab.relay.peers(), "the relay knows the device")
    return lab


# --- The text ---


@pytest.mark.parametrize("host", ["relay", "d1"])
def test_both_texts_are_right_by_the_tools_of_prometheus(watched, host):
    """promtool has nothing to say, the strict parser takes it, and mnedc-ctl prints the same metrics."""
    node = watched[host]
    status, head, text = get(node)
    assert status == 200 and f"Content-Type: {PROMETHEUS}" in head
    checked = promtool("check", "metrics", input=text)
    assert checked.returncode == 0 and not checked.stdout + checked.stderr, checked.stdout + checked.stderr
    status, head, text = get(node, "-H", "Accept: application/openmetrics-text; version=1.0.0")
    assert status == 200 and f"Content-Type: {OPEN_METRICS}" in head
    assert text.endswith("\n# EOF\n")
    families = parsed(text)
    assert families["process_cpu_seconds"].unit == "seconds"
    program = {"relay": "mnedcd", "d1": "mnedc-join"}[host]
    assert families["mnedc_build"].samples[0].labels["program"] == program
    printed = asked(node)
    assert names(printed) == names(text) and parsed(printed).keys() == families.keys()
    prometheus = values(asked(node, "--format", "prometheus"))
    assert prometheus.keys() == values(printed).keys()
    assert 0 < prometheus["process_open_fds"] < prometheus["process_max_fds"]
    assert abs(prometheus["process_start_time_seconds"] - time.time()) < 120
    report = json.loads(asked(node, "--json"))
    assert report["version"] == 1 and {each["name"] for each in report["families"]} == families.keys()


def test_seconds_are_whole_nanoseconds_without_dust(watched):
    """In both texts and in JSON."""
    shown = [asked(watched.relay, *options) for options in ([], ["--format", "prometheus"])]
    seconds = [
        text for each in shown for text in re.findall(r"^\w+_seconds(?:_total)?(?:{.*})? (\S+)$", each, re.MULTILINE)
    ]
    assert seconds and all(re.fullmatch(r"\d+(\.\d{1,9})?", text) for text in seconds), seconds
    for family in json.loads(asked(watched.relay, "--json"))["families"]:
        if family.get("unit") == "seconds":
            assert all(sample["value"] == round(sample["value"], 9) for sample in family["samples"]), family


def test_json_has_no_format(watched):
    """A usage error, whichever format it is."""
    for format in ("openmetrics", "prometheus"):
        done = watched.relay.mnedc("mnedc-ctl", "metrics", "--json", "--format", format, check=False)
        assert done.returncode == 64 and "--json goes without --format" in done.stderr


def test_the_values_are_those_of_the_status(watched):
    """Devices, joins, sessions with their device IDs."""
    relay, device = values(asked(watched.relay)), values(asked(watched["d1"]))
    assert relay["mnedc_relay_sessions"] == 1 and relay["mnedc_relay_capacity"] == 253
    assert relay["mnedc_relay_joins_total"] == 2, "d1 and the relay's host"
    assert relay['mnedc_relay_session_received_bytes_total{device_id="d1"}'] > 0
    assert relay["mnedc_device_joined"] == device["mnedc_device_joined"] == 1
    assert device["mnedc_device_joins_total"] == 1 and device["mnedc_device_peers"] == 1
    assert device['mnedc_queue_drops_total{cause="late",queue="uplink"}'] == 0
    limit = relay["mnedc_relay_queue_memory_limit_bytes"]
    assert limit == 256 << 20 and relay["mnedc_relay_queue_memory_bytes"] < limit


def test_counters_rise_with_traffic_and_outlive_a_session(flat):
    """What ended sessions and lost connections have carried is not forgotten."""
    lab = flat(2)
    running = lab.start_all()
    before = values(asked(lab.relay)), values(asked(lab["d1"]))
    assert lab["d1"].ping(lab["d2"].virtual_address(), count=10, interval=0.01, size=1000)[0] == 10
    after = values(asked(lab.relay)), values(asked(lab["d1"]))
    for relay, name, least in [
        (0, "mnedc_relay_frames_forwarded_total", 20), (0, "mnedc_relay_forwarded_bytes_total", 20_000),
        (0, "mnedc_relay_received_bytes_total", 20_000), (0, "mnedc_relay_sent_bytes_total", 20_000),
        (0, 'mnedc_relay_session_sent_bytes_total{device_id="d2"}', 10_000),
        (1, "mnedc_uplink_sent_bytes_total", 10_000), (1, "mnedc_uplink_received_bytes_total", 10_000),
        (1, "mnedc_device_sent_packets_total", 10), (1, "mnedc_device_received_packets_total", 10),
    ]:  # fmt: skip
        assert after[relay][name] - before[relay][name] >= least, name
    running["d2"].stop()
    until(lambda: values(asked(lab.relay))["mnedc_relay_leaves_total"] == 1, "the relay counts who has left")
    left = values(asked(lab.relay))
    assert not [series for series in left if '"d2"' in series and series.startswith("mnedc_relay_session")]
    for name in [
        each for each in left if re.fullmatch(r"mnedc_relay_(received|sent|forwarded|frames)_\w+_total", each)
    ]:
        assert left[name] >= after[0][name], name
    running["relay"].kill()
    lost = 'mnedc_device_connection_losses_total{cause="broken"}'
    until(lambda: values(asked(lab["d1"]))[lost] >= 1, "the device counts its loss")
    alone = values(asked(lab["d1"]))
    assert alone["mnedc_device_joined"] == 0 and alone["mnedc_uplink_sent_bytes_total"] >= 10_000
    lab.start_relay()
    until(lambda: values(asked(lab["d1"]))["mnedc_device_joins_total"] == 2, "the device is back")
    assert values(asked(lab["d1"]))["mnedc_uplink_sent_bytes_total"] > alone["mnedc_uplink_sent_bytes_total"]


def test_a_relay_counts_whom_it_refuses(flat):
    """By the code that the device was told."""
    lab = flat(1)
    lab.start_relay(admission="invite")
    lab.start_device("d1", wait=False).wait()
    text = asked(lab.relay)
    assert values(text)['mnedc_relay_refusals_total{code="invite-needed"}'] == 1
    assert parsed(text)


def test_peers_have_series_of_their_own_up_to_a_limit(flat):
    """Which a reload changes; the sums stay."""
    lab = flat(1)
    config = configured(lab, "")
    lab.start_relay("--config", config)
    lab.start_device("d1")
    until(lambda: 'device_id="d1"' in asked(lab.relay), "the relay has series of d1")
    for limit, is_there in ((1, False), (2, True), (0, False)):
        config.write_text(f"metrics: {{peer-limit: {limit}}}\n")
        lab.relay.mnedc("mnedc-ctl", "reload")
        text = asked(lab.relay)
        assert ("mnedc_relay_session_sent_bytes_total{" in text) == is_there, limit
        assert values(text)["mnedc_relay_sessions"] == 1


# --- HTTP ---


def test_only_one_page_is_given_and_only_to_be_read(watched):
    """Everything else has its status."""
    node = watched["d1"]
    for options, path, expected in (
        ([], "/metrics?x=1", 200), ([], "/", 404), ([], "/metrics/", 404),
        (["-X", "POST", "-d", "x=1"], "/metrics", 405),
        (["-X", "DELETE"], "/metrics", 405), (["-H", "X: " + "x" * 9000], "/metrics", 431),
        (["--http1.0"], "/metrics", 200),
    ):  # fmt: skip
        status, head, _ = get(node, *options, path=path)
        assert status == expected and "Connection: close" in head, (options, path)
    assert "Allow: GET, HEAD" in get(node, "-X", "POST")[1]
    status, head, body = get(node, "--head")
    assert status == 200 and not body and int(re.search(r"Content-Length: (\d+)", head)[1]) > 1000
    for request, expected in (
        (b"hello\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/3.0\r\n\r\n", b"505"),
        (b"\x16\x03\x01\n\n", b"400"),
    ):
        with node.connect("127.0.0.1", PORT) as raw:
            raw.sendall(request)
            assert raw.recv(100).startswith(b"HTTP/1.1 " + expected)


def test_who_is_slow_or_many_keeps_nobody_out(watched):
    """Silent connections give way to others, and end by themselves; the daemon goes on."""
    node = watched["d1"]
    silent = [node.connect("127.0.0.1", PORT) for _ in range(60)]
    silent[-1].sendall(b"GET /metrics HTTP/1.1\r\nHost: ")
    # Nobody reads the answers.
    deaf = [node.connect("127.0.0.1", PORT) for _ in range(10)]
    for each in deaf:
        each.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    for _ in range(5):
        assert get(node)[0] == 200
    for each in silent:
        each.settimeout(20)
        try:
            assert each.recv(1) == b"", "no answer comes without a request"
        except ConnectionResetError:
            pass
    assert values(asked(node))["process_open_fds"] < 60
    assert node.status()["device"]["state"] == "joined"


def test_a_second_daemon_of_the_same_file_goes_on_without(watched):
    """It says that the address is taken, and what to do; a reload tries again."""
    relay = watched.relay
    socket = str(watched.directory / "second.sock")
    config = watched.directory / "metrics.yaml"
    second = relay.start_mnedc(
        "mnedc-join", "--config", config, "--server", f"{labs.RELAY}:{labs.PORT}", "--device-id", "second",
        "--interface",
        "second0", "--allow-overlap", "--socket", socket,
    )  # fmt: skip
    until(
        lambda: "metrics cannot be given at 127.0.0.1:9834, and this program goes on without" in second.log,
        "it says so",
    )
    assert "--config" in second.log and second.is_running
    until(lambda: "second" in relay.peers(), "it joins all the same")
    assert 'program="mnedcd"' in get(relay)[2]
    other = configured(watched, f"metrics: {{listen: [{PORT}, {PORT + 1}]}}\n")
    assert other == config
    report = json.loads(relay.mnedc("mnedc-ctl", "reload", "--socket", socket, "--json").stdout)
    assert [change["new"] for change in report["applied"]] == ["127.0.0.1:9835"]
    # The new file lacks the relay's key, which the join had added to the former one.
    assert [change["key"] for change in report["needs_restart"]] == ["server-key", "metrics.listen"]
    assert 'program="mnedc-join"' in get(relay, port=PORT + 1)[2]


def test_a_reload_moves_the_metrics_and_warns_of_open_addresses(flat):
    """From nowhere to an address of the network, and back."""
    lab = flat(1)
    config = configured(lab, "")
    relay = lab.start_relay("--config", config)
    assert not lab.relay.listens(PORT)
    config.write_text(f'metrics: {{listen: ["{labs.RELAY}:{PORT}", "[::1]:{PORT}"]}}\n')
    relay.signal(signal.SIGHUP)
    until(lambda: f"every host that reaches {labs.RELAY}:{PORT} can read the metrics" in relay.log, "it is warned")
    assert "every host that reaches [::1]" not in relay.log
    assert get(lab["d1"], address=labs.RELAY)[0] == get(lab.relay, address="[::1]")[0] == 200
    config.write_text("")
    lab.relay.mnedc("mnedc-ctl", "reload")
    assert not lab.relay.listens(PORT)
    config.write_text("metrics: {listen: 192.0.2.1:9834}\n")
    report = json.loads(lab.relay.mnedc("mnedc-ctl", "reload", "--json").stdout)
    assert [change["key"] for change in report["applied"]] == ["metrics.listen"] and not report["needs_restart"]
    until(lambda: f"192.0.2.1:{PORT}/metrics once this host has that address" in relay.log, "it says what it waits for")
    lab.relay.run("ip", "address", "add", "192.0.2.1/32", "dev", "lo")
    until(lambda: get(lab.relay, address="192.0.2.1")[0] == 200, "the address is served once it is there")


# --- What is written about it ---


def manual():
    """{name: (type, labels, help)} as man/mnedc-metrics.7 has it."""
    text = (REPOSITORY / "man" / "mnedc-metrics.7").read_text()
    found = {}
    for name, labels, kind, rest in re.findall(
        r"^\.It Cm (\S+)(?: Brq Ar (.+))?\n(Gauge|Counter|Info)\.\n((?:(?!\.It|\.El|\.Ss|\.Sh).*\n)+)",
        text,
        re.MULTILINE,
    ):
        found[name] = (
            kind.lower(),
            set(labels.split(" , ")) if labels else set(),
            " ".join(rest.split()).replace("\\&", ""),
        )
    return found


def test_the_manual_lists_the_metrics_that_there_are(watched):
    """Names, types, labels and what they are, just as the programs tell them."""
    real, suffixes = {}, {"gauge": "", "counter": "_total", "info": "_info"}
    for node in (watched.relay, watched["d1"]):
        for family in json.loads(asked(node, "--json"))["families"]:
            labels = {label for sample in family["samples"] for label in sample["labels"]}
            name = family["name"] + suffixes[family["type"]]
            known = real.get(name, ("", set(), ""))
            real[name] = (family["type"], labels | known[1], family["help"])
    documented = manual()
    assert documented.keys() == real.keys()
    for name, (kind, labels, text) in real.items():
        assert documented[name][0] == kind and documented[name][2] == text, name
        # Without samples, nobody can tell.
        assert documented[name][1] == labels or not labels, name


def used_names(text):
    return set(re.findall(r"\b((?:mnedc|process)_[a-z0-9_]+)", text))


@pytest.mark.no_lab
def test_the_alerts_and_the_dashboard_use_metrics_that_there_are():
    """As the manual lists them, which is held to the programs."""
    rules = (MONITORING / "alerts.yml").read_text()
    expressions = "\n".join(re.findall(r"expr: (.*)", rules))
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    queries.append(dashboard["templating"]["list"][1]["query"]["query"])
    assert len(used_names(expressions)) > 8 and len(queries) > 20
    assert used_names(expressions) | used_names("\n".join(queries)) <= manual().keys()
    places = [(each["gridPos"]["x"], each["gridPos"]["y"]) for each in dashboard["panels"]]
    assert len(set(places)) == len(places) and len({each["id"] for each in dashboard["panels"]}) == len(places)
    tested = re.findall(r"alertname: (\w+)", (MONITORING / "alerts-test.yml").read_text())
    assert set(tested) <= set(re.findall(r"alert: (\w+)", rules)) and len(set(tested)) >= 4


@pytest.mark.no_lab
def test_promtool_takes_the_example_configuration_and_rules():
    """And the rules fire when they should."""
    for command in (
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts-test.yml"],
    ):
        done = promtool(*command, cwd=MONITORING)
        assert done.returncode == 0 and "FAILED" not in done.stdout, done.stdout + done.stderr


@pytest.mark.no_lab
def test_the_queries_of_the_dashboard_are_right():
    """As rules, promtool reads them."""
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    rules = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
            rules.append({"record": f"x:{len(rules)}", "expr": query})
    path = REPOSITORY / ".build" / f"dashboard-rules-{os.getpid()}.yml"
    path.write_text(json.dumps({"groups": [{"name": "x", "rules": rules}]}))
    try:
        done = promtool("check", "rules", path)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        path.unlink()
