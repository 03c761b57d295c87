"""Shifts the clocks of the programs under test (wall_clock.c), so that a test need not wait for the true time."""

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest


class Clock:
    """The clocks of the programs that are started with `environment`."""

    def __init__(self, lab):
        compiler = shutil.which("cc") or shutil.which("clang")
        if not compiler:
            pytest.skip("no C compiler")
        library, self._file = lab.directory / "wall_clock.so", lab.directory / "wall_clock"
        source = Path(__file__).with_name("wall_clock.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
        self._file.write_bytes(struct.pack("qq", 0, 0))
        self.environment = os.environ | {"LD_PRELOAD": str(library), "WALL_CLOCK": str(self._file)}

    def jump(self, seconds):
        """Sets the wall clock to so many seconds beyond the true time."""
        self._write(seconds, 0)

    def skip(self, seconds):
        """Sets all clocks to so many seconds beyond the true time, as if that time had passed."""
        self._write(seconds, seconds)

    def _write(self, wall, since_boot):
        with open(self._file, "r+b") as file:
            file.write(struct.pack("qq", wall, since_boot))
