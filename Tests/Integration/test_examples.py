"""The files in examples/ work: configurations load, scripts run, the container's files are executed without an engine
as far as possible, and the fleet's run on a device. test_peers.py has the examples for orchestrators.
"""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from container import Container, Image, stages
from lab import INTERFACE, PORT, RELAY, REPOSITORY, Failure, programs, until

EXAMPLES = REPOSITORY / "examples"
PYTHON = REPOSITORY / ".build" / "python"
# Unpacked by Tests/requirements.sh: installed, some of these would start services.
DEBIAN = REPOSITORY / ".build" / "debian"

# Files for other programs.
FOREIGN = ["container/compose.yaml", "fleet/user-data.yaml"]
CONFIGURATIONS = [
    path for path in sorted(EXAMPLES.rglob("*.yaml"))
    if str(path.relative_to(EXAMPLES)) not in FOREIGN and path.parent.name != "monitoring"
]  # fmt: skip


def yaml(path):
    module = pytest.importorskip("yaml", reason="not installed: PyYAML; Tests/requirements.sh check")
    return module.safe_load(path.read_text())


def run_example(script, timeout=120, **environment):
    """Runs an example that makes a lab of its own, to its end; what it printed."""
    prefix = f"mt{os.getpid()}-x-"
    environment = os.environ | {"BUILD": str(programs()), "NAT_LAB_PREFIX": prefix} | environment
    process = subprocess.Popen(
        [script], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)  # It takes its lab away.
        raise Failure(f"{script.name} takes more than {timeout} s: {process.communicate()[0][-4000:]}") from None
    assert process.returncode == 0, output
    assert prefix not in subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout
    return output


# --- All of them ---


@pytest.mark.no_lab
def test_each_example_begins_with_what_it_shows():
    """A comment or a docstring in its first lines; scripts can be run."""
    for path in EXAMPLES.rglob("*"):
        if not path.is_file() or path.suffix in (".json", ".pyc"):
            continue
        lines = path.read_text().splitlines()
        first = next(line for line in lines if not re.match(r"#!|#cloud-config|# shellcheck|#?$", line))
        assert re.match(r'# \w|"""\w', first), f"{path}: {first}"
        assert lines[0].startswith("#!") == os.access(path, os.X_OK), path


