"""The choice of a form goes by times of this machine, measured once, apart from all that surrounds the caller."""

import json
import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from plstm_graph.graph import LineGraph
from plstm_graph.graph.random_dag import random_dag
from plstm_graph.ops import choose_form, plstm
from plstm_graph.ops.dag import calibration, cost
from plstm_graph.ops.dag.calibration import speed_ratios
from plstm_graph.testing import random_operands

FORMS = {"recurrent", "parallel", "chunkwise"}
SOUND = {"recurrent": 0.5, "parallel": 2.0, "chunkwise": 1.0}
WIDTHS = 4, 16, 16


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """An empty cache, and what was measured in place of times."""
    calls = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PLSTM_CALIBRATE", "1")
    monkeypatch.setattr(calibration, "_measure", lambda native: calls.append(native) or SOUND)
    calibration._ratios.cache_clear()
    yield calls
    calibration._ratios.cache_clear()


@pytest.fixture
def close() -> LineGraph:
    """A graph on which the estimates of two forms come close to each other."""
    return LineGraph(torch.cat([random_dag(120, 122, 2) + 120 * number for number in range(200)], 1), 24_000)


def files(tmp_path):
    return sorted(tmp_path.glob("plstm_graph/*"))


@pytest.mark.parametrize("native", [False, True])
def test_real_times_are_ratios_to_the_estimates(monkeypatch, tmp_path, native):
    if native and not cost.has_native_recurrent(torch.empty(0)):
        pytest.skip("native code is off: PLSTM_COMPILE=0, or there is no C compiler")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calibration._ratios.cache_clear()
    ratios = speed_ratios(native)
    assert set(ratios) == FORMS
    assert all(0 < ratio < math.inf for ratio in ratios.values())
    [path] = tmp_path.glob("plstm_graph/forms-*.json")
    assert json.loads(path.read_text()) == ratios
    calibration._ratios.cache_clear()
    assert speed_ratios(native) == ratios  # read again
    calibration._ratios.cache_clear()


def test_they_are_measured_once_for_each_kind_of_code_and_number_of_threads(measured, tmp_path):
    for native in (True, False, True):
        assert speed_ratios(native) == SOUND
    torch.set_num_threads(torch.get_num_threads() + 1)
    speed_ratios(True)
    assert measured == [True, False, True]
    calibration._ratios.cache_clear()
    speed_ratios(True)
    assert len(measured) == 3
    assert len(files(tmp_path)) == 3


BAD_RATIOS = (0.0, -1.0, 1e9, "2", None, [1.0], math.nan, math.inf, True)
BAD_FILES = [
    *("", "{", "[]", "null", "3", '"parallel"', "{}", "[" * 100_000),
    *(json.dumps(SOUND | {"parallel": bad}) for bad in BAD_RATIOS),
    json.dumps(SOUND | {"other": 1.0}),
]


@pytest.mark.parametrize("text", BAD_FILES, ids=lambda text: text[:60])
def test_a_file_that_cannot_be_used_is_made_anew(measured, tmp_path, text):
    speed_ratios(True)
    [path] = files(tmp_path)
    path.write_text(text)
    calibration._ratios.cache_clear()
    assert speed_ratios(True) == SOUND
    assert measured == [True, True]
    assert json.loads(path.read_text()) == SOUND


@pytest.mark.parametrize("place", ["file", "folder in its place"])
def test_nothing_is_kept_where_nothing_can_be_written(measured, monkeypatch, tmp_path, place):
    if place == "file":
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    else:
        speed_ratios(True)
        [path] = files(tmp_path)
        path.unlink()
        path.mkdir()
        calibration._ratios.cache_clear()
    assert speed_ratios(True) == SOUND
    assert not list(tmp_path.glob("**/*.unfinished"))


@pytest.mark.parametrize("slow", ["recurrent", "parallel"])
def test_the_faster_form_on_this_machine_is_chosen(measured, monkeypatch, close, slow):
    monkeypatch.setattr(calibration, "_measure", lambda native: dict.fromkeys(FORMS, 1.0) | {slow: 50.0})
    assert choose_form(close, *WIDTHS, native=True) == ({"recurrent", "parallel"} - {slow}).pop()


def test_nothing_is_measured_where_it_decides_nothing(measured):
    small = LineGraph(random_dag(30, 60))
    operands = random_operands(small)
    plstm(**operands, line_graph=small)
    wide = LineGraph(random_dag(2000, 10_000))
    choose_form(wide, 1, 2, 2, native=True)
    assert measured == []


def test_it_is_off_when_asked_and_in_deterministic_runs(measured, monkeypatch, close):
    choose_form(close, *WIDTHS, native=True)
    assert len(measured) == 1
    calibration._ratios.cache_clear()
    torch.use_deterministic_algorithms(True)
    try:
        choose_form(close, *WIDTHS, native=True)
    finally:
        torch.use_deterministic_algorithms(False)
    monkeypatch.setenv("PLSTM_CALIBRATE", "0")
    choose_form(close, *WIDTHS, native=True)
    assert len(measured) == 1


def test_it_leaves_no_trace_and_is_not_reached_by_what_surrounds_it(monkeypatch, tmp_path):
    """Random numbers, a counter of operations, inference mode, autocast, a default device, hooks of saved tensors."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calibration._ratios.cache_clear()
    state, packed = torch.get_rng_state(), []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda tensor: packed.append(1) or tensor, lambda tensor: tensor)
    counter = FlopCounterMode(display=False)
    with hooks, counter, torch.inference_mode(), torch.autocast("cpu"), torch.device("meta"):
        ratios = speed_ratios(False)
    calibration._ratios.cache_clear()
    assert set(ratios) == FORMS
    assert torch.equal(torch.get_rng_state(), state)
    assert counter.get_total_flops() == 0
    assert packed == []
