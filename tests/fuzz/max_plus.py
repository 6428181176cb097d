"""Random calls of M-mode, held against dynamic programming in numpy, which walks each path back by hand."""

import random

import numpy as np
import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.ops import plstm_max_plus
from tests.fuzz.dags import random_line_graph
from tests.ops.test_layouts import permuted, reversed_axes, sliced

FORMS = ("auto", "auto", "naive", "recurrent")
DTYPES = (torch.float64, torch.float64, torch.float32, torch.float32, torch.bfloat16, torch.float16)
NAMES = ("source", "transition", "mark", "direct")


def check_max_plus(rng: random.Random, seed: int) -> None:
    """Draw a call and compare its values and gradients.

    The reference adds the same numbers in the same order and precision, so values of the maximum are equal exactly, and
    so are the paths that are taken, ties included. Gradients are sums over outputs that take the same path, in another
    order. A soft maximum is rounded at every step, and its weights are exponentials of such sums.
    """
    kind, graph = random_line_graph(rng)
    channels, form = rng.choice((0, 1, 2, 5, 8, 16, 17, 33)), rng.choice(FORMS)
    temperature = rng.choice((0.0, 0.0, 0.1, 1.0, 7.5))
    operands = _drawn(rng, seed, graph, channels)
    what = (
        f"seed {seed}: plstm_max_plus, form {form!r}, temperature {temperature}, {kind} pairs of "
        f"{graph.num_nodes} nodes and {graph.num_edges} edges"
    )
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in operands.items()}
    out = plstm_max_plus(**leaves, line_graph=graph, temperature=temperature, form=form)
    out_grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(seed)).to(out.dtype)
    actual = [out, *torch.autograd.grad(out, list(leaves.values()), out_grad, materialize_grads=True)]

    computed = torch.float32
    for tensor in operands.values():
        computed = torch.promote_types(computed, tensor.dtype)
    wide = computed if temperature == 0 else torch.float64
    numbers = [tensor.detach().to(wide).contiguous().numpy() for tensor in (*operands.values(), out_grad)]
    expected = dynamic_programming(graph, temperature, *numbers)
    finite = [n[np.isfinite(n)] for n in numbers[:4]]
    size = max([1.0, *(float(np.abs(n).max()) for n in finite if n.size)]) * (
        int(graph.level.max() if out.numel() else 0) + 2
    )
    steps = 4 * (graph.num_nodes + graph.num_edges + graph.num_pairs)
    of_value = 0.0 if temperature == 0 else steps * torch.finfo(computed).eps * (size + 10 * temperature)
    of_weight = steps * torch.finfo(computed).eps * (1 if temperature == 0 else size / temperature + 10)
    total = float(out_grad.double().abs().sum()) if out.numel() else 0.0
    for name, got, wanted in zip(("output", *NAMES), actual, expected, strict=True):
        wanted = torch.from_numpy(wanted).double()
        assert got.shape == wanted.shape, f"{what}: {name} has shape {list(got.shape)}, expected {list(wanted.shape)}"
        allowed = of_value if name == "output" else of_weight * total
        # Then what is rounded to the dtype of the result, and below its smallest normal number.
        kept = torch.finfo(got.dtype)
        there = wanted.isfinite()
        assert torch.equal(got.detach().double()[~there], wanted[~there]), f"{what}: {name} is infinite elsewhere"
        off = (got.detach().double() - wanted)[there].abs() - kept.eps * wanted[there].abs() - allowed - kept.tiny
        assert not (off > 0).any() and not got.isnan().any(), (
            f"{what}: {name} is off by {float(off.max()):.3g} too much"
        )


