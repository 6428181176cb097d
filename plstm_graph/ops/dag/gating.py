"""The gating matrix: how strongly each node's input reaches each node's output."""

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.ops.dag.plstm import plstm


def gating_matrix(source: Tensor, transition: Tensor, mark: Tensor, direct: Tensor, line_graph: LineGraph) -> Tensor:
    r"""The matrix :math:`G = M (I - T)^{-1} S + \mathrm{diag}(D)` with :math:`y = (G \odot Q K^\top) V`.

    Args:
        source: ``[E, H]``
        transition: ``[P, H]``
        mark: ``[E, H]``
        direct: ``[N, H]``
        line_graph: The structure.

    Returns:
        ``[H, N, N]``; entry ``[h, n, m]`` is what reaches node ``n`` of node ``m`` along all paths. It is dense: meant
        for looking at graphs that fit on a page.
    """
    nodes, heads = direct.shape
    one = direct.new_ones(nodes, heads, 1)
    each = torch.eye(nodes, dtype=direct.dtype, device=direct.device).unsqueeze(1).expand(nodes, heads, nodes)
    return plstm(one, one, each, source, transition, mark, direct, line_graph).transpose(0, 1)
