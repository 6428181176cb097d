"""Which atom reads of which: the gating matrices of a model, drawn on the molecule."""

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from plstm_graph.nn import PLSTMConv
from plstm_graph.viz.molecule import Colour, draw_molecule, read_smiles


@torch.no_grad()
def influence(model: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
    r"""How much each node's output depends on each other node, by the gates of a model.

    Runs the model once and averages :math:`|G|` (see :meth:`PLSTMConv.gating_matrix`) over heads and over all
    :class:`~plstm_graph.nn.PLSTMConv` layers, each scaled so that the rows of a layer sum to one on average.

    Args:
        model: Any module with pLSTM layers.
        *args: Arguments of the model, for a single graph.
        **kwargs: Keyword arguments of the model.

    Returns:
        ``[N, N]``; row ``n`` says what node ``n`` reads.

    Raises:
        ValueError: If the model has no pLSTM layer of P- or D-mode.
    """
    matrices: list[Tensor] = []

    def record(conv: PLSTMConv, inputs: tuple, named: dict) -> None:
        arguments = {name: value for name, value in named.items() if name != "sizes"}
        matrix = conv.gating_matrix(*inputs[:4], **arguments).abs().mean(dim=0)
        matrices.append(matrix / matrix.sum(dim=1).mean().clamp(min=1e-12))

    handles = [
        module.register_forward_pre_hook(record, with_kwargs=True)
        for module in model.modules()
        if isinstance(module, PLSTMConv) and module.mode != "M"
    ]
    if not handles:
        raise ValueError(f"{type(model).__name__} has no PLSTMConv layer of P- or D-mode to look into")
    try:
        model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack(matrices).mean(dim=0)


def draw_influence(smiles: str, matrix: Tensor, atoms: Sequence[int] | None = None, size: int = 420) -> Figure:
    """Draw a molecule once per chosen atom, coloured by what that atom reads, beside the whole matrix.

    Args:
        smiles: The molecule, its atoms in the order of ``matrix``.
        matrix: As from :func:`influence`, ``[N, N]``.
        atoms: Atoms to look from, marked by a ring. (default: the three that read farthest beyond themselves)
        size: Height of each drawing in pixels.

    Returns:
        A matplotlib figure; ``figure.savefig(path)`` writes it.

    Raises:
        ValueError: If the SMILES does not parse, or has another number of atoms than the matrix.
    """
    molecule = read_smiles(smiles)
    if matrix.shape != (molecule.GetNumAtoms(),) * 2:
        raise ValueError(f"{smiles} has {molecule.GetNumAtoms()} atoms, but the matrix is {list(matrix.shape)}")
    others = matrix * (1 - torch.eye(len(matrix)))
    if atoms is None:
        atoms = sorted(others.sum(dim=1).topk(min(3, len(matrix))).indices.tolist())

    figure = Figure(figsize=(4.0 * (len(atoms) + 1), 4.4), layout="constrained")
    axes = figure.subplots(1, len(atoms) + 1)
    for axis, atom in zip(axes, atoms, strict=False):
        colours = _colours(others[atom] / others[atom].max().clamp(min=1e-12), atom)
        axis.imshow(draw_molecule(molecule, colours, size))
        axis.set_title(f"read by atom {atom} ({molecule.GetAtomWithIdx(atom).GetSymbol()})")
        axis.set_axis_off()
    image = axes[-1].imshow(matrix.numpy(force=True), cmap="Blues", vmin=0)
    axes[-1].set(title="gating matrix, mean of layers and heads", xlabel="atom that is read", ylabel="atom that reads")
    figure.colorbar(image, ax=axes[-1], shrink=0.8)
    return figure


def _colours(weight: Tensor, atom: int) -> dict[int, Colour]:
    """Atoms in white (0) to orange (1), and one of them in blue."""
    colours = {i: (1.0, 1.0 - 0.45 * w, 1.0 - 0.9 * w) for i, w in enumerate(weight.tolist())}
    return colours | {atom: (0.45, 0.68, 1.0)}
