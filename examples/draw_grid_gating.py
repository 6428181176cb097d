"""Picture of what the nodes of a grid read of one node, in P-mode and in D-mode.

python examples/draw_grid_gating.py docs/grids/gating.png
"""

import argparse

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from plstm_graph.ops import plstm_grid2d_oriented
from plstm_graph.ops.grid2d.plstm_grid2d import ORIENTATIONS

SIDE = 33
CASES = {
    "P, one orientation, $\\alpha$ = 0.25": ("P", 0.25, 1, 0),
    "P, one orientation, $\\alpha$ = 0.75": ("P", 0.75, 1, 0),
    "P, four orientations, $\\alpha$ = 0.5": ("P", 0.5, 4, SIDE // 2),
    "D, one orientation, turn L": ("D", 0.95, 1, 0),
    "D, four orientations, turn L": ("D", 0.95, 4, SIDE // 2),
}


def read_of(mode: str, gate: float, orientations: int, place: int) -> Tensor:
    """Column of the gating matrix that belongs to the node (place, place), ``[X, Y]``.

    Args:
        mode: ``"P"`` with decay 0.98, or ``"D"``.
        gate: Share that goes on along x in P-mode, every transition in D-mode.
        orientations: How many.
        place: Of the node that is read.
    """
    ones = torch.ones(SIDE, SIDE, orientations, 1)
    if mode == "P":
        right, down = 0.98 * gate * ones, 0.98 * (1 - gate) * ones
        gates = (gate * ones, (1 - gate) * ones, right, down, down, right)
    else:
        gates = (ones, ones, gate * ones, gate * ones, 0 * ones, gate * ones)
    query, key = torch.ones(SIDE, SIDE, 1, 1), torch.zeros(SIDE, SIDE, 1, 1)
    key[place, place] = 1
    direct = torch.zeros(SIDE, SIDE, 1)
    return plstm_grid2d_oriented(
        query, key, query, *gates, ones, ones, direct, orientations=ORIENTATIONS[:orientations]
    )[..., 0, 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", nargs="?", default="docs/grids/gating.png")
    options = parser.parse_args()
    figure, axes = plt.subplots(1, len(CASES), figsize=(3 * len(CASES), 3.2), layout="constrained")
    for axis, (title, case) in zip(axes, CASES.items(), strict=True):
        # The first axis of a grid is drawn from left to right.
        image = axis.imshow(read_of(*case).T.clamp(min=1e-4), norm="log", vmin=1e-3, vmax=1, cmap="magma")
        axis.set(title=title, xticks=[], yticks=[], xlabel="x", ylabel="y")
    figure.colorbar(image, ax=axes, shrink=0.8)
    figure.savefig(options.output, dpi=110)


if __name__ == "__main__":
    main()
