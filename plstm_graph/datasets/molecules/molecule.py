"""From a SMILES to a graph with OGB's atom and bond features."""

import sys
from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import Any

import torch
from rdkit import Chem, rdBase
from torch_geometric.data import Data


class InvalidSmilesError(ValueError):
    """A SMILES that is no molecule.

    Attributes:
        smiles (str): The SMILES.
        reason (str): What is wrong with it.
    """

    def __init__(self, smiles: str, reason: str) -> None:
        self.smiles = smiles
        self.reason = reason
        super().__init__(smiles, reason)

    def __str__(self) -> str:
        return f"invalid SMILES {self.smiles!r}: {self.reason}"


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
        InvalidSmilesError: If RDKit cannot read the SMILES, or it has no atoms.
    """
    molecule = parse_smiles(smiles)
    with rdBase.BlockLogs():
        graph = _smiles2graph(smiles)
    rank = list(Chem.CanonicalRankAtoms(molecule, breakTies=True))
    return Data(
        x=torch.from_numpy(graph["node_feat"]),
        edge_index=torch.from_numpy(graph["edge_index"]),
        edge_attr=torch.from_numpy(graph["edge_feat"]),
        canonical_rank=torch.tensor(rank, dtype=torch.long),
        smiles=smiles,
    )


@lru_cache(maxsize=1_000_000)  # the parts of each fold ask anew
def canonical_smiles(smiles: str) -> str:
    """RDKit's SMILES of a molecule, the same however it is written; errors as of :func:`parse_smiles`."""
    return Chem.MolToSmiles(parse_smiles(smiles))


def parse_smiles(smiles: str) -> Chem.Mol:
    """RDKit's molecule of a SMILES, or an error that says what is wrong with it.

    Args:
        smiles: One molecule.

    Raises:
        InvalidSmilesError: If RDKit cannot read the SMILES, or it has no atoms.
    """
    if not smiles.isascii():
        raise InvalidSmilesError(smiles, "it has characters that no SMILES has")
    with rdBase.BlockLogs():  # the reason is in the exception; RDKit would print it to stderr as well
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None:
            raise InvalidSmilesError(smiles, _problem(smiles))
    if molecule.GetNumAtoms() == 0:
        raise InvalidSmilesError(smiles, "it has no atoms")
    return molecule


def _problem(smiles: str) -> str:
    """Why RDKit does not accept a SMILES."""
    molecule = Chem.MolFromSmiles(smiles, sanitize=False)
    if molecule is None:
        return "it cannot be parsed"
    problems = [problem.Message() for problem in Chem.DetectChemistryProblems(molecule)]
    return "; ".join(problems) or "RDKit cannot sanitise it"


def _import_smiles2graph() -> Callable[[str], dict[str, Any]]:
    """OGB's featuriser, imported without the request to a package index that OGB starts when it is imported.

    That request runs in a thread that the interpreter waits for at exit, minutes where a firewall drops packets. OGB
    skips it if the package ``outdated`` is not installed, which an entry of None looks like.
    """
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    imported = modules.pop("outdated", None)
    modules["outdated"] = None
    try:
        from ogb.utils.mol import smiles2graph
    finally:
        del modules["outdated"]
        if imported is not None:
            modules["outdated"] = imported
    return smiles2graph


_smiles2graph = _import_smiles2graph()
