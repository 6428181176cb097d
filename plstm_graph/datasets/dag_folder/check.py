"""``plstm-graph check DIR``: is a folder of DAGs sound, and what is in it."""

from dataclasses import asdict
from pathlib import Path

from plstm_graph.console import Console, print_table
from plstm_graph.datasets.dag_folder.describe import Description, describe_folder
from plstm_graph.datasets.dag_folder.folder import read_folder
from plstm_graph.datasets.dag_folder.problems import DAGFolderError
from plstm_graph.datasets.dag_folder.spec_file import read_spec
from plstm_graph.datasets.dag_folder.target_tables import target_tables
from plstm_graph.datasets.storage.files import replace_json


def check_folder(folder: str | Path) -> Description:
    """Validate a folder of DAGs and describe it.

    Args:
        folder: The folder, with its ``dag.yaml``.

    Raises:
        FileNotFoundError: If there is no folder or no ``dag.yaml``.
        DAGFolderError: If anything is wrong; it lists everything that was found.
        ImportError: If a table is a Parquet file and pyarrow is not installed.
    """
    folder = Path(folder).expanduser()
    try:
        content = read_folder(folder, read_spec(folder))
    except DAGFolderError as error:
        raise DAGFolderError(error.problems, folder) from error
    if content.problems:
        raise DAGFolderError(content.problems, folder)
    return describe_folder(content)


def check(folder: str, output: str | None = None, console: Console | None = None) -> int:
    """Run the command.

    Args:
        folder: The folder.
        output: JSON file to write the description to.
        console: Where to print.

    Returns:
        Exit status: 0, or 1 if something is wrong with the folder; what it is has been printed.
    """
    console = Console() if console is None else console
    try:
        description = check_folder(folder)
    except DAGFolderError as error:
        for problem in error.problems:
            console.say(str(problem))
        count = len(error.problems)
        console.say(f"{folder}: {count} problem{'s' if count > 1 else ''}")
        return 1
    _print(console, folder, description)
    if output is not None:
        replace_json(output, asdict(description))
    return 0


def _print(console: Console, folder: str, found: Description) -> None:
    def line(name: str, text: str) -> None:
        console.say(f"{name:<17}{text}")

    line("folder", f"{folder}: no problems")
    line("counts", ", ".join(f"{count:,} {name}" for name, count in found.counts.items()))
    for name, (least, median, most) in found.per_graph.items():
        line(f"{name} per graph", f"{least:,.0f} to {most:,.0f}, median {median:,.0f}")
    path = found.longest_path
    nodes = path["nodes"] if len(path["nodes"]) <= 9 else [*path["nodes"][:4], "...", *path["nodes"][-4:]]
    line("longest path", f"{path['length']:,} edges, graph {path['graph']}: {' -> '.join(nodes)}")
    if found.duplicate:
        line("duplicate", f"{found.duplicate} (parallel edges are legal)")
    line("split", ", ".join(f"{size:,} {name}" for name, size in found.split.items()))
    for text in found.features or ["none: every node enters alike"]:
        line("feature", text)
    for name, reason in found.left_out.items():
        line("left out", f"{name}: {reason}")
    for name, text in found.mixed.items():
        line("mixed", f"{name}: {text}")
    for name, unseen in found.unseen.items():
        line("unseen words", f"{name}: {unseen}")
    for name, count in found.missing.items():
        cells = found.counts[name.partition(".")[0]]
        line("missing", f"{name}: {count:,} of {cells:,} cells ({count / cells:.1%})")
    degrees = [[f"{count:,}" for count in counts] for counts in found.degrees.values()]
    rows = [list(row) for row in zip(found.degree_bins, *degrees, strict=True)]  # hubs have many bins
    print_table(console, ["degree", *found.degrees], rows)
    for header, rows in target_tables(found.targets):
        print_table(console, header, rows)
