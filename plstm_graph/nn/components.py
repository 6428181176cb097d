"""Graphs of several components with roles, such as solute and solvent: each is pooled by itself."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from plstm_graph.ops.shapes import check_whole

#: How the vectors of the components of a graph are joined: one after the other, so that it matters which is which; or
#: their mean, so that it does not.
ComponentReadout = Literal["concatenated", "pooled"]


def check_components(components: int, readout: str) -> None:
    """Check the options of :func:`pool_components`.

    Raises:
        ValueError: If there is no such way to join components, or not at least one of them.
    """
    check_whole(1, components=components)
    if readout not in get_args(ComponentReadout):
        raise ValueError(f"component_readout must be 'concatenated' or 'pooled', got {readout!r}")


def pool_components(
    pool: nn.Module,
    nodes: Tensor,
    batch: Tensor,
    batch_size: int | None,
    component: Tensor | None,
    components: int,
    readout: ComponentReadout,
) -> Tensor:
    """Pool the nodes of each component of each graph by itself, and join the vectors.

    Args:
        pool: Pools nodes ``[N, C]`` by an index to ``P`` numbers, as :class:`torch_geometric.nn.aggr.Aggregation`.
        nodes: ``[N, C]``
        batch: Graph of each node, ``[N]``.
        batch_size: Number of graphs ``B``.
        component: Component of each node, ``[N]``, from 0.
        components: How many there are, ``K``.
        readout: How the vectors are joined.

    Returns:
        ``[B, K * P]``, or ``[B, P]`` if they are pooled.

    Raises:
        ValueError: If ``component`` is not given, or has another size.
    """
    if component is None or component.shape != batch.shape:
        found = "none was given" if component is None else f"got {list(component.shape)}"
        raise ValueError(f"this model reads graphs of {components} components and needs component, [N], but {found}")
    if batch_size is None:
        batch_size = int(batch.max()) + 1 if batch.numel() else 0
    index, order = torch.sort(batch * components + component, stable=True)
    pooled = pool(nodes[order], index, dim_size=batch_size * components, dim=0).view(batch_size, components, -1)
    return pooled.flatten(1) if readout == "concatenated" else pooled.mean(dim=1)
