import json

import pytest

from benchmarks import everything
from benchmarks.everything import LONG_STEPS, QUICK_STEPS, Step, file_of, main, measure

#: Writes a file, or ends badly.
_PROGRAM = """
import json, os, sys
number, path = int(sys.argv[1]), sys.argv[2]
if number > 2:
    sys.exit(3)
found, limit = (os.environ.get(name) for name in ("PLSTM_CFLAGS", "OMP_NUM_THREADS"))
json.dump({"threads": number, "found": found, "limit": limit}, open(path, "w"))
"""


@pytest.fixture
def step(tmp_path, monkeypatch):
    """A step that a small program makes, by number of threads."""
    (tmp_path / "made_step.py").write_text(_PROGRAM)
    monkeypatch.setattr(everything, "_WORK", tmp_path / "work")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(*threads):
        return Step(
            "made", lambda number, at: ["made_step", f"{number}", str(at / "found.json")], "found.json", threads
        )

    return make


def test_numbers_say_what_was_measured_and_are_not_measured_twice(step, tmp_path, capsys):
    assert measure([step(1, 2)], "abacus", "avx2", tmp_path) == []
    for threads in (1, 2):
        found = json.loads((tmp_path / "abacus" / f"made-{threads}.json").read_text())
        assert found["threads"] == threads and found["found"] == "-mno-avx512f" and found["limit"] is None
        assert (found["key"], found["step"], found["instructions"]) == ("abacus", "made", "avx2")
        assert (
            found["sources"] == everything.digest_sources() and found["machine"]["cores"] > 0 and found["others"] >= 0
        )
    assert measure([step(1, 2)], "abacus", None, tmp_path) == []
    assert capsys.readouterr().out.count("measured before") == 2


def test_what_was_disturbed_is_repeated_when_asked(step, tmp_path, capsys):
    paths = [tmp_path / "abacus" / f"made-{threads}.json" for threads in (1, 2)]
    assert measure([step(1, 2)], "abacus", None, tmp_path) == []
    for path, others in zip(paths, (0.0, 0.5), strict=True):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"others": others, "before": True}))
    assert measure([step(1, 2)], "abacus", None, tmp_path, again=True) == []
    assert ["before" in json.loads(path.read_text()) for path in paths] == [True, False]


def test_numbers_of_other_sources_are_removed_and_a_failure_is_told(step, tmp_path):
    (tmp_path / "abacus").mkdir()
    for name in ("old-1", "made-1"):
        (tmp_path / "abacus" / f"{name}.json").write_text('{"sources": "others"}')
    assert measure([step(1, 3, 2)], "abacus", None, tmp_path) == ["made-3"]
    assert sorted(path.name for path in (tmp_path / "abacus").iterdir()) == ["made-1.json", "made-2.json"]


def test_sources_that_change_meanwhile_are_not_mixed(step, tmp_path, monkeypatch):
    digests = iter(["before", "after"])
    monkeypatch.setattr(everything, "digest_sources", lambda: next(digests))
    assert measure([step(1)], "abacus", None, tmp_path) == ["made-1"]
    assert not (tmp_path / "abacus").exists()


def test_every_step_has_its_file_and_its_options(tmp_path):
    steps = (*QUICK_STEPS, *LONG_STEPS)
    assert len({file_of("abacus", step, threads) for step in steps for threads in step.threads}) == 2 * len(steps) - 1
    for step in steps:
        module, *options = step.command(1, tmp_path)
        assert module.startswith("benchmarks.") and "--threads" in options


def test_only_some_steps(monkeypatch, capsys):
    called = []
    monkeypatch.setattr(
        everything, "measure", lambda steps, *rest, again: called.append((steps, *rest, again)) or ["grids-1"]
    )
    assert main(["--steps", "grids", "depth", "--instructions", "avx2", "--key", "abacus"]) == 1
    ((steps, *rest),) = called
    assert [step.name for step in steps] == ["grids", "depth"] and rest == ["abacus", "avx2", False]
    assert "failed: grids-1" in capsys.readouterr().out
    main(["--again"])
    assert called[-1][-1] is True
    assert [step.name for step in called[-1][0]] == [step.name for step in QUICK_STEPS]
