"""A whole graph model."""

from collections.abc import Sequence
from typing import Any, get_args

from torch import Tensor, nn

from plstm_graph.graph import LineGraph
from plstm_graph.nn.block import Direction, Local, PLSTMBlock
from plstm_graph.nn.components import ComponentReadout
from plstm_graph.nn.encoders import EdgeSpec, FeatureSpec
from plstm_graph.nn.gated_cell import GatedCell
from plstm_graph.nn.graph_model import GraphModel, Predict
from plstm_graph.nn.norm import NormKind, make_norm
from plstm_graph.nn.plstm_conv import LayerMode, PLSTMConv
from plstm_graph.nn.size_head import SizeScale, check_size_scale
from plstm_graph.nn.structure import check_graph, line_graph_of
from plstm_graph.nn.virtual_node import VirtualNode


class PLSTM(GraphModel):
    r"""pLSTM for targets of graphs, nodes or edges: encoders, residual blocks, pooling and a head.

    Nodes enter as the sum of their features, their degrees and the edges around them; edge features also enter every
    gate. A graph is a DAG; molecules become one by :class:`~plstm_graph.transforms.ToDAG`.

    Args:
        in_channels (int, list[int] or str): Node features: an int for that many floats, a list of ints for category
            columns of those sizes (0 for a column of numbers among them), or ``"atom"`` for OGB's atom features.
        hidden_channels (int): Size of node embeddings. (default: ``64``)
        num_layers (int): Number of blocks, each a P-mode and a D-mode layer. (default: ``2``)
        out_channels (int): Number of targets. (default: ``1``)
        edge_dim (int, list[int], str or None): Edge features in the same way, ``"bond"`` for OGB's bond features,
            None for no edge features. (default: ``"bond"`` if ``in_channels`` is ``"atom"``, else None)
        heads (int): Number of heads. (default: ``4``)
        modes (str): Modes of the layers of a block: P, D and M, see :class:`~plstm_graph.nn.PLSTMConv`, and G, see
            :class:`~plstm_graph.nn.GatedCell`. (default: ``"PD"``)
        direction (str): ``"forward"``, ``"backward"`` or ``"both"``. (default: ``"both"``)
        ffn_ratio (float): Width of the feed-forward networks over ``hidden_channels``. (default: ``2``)
        dropout (float): Dropout in blocks. With ``norm="batch"`` it makes training and evaluation differ in variance;
            ``head_dropout`` alone is the better choice there. (default: ``0``)
        head_dropout (float, optional): Dropout in the head. (default: ``dropout``)
        pool (str or list[str]): How nodes are pooled, by the names of :mod:`torch_geometric.nn.aggr`; several are
            concatenated. (default: ``"mean"``)
        degree (bool): Whether to encode degrees. (default: ``True``)
        share_weights (bool): Treat both directions of an edge alike: the same weights forward and backward, and the
            degree in the undirected graph. For graphs whose directions were chosen rather than given, such as
            molecules. (default: ``False``)
        norm (str): ``"rms"``, ``"batch"`` or ``"none"``, see :func:`~plstm_graph.nn.norm.make_norm`.
            (default: ``"rms"``)
        local (str): Aggregate the neighbours of each node in every layer too, beside what runs along the DAG:
            ``"conv"`` by :class:`~plstm_graph.nn.local.LocalConv`, for graphs whose directions were chosen; ``"ffn"``
            in the feed-forward networks, :class:`~plstm_graph.nn.local.LocalFFN`, for given directions; ``"none"``.
            (default: ``"none"``)
        virtual_node (bool): Join all nodes of a graph through a virtual node after each block but the last.
            (default: ``False``)
        predict (str): ``"graph"``, ``"node"`` or ``"edge"``: what has the targets. (default: ``"graph"``)
        readout_channels (int, optional): Widen node embeddings to this size before pooling, for large graphs of which
            the target asks what they are made of. (default: ``hidden_channels``)
        histogram (list[int]): Sizes of category columns that follow the other node features in ``x``, such as those of
            :class:`~plstm_graph.transforms.AddWLColors`: how often each category occurs in a graph enters the head.
            (default: none)
        size_readout (str, optional): Modes of the layers whose heads also reach the prediction as they are, past all
            norms and through a linear map alone, pooled like the nodes: targets such as arrival times can then grow
            with the graph. On graphs of hundreds of levels that map wants a learning rate below 1e-2, and a warm-up.
            (default: ``"M"`` where there are such layers)
        size_scale (str): ``"linear"``, or ``"log"`` for targets ``log(1 + amount)``: what the map gives is taken for an
            amount, and its logarithm reaches the prediction, see :class:`~plstm_graph.nn.size_head.SizeHead`. It needs
            layers of ``size_readout``. (default: ``"linear"``)
        edge_context (bool): Encode each edge together with the two nodes that it joins, so that gates can depend on
            both at once, see :class:`~plstm_graph.nn.edge_context.EdgeContext`. (default: ``False``)
        edge_context_norm (str): ``"rms"`` bounds what that adds, for features far outside those of training, such as
            the fan-out of a hub. (default: ``"none"``)
        edges_in_nodes (bool): Let nodes enter with the sum of the edges around them. Without it and with
            ``degree=False`` a node is what its own features say, and edges act through the gates alone: for amounts,
            which do not depend on how many edges there are. (default: ``True``)
        encoder_layers (int): Number of feed-forward networks that each node passes alone, before the first block.
            Gates and values of the first block are linear maps of nodes; behind such a network they are any function
            of what a node is, which for quantities that one layer carries exactly is all there is to learn.
            (default: ``0``)
        descriptors (int): Number of descriptors of each graph that enter the head beside the pooled nodes, see
            :class:`~plstm_graph.nn.descriptor_readout.DescriptorReadout`. (default: ``0``)
        components (int): Components of each graph, such as solute and solvent, which are pooled each by itself, see
            :func:`~plstm_graph.nn.components.pool_components`. (default: ``1``)
        component_readout (str): ``"concatenated"``, so that their order matters, or ``"pooled"``, so that it does not.
            (default: ``"concatenated"``)
        **kwargs: Of :class:`~plstm_graph.nn.PLSTMConv`.

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
        heads: int = 4,
        modes: str = "PD",
        direction: Direction = "both",
        ffn_ratio: float = 2.0,
        dropout: float = 0.0,
        pool: str | Sequence[str] = "mean",
        degree: bool = True,
        share_weights: bool = False,
        norm: NormKind = "rms",
        local: Local = "none",
        virtual_node: bool = False,
        predict: Predict = "graph",
        head_dropout: float | None = None,
        readout_channels: int | None = None,
        histogram: Sequence[int] = (),
        size_readout: str | None = None,
        size_scale: SizeScale = "linear",
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
            directed=not share_weights,
            histogram=histogram,
            edge_context=edge_context,
            edge_context_norm=edge_context_norm,
            edges_in_nodes=edges_in_nodes,
            encoder_layers=encoder_layers,
            norm=norm,
        )
        self.blocks = nn.ModuleList(
            PLSTMBlock(
                hidden_channels,
                modes,
                heads=heads,
                direction=direction,
                share_weights=share_weights,
                edge_dim=None if self.edge_encoder is None else hidden_channels,
                ffn_ratio=ffn_ratio,
                dropout=dropout,
                norm=norm,
                local=local,
                **kwargs,
            )
            for _ in range(num_layers)
        )
        self.virtual_nodes = nn.ModuleList(
            VirtualNode(hidden_channels, dropout) for _ in range(num_layers - 1 if virtual_node else 0)
        )
        self.norm = make_norm(norm, hidden_channels)
        if set(size_readout or "") - set(get_args(LayerMode)):
            raise ValueError(
                f"size_readout takes the letters P, D and M, whose sizes tell something, got {size_readout!r}"
            )
        if set(size_readout or "") - set(modes):
            raise ValueError(f"size_readout names modes of layers, which are {modes!r}, got {size_readout!r}")
        self.size_readout = "M" if size_readout is None else size_readout
        check_size_scale(size_scale)
        if size_scale != "linear" and not set(self.size_readout) & set(modes):
            raise ValueError(
                f"size_scale={size_scale!r} is of what layers of size_readout read, but of modes={modes!r} no layer is "
                f"one: size_readout={modes!r} takes all"
            )
        convs = [module for module in self.blocks.modules() if isinstance(module, PLSTMConv)]
        size_channels = sum(conv.heads * conv.head_channels for conv in convs if conv.mode in self.size_readout)
        self._convs = convs
        self._gated = any(isinstance(module, GatedCell) for module in self.blocks.modules())
        head_dropout = dropout if head_dropout is None else head_dropout
        of_graphs = descriptors, components, component_readout
        self.add_head(pool, head_dropout, predict, readout_channels, size_channels, size_scale, *of_graphs)

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
            line_graph: The line graph of ``edge_index``, e.g. ``LineGraph.from_data(data)``. (default: the one that a
                batch of :class:`~plstm_graph.loader.DAGLoader` has, else a new one)
            batch_size: Number of graphs ``B``; given, it spares a device synchronisation.
            descriptors: Standardised descriptors of each graph, ``[B, D]``, if the model was made with such.
            component: Which component of its graph each node is of, ``[N]``, if the model was made with several.
        """
        check_graph(x, edge_index)
        if batch is None:
            batch, batch_size = edge_index.new_zeros(x.size(0)), 1
        sizes: list[Tensor] = []
        nodes = self.encode(x, edge_index, edge_attr, line_graph, batch, batch_size, sizes)
        return self.read_out(nodes, batch, batch_size, edge_index, x, sizes, descriptors, component)

    def encode(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor | None = None,
        line_graph: LineGraph | None = None,
        batch: Tensor | None = None,
        batch_size: int | None = None,
        sizes: list[Tensor] | None = None,
    ) -> Tensor:
        """Node embeddings before pooling, ``[N, hidden_channels]``.

        Arguments as in :meth:`forward`; ``sizes`` as in :meth:`PLSTMConv.forward`, of the layers of ``size_readout``.
        """
        if self._gated and any(conv.explain for conv in self._convs):
            raise ValueError(
                "explainers mask the edges of pLSTM layers, but not those of layers of mode G, so that they would "
                "explain half of this model"
            )
        graph = line_graph_of(x, edge_index, line_graph)
        # An explainer sets the same mask for all layers that are its own; the encoders are told.
        mask = self._convs[0].explaining_mask() if self._convs else None
        nodes, edges = self.embed(x, edge_index, edge_attr, both_directions=False, edge_mask=mask)
        if self.virtual_nodes:
            if batch is None:
                batch, batch_size = edge_index.new_zeros(x.size(0)), 1
            elif batch_size is None:
                batch_size = int(batch.max()) + 1 if batch.numel() else 0
            state = nodes.new_zeros(batch_size, self.hidden_channels)
        for number, block in enumerate(self.blocks):
            nodes = block(nodes, graph, edges, sizes, self.size_readout)
            if number < len(self.virtual_nodes):
                nodes, state = self.virtual_nodes[number](nodes, state, batch)
        return self.norm(nodes)
