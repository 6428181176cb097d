"""Reading a whole folder of DAGs, and everything that is wrong with it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from plstm_graph.datasets.dag_folder.assemble import Dags, assemble
from plstm_graph.datasets.dag_folder.columns import Column, ColumnFit, feature_columns
from plstm_graph.datasets.dag_folder.json_lines import NAMES, read_json_lines
from plstm_graph.datasets.dag_folder.problems import DAGFolderError, Problem, collected
from plstm_graph.datasets.dag_folder.spec import NAME, Kind, Spec, file_of
from plstm_graph.datasets.dag_folder.tables import Frame, read_frame
from plstm_graph.datasets.dag_folder.targets import PARTS, Targets, read_split, read_targets, split_table
from plstm_graph.datasets.dag_folder.unseen import Unseen, UnseenCount
from plstm_graph.datasets.text_files import decimal_hint
from plstm_graph.text import meant


@dataclass
class Folder:
    """A folder that has been read.

    Attributes:
        dags (Dags): Its graphs.
        targets (Targets): What is to be predicted.
        part (np.ndarray): Part of each row that is split, see :func:`~.targets.read_split`.
        columns (list[Column]): Features and how they are encoded.
        left_out (dict[str, str]): Columns ``table.name`` that are no features, and why.
        mixed (dict[str, str]): Columns ``table.name`` that are taken for categories, though most values are numbers.
        unseen (dict[str, Unseen]): Words of columns ``table.name`` that the training part does not have.
        problems (list[Problem]): Everything that is wrong. The other attributes are only good without any.
    """

    dags: Dags
    targets: Targets
    part: np.ndarray
    columns: list[Column] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    mixed: dict[str, str] = field(default_factory=dict)
    unseen: dict[str, Unseen] = field(default_factory=dict)

    @property
    def problems(self) -> list[Problem]:
        """Everything that is wrong."""
        return self.dags.problems


def json_file(folder: Path, spec: Spec) -> Path | None:
    """The file of JSON lines, if the folder has its graphs in one.

    Raises:
        DAGFolderError: If there are neither tables nor JSON lines.
    """
    if spec.json is not None:
        path = file_of(folder, spec.json, "json")
        if path is None:
            raise DAGFolderError([Problem("dag.yaml", None, None, f"json is {spec.json!r}, but there is no such file")])
        return path
    if spec.find(folder, "edges") is not None:
        return None
    for name in NAMES:
        path = file_of(folder, name, name)
        if path is not None:
            return path
    there = ", ".join(sorted(path.name for path in folder.iterdir()))
    message = f"neither edges.csv (or .csv.gz, .parquet) nor {NAMES[0]} is there; the folder has {there}"
    raise DAGFolderError([Problem("dag.yaml", None, None, message)])


def files_of(folder: Path, spec: Spec) -> list[Path]:
    """The files that a folder's graphs are made of; what else lies there does not matter.

    Args:
        folder: The folder.
        spec: Its ``dag.yaml``.

    Raises:
        DAGFolderError: If there are neither tables nor JSON lines.
    """
    path = json_file(folder, spec)
    tables = [path] if path is not None else [spec.find(folder, name) for name in ("graphs", "nodes", "edges")]
    return [folder / NAME, *(table for table in tables if table is not None)]


def read_folder(folder: Path, spec: Spec) -> Folder:
    """Read tables, graphs, targets, split and kinds of features.

    Args:
        folder: The folder.
        spec: Its ``dag.yaml``.

    Returns:
        The folder with its problems, as many as could be found.

    Raises:
        DAGFolderError: If tables, columns or files are missing or unreadable, so that nothing more can be said.
        ImportError: If a table is a Parquet file and pyarrow is not installed.
    """
    return read_content(read_frames(folder, spec), spec)


def read_content(frames: dict[str, Frame], spec: Spec) -> Folder:
    """Read graphs, targets, split and kinds of features of tables; see :func:`read_folder`.

    Args:
        frames: Tables by name.
        spec: What ``dag.yaml`` says of them.

    Raises:
        DAGFolderError: If columns are missing, so that nothing more can be said.
    """
    dags = assemble(frames, spec)
    check_graphs(dags)
    problems: list[Problem] = []
    result = Folder(dags, Targets(np.zeros((0, 0)), []), np.zeros(0, dtype=np.int64))
    problems += _unknown_missing(frames, spec)
    with collected(problems):
        result.targets = read_targets(dags)
    with collected(problems):
        result.part = np.zeros(len(dags.graph_of(split_table(dags))), dtype=np.int64)  # to go on looking without one
        result.part = read_split(dags)
    with collected(problems):
        fit = FeatureFit(spec)
        fit.update(dags, result.part)
        result.columns, result.left_out = fit.finish()
        result.mixed = fit.mixed
        result.unseen = count_unseen(result.columns, [(dags, result.part)])
    dags.problems += problems
    return result


def _unknown_missing(frames: dict[str, Frame], spec: Spec) -> Iterator[Problem]:
    """Columns with words for no value that no table has."""
    columns = [(name, str(column)) for name, frame in frames.items() for column in frame.values.columns]
    known = [*(column for _, column in columns), *(f"{name}.{column}" for name, column in columns)]
    for column in spec.missing_of:
        if column not in known:
            yield Problem(NAME, None, None, f"missing has {column!r}, which is no column{meant(column, known)}")


def count_unseen(columns: Sequence[Column], pieces: Iterable[tuple[Dags, np.ndarray]]) -> dict[str, Unseen]:
    """Words of the validation and the test part that the training part does not have.

    Args:
        columns: Features.
        pieces: Graphs, and the part of each row that is split.
    """
    count = UnseenCount(columns, PARTS)
    for dags, part in pieces:
        count.update(dags, {name: part_of_rows(dags, part, name) for name in dags.frames})
    return count.found


def check_graphs(dags: Dags) -> None:
    """Note graphs without nodes, and folders without graphs."""
    if dags.num_graphs == 0:
        dags.problems.append(Problem(next(iter(dags.frames.values())).file, None, None, "there is no graph"))
    empty = np.flatnonzero(np.bincount(dags.node_graph, minlength=dags.num_graphs) == 0)
    if len(empty) and "graphs" in dags.frames:
        dags.report("graphs", empty, lambda graph: "the graph has no nodes")


def part_of_rows(dags: Dags, part: np.ndarray, name: str) -> np.ndarray:
    """Number of the part that each row of a table belongs to, ``[n]``; that of training where it is not split."""
    split = split_table(dags)
    if split == "graphs":
        return part[dags.graph_of(name)]
    return part if name == split else np.zeros(len(dags.graph_of(name)), dtype=np.int64)


class FeatureFit:
    """Learns how features are encoded, from one piece of a folder after the other.

    Args:
        spec: Of the folder.

    Attributes:
        mixed (dict[str, str]): Columns ``table.name`` that are taken for categories, though most values are numbers.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.mixed: dict[str, str] = {}
        self._fits: dict[str, dict[str, ColumnFit]] = {}

    def update(self, dags: Dags, part: np.ndarray) -> None:
        """Take in some graphs; cells that are no numbers where numbers must be are noted in ``dags.problems``."""
        kinds_of: dict[str, dict[str, Kind | None]] = {}
        problems: list[Problem] = []
        for table in ("graphs", "nodes", "edges"):
            with collected(problems):
                kinds_of[table] = feature_columns(dags, table)
        if problems:
            raise DAGFolderError(problems)
        for table, kinds in kinds_of.items():
            fits = self._fits.setdefault(table, {})
            train = part_of_rows(dags, part, table) == 0 if kinds else None
            for name, kind in kinds.items():
                if name not in fits:
                    fits[name] = ColumnFit(table, name, kind)
                cells = dags.column(table, name, "a feature")
                assert train is not None
                wrong = fits[name].update(cells, train)
                if kind is None:
                    fits[name].note(dags, wrong)
                else:
                    report_wrong_numbers(dags, table, name, wrong)

    def finish(self) -> tuple[list[Column], dict[str, str]]:
        """The columns that are features; and the others, with the reason.

        Raises:
            DAGFolderError: If nearly all values of a column of unknown kind are numbers, and some are not.
        """
        columns, left_out = [], {}
        mistakes: list[Problem] = []
        for table, fits in self._fits.items():
            for name, fit in fits.items():
                mistakes += fit.mistakes(list(fits))
                if fit.mixture:
                    self.mixed[f"{table}.{name}"] = fit.mixture
                result = fit.finish()
                if isinstance(result, Column):
                    columns.append(result)
                else:
                    left_out[f"{table}.{name}"] = result
        if mistakes:
            raise DAGFolderError(mistakes)
        return columns, left_out


def report_wrong_numbers(dags: Dags, table: str, name: str, wrong: np.ndarray) -> None:
    """Note cells of a feature that are no finite numbers, ``wrong`` their items."""
    cells = dags.frames[table].values[name].iloc[dags.rows[table]]
    dags.report(
        table,
        wrong,
        lambda item: (
            f"feature {name!r} is {cells.iloc[item]!r}, expected a finite number{decimal_hint(cells.iloc[item])}"
        ),
    )


def read_frames(folder: Path, spec: Spec) -> dict[str, Frame]:
    """The tables of a folder by name, from files of tables or of JSON lines.

    Raises:
        DAGFolderError: If there are neither, or files are unreadable.
        ImportError: If a table is a Parquet file and pyarrow is not installed.
    """
    path = json_file(folder, spec)
    if path is not None:
        return next(iter(read_json_lines(path, spec)))
    frames, problems = {}, []
    for name in ("graphs", "nodes", "edges"):
        file = spec.find(folder, name)
        if file is None:
            continue
        try:
            frames[name] = read_frame(file, spec.missing_words(name))
        except DAGFolderError as error:
            problems += error.problems
    if problems:
        raise DAGFolderError(problems)
    return frames
