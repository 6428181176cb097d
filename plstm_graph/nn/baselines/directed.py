"""Models of DAGs to compare with, under the same encoders, pooling and head as :class:`PLSTM`.

All are residual networks of one frame: a norm, a layer that mixes nodes, and where the model has one a feed-forward
network. They differ in the layer, and take the same graphs as PLSTM: a DAG with every edge once, along its direction.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv, GCNConv, GINConv, GINEConv, MessagePassing

from plstm_graph.graph import LineGraph
from plstm_graph.nn.components import ComponentReadout
from plstm_graph.nn.encoders import EdgeSpec, FeatureSpec
from plstm_graph.nn.graph_model import GraphModel, Predict
from plstm_graph.nn.node_networks import feed_forward
from plstm_graph.nn.norm import NormKind, make_norm
from plstm_graph.nn.structure import line_graph_of


class DAGBaseline(GraphModel):
    """A model of DAGs; subclasses say how their layers mix nodes.

    Args:
        in_channels (int, list[int] or str): Node features, as in :class:`~plstm_graph.nn.PLSTM`.
        hidden_channels (int): Size of node embeddings. (default: ``64``)
        num_layers (int): Number of layers. (default: ``2``)
        out_channels (int): Number of targets. (default: ``1``)
        edge_dim (int, list[int], str or None): Edge features, as in :class:`~plstm_graph.nn.PLSTM`. (default:
            ``"bond"`` if ``in_channels`` is ``"atom"``, else None)
        ffn_ratio (float): Width of a feed-forward network after each layer over ``hidden_channels``; 0 for none.
            (default: ``0``)
        dropout (float): Dropout after each part and in the head. (default: ``0``)
        pool (str or list[str]): How nodes are pooled, by the names of :mod:`torch_geometric.nn.aggr`; several are
            concatenated. (default: ``"mean"``)
        degree (bool): Whether to encode in-degree and out-degree. (default: ``True``)
        norm (str): ``"rms"``, ``"batch"`` or ``"none"``. (default: ``"rms"``)
        predict (str): ``"graph"``, ``"node"`` or ``"edge"``: what has the targets. (default: ``"graph"``)
        edge_context (bool): As in :class:`~plstm_graph.nn.PLSTM`. (default: ``False``)
        edge_context_norm (str): As there. (default: ``"none"``)
        edges_in_nodes (bool): As in :class:`~plstm_graph.nn.PLSTM`. Models whose layers read no edges, as
            :class:`BagOfNodes` and :class:`DirectedGCN`, do not see edge features without it. (default: ``True``)
        encoder_layers (int): As in :class:`~plstm_graph.nn.PLSTM`. (default: ``0``)
        descriptors (int): As in :class:`~plstm_graph.nn.PLSTM`, and so are the two that follow. (default: ``0``)
        components (int): Components of each graph. (default: ``1``)
        component_readout (str): ``"concatenated"`` or ``"pooled"``. (default: ``"concatenated"``)
        **kwargs: Of the layer that mixes nodes.

    Shapes:
        - **input:** node features ``[N, F]``, edge indices ``[2, E]``, edge features ``[E, D]`` *(optional)*, graph of
          each node ``[N]`` *(optional)*, line graph *(optional, saves rebuilding it)*
        - **output:** ``[B, out_channels]``, or ``[N, out_channels]`` or ``[E, out_channels]`` for nodes or edges
    """

    def __init__(
        self,
        in_channels: FeatureSpec,
        hidden_channels: int = 64,
        num_layers: int = 2,
        out_channels: int = 1,
        edge_dim: EdgeSpec = "auto",
        ffn_ratio: float = 0.0,
        dropout: float = 0.0,
        pool: str | Sequence[str] = "mean",
        degree: bool = True,
        norm: NormKind = "rms",
        predict: Predict = "graph",
        edge_context: bool = False,
        edge_context_norm: NormKind = "none",
        edges_in_nodes: bool = True,
        encoder_layers: int = 0,
        descriptors: int = 0,
        components: int = 1,
        component_readout: ComponentReadout = "concatenated",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            in_channels,
            hidden_channels,
            out_channels,
            edge_dim,
            degree,
            directed=True,
            edge_context=edge_context,
            edge_context_norm=edge_context_norm,
            edges_in_nodes=edges_in_nodes,
            encoder_layers=encoder_layers,
            norm=norm,
        )
        self.layers = nn.ModuleList(
            ResidualLayer(hidden_channels, self.make_mixer(**kwargs), ffn_ratio, dropout, norm)
            for _ in range(num_layers)
        )
        self.norm = make_norm(norm, hidden_channels)
        self.add_head(
            pool,
            dropout,
            predict,
            descriptors=descriptors,
            components=components,
            component_readout=component_readout,
        )

    def make_mixer(self) -> nn.Module | None:
        """A layer called as ``mixer(nodes, line_graph, edges)``, with ``[N, C]`` in and out; None for none."""
        raise NotImplementedError

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor | None = None,
        batch: Tensor | None = None,
        line_graph: LineGraph | None = None,
        batch_size: int | None = None,
        descriptors: Tensor | None = None,
        component: Tensor | None = None,
    ) -> Tensor:
        """Predict the targets of each graph, node or edge.

        Args:
            x: Node features, ``[N, F]``.
            edge_index: Start and end node of each edge of a DAG, ``[2, E]``.
            edge_attr: Edge features, ``[E, D]``, in the order of ``edge_index``.
            batch: Graph of each node, ``[N]``, sorted. (default: all nodes are of one graph)
            line_graph: The line graph of ``edge_index``, from which levels are taken.
            batch_size: Number of graphs ``B``.
            descriptors: Standardised descriptors of each graph, ``[B, D]``, if the model was made with such.
            component: Which component of its graph each node is of, ``[N]``, if the model was made with several.
        """
        graph = line_graph_of(x, edge_index, line_graph)
        nodes, edges = self.embed(x, edge_index, edge_attr, both_directions=False)
        for layer in self.layers:
            nodes = self.mix(layer, nodes, graph, edges, batch)
        of_graphs = descriptors, component
        return self.read_out(self.norm(nodes), batch, batch_size, edge_index, None, (), *of_graphs)

    def mix(
        self, layer: nn.Module, nodes: Tensor, graph: LineGraph, edges: Tensor | None, batch: Tensor | None
    ) -> Tensor:
        """Run one layer; a subclass whose layers need the graph of each node passes it on."""
        return layer(nodes, graph, edges)


class ResidualLayer(nn.Module):
    """A mixer of nodes and a feed-forward network, each behind a norm and beside a skip connection.

    Args:
        channels (int): Size of node features.
        mixer (Module, optional): Called with nodes and whatever else the layer is called with.
        ffn_ratio (float): Width of the feed-forward network over ``channels``; 0 for none.
        dropout (float): Dropout after both parts.
        norm (str): ``"rms"``, ``"batch"`` or ``"none"``.
    """

    def __init__(
        self, channels: int, mixer: nn.Module | None, ffn_ratio: float, dropout: float, norm: NormKind
    ) -> None:
        super().__init__()
        self.mixer = mixer
        self.norm = None if mixer is None else make_norm(norm, channels)
        width = int(ffn_ratio * channels)
        self.ffn = feed_forward(channels, width, norm, dropout) if width else None
        self.dropout = nn.Dropout(dropout)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for module in (self.mixer, self.norm, *(self.ffn or ())):
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()

    def forward(self, x: Tensor, *structure: Any) -> Tensor:
        """Run the layer."""
        if self.mixer is not None and self.norm is not None:
            x = x + self.dropout(self.mixer(self.norm(x), *structure))
        return x if self.ffn is None else x + self.dropout(self.ffn(x))


class BagOfNodes(DAGBaseline):
    """Each node on its own, with its degrees and the features of its edges. Arguments as in :class:`DAGBaseline`."""

    def make_mixer(self) -> None:
        """Nodes are not mixed."""
        return None


class _BothDirections(nn.Module):
    """A convolution of PyG along the edges and another against them, summed."""

    def __init__(self, make: Callable[[], nn.Module], edges: bool) -> None:
        super().__init__()
        self.along, self.against = make(), make()
        self.edges = edges

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for module in (self.along, self.against):
            cast(MessagePassing, module).reset_parameters()

    def forward(self, x: Tensor, line_graph: LineGraph, edge_attr: Tensor | None = None) -> Tensor:
        more = {"edge_attr": edge_attr} if self.edges else {}
        index = line_graph.edge_index
        return self.along(x, index, **more) + self.against(x, index.flip(0), **more)


class DirectedGIN(DAGBaseline):
    """Graph isomorphism network with weights of its own for each direction; :class:`torch_geometric.nn.GINEConv` if
    there are edge features. Arguments as in :class:`DAGBaseline`.
    """

    def make_mixer(self) -> nn.Module:
        """Two convolutions, each with a network of one hidden layer."""
        channels, edges = self.hidden_channels, self.edge_encoder is not None

        def make() -> nn.Module:
            network = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels))
            return GINEConv(network, edge_dim=channels) if edges else GINConv(network)

        return _BothDirections(make, edges)


class DirectedGATv2(DAGBaseline):
    """Graph attention network, :class:`torch_geometric.nn.GATv2Conv`, with weights of its own for each direction.

    Args:
        heads (int): Number of heads; ``hidden_channels`` must be a multiple of it. (default: ``4``)
        **kwargs: Of :class:`DAGBaseline`.
    """

    def make_mixer(self, heads: int = 4) -> nn.Module:
        """Two convolutions."""
        channels, edges = self.hidden_channels, self.edge_encoder is not None
        edge_dim = channels if edges else None
        return _BothDirections(lambda: GATv2Conv(channels, channels // heads, heads, edge_dim=edge_dim), edges)


class DirectedGCN(DAGBaseline):
    """Graph convolutional network, :class:`torch_geometric.nn.GCNConv`, with its own weights for each direction; edge
    features enter through the nodes only. Arguments as in :class:`DAGBaseline`.
    """

    def make_mixer(self) -> nn.Module:
        """Two convolutions."""
        return _BothDirections(lambda: GCNConv(self.hidden_channels, self.hidden_channels), edges=False)
