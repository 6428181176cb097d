"""The one way to print: nothing in a text is markup, and no text steers the terminal."""

import io
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any

import rich.console
from rich.cells import cell_len
from rich.progress import ProgressColumn, Task
from rich.table import Table
from rich.text import Text

from plstm_graph.text import visible

_LABEL = 12  # columns that the first column gets at least, where there is not room for all
_FRAME = 3  # columns that a cell takes beside its text


class Console(rich.console.Console):
    """Rich's console for texts of files and users: ``[x]``, ``:smile:`` and escape sequences are shown as they stand.

    Everything that is printed through it, the cells and titles of its tables included, passes
    :func:`~plstm_graph.text.visible`.

    Args:
        stderr: Whether to write to stderr.
        file: Where to write instead.
        width: Columns. (default: those of the terminal)
    """

    def __init__(self, stderr: bool = False, file: IO[str] | None = None, width: int | None = None) -> None:
        super().__init__(stderr=stderr, file=file, width=width, markup=False, highlight=False, emoji=False)

    @property
    def is_watched(self) -> bool:
        """Whether a terminal shows what is written: colours may be forced elsewhere, as notebooks do, bars may not."""
        return self.is_terminal and self.file.isatty()

    def render_str(self, text: str, **options: Any) -> Text:
        """A text as rich prints it; each string, wherever it stands, comes through here."""
        return super().render_str(visible(text), **options)

    def say(self, text: object, style: str = "", heading: str = "") -> None:
        """Print a text that is not wrapped, so that paths can be copied and lines be counted.

        Args:
            text: Anything.
            style: Of all of it, such as ``"bold red"``.
            heading: Stands before it, in bold.
        """
        self.print(Text.assemble((visible(heading), "bold"), (visible(text), style)), soft_wrap=True)


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


def write_data(text: str) -> None:
    """Write a table that other programs may read to stdout.

    In UTF-8 whatever the locale says, and byte for byte, unless a person reads it: on a terminal nothing in it steers.

    Args:
        text: All of it.
    """
    buffer = None if sys.stdout.isatty() else getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(visible(text))
    else:
        sys.stdout.flush()
        buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.flush()


class FieldColumn(ProgressColumn):
    """A column of a progress bar with the description of each task, or with one of its fields, as it is.

    Args:
        field: Name of the field. (default: the description)
        text: Stands before it.
    """

    def __init__(self, field: str | None = None, text: str = "") -> None:
        super().__init__()
        self.field, self.text = field, text

    def render(self, task: Task) -> Text:
        """The cell of a task."""
        return Text(self.text + visible(task.description if self.field is None else task.fields[self.field]))
