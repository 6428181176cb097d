"""``dag.yaml``: what a folder of DAGs says about its tables."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from plstm_graph.datasets.dag_folder.problems import DAGFolderError, Problem
from plstm_graph.datasets.folds import check_fold
from plstm_graph.datasets.storage.plain_values import YamlError, as_dataclass, load_yaml

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


_TABLE_KEYS = {
    "edges": ("file", "graph", "source", "target", "features"),
    "nodes": ("file", "graph", "id", "features"),
    "graphs": ("file", "graph", "features"),
}


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
        _check(self.num_folds > 0 or self.fold == 0, f"split.fold {self.fold} is one of how many? num_folds says so")

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
        json: File of JSON lines that holds everything, instead of tables.
    """

    targets: list[str] = field(default_factory=list)
    task: Task = "regression"
    level: Level = "graph"
    split: SplitSpec = field(default_factory=SplitSpec)
    missing: list[str] = field(default_factory=lambda: ["NA", "NaN", "nan", "null"])
    json: str | None = None
    edges: TableSpec = field(default_factory=TableSpec)
    nodes: TableSpec = field(default_factory=TableSpec)
    graphs: TableSpec = field(default_factory=TableSpec)

    def table(self, name: str) -> TableSpec:
        """Of ``"edges"``, ``"nodes"`` or ``"graphs"``."""
        return getattr(self, name)

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


def read_spec(folder: Path) -> Spec:
    """Read ``dag.yaml``.

    Args:
        folder: The folder.

    Raises:
        FileNotFoundError: If there is no folder, or no ``dag.yaml`` in it.
        DAGFolderError: If it is no YAML, a key is unknown, or a value is of the wrong kind.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}, where DAGs are looked for")
    path = file_of(folder, NAME, NAME)
    if path is None:
        raise FileNotFoundError(
            f"{folder} has no {NAME}; the shortest one is a line `targets: [COLUMN]` (docs/custom_dags.md)"
        )
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except YamlError as error:
        raise DAGFolderError([Problem(NAME, error.line, None, f"no YAML: {error}")]) from error
    except UnicodeDecodeError as error:
        raise _error(f"not UTF-8 text: {error.reason}") from error
    return spec_of({} if content is None else content)


def spec_of(content: Any) -> Spec:
    """The specification of plain values, as ``dag.yaml`` has them.

    Raises:
        DAGFolderError: If a key is unknown, or a value is of the wrong kind.
    """
    values = _mapping(content, "the file", [each.name for each in fields(Spec)])
    for name, keys in _TABLE_KEYS.items():
        if name in values:
            table = _mapping(values[name], name, keys)
            if "features" in table:
                table["features"] = _features(table["features"], f"{name}.features")
            for key in set(table) - {"features"}:
                _check(isinstance(table[key], str), f"{name}.{key} must be a name, got {table[key]!r}")
            values[name] = TableSpec(**table)
    if "split" in values:
        values["split"] = _split(values["split"])
    if isinstance(values.get("targets"), str):
        values["targets"] = [values["targets"]]
    for name in ("targets", "missing"):
        if name in values:
            _check(_is_names(values[name]), f"{name} must be a list of names, got {values[name]!r}")
            repeated = [each for each in values[name] if values[name].count(each) > 1]
            _check(not repeated, f"{name} has {repeated[0] if repeated else None!r} more than once")
    _choice(values, "task", get_args(Task))
    _choice(values, "level", get_args(Level))
    _check(isinstance(values.get("json", ""), str), f"json must be the name of a file, got {values.get('json')!r}")
    spec = Spec(**values)
    _check(
        spec.task != "classification" or len(spec.targets) <= 1,
        f"classification has one target, got {', '.join(spec.targets)}; for columns of 0 and 1 say task: multilabel",
    )
    return spec


def _split(value: Any) -> SplitSpec:
    if isinstance(value, str):
        return SplitSpec() if value == "random" else SplitSpec(column=value)
    split = _mapping(value, "split", [each.name for each in fields(SplitSpec)])
    fractions = split.get("fractions", (0.8, 0.1, 0.1))
    numbers = isinstance(fractions, list | tuple) and all(isinstance(each, int | float) for each in fractions)
    _check(
        numbers and len(fractions) == 3 and min(fractions) > 0 and abs(sum(fractions) - 1) < 1e-6,
        f"split.fractions must be three positive numbers of sum 1, got {fractions!r}",
    )
    for name in ("seed", "num_folds", "fold"):
        number = split.get(name, 0)
        _check(isinstance(number, int) and number >= 0, f"split.{name} must be a whole number, got {number!r}")
    _check(
        isinstance(split.get("stratified", False), bool),
        f"split.stratified must be true or false, got {split.get('stratified')!r}",
    )
    for name in ("column", "group"):
        _check(
            isinstance(split.get(name), str | None),
            f"split.{name} must be the name of a column, got {split.get(name)!r}",
        )
    return SplitSpec(**split | {"fractions": tuple(fractions)})


def _features(value: Any, where: str) -> dict[str, Kind | None]:
    if isinstance(value, list):
        _check(_is_names(value), f"{where} must be a list of names, got {value!r}")
        return dict.fromkeys(value)
    _check(isinstance(value, Mapping), f"{where} must be a list of columns, or columns with their kinds, got {value!r}")
    for name, kind in value.items():
        _check(
            kind is None or kind in get_args(Kind),
            f"{where}.{name} must be number, raw or category, got {kind!r}; nothing leaves it to the values",
        )
    return {str(name): kind for name, kind in value.items()}


def _mapping(value: Any, where: str, allowed: Any) -> dict[str, Any]:
    _check(isinstance(value, Mapping), f"{where} must be keys with values, got {value!r}")
    for key in value:
        if key not in allowed:
            close = difflib.get_close_matches(str(key), allowed, n=1)
            hint = f", did you mean {close[0]!r}?" if close else f"; it may have {', '.join(allowed)}"
            raise _error(f"{where} has an unknown key {key!r}{hint}")
    return dict(value)


def _choice(values: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> None:
    if name in values:
        _check(values[name] in allowed, f"{name} must be one of {', '.join(allowed)}, got {values[name]!r}")


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise _error(message)


def _error(message: str) -> DAGFolderError:
    return DAGFolderError([Problem(NAME, None, None, message)])
