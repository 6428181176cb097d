"""``plstm-graph embed``: vectors of molecules or DAGs, or of their atoms or nodes, as CSV or as arrays of numpy."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.console import Console
from plstm_graph.datasets.dag_folder.encoding import row_names
from plstm_graph.datasets.digits import exact_cells
from plstm_graph.datasets.storage.files import replace_file
from plstm_graph.machine import pick_device
from plstm_graph.predict.command import read_for
from plstm_graph.predict.embedding import Layer, Of, default_of, embeddings
from plstm_graph.predict.molecules import MoleculeRow, read_molecules, report_errors, row_cells
from plstm_graph.predict.predictor import Predictor, load_predictor
from plstm_graph.report.predictions import write_csv

_ARRAYS, _TABLE = ".npz", ".csv"
_TEXTS = ("source", "smiles", "error")


def embed_inputs(
    ckpt_path: str,
    inputs: Sequence[str],
    of: Of | None,
    layer: Layer | None,
    smiles_column: str | None,
    allow_unknown: bool,
    output: str | None,
    device: str,
) -> int:
    """Write vectors of molecules or DAGs, or of their atoms or nodes.

    A CSV has the columns of :func:`~plstm_graph.predict.molecules.predict_smiles`, with ``embedding_0``,
    ``embedding_1``, ... in place of predictions, and behind ``atom``, the number of an atom from 0 in the order of the
    SMILES, where atoms have them; or ``graph``, with ``node`` for nodes, and these. An ``.npz`` file has arrays
    ``embedding`` ``[n, C]``, NaN where there is none, ``source``, ``smiles``, ``error`` and ``atom`` (-1 for none), or
    ``graph`` and ``node``, which :func:`numpy.load` reads with ``allow_pickle=False``.

    Args:
        ckpt_path: A checkpoint that ``plstm-graph fit`` wrote.
        inputs: SMILES, and CSV files with a column of SMILES; or one folder of DAGs.
        of: ``"graphs"`` or ``"nodes"``. (default: what the model predicts something of)
        layer: As of :func:`~plstm_graph.predict.embedding.embeddings`.
        smiles_column: Name of that column. (default: as in training)
        allow_unknown: Of DAGs, whether categories that the model was not trained on are taken for missing ones.
        output: The file to write, by its ending ``.csv`` or ``.npz``. (default: a CSV on stdout)
        device: ``"auto"`` or a device of torch.

    Returns:
        Number of graphs with vectors.

    Raises:
        FileNotFoundError: If a file or folder does not exist.
        ValueError: If input or checkpoint cannot be used, or the model has no such vectors.
    """
    if output is not None and Path(output).suffix not in (_ARRAYS, _TABLE):
        raise ValueError(f"--output must end in {_TABLE} or {_ARRAYS}, got {output}")
    predictor = load_predictor(ckpt_path).to(pick_device(device))
    of = default_of(predictor.model) if of is None else of
    data = predictor.recipe["data"]
    if data == "molecules":
        return _embed_molecules(predictor, inputs, of, layer, smiles_column, output)
    if data != "dag_folder":
        raise ValueError(f"{ckpt_path} was trained on {data!r:.200}, for which there is no `embed`")
    if len(inputs) != 1 or smiles_column is not None:
        raise ValueError(f"{ckpt_path} was trained on a folder of DAGs: it takes one such folder and no SMILES")
    return _embed_dags(predictor, inputs[0], of, layer, allow_unknown, output)


def _embed_dags(
    predictor: Predictor, folder: str, of: Of, layer: Layer | None, allow_unknown: bool, output: str | None
) -> int:
    content, _, transform = read_for(predictor, folder, allow_unknown)
    vectors = embeddings(predictor, [transform(graph) for graph in content.graphs], of, layer)
    if not bool(vectors.isfinite().all()):
        raise ValueError(_not_finite(vectors))
    names = row_names(content.graphs, of.removesuffix("s"))
    if output is not None and output.endswith(_ARRAYS):
        _write_arrays(output, vectors, {name: np.array(cells, dtype=np.str_) for name, cells in names.items()})
    else:
        header = [*names, *_names(vectors)]
        cells = zip(*names.values(), exact_cells(vectors), strict=True)
        write_csv(header, [[*row, *numbers] for *row, numbers in cells], output)
    _say(vectors, of, output)
    return len(content.graphs)


def _embed_molecules(
    predictor: Predictor,
    inputs: Sequence[str],
    of: Of,
    layer: Layer | None,
    smiles_column: str | None,
    output: str | None,
) -> int:
    rows, errors = read_molecules(predictor, inputs, smiles_column)
    graphs: list[Data] = [row.graph for row in rows if row.graph is not None]
    vectors = embeddings(predictor, graphs, of, layer)
    counts = [1 if of == "graphs" else _num_atoms(graph) for graph in graphs]
    blocks = iter(vectors.split(counts))
    written: list[tuple[MoleculeRow, int, Tensor | None]] = []
    for row in rows:
        block = None if row.graph is None else next(blocks)
        if block is not None and not bool(block.isfinite().all()):
            row.error, block = _not_finite(block), None
        written += [(row, -1, None)] if block is None else [(row, atom, each) for atom, each in enumerate(block)]
    if output is not None and output.endswith(_ARRAYS):
        _write_arrays(output, _filled(written, vectors), _molecule_arrays(written, of))
    else:
        names = ([] if of == "graphs" else ["atom"]) + _names(vectors)
        write_csv(*row_cells(_with_cells(written, of), names), output)
    report_errors(rows, "embedding")
    _say(vectors, of, output)
    if errors:
        raise errors[0]
    return sum(row.graph is not None and not row.error for row in rows)


def _num_atoms(graph: Data) -> int:
    """Nodes of a graph that are atoms; a transform may have made others of bonds."""
    return int((~graph.is_edge).sum()) if "is_edge" in graph else int(graph.num_nodes or 0)


def _with_cells(written: list[tuple[MoleculeRow, int, Tensor | None]], of: Of) -> list[MoleculeRow]:
    """A row of the CSV for each molecule or atom."""
    found = [each for *_, each in written if each is not None]
    cells = iter(exact_cells(torch.stack(found)) if found else [])
    return [
        replace(row, predicted=[] if each is None else [*([] if of == "graphs" else [str(atom)]), *next(cells)])
        for row, atom, each in written
    ]


def _filled(written: list[tuple[MoleculeRow, int, Tensor | None]], vectors: Tensor) -> Tensor:
    """All rows of the arrays, NaN where there is no vector."""
    nothing = vectors.new_full(vectors.shape[1:], torch.nan)
    return torch.stack([nothing if each is None else each for *_, each in written]) if written else vectors


def _molecule_arrays(written: list[tuple[MoleculeRow, int, Tensor | None]], of: Of) -> dict[str, Any]:
    texts = {name: np.array([getattr(row, name) for row, *_ in written], dtype=np.str_) for name in _TEXTS}
    return texts if of == "graphs" else texts | {"atom": np.array([atom for _, atom, _ in written], dtype=np.int64)}


def _names(vectors: Tensor) -> list[str]:
    return [f"embedding_{number}" for number in range(vectors.size(1))]


def _write_arrays(output: str, vectors: Tensor, others: dict[str, Any]) -> None:
    def write(path: str) -> None:
        with open(path, "wb") as file:  # numpy would add an ending to the name
            np.savez_compressed(file, embedding=vectors.numpy(), **others)

    replace_file(output, write)


def _not_finite(vectors: Tensor) -> str:
    value = float(vectors[~vectors.isfinite()][0])
    return f"the embedding has {value} in it; the weights of the model are not usable"


def _say(vectors: Tensor, of: Of, output: str | None) -> None:
    if output is not None:
        Console(stderr=True).say(f"wrote {output}: {len(vectors)} {of}, {vectors.size(1)} numbers each")
