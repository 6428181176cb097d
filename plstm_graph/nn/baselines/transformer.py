"""A transformer on DAGs: attention to ancestors and descendants, with an encoding of depth."""

from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import PositionalEncoding

from plstm_graph.graph import LineGraph, ancestor_pairs
from plstm_graph.nn.baselines.directed import DAGBaseline


class DAGTransformer(DAGBaseline):
    """Transformer whose nodes attend to themselves, their ancestors and their descendants, with a sinusoidal encoding
    of depth (`Transformers over directed acyclic graphs <https://arxiv.org/abs/2210.13148>`_).

    Each graph is padded to the largest of its batch and attended to densely: time is quadratic in its nodes. Features
    of edges enter through the nodes only.

    Args:
        heads (int): Number of heads; ``hidden_channels`` must be a multiple of it. (default: ``4``)
        **kwargs: Of :class:`~plstm_graph.nn.baselines.DAGBaseline`.
    """

    def make_mixer(self, heads: int = 4) -> nn.Module:
        """Masked attention."""
        return _DAGAttention(self.hidden_channels, heads)

    def mix(
        self, layer: nn.Module, nodes: Tensor, graph: LineGraph, edges: Tensor | None, batch: Tensor | None
    ) -> Tensor:
        """Run one layer."""
        return layer(nodes, graph, batch)


class _DAGAttention(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.depth = PositionalEncoding(channels)
        self.depth_lin = nn.Linear(channels, channels, bias=False)
        self.lin = nn.Linear(channels, 3 * channels)
        self.lin_out = nn.Linear(channels, channels)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for module in (self.depth_lin, self.lin, self.lin_out):
            module.reset_parameters()

    def forward(self, x: Tensor, line_graph: LineGraph, batch: Tensor | None = None) -> Tensor:
        """Attend; ``batch`` is the graph of each node, sorted."""
        graph, place, mask = _dense_structure(line_graph, batch)
        x = x + self.depth_lin(self.depth(line_graph.level.to(x.dtype)))
        padded = x.new_zeros(mask.size(0), self.heads, mask.size(2), 3 * x.size(1) // self.heads)
        padded[graph, :, place] = self.lin(x).view(len(x), self.heads, -1)
        query, key, value = padded.chunk(3, dim=-1)
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.lin_out(seen[graph, :, place].flatten(1))


def _dense_structure(line_graph: LineGraph, batch: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Graph and place in it of each node, and who may see whom ``[B, 1, n, n]``; kept as long as the line graph is."""
    if line_graph not in _STRUCTURES:
        graph = line_graph.level.new_zeros(line_graph.num_nodes) if batch is None else batch
        count = torch.bincount(graph)
        place = torch.arange(len(graph), device=graph.device) - (count.cumsum(0) - count).index_select(0, graph)
        widest = int(count.max()) if len(graph) else 0
        # Padding sees itself, since a softmax over nothing is not defined.
        mask = torch.eye(widest, dtype=torch.bool, device=graph.device).repeat(len(count), 1, 1)
        above, below = ancestor_pairs(line_graph.edge_index, line_graph.num_nodes)
        mask[graph[above], place[above], place[below]] = True
        mask[graph[above], place[below], place[above]] = True
        _STRUCTURES[line_graph] = graph, place, mask.unsqueeze(1)
    return _STRUCTURES[line_graph]


_STRUCTURES: WeakKeyDictionary[LineGraph, tuple[Tensor, Tensor, Tensor]] = WeakKeyDictionary()