def _drawn(rng: random.Random, seed: int, graph: LineGraph, channels: int) -> dict[str, Tensor]:
    """Operands of one dtype or of mixed ones, in any layout: any numbers, or whole ones whose sums tie; some closed."""
    generator = torch.Generator().manual_seed(seed)
    dtype, mixed, ties, closed = rng.choice(DTYPES), rng.random() < 0.2, rng.random() < 0.5, rng.choice((0.0, 0.3, 0.8))
    operands = {}
    for name, rows in zip(NAMES, (graph.num_edges, graph.num_pairs, graph.num_edges, graph.num_nodes), strict=True):
        tensor = 2 * torch.randn(rows, channels, dtype=torch.float64, generator=generator)
        tensor = tensor.round() if ties else tensor
        tensor = tensor.masked_fill(torch.rand(tensor.shape, generator=generator) < closed, -torch.inf)
        layout = rng.choice((lambda t: t, lambda t: t, permuted, reversed_axes, sliced))
        operands[name] = layout(tensor.to(rng.choice(DTYPES) if mixed else dtype))
    return operands


def dynamic_programming(
    graph: LineGraph,
    temperature: float,
    source: np.ndarray,
    transition: np.ndarray,
    mark: np.ndarray,
    direct: np.ndarray,
    out_grad: np.ndarray,
) -> list[np.ndarray]:
    """Outputs and the gradient of each operand, in the dtype of the operands; those of the outputs are given."""
    edges, pairs = graph.edge_index.t().tolist(), graph.pairs.t().tolist()
    # Terms of a row: number of what is added, and edge that it is added to; in the caller's order.
    into_edge: list[list[tuple[int, int]]] = [[] for _ in edges]
    for pair, (before, after) in enumerate(pairs):
        into_edge[after].append((pair, before))
    into_node: list[list[tuple[int, int]]] = [[] for _ in direct]
    for edge, (_, end) in enumerate(edges):
        into_node[end].append((edge, edge))
    order = _topological(len(direct), edges)
    walk = [edge for node in order for edge, (start, _) in enumerate(edges) if start == node]

    sums, out = source.copy(), direct.copy()
    shares: dict[tuple[str, int], np.ndarray] = {}
    for edge in walk:
        sums[edge], shares["edge", edge] = _largest(
            [source[edge], *(sums[before] + transition[pair] for pair, before in into_edge[edge])], temperature
        )
    for node in order:
        out[node], shares["node", node] = _largest(
            [direct[node], *(sums[edge] + mark[edge] for edge, _ in into_node[node])], temperature
        )
    grads = [np.zeros_like(array) for array in (source, transition, mark, direct)]
    adjoint = np.zeros_like(source)
    for node in order:
        own, *rest = shares["node", node] * out_grad[node]
        grads[3][node] = own
        for (edge, _), part in zip(into_node[node], rest, strict=True):
            grads[2][edge] += part
            adjoint[edge] += part
    for edge in reversed(walk):
        own, *rest = shares["edge", edge] * adjoint[edge]
        grads[0][edge] = own
        for (pair, before), part in zip(into_edge[edge], rest, strict=True):
            grads[1][pair] += part
            adjoint[before] += part
    return [out, *grads]


def _largest(terms: list[np.ndarray], temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """The largest of some terms and the share of each in it; the first of equal ones has all of it."""
    stacked = np.stack(terms)
    largest = stacked.max(axis=0)
    nothing = largest == -np.inf
    if temperature == 0:
        shares = np.arange(len(terms))[:, None] == stacked.argmax(axis=0)
        return largest, np.where(nothing, 0, shares).astype(stacked.dtype)
    shift = np.where(nothing, 0, largest)
    powers = np.exp((stacked - shift) / temperature)
    total = np.where(nothing, 1, powers.sum(axis=0))
    return np.where(nothing, -np.inf, shift + temperature * np.log(total)), powers / total


def _topological(nodes: int, edges: list[tuple[int, int]]) -> list[int]:
    """Nodes, each behind its predecessors."""
    waiting = [0] * nodes
    for _, end in edges:
        waiting[end] += 1
    order = [node for node in range(nodes) if waiting[node] == 0]
    for node in order:
        for start, end in edges:
            if start == node:
                waiting[end] -= 1
                if waiting[end] == 0:
                    order.append(end)
    return order
