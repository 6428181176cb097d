"""Residual blocks of pLSTM layers and feed-forward layers."""

import inspect
from typing import Any, Literal, cast, get_args

from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from plstm_graph.graph import LineGraph
from plstm_graph.nn.gated_cell import Flow, GatedCell
from plstm_graph.nn.local import LocalConv, LocalFFN, Neighbours
from plstm_graph.nn.neighbours import NeighbourKind, make_neighbour_input
from plstm_graph.nn.node_networks import feed_forward
from plstm_graph.nn.norm import NormKind, make_norm
from plstm_graph.nn.plstm_conv import LayerMode, PLSTMConv
from plstm_graph.ops.dag.gated_levels import Gathering

BlockMode = Literal[LayerMode, "G"]
Direction = Literal["forward", "backward", "both"]
Local = Literal["none", "conv", "ffn"]

_FLOWS: dict[str, tuple[Flow, ...]] = {
    "forward": ("source_to_target",),
    "backward": ("target_to_source",),
    "both": ("source_to_target", "target_to_source"),
}


class PLSTMLayer(nn.Module):
    r"""A pre-norm residual layer: pLSTM along the DAG, against it, or both (summed), then a feed-forward network.

    .. math::
        x \leftarrow x + \mathrm{PLSTM}(\mathrm{norm}(x)), \qquad x \leftarrow x + \mathrm{FFN}(\mathrm{norm}(x))

    Args:
        channels (int): Size of node features.
        heads (int): Number of heads. (default: ``4``)
        mode (str): ``"P"``, ``"D"`` or ``"M"``, see :class:`~plstm_graph.nn.PLSTMConv`; ``"G"`` for a nonlinear step,
            :class:`~plstm_graph.nn.GatedCell`, to which no other argument of that layer means anything.
            (default: ``"P"``)
        direction (str): ``"forward"`` along the edges, ``"backward"`` against them, or ``"both"``.
            (default: ``"both"``)
        share_weights (bool): With ``"both"``, use the same weights in both directions. For graphs whose directions were
            chosen rather than given, such as molecules. (default: ``False``)
        edge_dim (int, optional): Size of edge features.
        ffn_ratio (float): Width of the feed-forward network over ``channels``. (default: ``2``)
        dropout (float): Dropout after both parts. (default: ``0``)
        norm (str): ``"rms"``, ``"batch"`` or ``"none"``, see :func:`~plstm_graph.nn.norm.make_norm`.
            (default: ``"rms"``)
        local (str): ``"conv"`` adds :class:`~plstm_graph.nn.local.LocalConv`, which knows no directions, to the mixer;
            ``"ffn"`` makes the feed-forward network a :class:`~plstm_graph.nn.local.LocalFFN`, which reads neighbours
            in ``direction``, or all alike with ``share_weights``. Edge features must then be of size ``channels``.
            (default: ``"none"``)
        gated_aggr (str): How mode ``"G"`` gathers states, ``"attention"``, ``"sum"`` or ``"max"``. (default:
            ``"attention"``)
        neighbours (bool or str): As in :class:`~plstm_graph.nn.PLSTMConv`, once for both directions; the nodes before
            and behind are treated alike with ``share_weights``. With ``direction="forward"``, too, a node then hears
            those right behind it. (default: ``False``)
        **kwargs: Of :class:`~plstm_graph.nn.PLSTMConv`.

    Shapes:
        - **input:** node features ``[N, channels]``, line graph, edge features ``[E, edge_dim]`` *(optional)*
        - **output:** ``[N, channels]``
    """

    def __init__(
        self,
        channels: int,
        heads: int = 4,
        mode: BlockMode = "P",
        direction: Direction = "both",
        share_weights: bool = False,
        edge_dim: int | None = None,
        ffn_ratio: float = 2.0,
        dropout: float = 0.0,
        norm: NormKind = "rms",
        local: Local = "none",
        gated_aggr: Gathering = "attention",
        neighbours: NeighbourKind = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        known = {name for layer in (PLSTMConv, MessagePassing) for name in inspect.signature(layer).parameters}
        unknown = sorted(set(kwargs) - known)
        if "tied" in unknown:
            raise TypeError("the argument 'tied' is called 'share_weights' now")
        if unknown and mode == "G":  # Other layers find out by themselves.
            raise TypeError(f"a layer has no argument {unknown[0]!r}")
        if direction not in _FLOWS:
            raise ValueError(f"direction must be 'forward', 'backward' or 'both', got {direction!r}")
        if gated_aggr not in get_args(Gathering):
            raise ValueError(f"gated_aggr must be 'attention', 'sum' or 'max', got {gated_aggr!r}")
        if not isinstance(local, str) or local not in get_args(Local):
            was = f": for {local} say {'conv' if local else 'none'!r}" if isinstance(local, bool) else ""
            raise ValueError(f"local must be 'none', 'conv' or 'ffn', got {local!r}{was}")
        self.norm = make_norm(norm, channels)
        # One for both directions.
        self.neighbours = make_neighbour_input(neighbours, channels, channels, share_weights)
        one_for_both = share_weights and direction == "both"
        self.convs = nn.ModuleList(
            GatedCell(channels, edge_dim, flow, gated_aggr, one_for_both)
            if mode == "G"
            else PLSTMConv(channels, channels, heads, mode, edge_dim, flow=flow, share_weights=one_for_both, **kwargs)
            for flow in (_FLOWS[direction][:1] if one_for_both else _FLOWS[direction])
        )
        self.local = LocalConv(channels, edge_dim is not None, norm) if local == "conv" else None
        width = int(ffn_ratio * channels)
        local_neighbours: Neighbours = "undirected" if share_weights else direction
        self.ffn = (
            LocalFFN(channels, width, local_neighbours, norm, dropout)
            if local == "ffn"
            else feed_forward(channels, width, norm, dropout)
        )
        self.dropout = nn.Dropout(dropout)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        network = self.ffn if isinstance(self.ffn, nn.Sequential) else [self.ffn]
        for module in (self.norm, self.neighbours, *self.convs, self.local, *network):
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()

    def forward(
        self, x: Tensor, line_graph: LineGraph, edge_attr: Tensor | None = None, sizes: list[Tensor] | None = None
    ) -> Tensor:
        """Run the layer; ``sizes`` as in :meth:`PLSTMConv.forward`, one tensor for each direction."""
        normed = self.norm(x)
        # An explainer sets the same mask for all layers that are its own; the others here are told.
        masks = [conv.explaining_mask() for conv in self.convs if isinstance(conv, PLSTMConv)]
        mask = masks[0] if masks else None
        seen = normed if self.neighbours is None else self.neighbours(normed, line_graph.edge_index, mask)
        given = (seen, line_graph.edge_index, edge_attr, line_graph)
        mixed = sum(conv(*given) if isinstance(conv, GatedCell) else conv(*given, sizes) for conv in self.convs)
        if self.local is not None:
            mixed = mixed + self.local(normed, line_graph.edge_index, edge_attr)
        x = x + self.dropout(mixed)
        if isinstance(self.ffn, nn.Sequential):
            return x + self.dropout(self.ffn(x))
        return x + self.dropout(self.ffn(x, line_graph.edge_index, edge_attr, mask))


class PLSTMBlock(nn.Module):
    """A P-mode layer, then a D-mode layer: the pair that the paper stacks in all its experiments.

    Args:
        channels (int): Size of node features.
        modes (str): Modes of the layers, one letter each: P, D, M or G. (default: ``"PD"``)
        **kwargs: Of :class:`PLSTMLayer`.

    Shapes:
        - **input:** node features ``[N, channels]``, line graph, edge features ``[E, edge_dim]`` *(optional)*
        - **output:** ``[N, channels]``
    """

    def __init__(self, channels: int, modes: str = "PD", **kwargs: Any) -> None:
        super().__init__()
        if not modes or set(modes) - set(get_args(BlockMode)):
            raise ValueError(f"modes must be a word of the letters P, D, M and G, such as 'PD', got {modes!r}")
        self.modes = modes
        self.layers = nn.ModuleList(PLSTMLayer(channels, mode=cast(BlockMode, mode), **kwargs) for mode in modes)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for layer in self.layers:
            cast(PLSTMLayer, layer).reset_parameters()

    def forward(
        self,
        x: Tensor,
        line_graph: LineGraph,
        edge_attr: Tensor | None = None,
        sizes: list[Tensor] | None = None,
        sizes_of: str = "",
    ) -> Tensor:
        """Run the layers one after the other.

        Args:
            x: ``[N, channels]``
            line_graph: The structure.
            edge_attr: ``[E, edge_dim]``
            sizes: As in :meth:`PLSTMLayer.forward`.
            sizes_of: The modes of the layers that append to it.
        """
        for mode, layer in zip(self.modes, self.layers, strict=True):
            x = layer(x, line_graph, edge_attr, sizes if mode in sizes_of else None)
        return x
