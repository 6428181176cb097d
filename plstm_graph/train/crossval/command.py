"""``plstm-graph crossval``: folds in parallel processes, each finished one kept for good."""

import json
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import yaml

from plstm_graph.console import Console
from plstm_graph.datasets.storage.files import write_errors
from plstm_graph.train.crossval.fold import build_model, count_parameters, factory_arguments, load_graphs, run_fold
from plstm_graph.train.crossval.options import (
    expand,
    make_parser,
    open_folder,
    parse_folds,
    plain_config,
    read_results,
    write_results,
)
from plstm_graph.train.crossval.progress import FoldProgress
from plstm_graph.train.crossval.report import markdown, summarise, write_report
from plstm_graph.train.going_on import going_on
from plstm_graph.train.inference import pick_device
from plstm_graph.train.options import repeatable_command
from plstm_graph.train.selection import Row
from plstm_graph.train.workers import submit_all, worker_pool


class FoldError(ValueError):
    """A fold that could not be trained; its number and the reason."""


def crossval(args: Sequence[str]) -> int:
    """Run the folds that are not finished yet and write the report.

    Args:
        args: Arguments of ``plstm-graph crossval``.

    Returns:
        Exit status, 0.

    Raises:
        KeyboardInterrupt: If it was stopped; it says what is kept.
    """
    parser = make_parser()
    config = parser.parse_args(expand(args))
    folds = parse_folds(config.folds)
    pick_device(config.device)
    plain = plain_config(parser, config)
    options = parser.instantiate(config)
    # Everything that can be wrong with data and model shows before a folder is made.
    data = load_graphs(options.data, factory_arguments(options.model))
    parameters = count_parameters(build_model(options.model, data, options.data, options.training))
    with going_on("Finished folds are kept; the same command goes on from there."):
        folder = open_folder(config.output, plain)
        results = read_results(folder)
        todo = [fold for fold in folds if fold not in {result["fold"] for result in results}]
        console = Console(stderr=True)
        console.say(
            f"{plain['data']['name']}: {len(data)} graphs, {data.num_classes} classes. "
            f"{plain['model']['class_path'].rpartition('.')[2]}: {parameters:,} parameters. "
            f"{len(todo)} of {len(folds)} folds to train, results in {folder}"
        )
        text = yaml.safe_dump(plain)
        _run_all(folder, text, todo, results, min(config.jobs, max(len(todo), 1)), options.training.epochs, console)
        chosen = [result for result in read_results(folder) if result["fold"] in folds]
        summary = summarise(chosen, plain, repeatable_command(["crossval", *args]))
        write_report(folder, summary)
        Console().say(markdown(summary).rstrip())
    return 0


def _run_all(
    folder: Path, config: str, todo: list[int], results: list[dict[str, Any]], jobs: int, epochs: int, console: Console
) -> None:
    """Train folds in processes of their own; results are written as they come."""
    (folder / "folds").mkdir(exist_ok=True)
    paths = {fold: folder / "folds" / f"fold-{fold}.jsonl" for fold in todo}
    for path in paths.values():
        path.unlink(missing_ok=True)  # the epochs of an interrupted fold
    with FoldProgress(console, paths, epochs) as progress, worker_pool(jobs, threads=1) as pool:
        running = submit_all(pool, _work, {fold: (config, fold, str(path)) for fold, path in paths.items()})
        while running:
            done, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                result = _result(future, running.pop(future))
                results.append(result)
                write_results(folder, results)
                progress.finish(result)
            progress.update()


def _result(future: Future, fold: int) -> dict[str, Any]:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise FoldError(
            f"a process that trained fold {fold} was killed, perhaps for want of memory. Finished folds are kept: the "
            "same command goes on, with --jobs 1 if memory is short"
        ) from error
    except (ValueError, OSError, ArithmeticError) as error:
        raise FoldError(f"fold {fold}: {error}. Finished folds are kept") from error


def _work(config: str, fold: int, path: str) -> dict[str, Any]:
    """Train one fold in this process."""
    parser = make_parser()
    options = parser.instantiate(parser.parse_string(config))
    device = pick_device(options.device)
    with write_errors(path, full_only=True), open(path, "w", encoding="utf-8") as file:

        def on_epoch(row: Row) -> None:
            file.write(json.dumps(row) + "\n")
            file.flush()

        return run_fold(fold, options.model, options.data, options.training, on_epoch, device, options.compile)
