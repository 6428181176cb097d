"""Native code on torch's threads: every unit once, no thread of its own, alone where threads cannot be had."""

import ctypes
import os
import threading
from pathlib import Path

import pytest
import torch

from plstm_graph.native import threads as native_threads
from plstm_graph.native.threads import places, spread, threads_are_shared

NUMBERS = torch.arange(5.0)
needs_threads = pytest.mark.skipif(not threads_are_shared(), reason="torch has no OpenMP, or there is no C compiler")


@pytest.fixture
def torch_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def recorded(units, work, status=lambda first, last: 0):
    """What a kernel was called with, by which thread, and what came back."""
    seen = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
    def kernel(first, last, arguments):
        numbers = ctypes.cast(
            ctypes.cast(arguments, ctypes.POINTER(ctypes.c_void_p))[0], ctypes.POINTER(ctypes.c_float)
        )
        assert numbers[4] == 4
        seen.append((first, last, threading.get_native_id()))
        return status(first, last)

    returned = spread(kernel, units, places([NUMBERS]), work, 10)
    return sorted(seen), returned


@needs_threads
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("units", [1, 2, 5, 64, 1001])
def test_each_unit_is_evaluated_once(torch_threads, units, threads):
    torch_threads(threads)
    seen, returned = recorded(units, work=10**9)
    # Several ranges for each thread where there are many units.
    assert len(seen) == (4 * threads if threads > 1 and units >= 16 * threads else min(threads, units))
    ends = [0, *(last for _, last, _ in seen)]
    assert [first for first, _, _ in seen] == ends[:-1]
    assert ends[-1] == units
    assert returned == 0


@needs_threads
@pytest.mark.parametrize(("work", "parts"), [(0, 1), (19, 1), (20, 2), (39, 3), (10**9, 4)])
def test_small_work_is_not_shared(torch_threads, work, parts):
    torch_threads(4)
    assert len(recorded(30, work)[0]) == parts


@needs_threads
@pytest.mark.parametrize("bad", [0, 33, 99])
def test_a_failure_in_any_part_is_told(torch_threads, bad):
    torch_threads(3)
    assert recorded(100, 10**9, lambda first, last: 7 if first <= bad < last else 0)[1] == 7


@needs_threads
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_no_thread_is_started_beside_those_of_torch(torch_threads):
    torch_threads(3)
    (torch.rand(2**20) + 1).sum()  # starts those of torch
    before = len(os.listdir("/proc/self/task"))
    used = {thread for _ in range(20) for _, _, thread in recorded(64, 10**9)[0]}
    assert len(os.listdir("/proc/self/task")) == before
    assert len(used) <= 3


def test_without_openmp_one_thread_does_all(torch_threads, monkeypatch):
    monkeypatch.setattr(native_threads, "_parallel", lambda: None)
    torch_threads(4)
    seen, _ = recorded(100, 10**9)
    assert [(first, last) for first, last, _ in seen] == [(0, 100)]
    assert seen[0][2] == threading.get_native_id()
