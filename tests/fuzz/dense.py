r"""The operator by dense linear algebra, in float64 and by nothing that the package computes with.

Per head, with the edges as rows and columns of :math:`T`: :math:`G = M (I - T)^{-1} S + \mathrm{diag}(D)` and
:math:`y = (G \odot Q K^\top) V`.
"""

import torch
from torch import Tensor


def dense_outputs(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    direct: Tensor,
    edges: list[tuple[int, int]],
    pairs: list[tuple[int, int]],
) -> Tensor:
    """Outputs ``[N, H, V]``, in float64; arguments as for ``plstm``, the structure as lists."""
    nodes, heads = direct.shape
    count = len(edges)
    out = []
    starts = torch.zeros(count, nodes, dtype=torch.float64)
    ends = torch.zeros(count, nodes, dtype=torch.float64)
    for number, (start, end) in enumerate(edges):
        starts[number, start] = 1.0
        ends[number, end] = 1.0
    for h in range(heads):
        step = torch.zeros(count, count, dtype=torch.float64)
        if pairs:
            left, right = zip(*pairs, strict=True)
            step = step.index_put((torch.tensor(right), torch.tensor(left)), transition[:, h], accumulate=True)
        put = source[:, h, None] * starts
        carried = torch.linalg.solve(torch.eye(count, dtype=torch.float64) - step, put) if count else put
        gating = ends.T @ (mark[:, h, None] * carried) + torch.diag(direct[:, h])
        out.append((gating * (query[:, h] @ key[:, h].T)) @ value[:, h])
    return torch.stack(out, dim=1)
