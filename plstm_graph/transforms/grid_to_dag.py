"""Images as directed acyclic graphs."""

from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from plstm_graph.graph import LineGraph
from plstm_graph.graph.checksum import dag_checksum


@functional_transform("grid_to_dag")
class GridToDAG(BaseTransform):
    r"""Turns an image into the directed grid of its patches (functional: ``grid_to_dag``), so that images of any
    size, also mixed in a batch, run through :class:`~plstm_graph.nn.PLSTMConv` and everything made of it.

    Like :class:`torch_geometric.transforms.ToSLIC` it takes a tensor, as transform of a data set of images. Node
    ``x * Y + y`` is the patch in row ``x`` and column ``y``; edges lead to the next row, then to the next column, as
    in :meth:`plstm_graph.LineGraph.grid`. The graph has

    * ``x``: pixels of each patch, ``[N, C * patch_size ** 2]``, float;
    * ``pos``: row and column of each patch, from 0 to 1, ``[N, 2]``;
    * ``edge_index``: ``[2, E]``;
    * ``level``, ``kept_pairs`` and ``dag_checksum``: as :class:`~plstm_graph.transforms.ToDAG` attaches them. D-mode
      keeps one of the two turns, and with it a path between every two nodes that have one.

    Args:
        patch_size (int): Side of a patch in pixels, a divisor of height and width. (default: ``1``)
        chirality (str): The turn that D-mode keeps: ``"L"`` from columns to rows, ``"R"`` from rows to columns.
            (default: ``"L"``)

    Raises:
        ValueError: If the image has another shape, or pixels that are not finite.

    .. code-block:: python

        image, label = ArrowPointing()[0]
        data = GridToDAG(patch_size=16)(image)
        out = PLSTMConv(768, 64)(data.x, data.edge_index, line_graph=LineGraph.from_data(data))
    """

    def __init__(self, patch_size: int = 1, chirality: Literal["L", "R"] = "L") -> None:
        if patch_size < 1:
            raise ValueError(f"patch_size must be at least 1, got {patch_size}")
        if chirality not in ("L", "R"):
            raise ValueError(f"chirality must be 'L' or 'R', got {chirality!r}")
        self.patch_size = patch_size
        self.chirality = chirality

    def forward(self, image: Tensor) -> Data:
        """Make a graph of an image.

        Args:
            image: ``[C, height, width]``; float, or uint8, which is divided by 255.
        """
        size = self.patch_size
        if image.dim() != 3 or 0 in image.shape or image.size(1) % size or image.size(2) % size:
            raise ValueError(
                f"an image must be [C, height, width] with multiples of the patch size, {size}, got {list(image.shape)}"
            )
        if not image.is_floating_point():
            image = image / 255
        if not image.isfinite().all():
            raise ValueError("the image has pixels that are not finite")
        patches = image.unflatten(2, (-1, size)).unflatten(1, (-1, size)).permute(1, 3, 0, 2, 4)  # [X, Y, C, p, p]
        rows, columns = patches.shape[:2]
        # Copies, so that a graph that is changed in place does not change those made after it.
        edge_index, level, kept_pairs, checksum = map(torch.clone, _structure(rows, columns, self.chirality))
        place = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
        largest = torch.tensor([max(rows - 1, 1), max(columns - 1, 1)])
        return Data(
            x=patches.flatten(2).flatten(0, 1),
            pos=place / largest,
            edge_index=edge_index,
            level=level,
            kept_pairs=kept_pairs,
            dag_checksum=checksum,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(patch_size={self.patch_size}, chirality={self.chirality!r})"


@lru_cache(maxsize=64)
def _structure(rows: int, columns: int, chirality: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Edges, levels, pairs that D-mode keeps and checksum, worked out once for each size of grid."""
    graph = LineGraph.grid(rows, columns)
    # Edges along the rows come first.
    changes_row = torch.arange(graph.num_edges) < (rows - 1) * columns
    came, goes = changes_row[graph.pairs]
    dropped = came & ~goes if chirality == "L" else ~came & goes
    return graph.edge_index, graph.level, ~dropped, dag_checksum(graph.edge_index, graph.num_nodes)
