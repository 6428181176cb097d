"""Words of category columns that the training part does not have."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from plstm_graph.datasets.dag_folder.assemble import Dags
from plstm_graph.datasets.dag_folder.columns import Column

_EXAMPLES = 5


@dataclass
class Unseen:
    """Unseen words of a column.

    Attributes:
        rows (dict[str, int]): Number of rows that have one, by what the rows belong to.
        words (list[str]): Some of them.
    """

    rows: dict[str, int] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = ", ".join(
            f"{count:,} {'row' if count == 1 else 'rows'} of {part}" for part, count in self.rows.items()
        )
        more = ", ..." if len(self.words) == _EXAMPLES else ""
        return f"{counts} with words that training does not have: {', '.join(map(repr, self.words))}{more}"


class UnseenCount:
    """Counts unseen words, one piece of a folder after the other.

    Args:
        columns: Features; those that are categories are looked at.
        parts: Names of what rows may belong to.
    """

    def __init__(self, columns: Sequence[Column], parts: Sequence[str]) -> None:
        self.columns = [column for column in columns if column.kind == "category"]
        self.parts = parts
        self.found: dict[str, Unseen] = {}

    def update(self, dags: Dags, part_of: dict[str, np.ndarray]) -> None:
        """Take in some graphs.

        Args:
            dags: The graphs.
            part_of: For each table, the number of the part that each of its items belongs to, negative for none.
        """
        for column in self.columns:
            cells = dags.column(column.table, column.name, "a feature")
            part = part_of[column.table]
            unseen = (cells.notna() & ~cells.isin(column.words or [])).to_numpy() & (part >= 0)
            if not unseen.any():
                continue
            found = self.found.setdefault(f"{column.table}.{column.name}", Unseen())
            counts = np.bincount(part[unseen], minlength=len(self.parts)).tolist()
            for name, count in zip(self.parts, counts, strict=True):
                if count:
                    found.rows[name] = found.rows.get(name, 0) + count
            words = dict.fromkeys([*found.words, *map(str, cells[unseen].unique())])
            found.words = list(words)[:_EXAMPLES]
