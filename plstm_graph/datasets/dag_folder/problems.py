"""What can be wrong with a folder of DAGs, and where."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

_SHOWN = 20


class Problem(NamedTuple):
    """Something wrong with a folder.

    Attributes:
        file: Name of the file in the folder.
        line: Line of the file, the first is 1; in a Parquet file the row, the first is 1; None for the whole file.
        graph: Identifier of the graph, if there is one.
        message: What is wrong, and what was expected.
    """

    file: str
    line: int | None
    graph: str | None
    message: str

    def __str__(self) -> str:
        unit = "row" if self.file.endswith(".parquet") else "line"
        line = "" if self.line is None else f", {unit} {self.line}"
        graph = "" if self.graph is None else f", graph {self.graph}"
        # A problem is a line of its own, whatever names it repeats.
        return f"{self.file}{line}{graph}: {self.message}".replace("\n", "\\n")


@contextmanager
def collected(problems: list[Problem]) -> Iterator[None]:
    """Add what is wrong to a list, so that the next thing is looked at, too.

    Args:
        problems: The list.
    """
    try:
        yield
    except DAGFolderError as error:
        problems += error.problems


class DAGFolderError(ValueError):
    """A folder of DAGs that cannot be used.

    Attributes:
        problems (list[Problem]): Everything that was found to be wrong with it.
    """

    def __init__(self, problems: Sequence[Problem], folder: object = None) -> None:
        self.problems = list(problems)
        where = "" if folder is None else f"{folder}: "
        if len(self.problems) == 1:
            super().__init__(f"{where}{self.problems[0]}")
            return
        lines = [str(problem) for problem in self.problems[:_SHOWN]]
        if len(self.problems) > _SHOWN:
            lines.append(f"and {len(self.problems) - _SHOWN} more")
        super().__init__(f"{where}{len(self.problems)} problems\n  " + "\n  ".join(lines))
