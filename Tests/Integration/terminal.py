"""Programs on a pseudo-terminal, as a person sees them."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from lab import Failure


class Terminal:
    """A command in a node's network, its standard streams a terminal; `text` has all that it has shown."""

    def __init__(self, node, command, columns=80, rows=24, environment=None):
        own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        settings = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}
        settings |= {"TERM": "xterm"} | (environment or {})
        self.process = subprocess.Popen(
            node._inside(command), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=settings
        )
        os.close(theirs)
        self._own = own
        self._bytes = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)
        os.close(self._own)

    @property
    def text(self):
        return self._bytes.decode(errors="replace").replace("\r\n", "\n")

    def _read(self, patience):
        if select.select([self._own], [], [], patience)[0]:
            try:
                more = os.read(self._own, 65536)
            except OSError:  # nobody has the other end any more
                return False
            self._bytes += more
            return bool(more)
        return True

    def until(self, pattern, timeout=15):
        """Waits until the pattern is shown, and returns its match."""
        deadline = time.monotonic() + timeout
        while True:
            found = re.search(pattern, self.text)
            if found:
                return found
            if time.monotonic() > deadline or not self._read(0.1):
                raise Failure(f"{pattern!r} is not shown: {self.text!r}")

    def type(self, text):
        os.write(self._own, text.encode())

    def wait(self, timeout=15):
        """The exit status, once all is shown."""
        deadline = time.monotonic() + timeout
        while self._read(0.05) and time.monotonic() < deadline:
            if self.process.poll() is not None and not select.select([self._own], [], [], 0)[0]:
                break
        return self.process.wait(max(0.1, deadline - time.monotonic()))


def shown(node, command, **options):
    """What the command has shown until its end, and its exit status."""
    with Terminal(node, command, **options) as terminal:
        status = terminal.wait()
        return terminal.text, status
