"""How often ``torch.compile`` has to leave the whole model."""

from typing import Any

import torch

from benchmarks.operators.registry import make_workload
from plstm_graph.graph import LineGraph
from plstm_graph.nn import PLSTM


def count_graph_breaks(**kwargs: Any) -> int:
    """Graph breaks of the :class:`~plstm_graph.PLSTM` model on two batches of different size and depth.

    Forward and backward are traced with dynamic shapes; no code is generated.

    Args:
        **kwargs: Of the model. (default: one block, P and D, both directions)
    """
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = torch.compile(PLSTM("atom", 16, 1, 1, **kwargs), backend="aot_eager", dynamic=True)
    for name in ("nci-3", "nci-8"):
        batch = make_workload(name).molecules()
        graph = LineGraph.from_data(batch).prepare()
        out = compiled(batch.x, batch.edge_index, batch.edge_attr, batch.batch, graph, batch.num_graphs)
        out.sum().backward()
    return sum(torch._dynamo.utils.counters["graph_break"].values())
