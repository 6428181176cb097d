"""Assertions for tests of layers and operators on DAGs, this package's own and yours."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from plstm_graph.graph import LineGraph
from plstm_graph.ops import Form, plstm

#: The tensors that :func:`~plstm_graph.plstm` takes, in order.
OPERANDS = ("query", "key", "value", "source", "transition", "mark", "direct")


def random_dag(num_nodes: int, num_edges: int, generator: torch.Generator | None = None) -> Tensor:
    """Edges of a random DAG with shuffled node numbers and edge order; parallel edges may occur.

    Args:
        num_nodes: Number of nodes; at least 2 if there are edges.
        num_edges: Number of edges.
        generator: Source of randomness.

    Returns:
        ``[2, num_edges]``, int64
    """
    start = torch.randint(num_nodes, (num_edges,), generator=generator)
    shift = torch.randint(1, max(num_nodes, 2), (num_edges,), generator=generator)
    ends = torch.stack([start, (start + shift) % num_nodes])
    return torch.randperm(num_nodes, generator=generator)[ends.sort(dim=0).values]


def random_operands(
    line_graph: LineGraph,
    heads: int = 2,
    key_width: int = 3,
    value_width: int = 5,
    dtype: torch.dtype = torch.float64,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Random arguments of :func:`~plstm_graph.plstm`, gates of both signs.

    Returns:
        One leaf tensor that requires a gradient for each name in :data:`OPERANDS`.
    """
    nodes, edges, pairs = line_graph.num_nodes, line_graph.num_edges, line_graph.num_pairs
    wide = {"query": (nodes, heads, key_width), "key": (nodes, heads, key_width), "value": (nodes, heads, value_width)}
    gates = {"source": (edges, heads), "transition": (pairs, heads), "mark": (edges, heads), "direct": (nodes, heads)}
    return {
        name: torch.randn(shape, dtype=dtype, generator=generator).requires_grad_()
        for name, shape in (wide | gates).items()
    }


def value_and_gradients(
    operands: dict[str, Tensor], line_graph: LineGraph, form: Form, out_grad: Tensor
) -> dict[str, Tensor]:
    """The operator's output, as ``"out"``, and the gradient of ``sum(out * out_grad)`` for each operand.

    Args:
        operands: As from :func:`random_operands`.
        line_graph: The structure.
        form: Which form to evaluate.
        out_grad: ``[N, H, V]``
    """
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in operands.items()}
    out = plstm(**leaves, line_graph=line_graph, form=form)
    grads = torch.autograd.grad(out, list(leaves.values()), out_grad, materialize_grads=True)
    return {"out": out.detach(), **dict(zip(leaves, grads, strict=True))}


def assert_forms_agree(
    line_graph: LineGraph,
    operands: dict[str, Tensor],
    forms: Sequence[Form],
    tolerance: float = 1e-10,
    reference: Form = "naive",
) -> None:
    """Assert that forms of the operator agree with a reference, in output and every gradient.

    Args:
        line_graph: The structure.
        operands: As from :func:`random_operands`.
        forms: Forms to test.
        tolerance: Largest difference over the largest entry of the reference (or 1 if that is smaller).
        reference: The form to test against.

    Raises:
        AssertionError: Naming the form, the tensor and the difference.
    """
    out_grad = torch.randn(
        operands["value"].shape, dtype=operands["value"].dtype, generator=torch.Generator().manual_seed(0)
    )
    expected = value_and_gradients(operands, line_graph, reference, out_grad)
    for form in forms:
        actual = value_and_gradients(operands, line_graph, form, out_grad)
        for name, tensor in expected.items():
            assert_close(
                actual[name], tensor, tolerance, f"{form} form, {'' if name == 'out' else 'gradient of '}{name}"
            )


