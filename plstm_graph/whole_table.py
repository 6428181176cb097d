"""Tables on a terminal or in a pipe of any width, in which no cell is cut."""

import io
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.table import Table

from plstm_graph.console import Console
from plstm_graph.text import visible

_LABEL = 12  # columns that the first column gets at least, where there is not room for all
_FRAME = 3  # columns that a cell takes beside its text


def print_table(
    console: Console,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str | None = None,
    caption: str | None = None,
) -> None:
    """Print a table. Where it is too wide, words of the first column continue in the next line, and the other columns
    are printed some at a time, each time beside the first one.

    Args:
        console: Where.
        header: Name of each column.
        rows: Cells; those beside the first column are short, such as numbers.
        title: A line above.
        caption: A line below.
    """
    cells = [[visible(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    pieces = list(_pieces(widths, console.width))
    for number, columns in enumerate(pieces):
        label = max(min(widths[0], console.width - 1 - _FRAME - _taken(widths, columns)), min(widths[0], _LABEL))
        table = Table(
            title=title if number == 0 else None, caption=caption if number == len(pieces) - 1 else None, min_width=0
        )
        table.add_column(header[0], width=label, overflow="fold")
        for column in columns:
            table.add_column(header[column], width=widths[column], no_wrap=True)
        for row in rows:
            table.add_row(row[0], *(row[column] for column in columns))
        needed = 1 + _FRAME + label + _taken(widths, columns)
        if needed <= console.width:
            console.print(table)
        else:  # narrower than a single number
            wide = Console(file=io.StringIO(), width=needed)
            wide.print(table)
            console.say(wide.file.getvalue().rstrip("\n"))  # type: ignore[attr-defined]


def _pieces(widths: Sequence[int], total: int) -> Iterator[list[int]]:
    """Numbers of the columns that have room beside the first one, piece by piece."""
    room = total - 1 - _FRAME - min(widths[0], _LABEL)
    piece: list[int] = []
    for column in range(1, len(widths)):
        if piece and _taken(widths, [*piece, column]) > room:
            yield piece
            piece = []
        piece.append(column)
    yield piece


def _taken(widths: Sequence[int], columns: Sequence[int]) -> int:
    return sum(widths[column] + _FRAME for column in columns)


def _width(text: str) -> int:
    return max(map(cell_len, text.split("\n")))
