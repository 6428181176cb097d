"""``plstm-graph predict`` for molecules: SMILES and tables of SMILES in, one table of predictions out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch_geometric.data import Data

from plstm_graph.console import Console
from plstm_graph.datasets import InvalidSmilesError, read_table, smiles_to_data
from plstm_graph.train.inference import load_transform, predict
from plstm_graph.train.module import GraphModule
from plstm_graph.train.predict.table import format_number, write_csv
from plstm_graph.transforms import ToDAG


@dataclass
class _Row:
    """One molecule of the input."""

    source: str
    smiles: str
    others: dict[str, str] = field(default_factory=dict)
    error: str = ""
    graph: Data | None = None


def predict_smiles(module: GraphModule, inputs: Sequence[str], smiles_column: str | None, output: str | None) -> int:
    """Write a prediction for every molecule of the input, in order, as CSV.

    Columns are ``source`` (``argument N``, or file and line), ``smiles``, the other columns of the input tables,
    ``predicted_<target>`` for each target, and ``error``. A molecule that cannot be read keeps its row, with empty
    predictions and the reason in ``error``, and is reported on stderr.

    Args:
        module: Trained by ``plstm-graph fit`` on molecules.
        inputs: SMILES, and paths of CSV files with a SMILES column.
        smiles_column: Name of that column. (default: as in training)
        output: The CSV file to write. (default: stdout)

    Returns:
        Number of molecules with a prediction.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If a table cannot be used.
    """
    transform = load_transform(module.recipe) or ToDAG()
    rows = _read(inputs, smiles_column or module.recipe["data"]["smiles_column"])
    for row in rows:
        if not row.error:
            try:
                row.graph = transform(smiles_to_data(row.smiles))
            except InvalidSmilesError as error:
                row.error = str(error)
    graphs = [row.graph for row in rows if row.graph is not None]
    values = iter(predict(module, graphs).tolist())
    targets = [f"predicted_{name}" for name in module.recipe["target_names"]]
    header, cells = _cells(rows, targets, [next(values) if row.graph is not None else None for row in rows])
    write_csv(header, cells, output)
    _report_errors(rows)
    return len(graphs)


def _read(inputs: Sequence[str], smiles_column: str) -> list[_Row]:
    rows = []
    for number, text in enumerate(inputs, start=1):
        if not (text.endswith((".csv", ".csv.gz")) or Path(text).is_file()):
            rows.append(_Row(f"argument {number}", text))
            continue
        table, ragged = read_table(text)
        position = table.position(smiles_column)
        found = [(line, _Row(f"{text}:{line}", "", error=reason)) for line, reason in ragged]
        for line, cells in zip(table.lines, table.rows, strict=True):
            others = {name: cell for name, cell in zip(table.columns, cells, strict=True) if name != smiles_column}
            found.append((line, _Row(f"{text}:{line}", cells[position], others)))
        rows += [row for _, row in sorted(found, key=lambda item: item[0])]
    return rows


def _cells(
    rows: list[_Row], targets: list[str], values: Sequence[list[float] | None]
) -> tuple[list[str], list[list[str]]]:
    """Names of the columns of the output, and its cells."""
    reserved = ["source", "smiles", *targets, "error"]
    names = list(dict.fromkeys(name for row in rows for name in row.others))
    # An input column may have the name of one of ours; it stays, under another name.
    headers = [f"input_{name}" if name in reserved else name for name in names]
    cells = []
    for row, value in zip(rows, values, strict=True):
        predicted = [""] * len(targets) if value is None else [format_number(each) for each in value]
        others = [row.others.get(name, "") for name in names]
        cells.append([row.source, row.smiles, *others, *predicted, row.error])
    return ["source", "smiles", *headers, *targets, "error"], cells


def _report_errors(rows: list[_Row]) -> None:
    bad = [row for row in rows if row.error]
    console = Console(stderr=True)
    for row in bad:
        console.say(f"{row.source}: {row.error}")
    if bad:
        console.say(f"{len(bad)} of {len(rows)} molecules have no prediction")
