import sys

import pytest

from benchmarks import timing
from benchmarks.operators.memory import peak_memory
from benchmarks.operators.registry import NotMeasured, Width
from benchmarks.timing import Timer, time_in_turns


def test_repetitions_take_turns():
    calls = []
    timers = [Timer(lambda name=name: calls.append(name), repeat, budget=1.0) for name, repeat in (("a", 3), ("b", 2))]
    calls.clear()
    time_in_turns(timers)
    assert [set(calls[:2]), set(calls[2:4]), calls[4:]] == [{"a", "b"}, {"a", "b"}, ["a"]]
    summary = timers[0].summary()
    assert summary["repetitions"] == 3
    assert 0 < summary["min"] <= summary["q1"] <= summary["median"] <= summary["q3"]


def test_each_round_has_an_order_of_its_own():
    calls = []
    timers = [Timer(lambda name=name: calls.append(name), 20, budget=1.0) for name in "abc"]
    calls.clear()
    time_in_turns(timers)
    rounds = {"".join(calls[number : number + 3]) for number in range(0, 60, 3)}
    assert len(rounds) > 3
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)


def test_what_prepares_a_repetition_is_not_timed(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    class Run:
        def prepare(self):
            clock[0] += 5.0

        def __call__(self):
            clock[0] += 0.5

    timer = Timer(Run(), 3, budget=10.0)
    time_in_turns([timer])
    assert timer.seconds == pytest.approx([0.5, 0.5, 0.5])


def test_a_budget_limits_the_repetitions(monkeypatch):
    calls, clock = [], [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def slow():
        calls.append(1)
        clock[0] += 0.02

    within, beyond = Timer(slow, 1000, budget=0.05), Timer(slow, 1000, budget=0.001)
    assert within.wanted == 2
    assert beyond.wanted == 1
    assert len(calls) == 3  # a case that is over its budget at once is not called a second time to make sure


@pytest.mark.slow
def test_peak_memory_counts_the_states():
    # Of one head: in C, heads come one after the other, each with its states and their gradients. Both are written, so
    # they are resident; how much more the allocator and the threads of a system take is theirs.
    states = 20_000 * 16 * 16 * 4
    found = peak_memory("outstar-20000", "plstm recurrent", "forward+backward", Width(4, 16, 16), 1, timeout=120)
    assert found >= 2 * states


def test_peak_memory_gives_up():
    with pytest.raises(NotMeasured, match=r"not done after 0.05 s"):
        peak_memory("chain-10", "plstm auto", "forward", Width(1, 1, 1), 1, timeout=0.05)


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [("echo out of luck >&2; exit 3", RuntimeError, "out of luck"), ("kill -9 $$", NotMeasured, "ended by signal 9")],
)
def test_a_process_that_ends_badly(monkeypatch, tmp_path, script, error, message):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(error, match=message):
        peak_memory("chain-10", "plstm auto", "forward", Width(1, 1, 1), 1, timeout=20)
