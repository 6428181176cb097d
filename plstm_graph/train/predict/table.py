"""The table of predictions, and the numbers in it."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from plstm_graph.console import write_data
from plstm_graph.datasets.files import replace_file


def write_csv(header: Sequence[str], rows: Iterable[Sequence[str]], output: str | None) -> None:
    """Write a whole table, or nothing.

    Args:
        header: Names of the columns.
        rows: Their cells.
        output: The file. (default: stdout)
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    if output is None:
        write_data(text.getvalue())
    else:
        content = text.getvalue().encode("utf-8", "surrogateescape")
        replace_file(output, lambda path: Path(path).write_bytes(content))


def format_number(value: float) -> str:
    """A predicted number as a cell.

    Raises:
        ValueError: If it is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"the model predicts {value}; its weights are not usable")
    return f"{value:.6g}"
