"""What is wrong with the data and models of a command at first sight, before anything that is slow to import."""

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plstm_graph.datasets.molecules.split_kinds import KINDS
from plstm_graph.datasets.table import Table
from plstm_graph.text import meant

_SMALL = 5_000_000  # bytes of a table that is read in a moment
#: Models whose layers divide their channels among heads, with what these are where nothing is said.
_HEADS = {f"plstm_graph.nn.{name}": {"hidden_channels": 64, "heads": 4} for name in ("PLSTM", "MakespanPLSTM")}
# Options that name further files.
_FILES = ("valid_path", "test_path", "split_file")
# Options that name a column of the table.
_COLUMNS = ("group_column", "time_column", "weight_column")


def look_at_data(task: dict[str, Any]) -> None:
    """Look for the file or folder of a task of one's own, and into a table of molecules for columns and rows.

    All else that may be wrong shows when the data are loaded.

    Args:
        task: The section of the configuration. A target column that was named without a list becomes a list.

    Raises:
        OSError: If there is no such file.
        ValueError: If it is of the other kind, lacks a column, or has fewer rows than folds.
    """
    name, path, targets = task.get("name"), task.get("path"), task.get("target_columns")
    if name == "molecules" and isinstance(targets, str | int):
        task["target_columns"] = [targets]
    if name not in ("molecules", "dag_folder") or not isinstance(path, str) or not path:
        return
    _check_there(name, path)
    for option in _FILES if name == "molecules" else ():
        if isinstance(task.get(option), str):
            _check_there(name, task[option])
    if name == "molecules":
        content, is_whole = _beginning(Path(path).expanduser())
        if content:
            _look_into(task, path, content, is_whole)


def _beginning(place: Path) -> tuple[bytes, bool]:
    """What of a table is read in a moment, and whether that is all: whole lines of a large one; nothing where it cannot
    be told where lines end, as of a large one that is compressed or has quotes."""
    with place.open("rb") as file:
        content = file.read(_SMALL + 1)
    if len(content) <= _SMALL:
        return content, True
    if place.suffix == ".gz" or b'"' in content:
        return b"", False
    return content[: content.rfind(b"\n") + 1], False


def _check_there(name: str, path: str) -> None:
    """Check that a table is a file, and a folder of DAGs is a folder."""
    place = Path(path).expanduser()
    if not place.exists():
        there = [str(each) for each in place.parent.iterdir()] if place.parent.is_dir() else []
        near = meant(str(place), there)
        raise FileNotFoundError(errno.ENOENT, f"No such file or directory{near}", path)
    if name == "molecules" and place.is_dir():
        what = "of DAGs: --config configs/dag.yaml" if (place / "dag.yaml").is_file() else "without a dag.yaml"
        raise ValueError(f"{path}: Is a directory, {what}; the task molecules takes a table, such as my_molecules.csv")
    if name == "dag_folder" and not place.is_dir():
        raise ValueError(
            f"{path} is a file, and the task dag_folder takes a folder with a dag.yaml; for a table of molecules give "
            f"--config configs/chembl.yaml --task.path {path}"
        )


def _look_into(task: dict[str, Any], path: str, content: bytes, is_whole: bool) -> None:
    """Look for the columns of a table, and count its rows if they are all there."""
    from plstm_graph.datasets.molecules.smiles_column import find_target_columns, parse_molecule_table

    smiles, targets = task.get("smiles_column"), task.get("target_columns")
    several = smiles if isinstance(smiles, list) else [smiles]
    first = several[0] if several else None
    given = first if isinstance(first, str | int) else None
    table, _, found = parse_molecule_table(content, Path(path).expanduser(), given)
    used = [name for option in _COLUMNS if isinstance(name := task.get(option), str)]
    descriptors = task.get("descriptor_columns")
    more = [*several[1:], *(descriptors if isinstance(descriptors, list) else [descriptors])]
    used += [name for name in more if isinstance(name, str)]
    for name in used:
        table.position(name)
    if isinstance(task.get("split"), str) and task["split"] not in KINDS:
        used.append(task["split"])
    if isinstance(targets, list) and len(targets) == 1 and isinstance(targets[0], str):
        task["target_columns"] = targets = _names(targets[0], table)
    if targets is None or (isinstance(targets, list) and all(isinstance(name, str | int) for name in targets)):
        weights = task.get("weight_column")
        find_target_columns(table, found, targets, (weights,) if isinstance(weights, str) else (), used)
    _check_split(task, table)
    folds = task.get("num_folds")
    if (
        is_whole
        and isinstance(folds, int)
        and folds > len(table)
        and not task.get("repeats")
        and not task.get("split_file")
    ):
        raise ValueError(f"{folds} folds need as many rows, and {path} has {len(table)}")


def _names(text: str, table: Table) -> list[str]:
    """Names of columns in a text: one, or several with commas between them."""
    return [text] if text in table.columns or "," not in text else [name.strip() for name in text.split(",")]


def _check_split(task: Mapping[str, Any], table: Table) -> None:
    """Check that a split is of a kind that there is, or a column of the table."""
    split = task.get("split")
    if isinstance(split, str) and split not in KINDS and split not in table.columns:
        near = meant(split, [*KINDS, *table.columns])
        raise ValueError(
            f"split {split!r} is none of {', '.join(KINDS)}{near}, nor is there a column {split!r} in {table.path} "
            f"that says train, valid or test; its columns are {', '.join(table.columns)}"
        )


def look_at_models(models: Mapping[str, Any]) -> None:
    """Check that heads divide the channels of models.

    Raises:
        ValueError: If not; it names model and numbers.
    """
    for name, spec in models.items():
        if not isinstance(spec, Mapping) or spec.get("class_path") not in _HEADS:
            continue
        given = spec.get("init_args")
        sizes = _HEADS[spec["class_path"]] | dict(given if isinstance(given, Mapping) else {})
        channels, heads = sizes["hidden_channels"], sizes["heads"]
        are_whole = type(channels) is int and type(heads) is int and heads > 0
        if are_whole and "head_channels" not in sizes and channels % heads:
            raise ValueError(
                f"{name}: hidden_channels ({channels}) must be divisible by heads ({heads}), so that each head has as "
                "many"
            )
