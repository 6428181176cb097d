"""A GRU that walks over the levels of a DAG, in the manner of DAGNN."""

import torch
from torch import Tensor, nn

from plstm_graph.graph import LineGraph
from plstm_graph.nn.baselines.directed import DAGBaseline
from plstm_graph.nn.gated_cell import Flow, GatedCell
from plstm_graph.ops.dag.gated_levels import Gathering


class LevelGRU(DAGBaseline):
    """Recurrent network over the levels of a DAG (`DAGNN <https://arxiv.org/abs/2101.07965>`_): attention over the
    predecessors of a node, then a GRU; one pass along the edges and one against them.

    Args:
        both (bool): Whether each layer also runs against the edges. (default: ``True``)
        aggr (str): How predecessors are gathered, as in :class:`~plstm_graph.nn.GatedCell`: ``"max"`` is the fair
            peer of M-mode. (default: ``"attention"``)
        **kwargs: Of :class:`~plstm_graph.nn.baselines.DAGBaseline`.
    """

    def make_mixer(self, both: bool = True, aggr: Gathering = "attention") -> nn.Module:
        """One or two passes and a linear map."""
        return _Passes(self.hidden_channels, self.edge_encoder is not None, both, aggr)


class _Passes(nn.Module):
    """Passes over the levels, joined by a linear map."""

    def __init__(self, channels: int, edges: bool, both: bool, aggr: Gathering) -> None:
        super().__init__()
        flows: tuple[Flow, ...] = ("source_to_target", "target_to_source")
        edge_dim = channels if edges else None
        self.passes = nn.ModuleList(GatedCell(channels, edge_dim, flow, aggr) for flow in flows[: 1 + both])
        self.lin = nn.Linear(len(self.passes) * channels, channels)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for module in (*self.passes, self.lin):
            module.reset_parameters()

    def forward(self, x: Tensor, line_graph: LineGraph, edge_attr: Tensor | None = None) -> Tensor:
        states = [each(x, line_graph.edge_index, edge_attr, line_graph) for each in self.passes]
        return self.lin(torch.cat(states, dim=-1))
