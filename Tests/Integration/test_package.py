"""`make install` and `make deb`: removal restores the former state, and the package makes a network on a bare Debian.

The package has the programs in $RELEASE, else those that `make build` makes, which takes minutes if they are missing.
The bare Debian is downloaded once, to .build/debian; remove it to get a newer one.
"""

import gzip
import json
import os
import re
import shlex
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

import lab as labs
from lab import PROGRAMS, REPOSITORY

# The package is made once.
pytestmark = [pytest.mark.long, pytest.mark.xdist_group("package")]

MIRROR = "http://deb.debian.org/debian"


def make(*words, **environment):
    """Runs make; its output."""
    # Not that of a make that runs these tests; and a package that is thrown away need not be small.
    clean = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "BUILD")}
    done = subprocess.run(
        ["make", "--silent", "--no-print-directory", "-C", REPOSITORY, *map(str, words)],
        capture_output=True, text=True,
        env=clean | {"DPKG_DEB_COMPRESSOR_LEVEL": "0"} | environment, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, f"make {words}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout.strip()


def tree(directory, but=()):
    """{path: what it is} of all that is below a directory."""
    found = {}
    for where, names, files in os.walk(directory):
        for name in names + files:
            path = Path(where) / name
            relative = str(path.relative_to(directory))
            if any(relative == each or relative.startswith(each + "/") for each in but):
                continue
            if path.is_symlink():
                found[relative] = os.readlink(path)
            elif path.is_dir():
                found[relative] = "directory"
            elif path.is_file():
                found[relative] = path.stat().st_size
    return found


# --- make install ---


@pytest.fixture
def stand_ins(tmp_path):
    """A directory of programs that only have the right names."""
    directory = tmp_path / "stand-ins"
    directory.mkdir()
    for program in PROGRAMS:
        (directory / program).write_text("#!/bin/sh\n")
        (directory / program).chmod(0o755)
    return directory


@pytest.mark.no_lab
def test_uninstall_removes_exactly_what_install_made(tmp_path, stand_ins):
    """With a space in both paths; what the administrator has written, and directories that were there, stay."""
    target = tmp_path / "a target"
    (target / "opt/my apps/share/man/man1").mkdir(parents=True)
    (target / "etc/mnedc").mkdir(parents=True)
    (target / "etc/mnedc/mnedc.yaml").write_text("log-level: debug\n")
    before = tree(target)
    where = ["PREFIX=/opt/my apps", f"DESTDIR={target}", f"BUILD={stand_ins}", "STRIP=:"]
    make("install", *where)
    installed = tree(target)
    make("install", *where)
    assert tree(target) == installed
    assert before.items() <= installed.items()
    top = "opt/my apps"
    examples = [path.relative_to(REPOSITORY) for path in (REPOSITORY / "examples").rglob("*") if path.is_file()]
    for path in [
        f"{top}/sbin/mnedcd", f"{top}/bin/mnedc-ctl", f"{top}/share/man/man8/mnedcd.8",
        f"{top}/share/zsh/site-functions/_mnedcd", f"{top}/lib/systemd/system/mnedcd.service",
        f"{top}/lib/systemd/system/mnedc-join.service", f"{top}/lib/systemd/system/mnedc-join@.service",
        f"{top}/lib/sysusers.d/mnedc.conf", "etc/mnedc/mnedc.yaml.example",
        f"{top}/lib/systemd/network/05-mnedc.network", "etc/NetworkManager/conf.d/mnedc.conf",
        *(f"{top}/share/doc/mnedc/{each}" for each in examples if each.name != "demo.sh" and each.suffix != ".pyc"),
    ]:  # fmt: skip
        assert path in installed, path
    assert f"{top}/share/doc/mnedc/examples/on-peer.sh" in (target / "etc/mnedc/mnedc.yaml.example").read_text()
    (target / top / "share/doc/mnedc/mine.txt").write_text("not from make install\n")
    make("uninstall", *where)
    left = tree(target)
    assert left.pop(f"{top}/share/doc/mnedc/mine.txt")
    assert left.pop(f"{top}/share/doc/mnedc") == left.pop(f"{top}/share/doc") == "directory"
    assert left == before
    assert (target / "etc/mnedc/mnedc.yaml").read_text() == "log-level: debug\n"


def naming_places_of_others(directory):
    """The files below a directory that name /usr/local, and what they name."""
    found = {}
    for path in sorted(directory.rglob("*")):
        # The programs look for commands there, and in an image it is the place for what is no package.
        if path.is_symlink() or not path.is_file() or path.parent.name in ("bin", "sbin") or path.name == "Dockerfile":
            continue
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if named := re.findall(rb"/usr/local/\S*", content):
            found[str(path.relative_to(directory))] = named
    return found


@pytest.mark.no_lab
def test_what_is_installed_names_the_documents_where_they_are(tmp_path, stand_ins):
    """Man pages, examples and the example configuration; so mdoc shows it, even with a space and a backslash in it."""
    make("install", "PREFIX=/usr", f"DESTDIR={tmp_path / 'usual'}", f"BUILD={stand_ins}", "STRIP=:")
    top = tmp_path / "usual"
    assert not naming_places_of_others(top)
    named = set()
    for path in (each for each in top.rglob("*") if each.is_file()):
        named |= (
            set(re.findall(rb"/usr/share/doc/mnedc/[\w./-]*\w", path.read_bytes()))
            if path.name != "installed"
            else set()
        )
    assert {b"/usr/share/doc/mnedc/examples/monitoring", b"/usr/share/doc/mnedc/examples/on-peer.sh"} <= named
    for each in named:
        assert (top / each.decode()[1:]).exists(), each
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    make("install", "PREFIX=/opt/my \\apps", f"DESTDIR={tmp_path / 'odd'}", f"BUILD={stand_ins}", "STRIP=:")
    page = tmp_path / "odd/opt/my \\apps/share/man/man7/mnedc-metrics.7"
    shown = subprocess.run(["mandoc", "-T", "ascii", page], capture_output=True, text=True, check=True).stdout
    assert "/opt/my \\apps/share/doc/mnedc/examples/monitoring" in re.sub(".\b", "", shown)


@pytest.mark.no_lab
def test_installed_units_name_the_programs_where_they_are(tmp_path, stand_ins):
    """systemd finds nothing wrong with them, even below a directory with a space and a percent sign."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    prefix = tmp_path / "my 100% apps"
    make("install", f"PREFIX={prefix}", f"SYSCONFDIR={tmp_path / 'etc'}", f"BUILD={stand_ins}", "STRIP=:")
    units = sorted((prefix / "lib/systemd/system").iterdir())
    assert [unit.name for unit in units] == ["mnedc-join.service", "mnedc-join@.service", "mnedcd.service"]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(u).replace("@.", "@shop.") for u in units)],
        capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert not re.search(r"not executable|[Ff]ailed|bad|not absolute|Unknown", done.stderr), done.stderr
    assert "bindir@" not in "".join(unit.read_text() for unit in units)


# --- make deb ---


@pytest.fixture(scope="module")
def package():
    """The package, of optimised programs."""
    for tool in ("dpkg-buildpackage", "dh"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    where = [f"BUILD={Path(os.environ['RELEASE']).resolve()}"] if "RELEASE" in os.environ else []
    return REPOSITORY / make("deb", *where).splitlines()[-1]


def field(package, name):
    return subprocess.run(["dpkg-deb", "-f", package, name], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.no_lab
def test_the_version_stands_in_one_place(package):
    """Programs, package, changelog and `make version` say what Sources/CommandLine/Entry.swift says."""
    version = re.search(r'suiteVersion = "(.*)"', (REPOSITORY / "Sources/CommandLine/Entry.swift").read_text())[1]
    assert make("version") == version
    changelog = (REPOSITORY / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[([^]]*)\]", changelog, re.MULTILINE)[1] in ("Unreleased", version)
    assert field(package, "Version") == version.replace("-", "~", 1) + "-1"
    unpacked = REPOSITORY / ".build/deb/mnedc/debian/mnedc/usr"
    programs = [path for path in unpacked.glob("*bin/*")]
    assert sorted(path.name for path in programs) == sorted(PROGRAMS)
    for program in programs:
        assert subprocess.run([program, "--version"], capture_output=True, text=True).stdout.strip() == version
    # No page states another.
    for page in (REPOSITORY / "man").glob("*.[1-8]"):
        stated = re.findall(r"^\.Os (?:MNEDC )?(\d\S*)$|\bMNEDC (\d+\.\d+\.\d+)", page.read_text(), re.MULTILINE)
        assert {each for pair in stated for each in pair if each} <= {version}, page.name


@pytest.mark.no_lab
def test_the_package_names_no_place_of_other_programs(package, tmp_path):
    """Nothing of a package is below /usr/local; and it has no other programs than those of the suite."""
    subprocess.run(["dpkg-deb", "--extract", package, tmp_path], check=True)
    assert not naming_places_of_others(tmp_path)
    programs = {path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"}
    assert {path.name for path in programs} == set(PROGRAMS)


@pytest.mark.no_lab
def test_the_package_has_network_managers_leave_the_interface_alone(package, tmp_path):
    """Where each of them looks for files of packages."""
    subprocess.run(["dpkg-deb", "--extract", package, tmp_path], check=True)
    network = (tmp_path / "usr/lib/systemd/network/05-mnedc.network").read_text()
    assert "\n[Match]\nName=mnedc*\n" in network and "\n[Link]\nUnmanaged=yes\n" in network
    manager = (tmp_path / "usr/lib/NetworkManager/conf.d/mnedc.conf").read_text()
    assert "\n[keyfile]\nunmanaged-devices+=interface-name:mnedc*\n" in manager


@pytest.mark.no_lab
def test_lintian_finds_no_error_and_no_warning(package):
    """And every override that there is has a reason and is used."""
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed")
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", package],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0 and "unused-override" not in done.stdout, done.stdout + done.stderr


# --- On a bare Debian ---


@pytest.fixture(scope="module")
def archive(package):
    """A tar archive of this release of Debian with nothing in it but what the package depends on."""
    if os.geteuid() != 0:
        pytest.skip("a bare Debian needs root")
    if not shutil.which("mmdebstrap"):
        pytest.skip("mmdebstrap is not installed")
    system = dict(re.findall(r'^(\w+)="?([^"\n]*)', Path("/etc/os-release").read_text(), re.MULTILINE))
    if system.get("ID") != "debian" or "VERSION_CODENAME" not in system:
        pytest.skip("the package is for this system, which is no released Debian")
    needed = sorted({re.split(r"[ :]", each.strip())[0] for each in field(package, "Depends").split(",")})
    found = REPOSITORY / ".build/debian" / f"bare-{system['VERSION_CODENAME']}-{'-'.join(needed)}.tar"
    if not found.exists():
        found.parent.mkdir(parents=True, exist_ok=True)
        partial = found.with_suffix(f".{os.getpid()}.tar")
        done = subprocess.run(
            [
                "mmdebstrap", "--quiet", "--variant=essential", f"--include={','.join(needed)}",
                "--dpkgopt=force-unsafe-io", "--dpkgopt=path-exclude=/usr/share/man/*",
                "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
                system["VERSION_CODENAME"], partial, MIRROR,
            ],
            capture_output=True, text=True, timeout=900,
        )  # fmt: skip
        if done.returncode != 0:
            partial.unlink(missing_ok=True)
            pytest.skip("no bare Debian can be had: " + done.stderr.strip()[-300:])
        partial.rename(found)
    return found


class Host:
    """A bare Debian: one file system, whose commands run in the network of whichever node."""

    def __init__(self, root, archive):
        self.root = root
        root.mkdir()
        subprocess.run(["tar", "-xf", archive, "-C", root, "--exclude=./dev/*"], check=True)
        # Or dpkg leaves out what it left out of the archive: its manual pages, for example.
        for path in (root / "etc/dpkg/dpkg.cfg.d").glob("*"):
            path.unlink()
        # As an installer would have made it.
        (root / "etc/hosts").write_text("127.0.0.1\tlocalhost\n")
        # As systemd or D-Bus would have made it.
        (root / "etc/machine-id").write_text(uuid.uuid4().hex + "\n")

    def inside(self, *command):
        # Devices with the modes that udev gives them, whatever they are on the host of these tests.
        nodes = "null 1 3 zero 1 5 full 1 7 random 1 8 urandom 1 9 net/tun 10 200"
        mounts = (
            'set -e; root=$1; shift; mount -t tmpfs -o mode=755 dev "$root/dev"; mkdir "$root/dev/net"; '
            f'echo {nodes} | xargs -n 3 sh -c \'mknod -m 666 "$0/dev/$1" c "$2" "$3"\' "$root"; '
            'mount -t proc proc "$root/proc"; exec chroot "$root" "$@"'
        )
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        environment = ["env", "-i", path, "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]
        return ["unshare", "--mount", "sh", "-c", mounts, "sh", str(self.root), *environment, *map(str, command)]

    def run(self, *command, check=True):
        done = subprocess.run(
            self.inside(*command), capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done

    def install(self, package):
        shutil.copy(package, self.root / "mnedc.deb")
        self.run("dpkg", "--install", "/mnedc.deb")
        (self.root / "mnedc.deb").unlink()

    def has_user(self):
        return self.run("getent", "passwd", "mnedc", check=False).returncode == 0

    def answers(self, node):
        """What mnedc-ctl status says here, or None."""
        done = node.run(*self.inside("mnedc-ctl", "status", "--json"), check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def files(self):
        """All but what every installation of a package writes, and copies of what was before the last user came or
        went.
        """
        found = tree(self.root, but=("var/lib/dpkg", "var/log", "var/cache", "run/adduser", "proc", "dev", "tmp"))
        return {
            path: what
            for path, what in found.items()
            if not re.fullmatch(r"etc/(passwd|group|g?shadow|sub[ug]id)-", path)
        }

    def start_unit(self, node, unit):
        """Starts what a unit starts in a node's network, with its user and capabilities, as systemd would."""
        text = (self.root / "lib/systemd/system" / unit).read_text()
        (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
        user = dict(re.findall(r"^(User)=(.*)$", text, re.MULTILINE)).get("User", "root")
        for before in re.findall(r"^ExecStartPre=\+?(.*)$", text, re.MULTILINE):
            self.run(*shlex.split(before))
        for directory in re.findall(r"^StateDirectory=(.*)$", text, re.MULTILINE):
            self.run("install", "-d", "-m", "700", "-o", user, f"/var/lib/{directory}")
        held = ",".join("+" + each.removeprefix("CAP_").lower() for each in capabilities(text, "CapabilityBoundingSet"))
        options = ["--bounding-set", f"-all,{held}"]
        if user != "root":
            ambient = ",".join(
                "+" + each.removeprefix("CAP_").lower() for each in capabilities(text, "AmbientCapabilities")
            )
            options += [
                "--reuid",
                user,
                "--regid",
                user,
                "--init-groups",
                "--inh-caps",
                ambient,
                "--ambient-caps",
                ambient,
            ]
        # As a group of its own, so that it can be a program of the lab.
        command = self.inside("setpriv", *options, "--no-new-privs", *shlex.split(command))
        return node.start(*command, name=unit)


def capabilities(unit, key):
    return [each for line in re.findall(rf"^{key}=(.*)$", unit, re.MULTILINE) for each in line.split()]


def test_a_network_of_the_installed_package_outlives_an_upgrade_and_leaves_nothing_after_purge(
    package, archive, flat, tmp_path
):
    """Relay and device as their units start them, on a Debian without Swift or systemd."""
    lab = flat(1)
    node, client = lab.relay, lab["d1"]
    hosts = [Host(tmp_path / name, archive) for name in ("relay", "device")]
    server, device_host = hosts
    before = [host.files() for host in hosts]
    for host in hosts:
        assert not host.has_user() and not list(host.root.rglob("libswift*"))
        host.install(package)
        assert host.has_user()
        # Neither in a target's directory: nothing starts with the system.
        assert not list((host.root / "etc/systemd").rglob("mnedc*"))
    assert not node.processes() and not client.processes(), "installing has started something"
    for program in PROGRAMS:
        path = server.run("sh", "-c", f"command -v {program}").stdout.strip()
        assert path.startswith("/usr/"), program
        assert "not found" not in server.run("ldd", path).stdout
        assert server.run(path, "--version").stdout.strip() == make("version")
        headers = subprocess.run(["readelf", "-S", server.root / path[1:]], capture_output=True, text=True).stdout
        assert ".text" in headers and ".symtab" not in headers, "it is not stripped"

    def started(host, where, unit):
        """The program that a unit starts, once it answers."""
        program = host.start_unit(where, unit)
        labs.until(lambda: host.answers(where) or not program.is_running, f"{unit} is up", 30)
        assert program.is_running, program.log
        return program

    relay = started(server, node, "mnedcd.service")
    owner = (server.root / "var/lib/mnedcd").stat().st_uid
    assert owner != 0 and f"Uid:\t{owner}\t" in Path(f"/proc/{relay.pid}/status").read_text()
    # As README.Debian says: the line is for another host.
    invite = re.search(r"\bmnedc-invite:\S+", node.run(*server.inside("mnedc-ctl", "invite")).stdout)[0]
    client.run(*device_host.inside("mnedc-join", "--background", invite), timeout=60)
    client.run(*device_host.inside("mnedc-ctl", "stop"))
    labs.until(lambda: not client.processes(), "the device has left")
    device = started(device_host, client, "mnedc-join.service")
    is_in = lambda: client.virtual_address() and device_host.answers(client)["device"]["state"] == "joined"
    labs.until(is_in, "the device joins from its configuration", 30)
    address = client.virtual_address()
    client.reaches("10.0.0.1", 20)
    # By name, too, though no resolver runs there.
    (other,) = json.loads(client.run(*device_host.inside("mnedc-peers", "--json")).stdout)["peers"]
    resolve = device_host.inside("getent", "ahostsv4", f"{other['device_id'].lower()}.mnedc")
    labs.until(lambda: client.run(*resolve, check=False).stdout.startswith("10.0.0.1 "), "the relay's name resolves")

    # An upgrade, with what the administrator has changed.
    config = (device_host.root / "etc/mnedc/mnedc.yaml").read_text()
    for host in hosts:
        example = host.root / "etc/mnedc/mnedc.yaml.example"
        example.write_text(example.read_text() + "# mine\n")
        host.install(package)
        assert example.read_text().endswith("# mine\n")
    assert (device_host.root / "etc/mnedc/mnedc.yaml").read_text() == config
    assert relay.is_running and device.is_running
    # Here systemd would restart what runs: the relay, to begin with.
    relay.stop()
    relay = started(server, node, "mnedcd.service")
    labs.until(is_in, "the device comes back", 30)
    client.reaches("10.0.0.1", 20)
    assert client.virtual_address() == address

    # What was started by hand is ended, too: the relay here, and the device as README.Debian has it.
    device.stop()
    client.run(*device_host.inside("mnedc-join", "--background"), timeout=60)
    for host, files, kept in zip(hosts, before, ("var/lib/mnedcd/relay.key", "var/lib/mnedc-join/device.key")):
        done = host.run("dpkg", "--remove", "mnedc")
        assert "mnedc-ctl" not in done.stdout + done.stderr
        labs.until(lambda: not (client if host is device_host else node).processes(), "nothing runs any more")
        assert (host.root / kept).exists() and not (host.root / "usr/sbin/mnedcd").exists()
        host.run("dpkg", "--purge", "mnedc")
        assert not host.has_user()
        assert host.files() == files
