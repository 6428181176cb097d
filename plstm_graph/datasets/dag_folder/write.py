"""Writing folders of DAGs: rows of graphs, nodes and edges as files that pass ``plstm-graph check``."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from plstm_graph.datasets.dag_folder.attributes import Attributes, Cell
from plstm_graph.datasets.dag_folder.check import check_folder
from plstm_graph.datasets.dag_folder.problems import DAGFolderError
from plstm_graph.datasets.dag_folder.spec import NAME, Kind, Level, Task
from plstm_graph.datasets.dag_folder.spec_file import spec_of
from plstm_graph.datasets.storage.files import new_folder

# Columns of structure, as dag.yaml calls them and as they are called if no attribute has that name.
_KEYS = {
    "graphs": {"graph": "graph"},
    "nodes": {"graph": "graph", "id": "node"},
    "edges": {"graph": "graph", "source": "source", "target": "target"},
}


@dataclass
class Rows:
    """Rows of one table.

    Attributes:
        keys (list): Identifiers of each row: its graph, and its node or the two ends of the edge.
        cells (list): Its other columns.
        attributes (Attributes): What these columns hold.
    """

    keys: list[tuple[str, ...]] = field(default_factory=list)
    cells: list[dict[str, Cell]] = field(default_factory=list)
    attributes: Attributes = field(default_factory=Attributes)

    def add(self, keys: tuple[str, ...], values: Mapping[Any, Any], where: str) -> None:
        """Add a row.

        Args:
            keys: Its identifiers.
            values: Its attributes.
            where: What it is, for messages.
        """
        self.keys.append(keys)
        self.cells.append(self.attributes.cells(values, where))


@dataclass
class Tables:
    """What a folder is made of.

    Attributes:
        graphs (Rows): A row for each graph.
        nodes (Rows): A row for each node.
        edges (Rows): A row for each edge.
        kinds (dict): Kinds of columns ``(table, column)`` that their values do not tell.
        kept (set): Columns ``(table, column)`` that are written, but are no features.
    """

    graphs: Rows = field(default_factory=Rows)
    nodes: Rows = field(default_factory=Rows)
    edges: Rows = field(default_factory=Rows)
    kinds: dict[tuple[str, str], Kind] = field(default_factory=dict)
    kept: set[tuple[str, str]] = field(default_factory=set)


def write_tables(
    folder: str | Path, tables: Tables, task: Task, level: Level, targets: Sequence[str], split: str | None
) -> None:
    """Write a folder, all of it or nothing.

    Attributes keep their names. Columns of structure give way: where edges have an attribute ``source``, the column
    of their starts is called ``source_id``, and ``dag.yaml`` says so.

    Args:
        folder: A folder that does not exist yet, or is empty.
        tables: What to write.
        task: Of the targets.
        level: What has them.
        targets: Attributes to predict; a vector stands for all its places.
        split: Column with the split. (default: a random one)

    Raises:
        FileExistsError: If the folder has something in it.
        DAGFolderError: If it would not pass the checks.
    """
    folder = Path(folder).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there already, and not empty")
    parts = getattr(tables, f"{level}s").attributes.parts
    targets = [column for name in targets for column in parts(name) or [name]]
    content: dict[str, Any] = {"task": task, "level": level, "targets": targets}
    content |= {} if split is None else {"split": {"column": split}}
    content["missing"] = []  # an empty cell says so here; "NA" and "nan" are words like others
    files = {}
    for name in _KEYS:
        rows: Rows = getattr(tables, name)
        columns = list(rows.attributes.columns)
        keys = _free_names(_KEYS[name], columns)
        section: dict[str, Any] = {key: column for key, column in keys.items() if column != _KEYS[name][key]}
        if name != "graphs":
            taken = {split} | (set(targets) if name == f"{level}s" else set())
            section["features"] = {
                column: tables.kinds.get((name, column)) or rows.attributes.kind(column)
                for column in columns
                if column not in taken and (name, column) not in tables.kept
            }
        content |= {name: section} if section else {}
        files[f"{name}.csv"] = [*keys.values(), *columns], rows
    spec_of(content)
    with new_folder(folder) as unfinished:
        for file, (header, rows) in files.items():
            _write_csv(unfinished / file, header, rows)
        (unfinished / NAME).write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
        try:
            check_folder(unfinished)
        except DAGFolderError as error:
            raise DAGFolderError(error.problems, f"{folder}, not written") from error


def free_name(name: str, taken: Sequence[str]) -> str:
    """A name for a column beside others: that one, or with ``_id`` added until it is free."""
    while name in taken:
        name += "_id"
    return name


def _free_names(keys: Mapping[str, str], columns: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, name in keys.items():
        found[key] = free_name(name, [*columns, *found.values()])
    return found


def _write_csv(path: Path, header: Sequence[str], rows: Rows) -> None:
    columns = header[len(header) - len(rows.attributes.columns) :]
    records = [[*keys, *map(cells.get, columns)] for keys, cells in zip(rows.keys, rows.cells, strict=True)]
    # A reader strips spaces before a cell that is not quoted.
    spaced = any(isinstance(cell, str) and cell[:1].isspace() for record in records for cell in record)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL if spaced else csv.QUOTE_MINIMAL, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(records)