@pytest.mark.no_lab
@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_the_program_that_a_configuration_is_for_takes_it(path):
    if programs() is None:
        pytest.skip("the programs are not built")
    text = path.read_text()
    checks = []
    if re.search(r"^relay:", text, re.MULTILINE):
        checks += [["mnedcd"]]
    if re.search(r"^join:", text, re.MULTILINE):
        checks += [
            ["mnedc-join", *([] if re.search(r"^server:", text, re.MULTILINE) else ["--server", "relay.example"])]
        ]
    assert checks
    for program, *options in checks:
        done = subprocess.run(
            [programs() / program, "--config", path, *options, "--check"], capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0 and not done.stderr, done.stderr


# --- Scripts ---


def test_the_three_site_shop_runs():
    """An order from a till to the office, stock asked from shop to shop, a picture from behind NAT."""
    output = run_example(EXAMPLES / "shop" / "run.sh")
    for expected in ("the office has the order", "till-south: 7", "a picture of"):
        assert expected in output, output


def test_the_mqtt_broker_and_the_camera_run():
    """The sensor finds the broker by its service, its load arrives behind another NAT, and a third sees the stream."""
    environment = {}
    if not shutil.which("mosquitto") and (DEBIAN / "usr/sbin/mosquitto").exists():
        environment["PATH"] = f"{DEBIAN}/usr/bin:{DEBIAN}/usr/sbin:{os.environ['PATH']}"
        libraries = [str(path.parent) for path in DEBIAN.glob("usr/lib/*/libmosquitto.so.1")]
        environment["LD_LIBRARY_PATH"] = ":".join(libraries + [os.environ.get("LD_LIBRARY_PATH", "")]).strip(":")
    missing = [
        tool
        for tool in ("mosquitto", "mosquitto_sub", "jq")
        if not shutil.which(tool, path=environment.get("PATH", None))
    ]
    if missing:
        pytest.skip("not there: " + ", ".join(missing) + "; Tests/requirements.sh check")
    output = run_example(EXAMPLES / "mqtt-camera" / "run.sh", **environment)
    assert re.search(r"load/sensor [0-9.]+", output) and "pictures in two seconds" in output, output


@pytest.mark.no_lab
def test_the_cameras_pictures_are_jpegs(monkeypatch):
    """Each segment where the one before ends, one scan with a code for each of the 40 by 30 blocks, and the brightness
    asked for.
    """
    monkeypatch.syspath_prepend(EXAMPLES / "mqtt-camera")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    import camera

    def level(column, row):
        return (column * 37 + row * 101) % 256

    data = camera.jpeg(level)
    assert data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9"
    place, markers = 2, []
    while not markers or markers[-1] != 0xDA:
        assert data[place] == 0xFF
        markers.append(data[place + 1])
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    assert markers == [0xE0, 0xDB, 0xC0, 0xC4, 0xC4, 0xDA]
    scan = data[place:-2].replace(b"\xff\x00", b"\xff")
    bits = "".join(f"{byte:08b}" for byte in scan)
    codes = {code: length for length, code in enumerate(camera.CODES)}
    position, value, levels = 0, 128, []
    for _ in range(40 * 30):
        length = next(
            codes[bits[position:end]] for end in range(position + 2, position + 10) if bits[position:end] in codes
        )
        position += len(camera.CODES[length])
        magnitude = bits[position : position + length]
        position += length
        if magnitude:
            value += int(magnitude, 2) if magnitude[0] == "1" else int(magnitude, 2) - (1 << length) + 1
        levels.append(value)
        assert bits[position] == "0"
        position += 1
    assert len(bits) - position < 8 and set(bits[position:]) <= {"1"}
    assert levels == [level(column, row) for row in range(30) for column in range(40)]


# --- Container ---


def schema(unpacked, installed):
    """A JSON schema of a Debian package, and what checks by it."""
    jsonschema = pytest.importorskip("jsonschema", reason="not installed: jsonschema; Tests/requirements.sh check")
    for path in (DEBIAN / unpacked, Path("/") / unpacked):
        if path.exists():
            return json.loads(path.read_text()), jsonschema
    pytest.skip(f"not there: {unpacked}, of Debian's {installed}; Tests/requirements.sh check")


@pytest.mark.no_lab
def test_the_compose_file_follows_the_schema():
    form, jsonschema = schema("usr/lib/python3/dist-packages/compose/config/compose_spec.json", "docker-compose")
    jsonschema.validate(yaml(EXAMPLES / "container" / "compose.yaml"), form)


@pytest.mark.no_lab
def test_the_container_has_what_it_needs_and_no_more():
    """Capabilities, device, volumes; packages of the build are those that the tests' requirements name."""
    services = yaml(EXAMPLES / "container" / "compose.yaml")["services"]
    relay, device, app = services["relay"], services["device"], services["app"]
    assert "cap_add" not in relay and relay["cap_drop"] == device["cap_drop"] == ["ALL"]
    assert device["cap_add"] == ["NET_ADMIN", "NET_BIND_SERVICE"] and device["devices"] == ["/dev/net/tun:/dev/net/tun"]
    assert app["network_mode"] == "service:device"
    assert relay["ports"] == [f"{PORT}:{PORT}"]
    build, image = stages(EXAMPLES / "container" / "Dockerfile")
    needed = re.findall(r"need (lib\S+-dev|pkg-config)", (REPOSITORY / "Tests" / "requirements.sh").read_text())
    installs = next(step.text for step in build if "apt-get install" in step.text)
    assert needed and set(needed) <= set(installs.split())
    (volumes,) = [step.text for step in image if step.name == "VOLUME"]
    places = {volume.split(":")[1] for each in (relay, device) for volume in each["volumes"] if volume[0] != "."}
    assert places == set(json.loads(volumes))


@pytest.mark.long
def test_the_container_works_without_root(flat, tmp_path):
    """Its image's steps, then what compose.yaml's comment types: a relay without any right joins a device with two."""
    if "debian" not in Path("/etc/os-release").read_text():
        pytest.skip("this host is no Debian, as the image's base is")
    lab = flat(2)
    services = yaml(EXAMPLES / "container" / "compose.yaml")["services"]
    image_programs = tmp_path / "programs"
    image_programs.mkdir()
    for each in ("mnedcd", "mnedc-join", "mnedc-peers", "mnedc-ctl"):
        shutil.copy(lab.program(each), image_programs)
    probe = subprocess.run(["apt-get", "update", "--error-on=any"], capture_output=True, text=True, timeout=120)
    if probe.returncode != 0:
        pytest.skip("Debian's packages cannot be had: " + probe.stderr.strip()[-200:])
    directory = lab.directory / "image"
    directory.mkdir(mode=0o755)
    try:
        image = Image(EXAMPLES / "container" / "Dockerfile", directory, image_programs)
    except Failure as failure:
        if "mount:" in str(failure):
            pytest.skip(f"no overlay over this host's root: {failure}")
        raise
    relay = Container(image, lab.relay, services["relay"], EXAMPLES / "container")
    device = Container(image, lab["d1"], services["device"], EXAMPLES / "container")

    relay.up()
    invite = relay.exec("mnedc-ctl", "invite", "--device-id", "shop", "--server", f"{RELAY}:{PORT}").stdout.strip()
    device.run("mnedc-join", "--background", "--device-id", "shop", invite)
    until(lambda: not lab["d1"].interfaces(), "what has joined once ends with its container")
    device.up()
    until(lambda: lab["d1"].virtual_address(), "the device joins")
    listing = json.loads(device.exec("mnedc-peers", "--json").stdout)
    assert listing["self"]["device_id"] == "shop"

    # Another device reaches an application in the device's network, as the service `app` is.
    more = relay.exec("mnedc-ctl", "invite", "--server", f"{RELAY}:{PORT}").stdout.strip()
    lab["d2"].start_mnedc("mnedc-join", "--config", lab.directory / "d2.yaml", more)
    until(lambda: lab["d2"].virtual_address(), "another device joins")
    lab["d2"].reaches(lab["d1"].virtual_address())
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text("the app")
    lab["d1"].serve(page, "0.0.0.0", 80)
    assert lab["d2"].run("curl", "-s", "--max-time", "10", f"http://{lab['d1'].virtual_address()}/").stdout == "the app"

    for each in (relay, device):
        status = Path(f"/proc/{each.program.pid}/status").read_text()
        assert re.search(r"^Uid:\t333\t333\t333\t333$", status, re.MULTILINE), status
        rights = int(re.search(r"^CapPrm:\t(\w+)", status, re.MULTILINE)[1], 16)
        assert rights == (0 if each is relay else 1 << 12 | 1 << 10), status
    assert device.program.stop() == 0 and relay.program.stop() == 0


# --- Fleet ---


def ansible(command, *arguments, **environment):
    if not (PYTHON / "ansible").exists():
        pytest.skip("not there: ansible-core; Tests/requirements.sh check")
    environment = os.environ | {"PYTHONPATH": str(PYTHON), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"} | environment
    return [sys.executable, "-m", "ansible", command, *map(str, arguments)], environment


@pytest.mark.no_lab
def test_the_playbooks_syntax_is_right(tmp_path):
    command, environment = ansible(
        "playbook",
        "--syntax-check",
        "--inventory",
        "localhost,",
        EXAMPLES / "fleet" / "playbook.yml",
        ANSIBLE_HOME=str(tmp_path),
    )
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stdout + done.stderr


@pytest.mark.no_lab
def test_the_user_data_follows_the_schema():
    form, jsonschema = schema(
        "usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json", "cloud-init"
    )
    path = EXAMPLES / "fleet" / "user-data.yaml"
    assert path.read_text().startswith("#cloud-config\n")
    content = yaml(path)
    jsonschema.validate(content, form)
    known = {key for each in form["$defs"].values() for key in each.get("properties", {})}
    assert content.keys() <= known
    assert all(file["permissions"] == "0600" for file in content["write_files"])


class Fleet:
    """A relay, and devices that have /etc/mnedc and the like of their own, by examples/nat-lab.sh; it ends with the
    lab.
    """

    def __init__(self, lab):
        self.lab = lab
        lab.ends.append(
            lambda: [self.exec(name, "mnedc-ctl", "stop", check=False) for name in ("deep", "mid", "relay")]
        )
        self.environment = os.environ | {"NAT_LAB_PREFIX": lab.prefix, "BUILD": str(lab.programs)}
        command = [EXAMPLES / "nat-lab.sh", "exec", "relay", "mnedcd"]
        self.relay = subprocess.Popen(
            command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        lab.ends.insert(0, lambda: self.relay.wait(20))
        until(lambda: self.exec("relay", "mnedc-ctl", "status", check=False).returncode == 0, "the relay answers")
        self.invite = self.exec("relay", "mnedc-ctl", "invite", "--uses", "2", "--expires", "7d").stdout.strip()

    def exec(self, node, *command, check=True, environment=None):
        # Files, not pipes: a daemon that goes to the background keeps its standard error.
        path = self.lab.directory / "exec"
        with open(path.with_suffix(".out"), "w") as output, open(path.with_suffix(".err"), "w") as error:
            done = subprocess.run(
                [EXAMPLES / "nat-lab.sh", "exec", node, *map(str, command)], env=(environment or {}) | self.environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=error, text=True, timeout=120,
            )  # fmt: skip
        done.stdout, done.stderr = path.with_suffix(".out").read_text(), path.with_suffix(".err").read_text()
        if check and done.returncode != 0:
            raise Failure(f"{node}: {command}: {done.stdout[-3000:]}{done.stderr[-1000:]}")
        return done

    def uses(self):
        (invite,) = json.loads(self.exec("relay", "mnedc-ctl", "invites", "--json").stdout)["invites"]
        return invite["uses_left"] if "uses_left" in invite else invite


@pytest.mark.long
def test_the_playbook_joins_devices_with_one_invite_and_changes_nothing_again(nat, tmp_path):
    """On two devices, without the steps that need a package and systemd; the second run finds nothing to do, a third
    new services.
    """
    fleet = Fleet(nat)
    secret = tmp_path / "invite.json"
    secret.write_text(json.dumps({"mnedc_invite": fleet.invite}))
    secret.chmod(0o600)

    def play(node, name, services, check=True, **more):
        variables = {"mnedc_services": services, "mnedc_labels": {"site": "north"}, "ansible_become": False, **more}
        variables["ansible_python_interpreter"] = sys.executable
        command, environment = ansible(
            "playbook", "--connection", "local", "--inventory", f"{name},", "--skip-tags", "package,service",
            "--extra-vars", f"@{secret}", "--extra-vars", json.dumps(variables), EXAMPLES / "fleet" / "playbook.yml",
            ANSIBLE_HOME=str(tmp_path / name), ANSIBLE_LOCAL_TEMP=str(tmp_path / name),
            ANSIBLE_REMOTE_TEMP=str(tmp_path / name),
        )  # fmt: skip
        output = fleet.exec(node, *command, environment=environment, check=check).stdout
        assert fleet.invite not in output
        if not check:
            return output
        return int(re.search(r"changed=(\d+) ", output)[1])

    for node, name in (("mid", "till-1"), ("deep", "till-2")):
        assert play(node, name, []) > 0
        assert play(node, name, []) == 0
        assert nat[node].virtual_address()
        config = Path(
            fleet.exec(node, "sh", "-c", "stat -c '%a' /etc/mnedc/mnedc.yaml; cat /etc/mnedc/mnedc.yaml").stdout
        )
        mode, _, text = str(config).partition("\n")
        assert mode == "600" and f"device-id: {name}" in text and "server-key:" in text
        assert fleet.invite not in text
    assert play("mid", "till-1", ["stock"]) == 2  # the file and the reload
    own = json.loads(fleet.exec("mid", "mnedc-peers", "--json").stdout)["self"]
    assert [each["name"] for each in own["services"]] == ["stock"] and own["labels"] == {"site": "north"}
    peers = json.loads(fleet.exec("deep", "mnedc-peers", "--json").stdout)["peers"]
    assert "till-1" in {peer["device_id"] for peer in peers}
    # One that runs and is not in is no success, and the invite is no remedy.
    fleet.exec("relay", "mnedc-ctl", "stop")
    state = lambda: json.loads(fleet.exec("mid", "mnedc-ctl", "status", "--json").stdout)["device"]["state"]
    until(lambda: state() == "connecting", "the device notices")
    output = play("mid", "till-1", ["stock"], check=False, mnedc_looks=1)
    assert "Ask whether the device has joined" in output and "failed=1" in output and "Join with" not in output


def test_the_user_data_joins_a_device_when_it_boots(nat, tmp_path):
    """Its files are written and its commands run as cloud-init would, with a stand-in for systemctl."""
    fleet = Fleet(nat)
    content = yaml(EXAMPLES / "fleet" / "user-data.yaml")
    for file in content["write_files"]:
        text = file["content"].replace("mnedc-invite:…", fleet.invite)
        # Through a file of its own: a node's /etc/mnedc is the node's.
        (tmp_path / "file").write_text(text)
        fleet.exec("mid", "install", "-m", file["permissions"], tmp_path / "file", file["path"])
    said = tmp_path / "said"
    (tmp_path / "systemctl").write_text(f'#!/bin/sh\necho "$@" >>{said}\nexec mnedc-join --background\n')
    (tmp_path / "systemctl").chmod(0o755)
    (tmp_path / "commands").write_text("#!/bin/sh\n" + "\n".join(content["runcmd"]))
    path = f"{tmp_path}:{os.environ['PATH']}"
    fleet.exec("mid", "env", f"PATH={tmp_path}:{nat.programs}:{path}", "sh", tmp_path / "commands")
    assert said.read_text() == "enable --now mnedc-join.service\n"
    assert nat["mid"].virtual_address()
    assert fleet.exec("mid", "test", "-e", "/etc/mnedc/invite", check=False).returncode == 1
    own = json.loads(fleet.exec("mid", "mnedc-peers", "--json").stdout)["self"]
    assert own["labels"] == {"fleet": "shops"}
