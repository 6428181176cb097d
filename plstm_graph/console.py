"""The one way to print: nothing in a text is markup, and no text steers the terminal."""

import sys
from typing import IO, Any

import rich.console
from rich.progress import ProgressColumn, Task
from rich.text import Text

from plstm_graph.text import visible


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
