"""Words of category columns that the training part does not have."""

from collections import Counter
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
        words (dict[str, int]): The most frequent of them, and in how many rows each stands.
        others (int): Number of the other ones.
    """

    rows: dict[str, int] = field(default_factory=dict)
    words: dict[str, int] = field(default_factory=dict)
    others: int = 0

    def __str__(self) -> str:
        counts = ", ".join(
            f"{count:,} {'row' if count == 1 else 'rows'} of {part}" for part, count in self.rows.items()
        )
        words = ", ".join(f"{word!r} ({count:,})" for word, count in self.words.items())
        more = f" and {self.others:,} others" if self.others else ""
        return f"{counts} with words that training does not have: {words}{more}"


class UnseenCount:
    """Counts unseen words, one piece of a folder after the other.

    Args:
        columns: Features; those that are categories are looked at.
        parts: Names of what rows may belong to.
    """

    def __init__(self, columns: Sequence[Column], parts: Sequence[str]) -> None:
        self.columns = [column for column in columns if column.kind == "category"]
        self.parts = parts
        self._rows: dict[str, Counter[str]] = {}
        self._words: dict[str, Counter[str]] = {}

    @property
    def found(self) -> dict[str, Unseen]:
        """What there is so far, by ``table.column``; the most frequent words first."""
        found = {}
        for name, words in self._words.items():
            ordered = sorted(words.items(), key=lambda item: (-item[1], item[0]))
            some = dict(ordered[:_EXAMPLES])
            rows = {part: self._rows[name][part] for part in self.parts if self._rows[name][part]}
            found[name] = Unseen(rows, some, len(words) - len(some))
        return found

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
            name = f"{column.table}.{column.name}"
            counts = np.bincount(part[unseen], minlength=len(self.parts)).tolist()
            self._rows.setdefault(name, Counter()).update(dict(zip(self.parts, counts, strict=True)))
            self._words.setdefault(name, Counter()).update(cells[unseen].astype(str).value_counts().to_dict())
