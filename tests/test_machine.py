"""Freed memory stays with the process where it is asked to, and only there."""

import os
import platform
import subprocess
import sys

import pytest

from plstm_graph import machine

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")

_PROGRAM = """
import os, runpy, sys

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

# The file alone: imports of the whole package would take longer than the test.
kept = runpy.run_path(sys.argv[2])["keep_freed_memory"]() if sys.argv[1] == "keep" else False
for _ in range(3):
    block = bytearray(200_000_000)
    full = resident()
    del block
print(kept, full - resident() > 100_000_000)
"""


def _run(mode: str, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    program = [sys.executable, "-c", _PROGRAM, mode, machine.__file__]
    return subprocess.run(program, env=kept | environment, capture_output=True, text=True, check=True).stdout.strip()


def test_freed_memory_is_kept_when_asked():
    assert _run("keep") == "True False"
    assert _run("default") == "False True"


def test_the_environment_decides_first():
    assert _run("keep", MALLOC_TRIM_THRESHOLD_="65536") == "False True"
