"""Several seeds of a benchmark run, one after the other or at the same time in processes of their own."""

import functools
import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch

from plstm_graph.tasks.rows import Row
from plstm_graph.train.leaderboard.seed_run import run_seed
from plstm_graph.train.workers import submit_all, worker_pool

Report = Callable[[int, Row], None]
_FAILURES = (ValueError, OSError, FloatingPointError)


def run_seeds(
    config: dict[str, Any], seeds: Sequence[int], folder: Path, jobs: int, threads: int, report: Report
) -> list[dict[str, Any]]:
    """Run seeds; one that fails does not stop the others.

    Args:
        config: Plain configuration, see :func:`~plstm_graph.train.leaderboard.seed_run.run_seed`.
        seeds: Seeds, in this order.
        folder: Folder of the run; each seed has ``seed_N`` in it.
        jobs: Seeds that run at the same time.
        threads: CPU threads of each.
        report: Called with seed and metrics of each epoch.

    Returns:
        The result of each seed.

    Raises:
        ValueError: If a seed failed, after the others have ended; it names each with its error.
    """
    torch.set_num_threads(threads)
    if jobs == 1:
        results, failed = _one_by_one(config, seeds, folder, report)
    else:
        results, failed = _in_processes(config, seeds, folder, jobs, threads, report)
    if failed:
        reasons = "; ".join(f"seed {seed}: {error}" for seed, error in failed.items())
        raise ValueError(
            f"{len(failed)} of {len(seeds)} seeds failed ({reasons}). The others are kept in {folder}, and the same "
            "command goes on with those that failed"
        )
    return results


def seed_folder(folder: Path, seed: int) -> Path:
    """Folder of one seed of a run."""
    return folder / f"seed_{seed}"


def _one_by_one(
    config: dict[str, Any], seeds: Sequence[int], folder: Path, report: Report
) -> tuple[list[dict[str, Any]], dict[int, Exception]]:
    results: list[dict[str, Any]] = []
    failed: dict[int, Exception] = {}
    for seed in seeds:
        try:
            results.append(run_seed(config, seed, seed_folder(folder, seed), functools.partial(report, seed)))
        except _FAILURES as error:
            failed[seed] = error
    return results, failed


def _in_processes(
    config: dict[str, Any], seeds: Sequence[int], folder: Path, jobs: int, threads: int, report: Report
) -> tuple[list[dict[str, Any]], dict[int, Exception]]:
    results: list[dict[str, Any]] = []
    failed: dict[int, Exception] = {}
    with worker_pool(min(jobs, len(seeds)), threads) as pool:
        futures = submit_all(pool, _run, {seed: (config, seed, seed_folder(folder, seed)) for seed in seeds})
        _report_until_done(futures, folder, report)
    for future, seed in futures.items():
        try:
            results.append(future.result())
        except BrokenProcessPool:
            failed[seed] = OSError("a process was killed, perhaps for lack of memory (fewer --jobs need less)")
        except _FAILURES as error:
            failed[seed] = error
    return results, failed


def _run(config: dict[str, Any], seed: int, folder: Path) -> dict[str, Any]:
    return run_seed(config, seed, folder, lambda row: None)


def _report_until_done(futures: dict[Future[Any], int], folder: Path, report: Report) -> None:
    """Pass on the epochs that the processes write down, those of earlier commands included."""
    reported = dict.fromkeys(futures.values(), 0)
    running = set(futures)
    while running:
        _, running = wait(running, timeout=0.5)
        for seed, count in reported.items():
            path = seed_folder(folder, seed) / "epochs.jsonl"
            if path.is_file():
                lines = path.read_text(encoding="utf-8").splitlines()
                reported[seed] = len(lines)
                for line in lines[count:]:
                    report(seed, json.loads(line))
