"""A whole graph model."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch_geometric.nn.aggr import MultiAggregation

from plstm_graph.graph import LineGraph
from plstm_graph.nn.block import Direction, PLSTMBlock
from plstm_graph.nn.encoders import DegreeEncoder, FeatureSpec, feature_encoder
from plstm_graph.ops.scatter import sum_rows


class PLSTM(nn.Module):
    """pLSTM for graph-level targets: encoders, residual blocks, pooling and a head.

    Nodes enter as the sum of their features, their degrees and the edges around them; edge features also enter every
    gate. A graph is a DAG; molecules become one by :class:`~plstm_graph.transforms.ToDAG`.

    Args:
        out_channels (int): Number of targets.
        in_channels (int, list[int] or str): Node features: an int for that many floats, a list of ints for category
            columns of those sizes, or ``"atom"`` for OGB's atom features. (default: ``"atom"``)
        edge_dim (int, list[int], str or None): Edge features in the same way, ``"bond"`` for OGB's bond features,
            None for no edge features. (default: ``"bond"``)
        hidden_channels (int): Size of node embeddings. (default: ``64``)
        num_layers (int): Number of blocks, each a P-mode and a D-mode layer. (default: ``2``)
        heads (int): Number of heads. (default: ``4``)
        modes (str): Modes of the layers of a block. (default: ``"PD"``)
        direction (str): ``"forward"``, ``"backward"`` or ``"both"``. (default: ``"both"``)
        ffn_ratio (float): Width of the feed-forward networks over ``hidden_channels``. (default: ``2``)
        dropout (float): Dropout in blocks and head. (default: ``0``)
        pool (str or list[str]): How nodes are pooled, by the names of :mod:`torch_geometric.nn.aggr`; several are
            concatenated. (default: ``"mean"``)
        degree (bool): Whether to encode degrees. (default: ``True``)
        tied (bool): Treat both directions of an edge alike: the same weights forward and backward, and the degree in
            the undirected graph. For graphs whose directions were chosen rather than given, such as molecules.
            (default: ``False``)
        **kwargs: Of :class:`~plstm_graph.nn.PLSTMConv`.

    Shapes:
        - **input:** node features ``[N, F]``, edge indices ``[2, E]``, edge features ``[E, D]`` *(optional)*, graph of
          each node ``[N]`` *(optional)*, line graph *(optional, saves rebuilding it)*
        - **output:** ``[B, out_channels]``
    """

    def __init__(
        self,
        out_channels: int,
        in_channels: FeatureSpec = "atom",
        edge_dim: FeatureSpec | None = "bond",
        hidden_channels: int = 64,
        num_layers: int = 2,
        heads: int = 4,
        modes: str = "PD",
        direction: Direction = "both",
        ffn_ratio: float = 2.0,
        dropout: float = 0.0,
        pool: str | Sequence[str] = "mean",
        degree: bool = True,
        tied: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.hidden_channels = hidden_channels
        self.node_encoder = feature_encoder(in_channels, hidden_channels)
        self.edge_encoder = None if edge_dim is None else feature_encoder(edge_dim, hidden_channels)
        self.degree_encoder = DegreeEncoder(hidden_channels, directed=not tied) if degree else None
        self.blocks = nn.ModuleList(
            PLSTMBlock(
                hidden_channels,
                modes,
                heads=heads,
                direction=direction,
                tied=tied,
                edge_dim=None if edge_dim is None else hidden_channels,
                ffn_ratio=ffn_ratio,
                dropout=dropout,
                **kwargs,
            )
            for _ in range(num_layers)
        )
        self.norm = nn.RMSNorm(hidden_channels)
        pools = [pool] if isinstance(pool, str) else list(pool)
        self.pool = MultiAggregation(pools)
        self.head = nn.Sequential(
            nn.Linear(len(pools) * hidden_channels, hidden_channels),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_channels, out_channels),
        )

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        parts = (self.node_encoder, self.edge_encoder, self.degree_encoder, *self.blocks, self.norm, *self.head)
        for part in parts:
            if hasattr(part, "reset_parameters"):
                part.reset_parameters()

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor | None = None,
        batch: Tensor | None = None,
        line_graph: LineGraph | None = None,
        batch_size: int | None = None,
    ) -> Tensor:
        """Predict the targets of each graph.

        Args:
            x: Node features, ``[N, F]``.
            edge_index: Start and end node of each edge of a DAG, ``[2, E]``.
            edge_attr: Edge features, ``[E, D]``, in the order of ``edge_index``.
            batch: Graph of each node, ``[N]``, sorted. (default: all nodes are of one graph)
            line_graph: The line graph of ``edge_index``, e.g. ``LineGraph.from_data(data)``.
            batch_size: Number of graphs ``B``; given, it spares a device synchronisation.
        """
        nodes = self.encode(x, edge_index, edge_attr, line_graph)
        if batch is None:
            batch, batch_size = edge_index.new_zeros(nodes.size(0)), 1
        return self.head(self.pool(nodes, batch, dim_size=batch_size, dim=0))

    def encode(
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None, line_graph: LineGraph | None = None
    ) -> Tensor:
        """Node embeddings before pooling, ``[N, hidden_channels]``. Arguments as in :meth:`forward`."""
        graph = LineGraph.from_edge_index(edge_index, x.size(0)) if line_graph is None else line_graph
        nodes = self.node_encoder(x)
        if self.degree_encoder is not None:
            nodes = nodes + self.degree_encoder(graph)
        if (edge_attr is None) != (self.edge_encoder is None):
            raise ValueError(
                "this model was made with edge features, so it needs edge_attr"
                if edge_attr is None
                else "this model was made with edge_dim=None, so it cannot use edge_attr"
            )
        edges = None
        if self.edge_encoder is not None:
            edges = self.edge_encoder(edge_attr)
            for index in edge_index:
                nodes = nodes + sum_rows(edges, index, graph.num_nodes)
        for block in self.blocks:
            nodes = block(nodes, graph, edges)
        return self.norm(nodes)
