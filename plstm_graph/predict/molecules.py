"""``plstm-graph predict`` for molecules: SMILES and tables of SMILES in, one table of predictions out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch_geometric.data import Data

from plstm_graph.console import Console
from plstm_graph.datasets.molecules.similarity import nearest_similarity, packed_fingerprints
from plstm_graph.datasets.molecules.smiles_column import TABLE_SUFFIXES, read_molecule_table
from plstm_graph.predict.inputs import MoleculeInputs
from plstm_graph.predict.predictor import Predictor, load_transform
from plstm_graph.report.predictions import not_finite, prediction_columns, sureness_columns, write_csv
from plstm_graph.tasks.conformal import COVERAGE
from plstm_graph.tasks.domain import similarity_column
from plstm_graph.transforms import ToDAG


@dataclass
class MoleculeRow:
    """One molecule of the input.

    Attributes:
        source (str): ``argument N``, or file and line.
        smiles (str): As it was given.
        others (dict[str, str]): Its cells of the other columns of a table.
        error (str): Why it cannot be used; empty if it can.
        texts (list[str]): All SMILES of the row: one, or one for each column of SMILES that the model reads.
        graph (Data, optional): The molecule, as the model takes it.
        predicted (list[str]): Cells of what the model says of it.
    """

    source: str
    smiles: str
    others: dict[str, str] = field(default_factory=dict)
    error: str = ""
    texts: list[str] = field(default_factory=list)
    graph: Data | None = None
    predicted: list[str] = field(default_factory=list)


def predict_smiles(
    predictor: Predictor,
    inputs: Sequence[str],
    smiles_column: str | None,
    output: str | None,
    coverage: float = COVERAGE,
) -> int:
    """Write a prediction for every molecule of the input, in order, as CSV.

    Columns are ``source`` (``argument N``, or file and line), ``smiles``, the other columns of the input tables,
    those of :func:`~plstm_graph.report.predictions.prediction_columns` and
    :func:`~plstm_graph.report.predictions.sureness_columns`, ``similarity`` to the nearest training molecule, a
    ``warning`` where that is low, and ``error``. A molecule that cannot be read
    keeps its row, with empty predictions and the reason in ``error``, and is reported on stderr.

    Args:
        predictor: Trained by ``plstm-graph fit`` on molecules.
        inputs: SMILES, and paths of tables with a SMILES column.
        smiles_column: Name of that column, or its place. (default: as in training, else found by name or cells)
        output: The CSV file to write. (default: stdout)
        coverage: Part of the measured values that intervals are to hold.

    Returns:
        Number of molecules with a prediction.

    Raises:
        OSError: If a file cannot be read; what the other inputs give has been written.
        ValueError: If a table cannot be used, likewise.
    """
    rows, errors = read_molecules(predictor, inputs, smiles_column)
    header, cells = row_cells(rows, _predict_rows(predictor, rows, coverage))
    write_csv(header, cells, output)
    report_errors(rows, "prediction")
    predictor.report_lacking(coverage)
    if errors:
        raise errors[0]
    return sum(bool(row.predicted) for row in rows)


def read_molecules(
    predictor: Predictor, inputs: Sequence[str], smiles_column: str | None
) -> tuple[list[MoleculeRow], list[OSError | ValueError]]:
    """The molecules of all inputs, in order, as a model takes them.

    Args:
        predictor: The model.
        inputs: SMILES, and paths of tables with a SMILES column.
        smiles_column: Name of that column, or its place. (default: as in training, else found by name or cells)

    Returns:
        A row for each molecule, and one for each input that cannot be used; and the errors of the latter.

    Raises:
        OSError: If none of the files can be read, and there is nothing else.
        ValueError: If none of the tables can be used, likewise.
    """
    transform, taken = load_transform(predictor.recipe, ToDAG()), MoleculeInputs.of_recipe(predictor.recipe)
    rows, errors = _read(inputs, smiles_column, taken)
    if errors and len(errors) == len(inputs):
        raise errors[0]
    asked = [row for row in rows if not row.error]
    for row, found in zip(asked, taken.graphs([(row.texts, row.others) for row in asked], transform), strict=True):
        if isinstance(found, Data):
            row.graph = found
        else:
            row.error = found + (no_path(row.smiles) if row.source.startswith("argument ") else "")
    return rows, errors


def no_path(text: str) -> str:
    """What to add to the message that an argument is no SMILES: perhaps a path was meant."""
    if is_there(text):
        return f"; {text} is a file or folder, which this model of molecules does not take here"
    return "; there is no such file or folder either" if "/" in text or "." in text else ""


def likely_column(predictor: Predictor) -> str:
    """Name of the column of SMILES in training."""
    return str(predictor.recipe["given"].get("smiles_column", "smiles"))


def _read(
    inputs: Sequence[str], smiles_column: str | None, taken: MoleculeInputs
) -> tuple[list[MoleculeRow], list[OSError | ValueError]]:
    """The molecules of all inputs in order, with a row for an input that cannot be used; and these errors."""
    rows: list[MoleculeRow] = []
    errors: list[OSError | ValueError] = []
    for number, text in enumerate(inputs, start=1):
        if not (text.removesuffix(".gz").endswith(TABLE_SUFFIXES) or is_there(text)):
            rows.append(MoleculeRow(f"argument {number}", text))
            try:
                rows[-1].texts = taken.of_argument(text)
            except ValueError as error:
                rows[-1].error = str(error)
            continue
        try:
            rows += _read_table(text, smiles_column, taken)
        except (OSError, ValueError) as error:
            errors.append(error)
            rows.append(MoleculeRow(text, "", error=str(error)))
    return rows, errors


def is_there(text: str) -> bool:
    """Whether a text is the path of something; a long SMILES is no possible path."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def _read_table(path: str, given: str | None, taken: MoleculeInputs) -> list[MoleculeRow]:
    table, ragged, smiles_column = read_molecule_table(path, given, taken.smiles[0])
    for note in table.notes:
        Console(stderr=True).say(note)
    positions = [table.position(name) for name in (smiles_column, *taken.smiles[1:])]
    for name in taken.descriptors.columns:
        table.position(name)
    found = [(line, MoleculeRow(f"{path}:{line}", "", error=reason)) for line, reason in ragged]
    for line, cells in zip(table.lines, table.rows, strict=True):
        others = {name: cell for name, cell in zip(table.columns, cells, strict=True) if name != smiles_column}
        texts = [cells[position] for position in positions]
        found.append((line, MoleculeRow(f"{path}:{line}", texts[0], others, texts=texts)))
    return [row for _, row in sorted(found, key=lambda item: item[0])]


