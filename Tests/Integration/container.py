"""A small container engine to test examples/container without one.

It builds a Dockerfile's last stage on a copy-on-write layer over this host, which has to be a Debian like the image's
base, and starts services of a compose file in it with their user, capabilities and mounts.
"""

import re
import shlex
import subprocess
from pathlib import Path

from lab import Failure, until


class Step:
    def __init__(self, line):
        self.name, _, self.text = line.partition(" ")
        self.text = self.text.strip()


def stages(path):
    """The steps of each stage."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found = []
    for line in filter(str.strip, text.splitlines()):
        step = Step(line)
        if step.name == "FROM":
            found.append([])
        found[-1].append(step)
    return found


class Image:
    """What a Dockerfile makes of this host, in a directory."""

    def __init__(self, dockerfile, directory, programs):
        self.directory = directory
        self.stages = stages(dockerfile)
        for name in ("upper", "work", "root"):
            (directory / name).mkdir(parents=True)
        # A user, and addresses of name servers, that this host has and the base has not.
        self.run("for each in passwd group shadow gshadow; do sed -i /^mnedc:/d /etc/$each; done")
        self.steps = [step for step in self.stages[-1] if step.name not in ("RUN", "COPY", "FROM")]
        for step in self.stages[-1]:
            if step.name == "RUN":
                self.run(step.text)
            elif step.name == "COPY":
                source, target = step.text.removeprefix("--from=build ").split()
                assert source == "/programs/", source
                for program in programs.iterdir():
                    subprocess.run(
                        ["install", "-Dm755", program, self.directory / "upper" / target.strip("/") / program.name],
                        check=True,
                    )

    def values(self, name):
        return [step.text for step in self.steps if step.name == name]

    @property
    def mount(self):
        """Shell commands that make the root, in a mount namespace of their own."""
        layer = f"lowerdir=/,upperdir={self.directory}/upper,workdir={self.directory}/work"
        return (
            f"mount --make-rprivate / && cd {self.directory} && mount -t overlay overlay -o {layer} root && "
            "mount --rbind /dev root/dev && mount --rbind /proc root/proc && "
            "if [ -s /etc/resolv.conf ]; then touch root/etc/resolv.conf &&"
            " mount --bind /etc/resolv.conf root/etc/resolv.conf; fi"
        )

    def run(self, command):
        """What RUN does."""
        inside = f"DEBIAN_FRONTEND=noninteractive exec chroot root sh -c {shlex.quote(command)}"
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", f"{self.mount} && {inside}"], capture_output=True, text=True, timeout=300
        )
        if done.returncode != 0:
            raise Failure(f"RUN {command}: {done.stderr.strip()[-2000:]}")
        return done.stdout


class Container:
    """A service of a compose file on a node of a lab."""

    def __init__(self, image, node, service, files):
        self.image, self.node, self.service = image, node, service
        self.directory = image.directory / node.name
        self.directory.mkdir(exist_ok=True)
        self.volumes = [volume.split(":") for volume in service["volumes"]]
        self.files = files
        (user,) = image.values("USER")
        added = "".join(f",+{each.lower()}" for each in service.get("cap_add", []))
        assert service["cap_drop"] == ["ALL"]
        # As an engine does: the user has no capability, but gets up to these with a program's file.
        self.rights = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", f"--bounding-set=-all{added}"]
        self.rights += ["--inh-caps=-all"]
        if "no-new-privileges:true" in service.get("security_opt", []):
            self.rights += ["--no-new-privs"]

    def mounts(self):
        """Shell commands, in the image's directory, with its root at root/."""
        lines = [self.image.mount]
        for source, target, *options in self.volumes:
            if source.startswith("."):
                # Docker makes the place.
                lines += [f"touch root{target}", f"mount --bind {self.files / source} root{target}"]
                assert options == ["ro"]
            else:
                # A named volume begins as a copy of what the image has there.
                volume = self.directory / source
                lines += [
                    f"{{ [ -d {volume} ] || cp -a root{target} {volume}; }}",
                    f"mount --bind {volume} root{target}",
                ]
        for place in self.service.get("devices", []):
            path = place.split(":")[0]
            # As udev makes it; a host without udev may keep it for root.
            own = self.directory / Path(path).name
            lines += [
                f"{{ [ -e {own} ] || cp -a {path} {own}; }}",
                f"chmod 666 {own}",
                f"mount --bind {own} root{path}",
            ]
        for place in self.service["tmpfs"]:
            target, _, options = place.partition(":")
            lines += [f"mount -t tmpfs -o {options} tmpfs root{target}"]
        if self.service["read_only"]:
            lines += ["mount -o remount,ro,bind root"]
        for each in self.service.get("sysctls", {}).items():
            lines += ["echo {1} >/proc/sys/{0}".format(each[0].replace(".", "/"), each[1])]
        return " && ".join(lines)

    def command(self, *command, unshare=()):
        inside = shlex.join(["exec", "chroot", "root", *self.rights, *command])
        return ["unshare", "--mount", "--uts", *unshare, "sh", "-c", f"{self.mounts()} && {inside}"]

    def run(self, *command):
        """`docker compose run --rm`: what the command leaves running ends with it."""
        return self.node.run(*self.command(*command, unshare=["--pid", "--fork"]), timeout=60)

    def up(self):
        """`docker compose up`, until it is healthy."""
        self.program = self.node.start(*self.command(*self.service["command"]), name=f"container on {self.node.name}")
        (health,) = self.image.values("HEALTHCHECK")
        check = re.search(r"CMD (\[.*\])$", health)[1]
        check = shlex.split(check.strip("[]").replace(",", " "))
        until(
            lambda: not self.program.is_running or self.exec(*check, check=False).returncode == 0, "it is healthy", 30
        )
        if not self.program.is_running:
            raise Failure(f"it ended: {self.program.log}")

    def exec(self, *command, check=True):
        """`docker compose exec`."""
        enter = [
            "nsenter",
            f"--target={self.program.pid}",
            "--mount",
            "--net",
            "--root",
            "--wd",
            *self.rights,
            *command,
        ]
        done = subprocess.run(enter, capture_output=True, text=True, timeout=30)
        if check and done.returncode != 0:
            raise Failure(f"{shlex.join(command)}: {done.stderr.strip()}")
        return done
