"""Drawing a molecule with coloured atoms."""

import io
from collections.abc import Mapping

from PIL import Image
from rdkit import Chem
from rdkit.Chem.Draw import rdMolDraw2D

Colour = tuple[float, float, float]


def read_smiles(smiles: str) -> Chem.Mol:
    """The molecule of a SMILES.

    Raises:
        ValueError: If it does not parse.
    """
    molecule = Chem.MolFromSmiles(smiles) if smiles.isascii() else None
    if molecule is None:
        raise ValueError(f"invalid SMILES {smiles!r}")
    return molecule


def draw_molecule(molecule: Chem.Mol, colours: Mapping[int, Colour], size: int) -> Image.Image:
    """Draw a molecule, black on coloured discs.

    Args:
        molecule: The molecule.
        colours: Red, green and blue in [0, 1] for each atom that has a disc.
        size: Height and width in pixels.
    """
    canvas = rdMolDraw2D.MolDraw2DCairo(size, size)
    options = canvas.drawOptions()
    options.useBWAtomPalette()
    # RDKit's stubs give each option the type of the whole set.
    options.fillHighlights = True  # type: ignore[assignment]
    options.highlightRadius = 0.42  # type: ignore[assignment]
    bonds: list[int] = []
    rdMolDraw2D.PrepareAndDrawMolecule(
        canvas, molecule, highlightAtoms=list(colours), highlightAtomColors=dict(colours), highlightBonds=bonds
    )
    return Image.open(io.BytesIO(canvas.GetDrawingText()))
