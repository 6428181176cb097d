"""Damaged files, one for each seed, read by what reads them: a value or a clear error, and nothing else happens."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fuzz.damage import CANARY

ROOT = Path(__file__).parents[2]


class Worker:
    """A process that reads damaged files.

    Args:
        folder: Where it does.
        kinds: Kinds of files. (default: all)
        script: What it runs. (default: the worker itself)
    """

    def __init__(self, folder: Path, kinds: Sequence[str] = (), script: Path | None = None) -> None:
        self._errors = (folder / "stderr.txt").open("w+")
        (folder / "work").mkdir()
        program = ["-m", "tests.fuzz.file_worker"] if script is None else [str(script)]
        environment = {name: value for name, value in os.environ.items() if name != "PLSTM_DATA"}
        self._process = subprocess.Popen(
            [sys.executable, *program, str(folder / "work"), *kinds],
            cwd=ROOT,
            env=environment | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        assert self._answer() == "ready", self._ended()

    def check(self, seed: int) -> dict:
        """What came of a seed; if the process ends by it, that is the failure."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seed}\n")
        self._process.stdin.flush()
        answer = self._answer()
        return json.loads(answer) if answer else {"seed": seed, "outcome": "end", "failure": self._ended()}

    def close(self) -> None:
        self._process.communicate()
        self._errors.close()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _ended(self) -> str:
        # It has closed its end, so it is about to end by itself.
        status = self._process.wait(60)
        self._errors.seek(0)
        return f"the process ended by {status}\n{self._errors.read()[-4000:]}"


@contextmanager
def worker(folder: Path, kinds: Sequence[str] = (), script: Path | None = None) -> Iterator[Worker]:
    process = Worker(folder, kinds, script)
    try:
        yield process
    finally:
        process.close()


@pytest.mark.slow
@pytest.mark.timeout(0)  # As long as the caller asks for; each case has a limit of its own.
@pytest.mark.parametrize("kinds", [(), ("pickles of arrays",)], ids=["all", "pickles"])
def test_damaged_files_are_read_or_refused(kinds, seeds, tmp_path):
    with worker(tmp_path, kinds) as reader:
        for seed in seeds:
            answer = reader.check(seed)
            assert answer["failure"] is None, f"seed {seed}, {answer.get('kind')}: {answer['failure']}"


_SCRIPT = """
import sys
from pathlib import Path
from tests.fuzz import file_worker, kinds

def read(folder, made):
    if Path("armed").exists():
        exec(Path("armed").read_text())

kinds.KINDS["IDX"] = kinds.Kind(kinds._images, read)
file_worker.work(Path(sys.argv[1]), sys.argv[2:])
"""
_ELSEWHERE = "(folder.parents[2] / 'elsewhere')"


@pytest.mark.slow
def test_what_a_reader_may_not_do_is_seen(tmp_path):
    """A reader that does what no reader may, in the place of a real one."""
    (tmp_path / "script.py").write_text(_SCRIPT)
    with worker(tmp_path, ["IDX"], tmp_path / "script.py") as reader:
        for does, said in (
            ("raise ValueError('x')", None),
            ("{}['x']", "KeyError"),
            ("import torch; torch.zeros(3).view(2)", "RuntimeError"),
            ("raise ValueError", "an error without a message"),
            (f"import os; os.mkdir('{CANARY}'); raise ValueError('x')", "it did what no file may"),
            (f"open({_ELSEWHERE}, 'w').close()", "it did what no file may"),
            (f"{_ELSEWHERE}.rename({_ELSEWHERE}.with_name('moved'))", "it did what no file may"),
            ("import os; os.system('true')", "it did what no file may"),
            ("bytearray(1 << 40)", "MemoryError"),
            ("import ctypes; ctypes.string_at(0)", "the process ended by -11"),
        ):
            (tmp_path / "work" / "armed").write_text(does)
            failure = reader.check(0)["failure"]
            assert (failure is None) if said is None else (said in failure), f"{does}: {failure}"
