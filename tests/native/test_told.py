"""What ``plstm-graph info`` says of native code, in one line."""

import shutil

import pytest

from plstm_graph.machine import native_code
from plstm_graph.native import load


@pytest.fixture(autouse=True)
def as_a_new_process(monkeypatch, tmp_path):
    """Nothing compiled, and nothing that the surroundings have decided."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("PLSTM_COMPILE", "CC"):
        monkeypatch.delenv(name, raising=False)
    load.forget_native()
    yield
    monkeypatch.undo()
    load.forget_native()


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_with_a_compiler(tmp_path):
    assert native_code() == f"C, compiled on this machine and kept in {tmp_path / 'cache' / 'plstm_graph'}"
    assert list((tmp_path / "cache" / "plstm_graph").glob("*.so"))


def test_switched_off(monkeypatch):
    monkeypatch.setenv("PLSTM_COMPILE", "0")
    assert native_code() == "off by PLSTM_COMPILE=0, torch is used"


def test_without_a_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert native_code() == "none as there is no C compiler (CC, cc, gcc or clang), torch is used"


def test_with_a_compiler_that_fails(monkeypatch):
    monkeypatch.setenv("CC", "false")
    told = native_code()
    assert told.startswith("cannot compile threads.c (false ended with status 1)") and "\n" not in told
