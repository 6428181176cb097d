"""From a SMILES to a graph with OGB's atom and bond features."""

from collections.abc import Sequence

import torch
from torch_geometric.data import Data

from plstm_graph.datasets.molecules.features import MoleculeArrays, MoleculeRows
from plstm_graph.datasets.molecules.parse import InvalidSmilesError as InvalidSmilesError
from plstm_graph.datasets.molecules.parse import canonical_smiles as canonical_smiles
from plstm_graph.datasets.molecules.parse import parse_smiles as parse_smiles


def smiles_to_data(smiles: str) -> Data:
    """The molecular graph of a SMILES.

    Atoms are numbered as they stand in the SMILES. ``canonical_rank`` does not depend on that numbering: it is RDKit's
    canonical order of the atoms, in which equivalent atoms are told apart arbitrarily.

    Args:
        smiles: One molecule; several fragments (``.``) are one disconnected graph.

    Returns:
        A graph with ``x`` ``[N, 9]`` and ``edge_attr`` ``[E, 3]``, both int64 in OGB's scheme
        (``ogb.utils.features``), ``edge_index`` ``[2, E]`` with each bond in both directions, ``canonical_rank``
        ``[N]`` int64, and ``smiles``.

    Raises:
        InvalidSmilesError: If RDKit cannot read the SMILES, it has no atoms, or a bond that OGB's scheme does not have.
    """
    return molecules_to_data([smiles])


def molecules_to_data(smiles: Sequence[str]) -> Data:
    """The graph of several molecules, such as solute and solvent, as of :func:`smiles_to_data`.

    Args:
        smiles: Of each molecule.

    Returns:
        A graph of all atoms, with ``smiles`` of the first molecule; and of more than one, ``component`` ``[N]``, the
        number of the molecule that each atom is of.

    Raises:
        InvalidSmilesError: As of :func:`smiles_to_data`.
    """
    rows = MoleculeRows()
    rows.add(smiles, [parse_smiles(text) for text in smiles])
    (data,) = molecule_graphs(rows.arrays(), [smiles[0]], len(smiles) > 1)
    return data


def molecule_graphs(arrays: MoleculeArrays, smiles: Sequence[str], several: bool = False) -> list[Data]:
    """The graphs of molecules that were read together, as of :func:`smiles_to_data`.

    Args:
        arrays: Their atoms and bonds.
        smiles: As they were given; of several in a row, the first.
        several: Whether a row is of several molecules, so that graphs have ``component``.
    """
    nodes, edges = arrays.num_nodes, arrays.num_edges
    columns = {
        "x": torch.from_numpy(arrays.x).split(nodes),
        "edge_index": torch.from_numpy(arrays.edge_index).split(edges, dim=1),
        "edge_attr": torch.from_numpy(arrays.edge_attr).split(edges),
        "canonical_rank": torch.from_numpy(arrays.canonical_rank).split(nodes),
        "smiles": smiles,
    }
    if several:
        columns["component"] = torch.from_numpy(arrays.component).split(nodes)
    return [Data.from_dict(dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)]
