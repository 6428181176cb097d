"""``plstm-graph fit``: from a configuration to a trained model and its report."""

import math
from contextlib import ExitStack

from plstm_graph.console import Console
from plstm_graph.tasks.metrics import evaluate
from plstm_graph.train.fit.cli import FitCLI
from plstm_graph.train.fit.report import draw_run, print_metrics, write_results, write_test_predictions
from plstm_graph.train.fit.summary import print_summary
from plstm_graph.train.inference import load_module, predict
from plstm_graph.train.predict.table import measured_columns, prediction_columns
from plstm_graph.train.trainer_options import quiet


def fit(args: list[str]) -> None:
    """Train as the arguments say and report.

    Args:
        args: Arguments of ``plstm-graph fit``.

    Raises:
        KeyboardInterrupt: If it was stopped; it says how to go on.
    """
    quiet()
    with ExitStack() as stack:
        cli = FitCLI(args, stack)
        if cli.trainer.is_global_zero:
            print_summary(Console(), cli)
        _train(cli)
        if cli.trainer.is_global_zero and not cli.config.trainer.fast_dev_run:
            _report(cli)


def _train(cli: FitCLI) -> None:
    try:
        cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=cli.resume_from, weights_only=True)
    except SystemExit:  # which Lightning makes of Ctrl-C
        stop = cli.progress.stopped_by
        if stop is None:
            raise
        command = "The same command" if cli.goes_on else "The same command with --ckpt_path last"
        epoch = cli.trainer.current_epoch + 1
        raise type(stop)(f"It was in epoch {epoch}. {command} goes on from the last whole epoch.") from stop


def _report(cli: FitCLI) -> None:
    """Evaluate the best checkpoint and the baselines on the test split; print and write the results."""
    folder, data, console = cli.folder, cli.datamodule, Console()
    if not folder.best.is_file():
        raise ValueError("no epoch was trained, so there is nothing to report")
    best_epoch = _best_epoch(cli)
    module = load_module(folder.best).to(cli.trainer.strategy.root_device)
    task = module.task
    target, names = data.targets("test"), data.row_names("test")
    predictions = {type(module.model).__name__: predict(module, data.subset("test"))}
    if cli.config.baselines:
        predictions |= data.baselines(task)
    rows = {name: evaluate(predicted, target, task) for name, predicted in predictions.items()}
    predicted = next(iter(predictions.values()))
    title = f"{data.title}: {len(data.subset('test'))} test {data.unit}"
    results = {
        "test": rows,
        "valid": cli.history.rows[best_epoch - 1],
        "best_epoch": best_epoch,
        "selected_by": cli.model.monitor[0],
        "epochs": len(cli.history.rows),
        "seconds": sum(row["seconds"] for row in cli.history.rows),
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "targets": data.target_names,
        "config": "config.yaml",
    }
    measured = measured_columns(target, data.target_names, data.classes)
    columns = prediction_columns(predicted, task, data.target_names, data.classes)
    write_test_predictions(folder.path / "test_predictions.csv", names, measured, columns)
    draw_run(folder.path / "curves.png", cli.history.rows, best_epoch, predicted, target, data.output_names, task)
    write_results(folder.path, results, task, title)
    print_metrics(console, rows, task, title)
    console.say(f"Results: {folder.path}/results.md, {folder.path}/curves.png")


def _best_epoch(cli: FitCLI) -> int:
    """Number of the epoch that was kept, from 1: the first with the best value.

    Raises:
        FloatingPointError: If no epoch had a finite value.
    """
    monitor, mode = cli.model.monitor
    values = [row.get(monitor, math.nan) for row in cli.history.rows]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        raise FloatingPointError(
            f"{monitor} was {values[0]} in every epoch, so no epoch could be selected; the model diverged: a lower "
            f"lr may help (see {cli.folder.path / 'metrics.csv'})"
        )
    return values.index((min if mode == "min" else max)(finite)) + 1
