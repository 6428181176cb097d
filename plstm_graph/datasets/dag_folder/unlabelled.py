"""Reading a folder of DAGs for predictions: as another one was read, without targets and split."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from torch_geometric.data import Data

from plstm_graph.datasets.dag_folder.assemble import Dags, assemble
from plstm_graph.datasets.dag_folder.columns import Column
from plstm_graph.datasets.dag_folder.encoding import Encoding, to_data
from plstm_graph.datasets.dag_folder.folder import check_graphs, read_frames, report_wrong_numbers
from plstm_graph.datasets.dag_folder.problems import DAGFolderError
from plstm_graph.datasets.dag_folder.spec import NAME, Spec
from plstm_graph.datasets.dag_folder.spec_file import read_spec
from plstm_graph.datasets.dag_folder.targets import to_numbers
from plstm_graph.datasets.dag_folder.unseen import UnseenCount

_SHOWN = 8  # categories in a message


@dataclass
class Unlabelled:
    """A folder that was read for predictions.

    Attributes:
        graphs (list[Data]): Its graphs, see :func:`~.encoding.to_data`, without ``y``.
        measured (dict[str, list[str]]): Cells of those target columns that the folder has, one for each row of
            predictions; empty where there is no value.
        cells (dict[str, list[str]]): Cells ``nodes.op`` of the features of nodes, in the order of all nodes.
        unseen (list[str]): Of each feature with words that the training part did not have, how many there are.
    """

    graphs: list[Data]
    measured: dict[str, list[str]]
    cells: dict[str, list[str]]
    unseen: list[str]


def read_unlabelled(folder: str | Path, spec: Spec, encoding: Encoding, allow_unknown: bool = False) -> Unlabelled:
    """Read a folder whose graphs are to be predicted.

    Args:
        folder: The folder. A ``dag.yaml`` of its own says what its files and columns are called.
        spec: Of the training, for a folder without ``dag.yaml``.
        encoding: Of the training.
        allow_unknown: Whether categories that the training part did not have are taken for missing ones.

    Raises:
        FileNotFoundError: If there is no such folder.
        DAGFolderError: If anything is wrong, in structure as ``plstm-graph check`` says it; if a feature is not there,
            is no number where numbers were, or a category that the training part did not have.
        ImportError: If a table is a Parquet file and pyarrow is not installed.
    """
    folder = Path(folder).expanduser()
    try:
        if (folder / NAME).is_file() or not folder.is_dir():
            spec = replace(read_spec(folder), level=encoding.level)
        dags = assemble(read_frames(folder, spec), spec)
        check_graphs(dags)
        _check_features(dags, encoding, allow_unknown)
        if dags.problems:
            raise DAGFolderError(dags.problems)
    except DAGFolderError as error:
        raise DAGFolderError(error.problems, folder) from error
    graphs = list(to_data(dags, None, None, encoding))
    measured = _present(dags, spec.target_table, encoding.target_names)
    words = _present(dags, "nodes", [column.name for column in encoding.of("nodes")])
    count = UnseenCount(encoding.columns, [str(folder)])
    count.update(dags, {name: np.zeros(len(dags.graph_of(name)), dtype=np.int64) for name in dags.frames})
    unseen = [f"{name}: {found}" for name, found in count.found.items()]
    return Unlabelled(graphs, measured, {f"nodes.{name}": cells for name, cells in words.items()}, unseen)


def _present(dags: Dags, table: str, names: Sequence[str]) -> dict[str, list[str]]:
    """Cells of those columns that a table has, as text."""
    columns = dags.frames[table].values.columns if table in dags.frames else ()
    return {
        name: dags.column(table, name, "a column").fillna("").astype(str).tolist() for name in names if name in columns
    }


def _check_features(dags: Dags, encoding: Encoding, allow_unknown: bool) -> None:
    """Note columns that the model needs and the folder does not have, and cells that it cannot know."""
    for column in encoding.columns:
        try:
            cells = dags.column(column.table, column.name, "a feature of the model")
        except DAGFolderError as error:
            dags.problems += error.problems
            continue
        if column.kind != "category":
            _check_numbers(dags, column, cells)
        elif not allow_unknown:
            _check_words(dags, column, cells)


def _check_numbers(dags: Dags, column: Column, cells: pd.Series) -> None:
    wrong = cells.notna().to_numpy() & ~np.isfinite(to_numbers(cells))
    report_wrong_numbers(dags, column.table, column.name, np.flatnonzero(wrong))


def _check_words(dags: Dags, column: Column, cells: pd.Series) -> None:
    words = column.words or []
    unknown = np.flatnonzero((cells.notna() & ~cells.isin(words)).to_numpy())
    known = ", ".join([*words[:_SHOWN], f"... ({len(words):,} in all)"] if len(words) > _SHOWN else words)

    def message(item: int) -> str:
        close = difflib.get_close_matches(str(cells[item]), words, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it knows {known}"
        return f"feature {column.name!r} is {cells[item]!r}, which the model was not trained on; {hint}"

    first = len(dags.problems)
    dags.report(column.table, unknown, message)
    if len(dags.problems) > first:  # Said once, and no problem of its own.
        hint = f"--allow_unknown takes unknown categories of {column.name!r} for missing ones"
        dags.problems[first] = dags.problems[first]._replace(message=f"{dags.problems[first].message}; {hint}")
