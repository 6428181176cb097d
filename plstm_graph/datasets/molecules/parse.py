"""From a SMILES to RDKit's molecule, or to why it is none. Imports no torch: worker processes start with it."""

from functools import lru_cache

from rdkit import Chem, rdBase


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


@lru_cache(maxsize=1_000_000)  # the parts of each fold ask anew
def canonical_smiles(smiles: str) -> str:
    """RDKit's SMILES of a molecule, the same however it is written; errors as of :func:`parse_smiles`."""
    return Chem.MolToSmiles(parse_smiles(smiles))


def _problem(smiles: str) -> str:
    """Why RDKit does not accept a SMILES."""
    molecule = Chem.MolFromSmiles(smiles, sanitize=False)
    if molecule is None:
        return "it cannot be parsed"
    problems = [problem.Message() for problem in Chem.DetectChemistryProblems(molecule)]
    return "; ".join(problems) or "RDKit cannot sanitise it"