def _predict_rows(predictor: Predictor, rows: list[MoleculeRow], coverage: float) -> list[str]:
    """Predict every molecule, and name the columns; a prediction that is no number is the error of its row."""
    asked = [row for row in rows if row.graph is not None]
    assessed = predictor.assess([row.graph for row in asked if row.graph is not None], coverage)
    values = assessed.values
    usable = values.isfinite().all(dim=1)
    if not bool(usable.any()):
        usable = torch.ones_like(usable)  # without any, what is wrong is raised
    columns = prediction_columns(values[usable], predictor.kind, predictor.target_names, predictor.classes)
    columns |= sureness_columns(assessed.rows(usable), predictor.target_names)
    columns |= _likeness(
        predictor, [row.smiles for row, is_usable in zip(asked, usable.tolist(), strict=True) if is_usable]
    )
    predicted = zip(*columns.values(), strict=True)
    for row, is_usable, numbers in zip(asked, usable.tolist(), values.tolist(), strict=True):
        if is_usable:
            row.predicted = list(next(predicted))
        else:
            row.error = not_finite(next(number for number in numbers if not math.isfinite(number)))
    return list(columns)


def _likeness(predictor: Predictor, smiles: list[str]) -> dict[str, list[str]]:
    """``similarity`` to the nearest training molecule, and a ``warning`` where it is low."""
    if predictor.fingerprints is None or predictor.domain is None:
        return {}
    similarity = nearest_similarity(packed_fingerprints(smiles), predictor.fingerprints)
    return {"similarity": similarity_column(similarity), "warning": predictor.domain.unlike(similarity)}


def row_cells(rows: list[MoleculeRow], targets: list[str]) -> tuple[list[str], list[list[str]]]:
    """Names of the columns of the output, and its cells.

    Args:
        rows: The molecules.
        targets: Names of the columns of ``predicted``.
    """
    reserved = ["source", "smiles", *targets, "error"]
    names = list(dict.fromkeys(name for row in rows for name in row.others))
    # An input column may have the name of one of ours; it stays, under another name.
    taken = {*reserved, *names}
    headers = []
    for name in names:
        header = name
        while header in reserved or (header != name and header in taken):
            header = f"input_{header}"
        taken.add(header)
        headers.append(header)
    cells = []
    for row in rows:
        predicted = row.predicted or [""] * len(targets)
        others = [row.others.get(name, "") for name in names]
        cells.append([row.source, row.smiles, *others, *predicted, row.error])
    return ["source", "smiles", *headers, *targets, "error"], cells


def report_errors(rows: list[MoleculeRow], what: str) -> None:
    """Say on stderr which molecules have no prediction, or nothing else that was asked for, and why."""
    bad = [row for row in rows if row.error]
    console = Console(stderr=True)
    for row in bad:
        console.say(f"{row.source}: {row.error}")
    if bad:
        console.say(f"{len(bad)} of {len(rows)} molecules have no {what}")
