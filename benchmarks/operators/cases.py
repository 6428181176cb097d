"""The operators to be timed: one function for each, or one for several that differ in a name."""

import functools
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv, GCNConv, GINEConv, TransformerConv

from benchmarks.operators.memory import available_memory
from benchmarks.operators.peers import GATv2Model
from benchmarks.operators.registry import Case, NotMeasured, Width, Workload, differentiable, operator
from benchmarks.operators.suites import LIMITED
from plstm_graph.graph import LineGraph
from plstm_graph.nn import PLSTM, GatedCell, PLSTMConv, count_parameters
from plstm_graph.nn.gates import Mode
from plstm_graph.ops import Form, choose_form, plstm
from plstm_graph.testing import OPERANDS

#: The naive form takes about 30 microseconds a pair and pass, so it is left out beyond this many.
NAIVE_PAIRS = 20_000
#: Cutting a random DAG to a multitree takes longer than any sweep should beyond this many edges.
_MULTITREE_EDGES = 20_000
#: The parallel form is far behind the others by then, and its lists would take gigabytes.
_PARALLEL_ENTRIES = 2**22
_SEED = 0


def plstm_operands(workload: Workload, width: Width) -> dict[str, Tensor]:
    """Random arguments of :func:`~plstm_graph.plstm`, float32; the gates keep states bounded, as trained ones do.

    Args:
        workload: What to run on.
        width: Widths.

    Returns:
        One leaf tensor that requires a gradient for each of :data:`~plstm_graph.testing.OPERANDS`.
    """
    graph, (heads, key, value) = workload.line_graph, width
    generator = torch.Generator().manual_seed(_SEED)
    features = [torch.randn(graph.num_nodes, heads, size, generator=generator) for size in (key, key, value)]
    source, mark = (torch.rand(graph.num_edges, heads, generator=generator) for _ in range(2))
    out_degree = torch.bincount(graph.edge_index[0], minlength=graph.num_nodes).clamp(min=1)
    share = 1 / out_degree[graph.edge_index[1, graph.pairs[0]]].unsqueeze(-1)
    transition = (0.9 + 0.1 * torch.rand(graph.num_pairs, heads, generator=generator)) * share
    direct = torch.rand(graph.num_nodes, heads, generator=generator)
    operands = (*features, source, transition, mark, direct)
    return {name: tensor.requires_grad_() for name, tensor in zip(OPERANDS, operands, strict=True)}


def _form(workload: Workload, width: Width, form: Form) -> Case:
    graph, (heads, key, value) = workload.line_graph, width
    if form == "naive" and graph.num_pairs + graph.num_edges > NAIVE_PAIRS:
        raise NotMeasured(f"the naive loop is for at most {NAIVE_PAIRS} edges and pairs")
    if form == "parallel" and not graph.has_ancestry(_PARALLEL_ENTRIES):
        raise NotMeasured(f"more than {_PARALLEL_ENTRIES} pairs of edges reach each other")
    # States, their gradients, and what travels over the pairs of a wide level.
    needed = 3 * 4 * graph.num_edges * heads * key * value
    if form == "recurrent" and needed > available_memory():
        raise NotMeasured(f"needs about {needed / 2**30:.0f} GiB of memory")
    operands = plstm_operands(workload, width)
    out_grad = torch.randn(graph.num_nodes, heads, value, generator=torch.Generator().manual_seed(_SEED))
    return differentiable(lambda: plstm(**operands, line_graph=graph, form=form), tuple(operands.values()), out_grad)


for _name in get_args(Form):
    operator(f"plstm {_name}")(functools.partial(_form, form=_name))


class _Limited:
    """A pass with so many threads of torch, whatever the run has: so several numbers can be timed in turns."""

    def __init__(self, run: Callable[[], object], threads: int) -> None:
        self._run, self._threads = run, threads

    def prepare(self) -> None:
        """Run it once: threads that were not needed before are started, and the caches hold what it left there."""
        self()

    def __call__(self) -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            self._run()
        finally:
            torch.set_num_threads(before)


def _with_threads(workload: Workload, width: Width, threads: int) -> Case:
    return {name: _Limited(run, threads) for name, run in _form(workload, width, "auto").items()}


for _number, _name in enumerate(LIMITED, start=1):
    operator(_name)(functools.partial(_with_threads, threads=_number))


@operator("plstm auto, from edges")
def from_edges(workload: Workload, width: Width) -> Case:
    """The operator on a graph that it sees for the first time: all structure is built in each call."""
    operands = plstm_operands(workload, width)
    out_grad = torch.randn_like(operands["value"])

    def run() -> Tensor:
        return plstm(**operands, line_graph=LineGraph(workload.edge_index, workload.num_nodes), form="auto")

    return differentiable(run, tuple(operands.values()), out_grad)