def assert_close(actual: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    """Assert that two tensors differ by at most ``tolerance`` times the largest entry (or 1 if that is smaller)."""
    if actual.shape != expected.shape:
        raise AssertionError(f"{what}: shape {list(actual.shape)}, expected {list(expected.shape)}")
    if expected.numel() == 0:
        return
    actual, expected = actual.detach(), expected.detach()
    difference = float((actual - expected).abs().max())
    scale = max(1.0, float(expected.abs().max()))
    if not difference <= tolerance * scale:
        raise AssertionError(
            f"{what}: off by {difference:.3g} where entries reach {scale:.3g}, allowed {tolerance:.3g}"
        )


def assert_node_permutation_equivariance(
    module: Callable[..., Tensor],
    x: Tensor,
    edge_index: Tensor,
    edge_attr: Tensor | None = None,
    tolerance: float = 1e-5,
) -> None:
    """Assert that renumbering the nodes of a DAG renumbers the output and changes nothing else.

    Args:
        module: Called as ``module(x, edge_index, edge_attr)``, returns one row per node.
        x: ``[N, C]``
        edge_index: ``[2, E]``
        edge_attr: ``[E, D]``
        tolerance: As in :func:`assert_close`.
    """
    new_of_old = torch.randperm(x.size(0), generator=torch.Generator().manual_seed(0))
    renumbered = torch.empty_like(x)
    renumbered[new_of_old] = x
    actual = module(renumbered, new_of_old[edge_index], edge_attr)[new_of_old]
    assert_close(actual, module(x, edge_index, edge_attr), tolerance, "output after renumbering the nodes")


def assert_edge_order_invariance(
    module: Callable[..., Tensor],
    x: Tensor,
    edge_index: Tensor,
    edge_attr: Tensor | None = None,
    tolerance: float = 1e-5,
) -> None:
    """Assert that the order in which edges are listed does not matter. Arguments as for nodes."""
    order = torch.randperm(edge_index.size(1), generator=torch.Generator().manual_seed(0))
    attr = None if edge_attr is None else edge_attr[order]
    actual = module(x, edge_index[:, order], attr)
    assert_close(actual, module(x, edge_index, edge_attr), tolerance, "output after reordering the edges")


def assert_batch_consistency(model: Callable[[Data], Tensor], graphs: Sequence[Data], tolerance: float = 1e-5) -> None:
    """Assert that a batch gives the same rows as its graphs one by one.

    Args:
        model: Maps a graph or a batch to rows, per graph or per node.
        graphs: The graphs.
        tolerance: As in :func:`assert_close`.
    """
    single = torch.cat([model(Batch.from_data_list([graph])) for graph in graphs])
    assert_close(model(Batch.from_data_list(list(graphs))), single, tolerance, "output of the batch")


def assert_compiles_once(module: nn.Module, calls: Iterable[tuple[tuple, dict]], backend: str = "inductor") -> None:
    """Assert that a module compiles into one graph, without breaks, for all calls, and keeps its results.

    Args:
        module: The module.
        calls: Positional and keyword arguments of each call; shapes and depths should differ.
        backend: Backend of :func:`torch.compile`; ``"aot_eager"`` traces forward and backward without generating
            code, ``"eager"`` forward alone.

    Raises:
        AssertionError: If there is more than one graph, or a result differs.
        torch._dynamo.exc.Unsupported: If the graph breaks.
    """
    torch._dynamo.reset()
    counter = torch._dynamo.utils.counters["stats"]
    before = counter["unique_graphs"]
    compiled = torch.compile(module, backend=backend, fullgraph=True, dynamic=True)
    for args, kwargs in calls:
        expected = module(*args, **kwargs)
        actual = compiled(*args, **kwargs)
        assert_close(actual, expected, 1e-5, "output of the compiled module")
        if actual.requires_grad:
            actual.sum().backward()
    graphs = counter["unique_graphs"] - before
    if graphs != 1:
        raise AssertionError(f"expected one compiled graph, got {graphs}")
