"""What every graph-level model here shares: how graphs enter, and how nodes become one prediction."""

from collections.abc import Sequence
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch_geometric.nn.aggr import MultiAggregation

from plstm_graph.nn.components import ComponentReadout, check_components, pool_components
from plstm_graph.nn.descriptor_readout import DescriptorReadout
from plstm_graph.nn.edge_context import EdgeContext
from plstm_graph.nn.encoders import (
    DegreeEncoder,
    EdgeSpec,
    FeatureSpec,
    edge_features,
    feature_encoder,
    num_columns,
)
from plstm_graph.nn.histogram import CategoryHistogram
from plstm_graph.nn.neighbours import sum_of_edges
from plstm_graph.nn.node_networks import NodeNetworks
from plstm_graph.nn.norm import NormKind
from plstm_graph.nn.size_head import SizeHead, SizeScale
from plstm_graph.ops.shapes import check_whole

#: What a model predicts something of.
Predict = Literal["graph", "node", "edge"]


class GraphModel(nn.Module):
    """Encoders, pooling and head around the layers of a subclass.

    Nodes enter as the sum of their features, their degrees and the edges around them.

    Args:
        in_channels (int, list[int] or str): Node features, see :func:`~plstm_graph.nn.feature_encoder`.
        hidden_channels (int): Size of node embeddings.
        out_channels (int): Number of targets ``T``.
        edge_dim (int, list[int], str or None): Edge features likewise; None for none, ``"auto"`` for ``"bond"`` where
            ``in_channels`` is ``"atom"``, else none.
        degree (bool): Whether to encode degrees.
        directed (bool): Whether in-degree and out-degree are encoded rather than their sum.
        histogram (list[int]): Sizes of category columns that follow the node features in ``x``. They do not enter
            nodes; their histograms over each graph enter the head, see
            :class:`~plstm_graph.nn.histogram.CategoryHistogram`.
        edge_context (bool): Whether edges are encoded together with the nodes that they join, by
            :class:`~plstm_graph.nn.edge_context.EdgeContext`; it needs edge features.
        edge_context_norm (str): The norm in it.
        edges_in_nodes (bool): Whether nodes enter with the sum of the edges around them.
        encoder_layers (int): Number of :class:`~plstm_graph.nn.node_networks.NodeNetworks` that nodes pass before the
            layers of the subclass.
        norm (str): Of these networks, see :func:`~plstm_graph.nn.norm.make_norm`.
    """

    def __init__(
        self,
        in_channels: FeatureSpec,
        hidden_channels: int,
        out_channels: int,
        edge_dim: EdgeSpec = "auto",
        degree: bool = True,
        directed: bool = False,
        histogram: Sequence[int] = (),
        edge_context: bool = False,
        edges_in_nodes: bool = True,
        encoder_layers: int = 0,
        norm: NormKind = "rms",
        edge_context_norm: NormKind = "none",
    ) -> None:
        super().__init__()
        edge_dim = edge_features(edge_dim, in_channels)
        self.histogram_sizes = list(histogram)
        self.out_channels = out_channels
        self.hidden_channels = hidden_channels
        self.node_encoder = feature_encoder(in_channels, hidden_channels)
        self.num_features = num_columns(in_channels)
        self.edge_encoder = None if edge_dim is None else feature_encoder(edge_dim, hidden_channels)
        if edge_context and edge_dim is None:
            raise ValueError("edge_context=True needs edge features, but edge_dim is None")
        if edge_context_norm != "none" and not edge_context:
            raise ValueError(f"edge_context_norm={edge_context_norm!r} is of edge_context, which is False")
        check_whole(0, encoder_layers=encoder_layers)
        self.edges_in_nodes = edges_in_nodes
        self.edge_context = EdgeContext(hidden_channels, edge_context_norm) if edge_context else None
        self.degree_encoder = DegreeEncoder(hidden_channels, directed) if degree else None
        self.node_networks = NodeNetworks(hidden_channels, encoder_layers, norm) if encoder_layers else None

    def add_head(
        self,
        pool: str | Sequence[str],
        dropout: float,
        predict: Predict = "graph",
        readout_channels: int | None = None,
        size_channels: int = 0,
        size_scale: SizeScale = "linear",
        descriptors: int = 0,
        components: int = 1,
        component_readout: ComponentReadout = "concatenated",
    ) -> None:
        """Add pooling and head, after the layers of the subclass.

        Args:
            pool: Names of :mod:`torch_geometric.nn.aggr`; several are concatenated.
            dropout: Dropout in the head.
            predict: ``"graph"``, ``"node"`` or ``"edge"``; the latter two need no pooling.
            readout_channels: Widen node embeddings to this size, by a linear map and GELU, before they are pooled: a
                pooled vector has to tell what all nodes of a graph are, a node's only what one is. (default: as they
                are)
            size_channels: Number of sizes of each node that are read too, see :meth:`read_out`.
            size_scale: As in :class:`~plstm_graph.nn.size_head.SizeHead`.
            descriptors: Number of descriptors of each graph that enter the head, by
                :class:`~plstm_graph.nn.descriptor_readout.DescriptorReadout`.
            components: Components of each graph, which are pooled each by itself.
            component_readout: As in :func:`~plstm_graph.nn.components.pool_components`.
        """
        if predict not in get_args(Predict):
            raise ValueError(f"predict must be 'graph', 'node' or 'edge', got {predict!r}")
        self.predict: Predict = predict
        pools = [pool] if isinstance(pool, str) else list(pool)
        self.pool = MultiAggregation(pools) if predict == "graph" else None
        if self.histogram_sizes and predict != "graph":
            raise ValueError(f"a histogram is of a whole graph, but predict={predict!r}")
        if predict != "graph" and (descriptors or components > 1):
            raise ValueError(f"descriptors and components are of a whole graph, but predict={predict!r}")
        check_components(components, component_readout)
        self.components, self.component_readout = components, component_readout
        width = readout_channels or self.hidden_channels
        self.descriptor_readout = DescriptorReadout(descriptors, width, dropout) if descriptors else None
        self.histogram = CategoryHistogram(self.histogram_sizes, width, dropout) if self.histogram_sizes else None
        parts = {"graph": len(pools), "node": 1, "edge": 2}[predict]
        inputs = parts * (components if component_readout == "concatenated" else 1)
        inputs += (self.histogram is not None) + (self.descriptor_readout is not None)
        self.widen = nn.Sequential(nn.Linear(self.hidden_channels, width), nn.GELU()) if readout_channels else None
        self.head = nn.Sequential(
            nn.Linear(inputs * width, width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, self.out_channels),
        )
        self.size_head = SizeHead(parts * size_channels, self.out_channels, size_scale) if size_channels else None

    def embed(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor | None,
        both_directions: bool,
        edge_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Encode nodes ``[N, C]`` and edges ``[E, C]``.

        Args:
            x: Node features, ``[N, F]``.
            edge_index: ``[2, E]``
            edge_attr: Edge features, ``[E, D]``.
            both_directions: Whether every edge of an undirected graph stands in ``edge_index`` twice.
            edge_mask: How much of each edge counts for an explainer, ``[E]`` in [0, 1]. (default: all of it)

        Raises:
            ValueError: If edge features are missing or not expected.
        """
        features = nodes = self.node_encoder(self.split_columns(x)[0])
        if self.degree_encoder is not None:
            nodes = nodes + self.degree_encoder(edge_index[1:] if both_directions else edge_index, x.size(0), edge_mask)
        if (edge_attr is None) != (self.edge_encoder is None):
            raise ValueError(
                "this model was made with edge features, so it needs edge_attr"
                if edge_attr is None
                else "this model was made with edge_dim=None, so it cannot use edge_attr"
            )
        edges = None
        if self.edge_encoder is not None:
            edges = self.edge_encoder(edge_attr)
            if self.edge_context is not None:
                edges = self.edge_context(features, edges, edge_index)
            ends = edge_index[1:] if both_directions else edge_index
            for index in ends if self.edges_in_nodes else ():
                nodes = nodes + sum_of_edges(edges, index, x.size(0), edge_mask)
        return nodes if self.node_networks is None else self.node_networks(nodes), edges

    def split_columns(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Node features and the columns of the histogram, of node features ``[N, F]`` with both.

        Raises:
            ValueError: If a model with a histogram gets another number of columns.
        """
        columns = len(self.histogram_sizes)
        features = x.size(-1) - columns
        if columns and features != self.num_features:
            raise ValueError(
                f"x has {x.size(-1)} columns, but this model reads {self.num_features} of node features and, after "
                f"them, {columns} columns of categories for its histogram, such as those that AddWLColors appends"
            )
        return x[..., :features], x[..., features:]

    def read_out(
        self,
        nodes: Tensor,
        batch: Tensor | None,
        batch_size: int | None,
        edge_index: Tensor | None = None,
        x: Tensor | None = None,
        sizes: Sequence[Tensor] = (),
        descriptors: Tensor | None = None,
        component: Tensor | None = None,
    ) -> Tensor:
        """Predictions ``[B, T]``, ``[N, T]`` or ``[E, T]`` from node embeddings ``[N, C]``.

        An edge is predicted from the embeddings of its start and its end; only then ``edge_index`` is needed. The node
        features ``x`` are needed for a histogram. What nodes have as ``sizes``, ``[N, ...]`` each, enters by a linear
        map, which no norm bounds. ``descriptors``, ``[B, D]``, and the ``component`` of each node, ``[N]``, are needed
        if the head was made with such.
        """
        if self.pool is not None and batch is None:
            batch, batch_size = torch.zeros(nodes.size(0), dtype=torch.long, device=nodes.device), 1
        nodes = nodes if self.widen is None else self.widen(nodes)
        if self.pool is not None and self.components > 1:
            of_nodes = cast(Tensor, batch), batch_size, component
            read = pool_components(self.pool, nodes, *of_nodes, self.components, self.component_readout)
        else:
            read = self._of_targets(nodes, batch, batch_size, edge_index)
        if self.histogram is not None:
            columns = self.split_columns(cast(Tensor, x))[1]
            read = torch.cat([read, self.histogram(columns, batch, read.size(0))], dim=-1)
        if self.descriptor_readout is not None:
            if descriptors is None:
                raise ValueError(f"this model reads {self.descriptor_readout.descriptors} descriptors of each graph")
            read = torch.cat([read, self.descriptor_readout(descriptors.to(read.dtype))], dim=-1)
        out = self.head(read)
        if self.size_head is None:
            return out
        return out + self.size_head(self._of_targets(torch.cat([*sizes], dim=-1), batch, batch_size, edge_index))

    def _of_targets(
        self, nodes: Tensor, batch: Tensor | None, batch_size: int | None, edge_index: Tensor | None
    ) -> Tensor:
        """What each graph, node or edge is predicted from, of rows of nodes."""
        if self.pool is not None:
            return self.pool(nodes, batch, dim_size=batch_size, dim=0)
        if self.predict == "node":
            return nodes
        if edge_index is None:
            raise ValueError("edges are predicted from edge_index, which was not given")
        return torch.cat([nodes[edge_index[0]], nodes[edge_index[1]]], dim=-1)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for part in self.children():
            for module in part if isinstance(part, nn.Sequential | nn.ModuleList) else [part]:
                if hasattr(module, "reset_parameters"):
                    cast(nn.Linear, module).reset_parameters()
