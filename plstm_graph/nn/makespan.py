"""How long tasks take that wait for each other and share machines."""

import math
from collections.abc import Sequence
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plstm_graph.graph import LineGraph
from plstm_graph.nn.encoders import CategoryEncoder, FeatureSpec, feature_encoder, num_columns
from plstm_graph.nn.node_networks import NodeNetworks
from plstm_graph.nn.size_head import SizeScale, check_size_scale
from plstm_graph.nn.structure import check_graph, line_graph_of
from plstm_graph.ops import plstm_max_plus_factorized
from plstm_graph.ops.resource_bound import resource_bound
from plstm_graph.ops.scatter import sum_rows
from plstm_graph.ops.shapes import check_whole, wide_dtype

_FIRST_SHARE = -1.5  # before softplus: of a machine in five
_ONE = math.log(math.e - 1)  # before softplus
_FIRST_DIFFERENCES = 0.1  # between coefficients before softplus, of those that weights usually give


class MakespanPLSTM(nn.Module):
    r"""pLSTM in M-mode for plans: learned durations, the longest ways through each task, and machines that all share.

    Columns of ``x`` that are *times* keep their unit: what task ``v`` takes is linear in them, and only the
    coefficients are learned, each from what else is known of the task,

    .. math::
        d_v = \sum_j \mathrm{softplus}(c_0 + c_j(v))\, x_{vj},

    where the constant makes coefficients one that nothing has been learned about: such a task takes what was planned.

    M-mode (:func:`~plstm_graph.ops.plstm_max_plus_factorized`) with ``d`` as Source and as Transition, along the
    edges and against them, gives the longest way to each task :math:`h_v` and from it :math:`t_v`. A graph takes

    .. math::
        \max\Big(\max_v (h_v + d_v + t_v),\ r \bar d
        + \max_{a, b} \big(a + b + s \sum_{v:\ h_v \ge a,\ t_v \ge b} d_v \big)\Big)

    the critical path, or what tasks that have to lie between :math:`a` and :math:`b` make of their machines
    (:func:`~plstm_graph.ops.resource_bound.resource_bound`), of which each task takes a share ``s``, and which are not
    done all at once: the last is later by ``r`` of a mean task. Both are learned from what is known of the machines. If
    all times double, so does the prediction; and nothing in it depends on how many tasks there are. Several channels,
    each with coefficients of its own, are added with positive weights.

    For makespans, latencies and finish times of tasks. For any other quantity there is
    :class:`~plstm_graph.nn.PLSTM`.

    Args:
        in_channels (int or list[int]): Node features as :func:`~plstm_graph.nn.feature_encoder` takes them.
        hidden_channels (int): Size of the encodings of what is known of tasks and of machines. (default: ``32``)
        num_layers (int): Number of networks of single tasks behind the former. Without any, a task whose categories
            are all unknown (category 0) and that has no numbers takes what was planned. (default: ``0``)
        out_channels (int): Number of targets. (default: ``1``)
        times (list[int or str]): Columns of ``x`` that are times, not negative, in a unit that targets have too. They
            must not have been standardised: a time has a zero. By their numbers, or by ``column_names``.
        features (list[int or str], optional): Columns that coefficients depend on. (default: all others)
        machines (list[int or str], optional): Columns that ``s`` and ``r`` depend on, by their encoding's mean over a
            graph, such as the number of machines. (default: all that are no times)
        channels (int): Number of durations of each task. (default: ``1``)
        scale (str): ``"linear"``, or ``"log"`` for targets ``log(1 + time)``, such as those of
            ``task.target_scale: log1p``. (default: ``"linear"``)
        bins (int): As of :func:`~plstm_graph.ops.resource_bound.resource_bound`. (default: ``64``)
        predict (str): ``"graph"`` for makespans; ``"node"`` for finish times of tasks with a machine each, which are
            :math:`h_v + d_v`. (default: ``"graph"``)
        column_names (list[str], optional): Names of the columns of ``x``. Tasks give them.

    Attributes:
        target_scales (list[str]): Scales of the targets of a task on which it can learn: it gives times, or
            ``log(1 + time)``, and no number below zero.

    Shapes:
        - **input:** node features ``[N, F]``, edge indices ``[2, E]``, graph of each node ``[N]`` *(optional, in
          any order)*, line graph *(optional, saves rebuilding it)*
        - **output:** ``[B, out_channels]``, or ``[N, out_channels]`` for nodes
    """

    def __init__(
        self,
        in_channels: FeatureSpec,
        hidden_channels: int = 32,
        num_layers: int = 0,
        out_channels: int = 1,
        *,
        times: Sequence[int | str],
        features: Sequence[int | str] | None = None,
        machines: Sequence[int | str] | None = None,
        channels: int = 1,
        scale: SizeScale = "linear",
        bins: int = 64,
        predict: Literal["graph", "node"] = "graph",
        column_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(in_channels, str):
            raise ValueError(f"in_channels={in_channels!r} has no columns of numbers that could be times")
        columns = num_columns(in_channels)
        sizes = [0] * columns if isinstance(in_channels, int) else list(in_channels)
        if predict not in ("graph", "node"):
            raise ValueError(f"predict must be 'graph' or 'node', got {predict!r}")
        check_size_scale(scale)
        check_whole(1, hidden_channels=hidden_channels, out_channels=out_channels, channels=channels, bins=bins)
        check_whole(0, num_layers=num_layers)
        names = [] if column_names is None else list(column_names)
        if names and len(names) != columns:
            raise ValueError(f"column_names has {len(names)} names, and x has {columns} columns")
        self.target_scales = ["raw"] if scale == "linear" else ["log1p", "raw"]
        self.times = _columns("times", times, columns, names)
        others = [column for column in range(columns) if column not in self.times]
        self.features = _columns("features", others if features is None else features, columns, names)
        self.machines = _columns("machines", others if machines is None else machines, columns, names)
        categories = [column for column in self.times if sizes[column]]
        if categories:
            raise ValueError(f"times must be columns of numbers, but column {categories[0]} has categories")
        self.in_channels, self.hidden_channels, self.out_channels = in_channels, hidden_channels, out_channels
        self.channels, self.scale, self.bins, self.predict = channels, scale, bins, predict
        self.node_encoder = nn.Identity()  # of times: what `viz.attribution` hides of a task
        self.encoder = feature_encoder([sizes[column] for column in self.features], hidden_channels)
        self.networks = NodeNetworks(hidden_channels, num_layers)
        self.coefficients = nn.Linear(hidden_channels, len(self.times) * channels, bias=False)
        self.machine_encoder = self.shares = None
        if predict == "graph":
            self.machine_encoder = feature_encoder([sizes[column] for column in self.machines], hidden_channels)
            self.shares = nn.Sequential(
                nn.Linear(hidden_channels, hidden_channels),
                nn.GELU(),
                nn.Linear(hidden_channels, 2 * channels),
            )
        self.weight = nn.Parameter(torch.empty(out_channels, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew. At first the channels are averaged, and all coefficients are about one."""
        for module in (self.encoder, self.networks, self.coefficients, self.machine_encoder, *(self.shares or ())):
            if hasattr(module, "reset_parameters"):
                cast(nn.Linear, module).reset_parameters()
        with torch.no_grad():
            self.coefficients.weight.mul_(_FIRST_DIFFERENCES)
        if self.shares is not None:
            nn.init.constant_(cast(nn.Linear, self.shares[-1]).bias, _FIRST_SHARE)
        nn.init.constant_(self.weight, math.log(math.expm1(1 / self.channels)))

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        batch: Tensor | None = None,
        line_graph: LineGraph | None = None,
        batch_size: int | None = None,
    ) -> Tensor:
        """Predict the times of each graph or node.

        Args:
            x: Node features, ``[N, F]``.
            edge_index: A task that has to be done before another, and that other, ``[2, E]``.
            batch: Graph of each node, ``[N]``. (default: all nodes are of one graph)
            line_graph: The line graph of ``edge_index``. (default: the one that a batch of
                :class:`~plstm_graph.loader.DAGLoader` has, else a new one)
            batch_size: Number of graphs ``B``; given, it spares a device synchronisation.

        Raises:
            ValueError: If features or graphs of nodes are of another shape, or a time is negative, which is looked for
                on the CPU alone, and not in a compiled or exported model.
        """
        graph = self._checked(x, edge_index, line_graph)
        if batch is not None and batch.shape != x.shape[:1]:
            raise ValueError(f"batch must be [N] = [{x.size(0)}], got {list(batch.shape)}")
        if batch is None:
            batch, batch_size = edge_index.new_zeros(x.size(0)), 1
        elif batch_size is None:
            batch_size = int(batch.max()) + 1 if batch.numel() else 0
        duration = self.durations(x)
        head = self.longest_ways(duration, graph)
        if self.machine_encoder is None or self.shares is None:
            return self._scaled(head + duration)
        tail = self.longest_ways(duration, graph.reverse())
        machines = _mean(_encode(self.machine_encoder, x[:, self.machines]), batch, batch_size)
        share, rest = F.softplus(self.shares(machines)).chunk(2, dim=1)
        shared = resource_bound(head, tail, duration * share.index_select(0, batch), batch, batch_size, self.bins)
        rows = batch.unsqueeze(1).expand_as(head)
        shared = shared + rest * _mean(duration, batch, batch_size)
        longest = shared.new_zeros(shared.shape).scatter_reduce(0, rows, head + duration + tail, "amax")
        return self._scaled(torch.maximum(longest, shared))

    def durations(self, x: Tensor) -> Tensor:
        """How long each task takes, ``[N, channels]``, in the unit of its times."""
        logits = self.coefficients(self.networks(_encode(self.encoder, x[:, self.features])))
        coefficients = F.softplus(logits + _ONE).view(len(x), len(self.times), self.channels)
        times = self.node_encoder(x[:, self.times].to(coefficients.dtype))
        return (times.unsqueeze(-1) * coefficients).sum(dim=1)

    @staticmethod
    def longest_ways(duration: Tensor, line_graph: LineGraph) -> Tensor:
        """The largest sum of durations along any path that ends at a task, without its own, ``[N, channels]``."""
        of_starts = duration.index_select(0, line_graph.edge_index[0])
        nothing = torch.zeros_like(of_starts)
        return plstm_max_plus_factorized(of_starts, nothing, of_starts, nothing, torch.zeros_like(duration), line_graph)

    @torch.no_grad()
    def critical_path(
        self, x: Tensor, edge_index: Tensor, node: int | None = None, line_graph: LineGraph | None = None
    ) -> tuple[Tensor, int]:
        """The way that takes longest, by the durations of all channels together.

        Args:
            x: As in :meth:`forward`, of one graph, and so are the edges and their line graph.
            edge_index: ``[2, E]``
            node: Where the way ends. (default: at the task that is done last)
            line_graph: The line graph of ``edge_index``.

        Returns:
            Columns of ``edge_index`` in the order of the way, and the node in which it ends.

        Raises:
            ValueError: If there is no such node, or none at all.
        """
        graph = self._checked(x, edge_index, line_graph)
        if len(x) == 0 or not (node is None or 0 <= node < len(x)):
            raise ValueError(f"there is no node {'at all' if node is None else node} among {len(x)}")
        duration = F.linear(self.durations(x), F.softplus(self.weight)).mean(dim=1, keepdim=True)
        ends = (self.longest_ways(duration, graph) + duration).view(-1)
        here = int(ends.argmax()) if node is None else node
        last, times = here, ends.tolist()
        into: dict[int, list[tuple[int, int]]] = {}
        for column, (start, end) in enumerate(graph.edge_index.t().tolist()):
            into.setdefault(end, []).append((start, column))
        path: list[int] = []
        while here in into:
            here, column = max(into[here], key=lambda edge: times[edge[0]])
            path.append(column)
        return torch.tensor(path[::-1], dtype=torch.long, device=x.device), last

    def _checked(self, x: Tensor, edge_index: Tensor, line_graph: LineGraph | None) -> LineGraph:
        """The line graph of a graph that features fit."""
        check_graph(x, edge_index)
        columns = num_columns(self.in_channels)
        if x.dim() != 2 or x.size(1) != columns:
            raise ValueError(f"x must be [N, {columns}], got {list(x.shape)}")
        if x.is_cpu and not torch.compiler.is_compiling():
            negative = (x[:, self.times] < 0).nonzero()
            if len(negative):
                node, column = int(negative[0, 0]), self.times[int(negative[0, 1])]
                raise ValueError(
                    f"times must not be negative, but column {column} of x is {float(x[node, column]):g} at node "
                    f"{node}: a time keeps its unit and its zero, which standardising takes away"
                )
        return line_graph_of(x, edge_index, line_graph)

    def _scaled(self, times: Tensor) -> Tensor:
        amount = F.linear(times, F.softplus(self.weight))
        return amount.log1p() if self.scale == "log" else amount


def _columns(name: str, given: Sequence[int | str], columns: int, names: Sequence[str]) -> list[int]:
    """Some columns of ``x``, each of them once, by their numbers."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ValueError(f"{name} must be a list of columns of x, got {given!r}")
    found: list[int] = []
    for column in given:
        if isinstance(column, str) and names.count(column) == 1:
            found.append(names.index(column))
        elif isinstance(column, int) and not isinstance(column, bool) and 0 <= column < columns:
            found.append(column)
    if not given or len(found) < len(given):
        known = f", or among their names {', '.join(names)}" if names else ""
        raise ValueError(f"{name} must be columns of x, from 0 to {columns - 1}{known}, got {list(given)}")
    if len(set(found)) < len(found):
        raise ValueError(f"{name} must have each column of x once, got {list(given)}")
    return found


def _encode(encoder: nn.Module, columns: Tensor) -> Tensor:
    """Encode columns of ``x``, which are floats, or categories alone."""
    return encoder(columns.long() if isinstance(encoder, CategoryEncoder) else columns)


def _mean(rows: Tensor, batch: Tensor, batch_size: int) -> Tensor:
    """Means over graphs, zero where there are no nodes; half precision does not count to thousands."""
    wide = rows.to(wide_dtype(rows))
    count = sum_rows(torch.ones_like(wide[:, :1]), batch, batch_size).clamp(min=1)
    return (sum_rows(wide, batch, batch_size) / count).to(rows.dtype)
