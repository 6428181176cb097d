"""``plstm-graph clean DIR NEW``: a copy of a folder of DAGs without what stands in the way of its being sound."""

import csv
import shutil
from dataclasses import dataclass
from pathlib import Path

from plstm_graph.console import Console
from plstm_graph.datasets.dag_folder.cleaning import Cleaning, TimeRule, clean_frames, rows_of_items
from plstm_graph.datasets.dag_folder.folder import json_file, read_content, read_frames
from plstm_graph.datasets.dag_folder.kept_files import write_kept_lines, write_kept_rows
from plstm_graph.datasets.dag_folder.problems import DAGFolderError
from plstm_graph.datasets.dag_folder.spec import NAME, Spec
from plstm_graph.datasets.dag_folder.spec_file import read_spec
from plstm_graph.datasets.dag_folder.tables import Frame
from plstm_graph.datasets.storage.files import new_folder

#: Where the rows stand that were dropped.
DROPPED = "dropped.csv"
_SHOWN = 3  # rows of each reason


@dataclass
class Cleaned:
    """What was written.

    Attributes:
        cleaning (Cleaning): What was dropped.
        counts (dict[str, int]): Graphs, nodes and edges that there are now.
    """

    cleaning: Cleaning
    counts: dict[str, int]


def clean_folder(folder: str | Path, new: str | Path, time: TimeRule | None = None) -> Cleaned:
    """Write a copy of a folder that has only the rows that a sound one can have; ``dropped.csv`` lists all others.

    The folder itself stays as it is. Cells keep their text, and ``dag.yaml`` is the same.

    Args:
        folder: The folder, with its ``dag.yaml``.
        new: A folder that does not exist yet, or is empty.
        time: Which edges respect time. (default: none is looked at)

    Raises:
        FileNotFoundError: If there is no folder or no ``dag.yaml``.
        FileExistsError: If the new folder has something in it.
        ValueError: If it would lie in the old one.
        DAGFolderError: If a file cannot be read, or something is wrong that dropping rows does not mend, such as a
            target that is no number; it lists all of that.
        ImportError: If a table is a Parquet file and pyarrow is not installed.
    """
    folder, new = Path(folder).expanduser(), Path(new).expanduser()
    if new.exists() and (not new.is_dir() or any(new.iterdir())):
        raise FileExistsError(f"{new} is there already, and not empty; name a folder that does not exist yet")
    if new.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{new} lies in {folder}, in which nothing is written; name a folder beside it")
    try:
        spec = read_spec(folder)
        frames = read_frames(folder, spec)
        found = clean_frames(frames, spec, time)
        content = read_content({name: _kept(frame, found, name) for name, frame in frames.items()}, spec)
        if content.problems:
            raise DAGFolderError(content.problems)
    except DAGFolderError as error:
        raise DAGFolderError(error.problems, folder) from error
    dags = content.dags
    counts = {"graphs": dags.num_graphs, "nodes": len(dags.node_ids), "edges": dags.edge_index.shape[1]}
    with new_folder(new) as unfinished:
        shutil.copyfile(folder / NAME, unfinished / NAME)
        path = json_file(folder, spec)
        if path is not None:
            write_kept_lines(path, _place(path, folder, unfinished), found)
        else:
            for name in frames:
                path = spec.find(folder, name)
                assert path is not None
                write_kept_rows(path, _place(path, folder, unfinished), found.keep[name])
        _write_dropped(unfinished / DROPPED, found, spec)
    return Cleaned(found, counts)


def clean(folder: str, new: str, time: TimeRule | None = None, console: Console | None = None) -> int:
    """Run the command.

    Args:
        folder: The folder.
        new: The new one.
        time: Which edges respect time.
        console: Where to print.

    Returns:
        Exit status: 0, or 1 if something is wrong that dropping rows does not mend; what it is has been printed.
    """
    console = Console() if console is None else console
    try:
        result = clean_folder(folder, new, time)
    except DAGFolderError as error:
        for problem in error.problems:
            console.say(str(problem))
        count = len(error.problems)
        left = "does not mend this" if count == 1 else f"mends none of these {count}"
        console.say(f"{new} is not written: dropping rows {left}")
        return 1
    found, spec = result.cleaning, read_spec(Path(folder).expanduser())
    for note in found.notes:
        console.say(note)
    for name, keep in found.keep.items():
        if not keep.all():
            console.say(f"{len(keep) - int(keep.sum()):,} of {len(keep):,} rows of {name} are dropped:")
            _say_reasons(console, found, spec, name)
    counts = ", ".join(f"{count:,} {name[:-1] if count == 1 else name}" for name, count in result.counts.items())
    console.say(f"{new}: {counts}, no problems")
    if found.dropped:
        console.say(f"{Path(new) / DROPPED} lists every row that was dropped")
    else:
        console.say("nothing had to be dropped")
    return 0


def _say_reasons(console: Console, found: Cleaning, spec: Spec, table: str) -> None:
    dropped = [each for each in found.dropped if each.table == table]
    width = max(len(f"{len(each.rows):,}") for each in dropped)
    for each in dropped:
        console.say(f"  {len(each.rows):>{width},}  {each.reason}")
        some = each.rows[:_SHOWN]
        for row, (graph, item) in zip(some, rows_of_items(found, spec, table, some), strict=True):
            problem = found.frames[table].problem(int(row), item, graph or None)
            console.say(f"  {'':{width}}    {str(problem).removesuffix(': ')}")
        if len(each.rows) > _SHOWN:
            console.say(f"  {'':{width}}    ...")


def _kept(frame: Frame, found: Cleaning, name: str) -> Frame:
    """The rows that stay, which know their lines in the old file."""
    keep = found.keep[name]
    if keep.all():
        return frame
    return Frame(frame.file, frame.values[keep].reset_index(drop=True), None, frame.lines[keep])


def _place(path: Path, folder: Path, new: Path) -> Path:
    place = new / path.relative_to(folder)
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _write_dropped(path: Path, found: Cleaning, spec: Spec) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "line", "graph", "item", "reason"])
        for each in found.dropped:
            frame = found.frames[each.table]
            lines = frame.lines[each.rows].tolist()
            for line, (graph, item) in zip(lines, rows_of_items(found, spec, each.table, each.rows), strict=True):
                writer.writerow([frame.file, line, graph, item, each.reason])
