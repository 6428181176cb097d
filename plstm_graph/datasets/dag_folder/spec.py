"""``dag.yaml``: what a folder of DAGs says about its tables."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from plstm_graph.datasets.dag_folder.missing import MissingWords
from plstm_graph.datasets.dag_folder.problems import DAGFolderError, Problem
from plstm_graph.datasets.folds import check_fold
from plstm_graph.datasets.storage.plain_values import as_dataclass

Task = Literal["regression", "classification", "multilabel"]
Level = Literal["graph", "node", "edge"]
Kind = Literal["number", "raw", "category"]

NAME = "dag.yaml"
_SUFFIXES = (".csv", ".csv.gz", ".parquet")


@dataclass
class TableSpec:
    """Where a table lies and what its columns are.

    Attributes:
        file: Its name in the folder. (default: the table's name with ``.csv``, ``.csv.gz`` or ``.parquet``)
        graph: Column with the identifier of the graph.
        id: Column with the identifier of the node; in the table of nodes only.
        source: Column with the node that an edge leaves; in the table of edges only.
        target: Column with the node that an edge enters; in the table of edges only.
        features: Columns that enter the model, with their kinds: ``"number"``, which is standardised, ``"raw"``, a
            number in its own unit, or ``"category"``. None, or a list, leaves the kinds to the values: numbers or
            categories. (default: every column that has no other part)
    """

    file: str | None = None
    graph: str = "graph"
    id: str = "node"
    source: str = "source"
    target: str = "target"
    features: dict[str, Kind | None] | None = None


@dataclass
class SplitSpec:
    """Which rows train, validate and test.

    Attributes:
        column: Column of the table of graphs (or of the targets) with ``train``, ``valid``, ``test``, or ``none`` for
            what is in no part; None for a split by chance. What follows comes before it.
        group: Column of that table; what has the same word there is never in two parts.
        stratified: Whether every part has the same share of each class of the only target, or of each tenth of its
            range; for targets of what is split.
        fractions: Sizes of the parts.
        num_folds: Number of folds of a cross-validation, in place of fractions; 0 for none.
        fold: Which of them is tested; the next one validates.
        seed: Of a split by chance.
    """

    column: str | None = None
    group: str | None = None
    stratified: bool = False
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    num_folds: int = 0
    fold: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_folds:
            check_fold(self.fold, self.num_folds)
        if self.fold and not self.num_folds:
            raise _error(f"split.fold {self.fold} is one of how many? num_folds says so")

    @property
    def is_drawn(self) -> bool:
        """Whether parts are drawn by chance, whatever the column says."""
        return self.column is None or self.group is not None or self.stratified or self.num_folds > 0


@dataclass
class Spec:
    """A whole ``dag.yaml``.

    Attributes:
        targets: Columns to predict.
        task: ``"regression"``; ``"classification"`` of one column with any number of classes; ``"multilabel"``,
            columns of 0 and 1.
        level: Table that the targets stand in: ``"graph"``, ``"node"`` or ``"edge"``.
        split: Training, validation and test part.
        missing: Words in a cell that say that there is no value, beside the empty cell.
        missing_of: Those of single columns, by ``column`` or ``table.column``, in place of the words of all.
        json: File of JSON lines that holds everything, instead of tables.
    """

    targets: list[str] = field(default_factory=list)
    task: Task = "regression"
    level: Level = "graph"
    split: SplitSpec = field(default_factory=SplitSpec)
    missing: list[str] = field(default_factory=lambda: ["NA", "NaN", "nan", "null"])
    missing_of: dict[str, list[str]] = field(default_factory=dict)
    json: str | None = None
    edges: TableSpec = field(default_factory=TableSpec)
    nodes: TableSpec = field(default_factory=TableSpec)
    graphs: TableSpec = field(default_factory=TableSpec)

    def table(self, name: str) -> TableSpec:
        """Of ``"edges"``, ``"nodes"`` or ``"graphs"``."""
        return getattr(self, name)

    def missing_words(self, table: str) -> MissingWords:
        """Words that stand for no value in the columns of a table."""
        return MissingWords(table, self.missing, self.missing_of)

    @classmethod
    def of_plain(cls, values: dict[str, Any]) -> "Spec":
        """From plain values, as :func:`dataclasses.asdict` makes them."""
        return as_dataclass(cls, values)

    @property
    def target_table(self) -> str:
        """Name of the table with the targets."""
        return f"{self.level}s"

    def find(self, folder: Path, name: str) -> Path | None:
        """The file of a table; None if there is none and the folder can do without.

        Raises:
            DAGFolderError: If a named file is not there, or two could be meant.
        """
        given = self.table(name).file
        if given is not None:
            path = file_of(folder, given, f"{name}.file")
            if path is None:
                there = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
                raise _error(f"{name}.file is {given!r}, but the folder has {there}")
            return path
        names = [f"{name}{suffix}" for suffix in _SUFFIXES]
        found = [path for each in names if (path := file_of(folder, each, name)) is not None]
        if len(found) > 1:
            raise _error(
                f"the folder has {' and '.join(path.name for path in found)}: say which one by {name}: {{file: ...}}"
            )
        return found[0] if found else None


def file_of(folder: Path, name: str, key: str) -> Path | None:
    """A file of a folder; None if there is none of that name.

    Whoever wrote ``dag.yaml`` may not be whoever reads it, so it names files of its own folder only.

    Args:
        folder: The folder.
        name: Of the file, perhaps in a folder within.
        key: What names it, for the message.

    Raises:
        DAGFolderError: If it lies elsewhere.
    """
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise _error(f"{key} is {name!r}, which leads out of the folder; it may name files of the folder")
    if not path.is_file():
        return None
    if not path.resolve().is_relative_to(folder.resolve()):
        raise _error(
            f"{name} is a link to {path.resolve()}, outside of the folder: copy the file, or link the folder as a whole"
        )
    return path


def _error(message: str) -> DAGFolderError:
    return DAGFolderError([Problem(NAME, None, None, message)])
