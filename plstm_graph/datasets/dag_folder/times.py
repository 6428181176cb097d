"""Times of nodes, as numbers or dates."""

import numpy as np
import pandas as pd

from plstm_graph.datasets.dag_folder.problems import DAGFolderError
from plstm_graph.datasets.dag_folder.tables import Frame
from plstm_graph.datasets.dag_folder.targets import to_numbers

_SHOWN = 10


def read_times(frame: Frame, name: str, among: np.ndarray) -> np.ndarray:
    """Times of a table's rows: numbers if all are, else dates such as ``2021-05-01`` or ``2021-05-01 12:30:00``.

    Args:
        frame: The table.
        name: Column with the times.
        among: Rows that must have good times, ``[R]`` bool; a row may have none.

    Returns:
        ``[R]``, float64, NaN where there is none; dates in seconds.

    Raises:
        DAGFolderError: If there is no such column, or a cell is neither a number nor a date.
    """
    cells = frame.column(name, "the times")
    present = cells.notna().to_numpy() & among
    times = to_numbers(cells)
    if not np.isfinite(times[present]).all():
        dates = pd.to_datetime(cells, errors="coerce", format="ISO8601", utc=True)
        seconds = (dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy()
        times = seconds if np.isnan(seconds[present]).sum() <= (~np.isfinite(times[present])).sum() else times
    wrong = np.flatnonzero(present & ~np.isfinite(times))
    if len(wrong):
        expected = "expected a number or a date such as 2021-05-01; a word for no time goes into `missing` of dag.yaml"
        shown = wrong[:_SHOWN].tolist()
        problems = [frame.problem(row, f"time {name!r} is {cells[row]!r}, {expected}") for row in shown]
        if len(wrong) > _SHOWN:
            more = f"and {len(wrong) - _SHOWN:,} more times like the last"
            problems.append(problems[-1]._replace(line=None, graph=None, message=more))
        raise DAGFolderError(problems)
    return times
