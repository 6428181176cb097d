"""The path that M-mode takes its maximum over: the critical path of a model of times."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from plstm_graph.graph import LineGraph
from plstm_graph.nn.makespan import MakespanPLSTM
from plstm_graph.nn.max_plus_gates import MaxPlusGates, MaxPlusTerms
from plstm_graph.nn.plstm_conv import PLSTMConv


def maximising_path(
    conv: PLSTMConv,
    x: Tensor,
    edge_index: Tensor,
    edge_attr: Tensor | None = None,
    *,
    node: int,
    weights: Tensor | None = None,
    line_graph: LineGraph | None = None,
) -> Tensor:
    """The path along which what a node reads in M-mode is the largest sum.

    Every channel has a path of its own, by the rule of :func:`~plstm_graph.ops.plstm_max_plus` where sums are equal.
    From the node back, the path goes through the edge that most of the weight of all channels' paths goes through, and
    of equal ones through the first; with all weight on one channel it is the path of that channel.

    Args:
        conv: A layer of mode ``"M"``.
        x: Node features, ``[N, in_channels]``.
        edge_index: ``[2, E]``
        edge_attr: ``[E, edge_dim]``
        node: The node that reads.
        weights: How much each channel of all heads counts, ``[C]``, not negative. (default: all alike)
        line_graph: The DAG's line graph.

    Returns:
        Columns of ``edge_index`` in the order of the path, towards the node; empty if all channels with any weight read
        the node itself, and no edge. With ``flow="target_to_source"`` the path runs against the edges. Of a layer
        with ``share_weights`` it is the path of the direction in which more arrives.

    Raises:
        ValueError: If the layer is of another mode, or the node or the number of weights does not fit.
    """
    if not isinstance(conv.gates, MaxPlusGates):
        raise ValueError(f"only layers of mode 'M' take a maximum over paths, this one is of mode {conv.mode!r}")
    if not 0 <= node < len(x):
        raise ValueError(f"there is no node {node} among {len(x)}")
    channels = conv.heads * conv.head_channels
    weights = x.new_ones(channels) if weights is None else weights
    if weights.shape != (channels,) or bool((weights < 0).any()):
        raise ValueError(f"weights must be {channels} numbers that are not negative, one for each channel")
    with torch.no_grad():
        directions, terms = _terms(conv, conv.gates, x, edge_index, edge_attr, line_graph)
    found = [_traced(conv, each, graph, node, weights) for each, graph in zip(terms, directions, strict=True)]
    return max(found, key=lambda each: each.sum).path


@dataclass
class PredictedPath:
    """The path behind a prediction.

    Attributes:
        columns (Tensor): Columns of the graph's ``edge_index`` in the order of the path, ``[L]``.
        node (int): The node in which it ends.
    """

    columns: Tensor
    node: int


def predicted_path(
    model: nn.Module, predict: Callable[[], Tensor], nodes: Sequence[int] | None = None
) -> PredictedPath | None:
    """The maximising path that a prediction rests on most.

    Of all layers of M-mode, and of the nodes in question, those whose maxima add most to the prediction; their channels
    count by how much each of them adds. A :class:`~plstm_graph.nn.MakespanPLSTM` says itself what its way is.

    Args:
        model: A module with layers of this package in it; in evaluation mode.
        predict: Takes one graph through the model, to the number in question.
        nodes: Nodes that the prediction is about. (default: all)

    Returns:
        None if no layer is of mode ``"M"``, the prediction depends on none of them, or the graph has no nodes.
    """
    planner = next((module for module in model.modules() if isinstance(module, MakespanPLSTM)), None)
    if planner is not None:
        return _planned(planner, predict, nodes)
    calls = {module: _Call() for module in model.modules() if isinstance(module, PLSTMConv) and module.mode == "M"}
    if not calls:
        return None
    handles = [handle for conv, call in calls.items() for handle in call.watch(conv)]
    try:
        with torch.enable_grad():
            number = predict().sum()
            reads = [read for call in calls.values() for read in call.reads]
            gradients = torch.autograd.grad(number, reads, allow_unused=True)
    finally:
        for handle in handles:
            handle.remove()
    slopes = dict(zip(map(id, reads), gradients, strict=True))
    best: tuple[float, Any] = (0.0, None)
    for conv, call in calls.items():
        for read in call.reads:
            slope = slopes[id(read)]
            if slope is None:
                continue
            of_channel = (slope * read).detach().flatten(1)
            adds = of_channel.sum(dim=1).abs()
            asked = torch.arange(len(adds), device=adds.device) if nodes is None else adds.new_tensor(nodes).long()
            place = asked[adds[asked].argmax()]
            if float(adds[place]) > best[0]:
                best = float(adds[place]), (conv, call.arguments, int(place), of_channel[place].abs())
    if best[1] is None:
        return None
    conv, arguments, node, weights = best[1]
    return PredictedPath(
        maximising_path(conv, *arguments[:3], node=node, weights=weights, line_graph=arguments[3]), node
    )


def _planned(
    planner: MakespanPLSTM, predict: Callable[[], Tensor], nodes: Sequence[int] | None
) -> PredictedPath | None:
    """The critical path of a model of plans, through the graph that it is called with; None without a task."""
    given: dict[str, Any] = {}

    def called(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        given.update(_by_name(module, arguments, named))

    handle = planner.register_forward_pre_hook(called, with_kwargs=True)
    try:
        predict()
    finally:
        handle.remove()
    if not len(given.get("x", ())):
        return None
    node = nodes[0] if nodes else None
    return PredictedPath(*planner.critical_path(given["x"], given["edge_index"], node, given.get("line_graph")))


def _by_name(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
    """What a module is called with, by the names of its arguments."""
    return inspect.signature(module.forward).bind(*given, **named).arguments


@dataclass
class _Call:
    """What a layer was last called with, and what its heads read in each direction."""

    arguments: tuple[Any, ...] = ()
    reads: list[Tensor] = field(default_factory=list)

    def watch(self, conv: PLSTMConv) -> list[Any]:
        """Record calls from now on."""

        def called(
            module: nn.Module,
            given: tuple[Any, ...],
            named: dict[str, Any],
        ) -> None:
            names = ("x", "edge_index", "edge_attr", "line_graph")
            values = _by_name(module, given, named)
            self.arguments, self.reads = tuple(values.get(name) for name in names), []

        return [
            conv.register_forward_pre_hook(called, with_kwargs=True),
            conv.norm.register_forward_pre_hook(lambda module, given: self.reads.append(given[0])),
        ]


class _Traced(NamedTuple):
    path: Tensor
    sum: float


def _terms(
    conv: PLSTMConv,
    gates: MaxPlusGates,
    x: Tensor,
    edge_index: Tensor,
    edge_attr: Tensor | None,
    line_graph: LineGraph | None,
) -> tuple[list[LineGraph], list[MaxPlusTerms]]:
    """The directions in which a layer runs, and what it adds up in each."""
    graph, edge_attr = conv._check(x, edge_index, edge_attr, line_graph)
    if conv.neighbours is not None:
        x = conv.neighbours(x, graph.edge_index, None)
    directions = [graph, graph.reverse()] if conv.share_weights else [graph]
    logits = gates.logits(x, edge_attr)
    return directions, [gates.of_logits(*logits, direction) for direction in directions]


def _traced(conv: PLSTMConv, terms: MaxPlusTerms, graph: LineGraph, node: int, weights: Tensor) -> _Traced:
    """Follow the gradient, which runs along the maximising path of each channel with factor 1."""
    with torch.enable_grad():
        terms = MaxPlusTerms(*(term.detach().requires_grad_() for term in terms))
        total = (conv.maxima_of(terms, graph)[node] * weights.to(terms.direct.dtype)).sum()
        asked = terms.source, terms.in_gate
        begins, enters = (
            torch.zeros_like(term[:, 0]) if slope is None else slope.sum(dim=1)
            for term, slope in zip(asked, torch.autograd.grad(total, asked, allow_unused=True), strict=True)
        )
    start, end = graph.edge_index.tolist()
    share, begun = (begins + enters).tolist(), begins.tolist()
    edges_into: dict[int, list[int]] = {}
    for edge, carried in enumerate(share):
        if carried:
            edges_into.setdefault(end[edge], []).append(edge)
    path: list[int] = []
    stops = 0.0
    while True:
        column = max(edges_into.get(node, ()), key=share.__getitem__, default=None)
        if column is None or stops >= share[column]:
            found = torch.tensor(path[::-1], dtype=torch.long, device=graph.edge_index.device)
            return _Traced(found, float(total.detach()))
        path.append(column)
        node, stops = start[column], begun[column]
