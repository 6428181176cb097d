"""``plstm-graph leaderboard``: a benchmark with its official split and metric, over seeds."""

from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from plstm_graph.console import Console
from plstm_graph.datasets.benchmark import Benchmark
from plstm_graph.datasets.digits import rows_of_columns, shown
from plstm_graph.datasets.storage.files import replace_file
from plstm_graph.datasets.storage.tensor_files import load_tensors
from plstm_graph.train.checkpoint import KEY
from plstm_graph.train.claimed_folder import claim_folder
from plstm_graph.train.going_on import going_on
from plstm_graph.train.inference import make_recipe
from plstm_graph.train.leaderboard.options import Options, make_parser, parse
from plstm_graph.train.leaderboard.report import make_report, write_report
from plstm_graph.train.leaderboard.seed_pool import run_seeds, seed_folder
from plstm_graph.train.leaderboard.seed_progress import SeedProgress
from plstm_graph.train.leaderboard.seed_run import benchmark_of, make_module

# Where no transform is named, `predict` would make a DAG of each molecule.
_BOTH_DIRECTIONS = {"class_path": "torch_geometric.transforms.Compose", "init_args": {"transforms": []}}
# Where the data lies decides nothing.
_OUTSIDE = ("data.root", "data.source")


def leaderboard(arguments: list[str], machine: dict[str, Any]) -> int:
    """Run the command: train all seeds that are not finished, report, export the best model.

    Args:
        arguments: Of ``plstm-graph leaderboard``.
        machine: By :func:`plstm_graph.bench.machine.describe_machine`, for the report.

    Returns:
        Exit status, 0.

    Raises:
        ValueError: If data, model or the folder of the run cannot be used, or a seed failed.
        OSError: If data cannot be had or results cannot be written.
        KeyboardInterrupt: If it was stopped; it says how to go on.
    """
    options, console = parse(arguments), Console()
    folder = Path(options.output)
    benchmark = benchmark_of(options.plain["data"])
    module = make_module(options.plain["model"], benchmark)
    with going_on("The same command goes on from the last whole epoch of each seed."):
        _claim(folder, options.plain)
        sizes = ", ".join(f"{len(graphs)} {part}" for part, graphs in benchmark.parts.items())
        parameters = sum(parameter.numel() for parameter in module.model.parameters())
        name = type(module.model).__name__
        console.say(f"{benchmark.name} ({sizes}), {name} of {parameters:,} parameters: {folder}")
        with SeedProgress(options.seeds, options.plain["training"]["epochs"], benchmark) as progress:
            config = options.plain | {"compile": options.compile, "revision": machine["revision"]}
            results = run_seeds(config, options.seeds, folder, options.jobs, options.threads, progress.update)
        report = make_report(options, benchmark, results, machine)
        write_report(folder, report)
        sign = 1 if benchmark.mode == "max" else -1
        best = max(results, key=lambda result: sign * result["valid"])
        exported = Path(options.export or folder / "best.ckpt")
        _export(exported, seed_folder(folder, best["seed"]) / "best.pt", options, benchmark)
        _print(console, report)
        console.say(f"Results: {folder}/report.md, {folder}/report.json; best model: {exported}")
    return 0


def _claim(folder: Path, plain: dict[str, Any]) -> None:
    """Write the configuration, unless the folder holds a run of another one."""
    kept = {
        "data": {key: plain["data"][key] for key in ("name", "pre_transform")},
        "model": plain["model"],
        "training": plain["training"],
    }
    claim_folder(folder, kept, make_parser(), _OUTSIDE, "--output or --name")


def _export(path: Path, weights: Path, options: Options, benchmark: Benchmark) -> None:
    """Write a checkpoint that ``plstm-graph predict`` can use."""
    # The benchmark is no table of SMILES; its name stands where `test` would look for one.
    transform = options.plain["data"]["pre_transform"] or _BOTH_DIRECTIONS
    data = {"path": benchmark.name, "smiles_column": "smiles", "pre_transform": transform}
    model = {"model": options.plain["model"], "task": benchmark.task}
    checkpoint = {
        KEY: make_recipe(model, data, benchmark.target_names),
        "state_dict": load_tensors(weights, f"remove the folder {weights.parent} to train it anew"),
    }
    replace_file(path, lambda unfinished: torch.save(checkpoint, unfinished))


def _print(console: Console, report: dict[str, Any]) -> None:
    table = Table()
    for name in ("seed", f"validation {report['metric']}", f"test {report['metric']}", "best epoch", "seconds"):
        table.add_column(name, justify="right")
    cells = rows_of_columns([[row["valid"], row["test"]] for row in report["seeds"]])
    for row, texts in zip(report["seeds"], cells, strict=True):
        table.add_row(str(row["seed"]), *texts, str(row["best_epoch"]), f"{row['seconds']:.0f}")
    both = [report[part] for part in ("validation", "test")]
    table.add_section()
    table.add_row("mean", *(shown(part["mean"]) for part in both))
    if len(report["seeds"]) > 1:
        table.add_row("std", *(shown(part["std"]) for part in both))
    console.print(table)
