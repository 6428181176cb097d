"""The split of a run, kept in its folder, so that another run can take the same one."""

from pathlib import Path

from plstm_graph.report.predictions import write_csv
from plstm_graph.tasks.task import Task


def keep_split(folder: Path, task: Task, fold: int | None) -> None:
    """Write ``split.csv``, or ``split_fold_N.csv`` of a fold, unless it is there, or the graphs have no rows.

    Args:
        folder: Of the run.
        task: Of the fold.
        fold: Its number; None where there are no folds.
    """
    path = folder / ("split.csv" if fold is None else f"split_fold_{fold}.csv")
    table = None if task.labelled is None or path.exists() else task.labelled.split_table()
    if table is not None:
        write_csv(*table, str(path))