def _layer(workload: Workload, width: Width, layer: nn.Module, *arguments: object) -> Case:
    """A layer on random features, with gradients of the features and all parameters."""
    generator = torch.Generator().manual_seed(_SEED)
    x, out_grad = torch.randn(2, workload.num_nodes, width.channels, generator=generator)
    x.requires_grad_()
    return differentiable(lambda: layer(x, *arguments), (x, *layer.parameters()), out_grad)


def _conv(workload: Workload, width: Width, mode: Mode) -> Case:
    if mode == "D" and workload.batch is None and workload.line_graph.num_edges > _MULTITREE_EDGES:
        raise NotMeasured(f"cuts to a multitree are made for at most {_MULTITREE_EDGES} edges here")
    layer = PLSTMConv(width.channels, width.channels, width.heads, mode)
    return _layer(workload, width, layer, workload.edge_index, None, workload.line_graph)


for _mode in get_args(Mode):
    operator(f"PLSTMConv {_mode}")(functools.partial(_conv, mode=_mode))


@operator("GINEConv")
def gine(workload: Workload, width: Width) -> Case:
    """GINEConv with a network of two layers, and edge features of the same width."""
    size = width.channels
    layer = GINEConv(nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, size)))
    edge_attr = torch.randn(workload.edge_index.size(1), size, generator=torch.Generator().manual_seed(_SEED))
    return _layer(workload, width, layer, workload.edge_index, edge_attr)


@operator("GATv2Conv")
def gatv2(workload: Workload, width: Width) -> Case:
    """GATv2Conv along the edges of the DAG."""
    return _layer(workload, width, GATv2Conv(width.channels, width.value, width.heads), workload.edge_index)


@operator("GATv2Conv, both directions")
def gatv2_both(workload: Workload, width: Width) -> Case:
    """GATv2Conv on the undirected graph, as molecules are usually given to it: twice the edges."""
    edge_index = torch.cat([workload.edge_index, workload.edge_index.flip(0)], dim=1)
    return _layer(workload, width, GATv2Conv(width.channels, width.value, width.heads), edge_index)


@operator("TransformerConv")
def transformer(workload: Workload, width: Width) -> Case:
    """TransformerConv along the edges of the DAG."""
    return _layer(workload, width, TransformerConv(width.channels, width.value, width.heads), workload.edge_index)


@operator("GCNConv")
def gcn(workload: Workload, width: Width) -> Case:
    """GCNConv along the edges of the DAG."""
    return _layer(workload, width, GCNConv(width.channels, width.channels), workload.edge_index)


def _gated(workload: Workload, width: Width, aggr: Literal["sum", "attention"]) -> Case:
    """The cell inside the baseline ``LevelGRU``: that is a whole network, here layers stand beside layers."""
    return _layer(workload, width, GatedCell(width.channels, aggr=aggr), workload.edge_index, None, workload.line_graph)


operator("GatedCell, sum")(functools.partial(_gated, aggr="sum"))
operator("GatedCell, attention")(functools.partial(_gated, aggr="attention"))


def _training_step(model: nn.Module, loss: Callable[[], Tensor]) -> Case:
    optimizer = torch.optim.AdamW(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return {"training step": step}


@operator("PLSTM model")
def plstm_model(workload: Workload, width: Width) -> Case:
    """Four layers (P, D, P, D), both directions; each step builds the batch's structure, as training does."""
    batch = workload.molecules()
    model = PLSTM("atom", width.channels, 2, 1, heads=width.heads)

    def loss() -> Tensor:
        graph = LineGraph.from_data(batch).prepare()
        out = model(batch.x, batch.edge_index, batch.edge_attr, batch.batch, graph, batch.num_graphs)
        return out.square().mean()

    return _training_step(model, loss)


@operator("GATv2 model")
def gatv2_model(workload: Workload, width: Width) -> Case:
    """Four layers of GATv2 and feed-forward networks, as many parameters as the PLSTM model."""
    batch = workload.molecules()
    size = count_parameters(PLSTM("atom", width.channels, 2, 1, heads=width.heads))
    model = GATv2Model.of_size(size, width.channels, width.heads)
    edge_index = torch.cat([batch.edge_index, batch.edge_index.flip(0)], dim=1)
    edge_attr = torch.cat([batch.edge_attr, batch.edge_attr])
    return _training_step(model, lambda: model(batch, edge_index, edge_attr).square().mean())


@operator("structure")
def structure(workload: Workload, width: Width) -> Case:
    """What training builds for each batch, from what the transform attached to its molecules."""
    batch = workload.molecules()
    return {"build": lambda: LineGraph.from_data(batch).prepare()}


@operator("structure from edges")
def structure_from_edges(workload: Workload, width: Width) -> Case:
    """Levels, pairs, schedule, and ancestors where the ``auto`` form would ask for them; no multitree."""

    def build() -> None:
        choose_form(LineGraph(workload.edge_index, workload.num_nodes), *width)

    return {"build": build}
