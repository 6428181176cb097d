"""Kills long commands at random moments and runs them again: are results the same, is nothing left over?

    python -m tests.kill --command fit-molecules --kills 20 --seed 0        (or: make kill-test)

Each command is first run undisturbed. Then, in a fresh folder, its process is killed (``kill -9``, the process alone:
its children must end by themselves) at a moment drawn between its first change of the folder and its end, and the same
command is given again, to be killed again, until one ends by itself. What is then in the folder must be what the
undisturbed run has, file by file, apart from times; and no process may be left.
"""

import argparse
import csv
import io
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data

from tests.long_commands import LONG_COMMANDS, LongCommand, start
from tests.processes import group_lives

_EPOCHS = 4
_PATIENCE = 60.0  # seconds in which children of a killed process must end
_LONGEST = 600.0  # seconds of a command; more is an error
# Values that no two runs share.
_VOLATILE = {"seconds", "seconds_per_epoch", "peak_memory_mib", "machine"}


def main() -> int:
    """Run the commands that are asked for; returns 1 if any of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", nargs="+", default=list(LONG_COMMANDS), choices=list(LONG_COMMANDS))
    parser.add_argument("--kills", type=int, default=20, help="of each command")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    failures = []
    for name in options.command:
        with tempfile.TemporaryDirectory(prefix="kill-") as folder:
            try:
                print(f"{name}: {_try(LONG_COMMANDS[name], Path(folder), options.kills, options.seed)}", flush=True)
            except AssertionError as error:
                failures.append(name)
                print(f"{name}: FAILED: {error}", flush=True)
                kept = Path(tempfile.mkdtemp(prefix=f"kill-{name}-"))
                shutil.copytree(folder, kept, dirs_exist_ok=True)
                print(f"what it left is in {kept}", flush=True)
    return 1 if failures else 0


def _try(command: LongCommand, folder: Path, kills: int, seed: int) -> str:
    whole = folder / "whole"
    arguments = command.prepare(whole, _EPOCHS)
    (folder / "tmp").mkdir()
    started, clock = time.time(), time.perf_counter()
    before = _files(whole)
    process = start(arguments, whole, env={"TMPDIR": str(folder / "tmp")})
    _, errors = process.communicate(timeout=_LONGEST)
    made = [name for name in before if (whole / name).is_file()]
    assert process.returncode == 0, f"undisturbed, it ended with {process.returncode}: {errors[-2000:]}"
    duration = time.perf_counter() - clock
    first = min((whole / name).lstat().st_mtime for name in set(_files(whole)) - set(before)) - started
    draw, killed, runs, moments = random.Random(seed), 0, 0, []
    while killed < kills:
        runs += 1
        place = folder / f"killed-{runs}"
        command.prepare(place, _EPOCHS)
        for name in made:  # with its times, which decide the names of folders of graphs
            shutil.copy2(whole / name, place / name)
        while True:
            moment = draw.uniform(0.9 * first, duration) if killed < kills else _LONGEST
            status, errors = _run(arguments, place, moment, folder / "tmp")
            if status == 0:
                break
            assert status == -9, f"run {runs}, after {killed} kills, it ended with {status}: {errors[-2000:]}"
            killed += 1
            moments.append(moment)
        _compare(whole, place, f"run {runs}, after {killed} kills in all (moments {moments[-5:]})")
        shutil.rmtree(place)
    # PyG writes the code of a message-passing layer into a temporary file, which it removes at the end of a process.
    left = sorted(path.name for path in (folder / "tmp").iterdir() if "_propagate_" not in path.name)
    assert not left, f"temporary files were left: {left[:5]}"
    return (
        f"{killed} kills in {runs} runs of {duration:.0f} s, writing from {first:.0f} s on: same results, nothing left"
    )


def _run(arguments: list[str], folder: Path, moment: float, temporary: Path) -> tuple[int, str]:
    """Run a command and kill it at a moment, if it has not ended before; returns its status and its errors."""
    process = start(arguments, folder, env={"TMPDIR": str(temporary)})
    try:
        _, errors = process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        process.kill()
        # Its pipes stay open until its children have ended too.
        _, errors = process.communicate(timeout=_PATIENCE)
    deadline = time.monotonic() + _PATIENCE
    while group_lives(process.pid):
        assert time.monotonic() < deadline, "children of the process still live"
        time.sleep(0.05)
    return process.returncode, errors


def _files(folder: Path) -> list[str]:
    """Everything in a folder by its relative name."""
    return [str(path.relative_to(folder)) for path in sorted(folder.rglob("*"))]


def _compare(whole: Path, place: Path, where: str) -> None:
    expected, found = _files(whole), _files(place)
    assert expected == found, (
        f"{where}: missing {sorted(set(expected) - set(found))}, left over {sorted(set(found) - set(expected))}"
    )
    for name in expected:
        if (whole / name).is_file():
            problem = _differ(*(_read(root / name, root) for root in (whole, place)), "")
            assert not problem, f"{where}: {name} differs: {problem[:500]}"


def _read(path: Path, root: Path) -> Any:
    """What a file holds, without the place where it lies."""
    if path.suffix in (".pt", ".ckpt"):
        return _placeless(torch.load(path, weights_only=False), root)
    if path.suffix == ".json":
        return _placeless(json.loads(path.read_text()), root)
    if path.suffix == ".jsonl":
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        # Folds stand in the order in which they finished.
        return sorted(lines, key=lambda row: row.get("fold", 0)) if path.name == "results.jsonl" else lines
    if path.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(path.read_text())))
    # Tables of what stands in JSON have times; the database of graphs is read by the training.
    return None if path.suffix in (".md", ".db") else path.read_bytes()


def _placeless(value: Any, root: Path) -> Any:
    """Values with paths as if they lay in no folder, and graphs as the dictionaries that they are."""
    if isinstance(value, Data):
        return _placeless(value.to_dict(), root)
    if isinstance(value, dict):
        return {_placeless(key, root): _placeless(each, root) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_placeless(each, root) for each in value]
    return value.replace(str(root), "") if isinstance(value, str) else value


def _differ(expected: Any, found: Any, where: str) -> str:
    if type(expected) is not type(found):
        return f"{where} is {type(found).__name__}, not {type(expected).__name__}"
    if isinstance(expected, dict):
        names = [name for name in expected if not (isinstance(name, str) and _is_volatile(name))]
        if set(expected) != set(found):
            return f"{where} has {sorted(map(str, set(expected) ^ set(found)))}"
        parts = ((expected[name], found[name], f"{where}.{name}") for name in names)
    elif isinstance(expected, list | tuple):
        if len(expected) != len(found):
            return f"{where} has {len(found)} values, not {len(expected)}"
        parts = ((one, other, f"{where}[{i}]") for i, (one, other) in enumerate(zip(expected, found, strict=True)))
    elif isinstance(expected, torch.Tensor):
        same = expected.shape == found.shape and torch.equal(expected.nan_to_num(), found.nan_to_num())
        return "" if same else f"{where} is another tensor"
    else:
        # NaN is not equal to itself.
        same = expected == found or expected != expected
        return "" if same else f"{where} is {found!r}, not {expected!r}"
    return next((problem for part in parts if (problem := _differ(*part))), "")


def _is_volatile(name: str) -> bool:
    return name in _VOLATILE or name.endswith("/seconds")


if __name__ == "__main__":
    sys.exit(main())
