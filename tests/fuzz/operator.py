"""Random calls of the operators, one for each seed, held against dense linear algebra or dynamic programming."""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from plstm_graph.ops import plstm, plstm_chain, plstm_grid2d, plstm_matrix
from plstm_graph.ops.shapes import GATES
from plstm_graph.testing import OPERANDS
from tests.fuzz.dags import random_line_graph
from tests.fuzz.dense import dense_outputs
from tests.fuzz.max_plus import check_max_plus
from tests.fuzz.max_plus_regular import max_plus_chain, max_plus_grid, max_plus_merged
from tests.ops.catalogue import native_code
from tests.ops.test_layouts import permuted, reversed_axes, sliced

DAG_FORMS = ("auto", "naive", "recurrent", "parallel", "chunkwise")
CHAIN_FORMS = ("auto", "naive", "parallel", "chunkwise", "scan")
GRID_FORMS = ("auto", "naive", "recurrent", "parallel", "chunkwise")
DTYPES = (torch.float64, torch.float64, torch.float32, torch.float32, torch.bfloat16, torch.float16)


def check_operator(seed: int) -> None:
    """Draw a call from a seed and check it.

    Raises:
        AssertionError: Telling the seed and what is off.
    """
    rng = random.Random(seed)
    of_maxima = check_max_plus, max_plus_merged, max_plus_chain, max_plus_grid
    problem = rng.choice((_dag, _dag, _dag, _chain, _grid, _matrix, *of_maxima))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(rng.choice((1, 2, 3)))
        with native_code(rng.random() < 0.6):
            problem(rng, seed)
    finally:
        torch.set_num_threads(threads)


def _dag(rng: random.Random, seed: int) -> None:
    kind, graph = random_line_graph(rng)
    nodes, edges = graph.num_nodes, graph.num_edges
    heads, keys, values = rng.randint(1, 5), rng.choice((1, 2, 3, 8, 17)), rng.choice((1, 2, 5, 8, 16, 19))
    form = rng.choice(DAG_FORMS)
    counts = {"N": nodes, "E": edges, "P": graph.num_pairs}
    operands = _operands(rng, seed, counts, heads, keys, values)
    structure = (graph.edge_index.t().tolist(), graph.pairs.t().tolist())
    depth = int(graph.level.max()) + 1 if nodes else 0
    _compare(
        f"seed {seed}: plstm, form {form!r}, {kind} pairs of {nodes} nodes and {edges} edges",
        lambda **o: plstm(**o, line_graph=graph, form=form),
        lambda **o: dense_outputs(**o, edges=structure[0], pairs=structure[1]),
        operands,
        summands=4 * (depth + nodes + edges + keys + values),
    )


def _matrix(rng: random.Random, seed: int) -> None:
    kind, graph = random_line_graph(rng)
    n, e, p = graph.num_nodes, graph.num_edges, graph.num_pairs
    heads, keys, values, size = rng.randint(1, 4), rng.choice((1, 3, 8)), rng.choice((1, 5, 8)), rng.randint(1, 4)
    form = rng.choice(DAG_FORMS)
    features = ((n, heads, keys), (n, heads, keys), (n, heads, values))
    gates = ((e, heads, size), (p, heads, size, size), (e, heads, size), (n, heads))
    shapes = dict(zip(OPERANDS, (*features, *gates), strict=True))
    operands = _drawn(rng, torch.Generator().manual_seed(seed), shapes, bounded=("transition",))
    # Rows are joined to rows, so that there are many more paths: states must not outgrow what dense algebra resolves.
    operands["transition"].mul_(0.25)
    edges = [tuple(edge) for edge in graph.edge_index.t().tolist() for _ in range(size)]
    pairs = [
        (e * size + j, f * size + i) for e, f in graph.pairs.t().tolist() for i in range(size) for j in range(size)
    ]

    def dense(**o: Tensor) -> Tensor:
        # Every row of every edge is an edge of its own.
        for name in ("source", "mark"):
            o[name] = torch.stack([row[:, j] for row in o[name] for j in range(size)]) if e else o[name][..., 0]
        entries = [matrix[:, i, j] for matrix in o["transition"] for i in range(size) for j in range(size)]
        o["transition"] = torch.stack(entries) if entries else o["transition"][..., 0, 0]
        return dense_outputs(**o, edges=edges, pairs=pairs)

    depth = int(graph.level.max()) + 1 if n else 0
    _compare(
        f"seed {seed}: plstm_matrix, form {form!r}, {size} rows, {kind} pairs of {n} nodes and {e} edges",
        lambda **o: plstm_matrix(**o, line_graph=graph, form=form),
        dense,
        operands,
        summands=4 * (depth * size + n + e * size + keys + values),
    )


def _chain(rng: random.Random, seed: int) -> None:
    length, heads = rng.choice((1, 2, 3, 15, 16, 17, 33, 50)), rng.randint(1, 3)
    keys, values = rng.choice((1, 3, 8)), rng.choice((1, 4, 8))
    form = rng.choice(CHAIN_FORMS)
    operands = _operands(rng, seed, {"N": length, "E": length, "P": length}, heads, keys, values)
    edges = [(i, i + 1) for i in range(length - 1)]
    pairs = [(i, i + 1) for i in range(length - 2)]

    def dense(**o: Tensor) -> Tensor:
        # Gates of a chain stand at its nodes, between the edge into a node and the edge out of it.
        o["source"], o["mark"], o["transition"] = (
            o["source"][:-1],
            o["mark"][1:],
            o["transition"][1 : max(length - 1, 1)],
        )
        return dense_outputs(**o, edges=edges, pairs=pairs)

    _compare(
        f"seed {seed}: plstm_chain, form {form!r}, length {length}",
        lambda **o: plstm_chain(**o, form=form),
        dense,
        operands,
        summands=4 * (2 * length + keys + values),
    )


def _grid(rng: random.Random, seed: int) -> None:
    width, height, heads = rng.randint(1, 7), rng.randint(1, 7), rng.randint(1, 3)
    keys, values = rng.choice((1, 3, 8)), rng.choice((1, 4, 8, 9))
    form = rng.choice(GRID_FORMS)
    shape = (width, height, heads)
    generator = torch.Generator().manual_seed(seed)
    sizes = {"query": (*shape, keys), "key": (*shape, keys), "value": (*shape, values), "direct": shape}
    operands = _drawn(rng, generator, sizes | dict.fromkeys(GATES, shape), bounded=GATES)

    right = {(x, y): None for x in range(width - 1) for y in range(height)}
    down = {(x, y): None for x in range(width) for y in range(height - 1)}
    number = {("right", *at): i for i, at in enumerate(right)} | {
        ("down", *at): len(right) + i for i, at in enumerate(down)
    }
    edges = [(x * height + y, (x + 1) * height + y) for x, y in right]
    edges += [(x * height + y, x * height + y + 1) for x, y in down]
    pairs, gate_of_pair = [], []
    for x in range(width):
        for y in range(height):
            for way, before, to, after, name in (
                ("right", (x - 1, y), "right", (x, y), "right_from_left"),
                ("down", (x, y - 1), "down", (x, y), "down_from_up"),
                ("right", (x - 1, y), "down", (x, y), "down_from_left"),
                ("down", (x, y - 1), "right", (x, y), "right_from_up"),
            ):
                if (way, *before) in number and (to, *after) in number:
                    pairs.append((number[(way, *before)], number[(to, *after)]))
                    gate_of_pair.append((name, x, y))

    def dense(**o: Tensor) -> Tensor:
        none = o["direct"].new_zeros(0, heads)
        source = [o["source_right"][x, y] for x, y in right] + [o["source_down"][x, y] for x, y in down]
        mark = [o["mark_left"][x + 1, y] for x, y in right] + [o["mark_up"][x, y + 1] for x, y in down]
        transition = [o[name][x, y] for name, x, y in gate_of_pair]
        gates = {"source": source, "mark": mark, "transition": transition}
        flat = {name: o[name].flatten(0, 1) for name in ("query", "key", "value", "direct")}
        stacked = {name: torch.stack(rows) if rows else none for name, rows in gates.items()}
        return dense_outputs(**flat, **stacked, edges=edges, pairs=pairs).unflatten(0, (width, height))

    _compare(
        f"seed {seed}: plstm_grid2d, form {form!r}, {width} x {height}",
        lambda **o: plstm_grid2d(**o, form=form),
        dense,
        operands,
        summands=4 * (4 * (width + height) + width * height + keys + values),
    )


def _operands(
    rng: random.Random, seed: int, counts: dict[str, int], heads: int, keys: int, values: int
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    n, e, p = counts["N"], counts["E"], counts["P"]
    shapes = ((n, heads, keys), (n, heads, keys), (n, heads, values), (e, heads), (p, heads), (e, heads), (n, heads))
    return _drawn(rng, generator, dict(zip(OPERANDS, shapes, strict=True)), bounded=("transition",))


def _drawn(
    rng: random.Random, generator: torch.Generator, shapes: dict[str, tuple[int, ...]], bounded: tuple[str, ...]
) -> dict[str, Tensor]:
    """Operands of one dtype or of mixed ones, in any layout; some gates exactly 0 or 1."""
    dtype, mixed = rng.choice(DTYPES), rng.random() < 0.2
    operands = {}
    for name, shape in shapes.items():
        tensor = torch.randn(shape, dtype=torch.float64, generator=generator)
        if name in bounded:
            tensor = tensor.tanh() * rng.choice((0.3, 0.7))
        if name not in ("query", "key", "value"):
            exact = torch.randint(0, 6, shape, generator=generator)
            tensor = tensor.masked_fill(exact == 0, 0.0).masked_fill((exact == 1) & (name not in bounded), 1.0)
        layout = rng.choice((lambda t: t, lambda t: t, permuted, reversed_axes, sliced))
        operands[name] = layout(tensor.to(rng.choice(DTYPES) if mixed else dtype))
    return operands


def _compare(
    what: str,
    call: Callable[..., Tensor],
    dense: Callable[..., Tensor],
    operands: dict[str, Tensor],
    summands: int,
) -> None:
    """Outputs and all gradients, entry by entry, within what the arithmetic explains.

    A sum of products, in any order, is off by at most its number of roundings times epsilon times the same sum of
    absolute values; so is every gradient, which is such a sum too. That bound is computed here from absolute operands.
    """
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in operands.items()}
    out = call(**leaves)
    out_grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)
    actual = [out, *torch.autograd.grad(out, list(leaves.values()), out_grad, materialize_grads=True)]

    def reference(map_operands: Callable[[Tensor], Tensor]) -> list[Tensor]:
        wide = {n: map_operands(t.detach().double().contiguous()).requires_grad_() for n, t in operands.items()}
        result = dense(**dict(wide))
        grad = map_operands(out_grad.double())
        return [result, *torch.autograd.grad(result, list(wide.values()), grad, materialize_grads=True)]

    expected, bounds = reference(lambda t: t.clone()), reference(torch.abs)
    computed = torch.float32
    for tensor in operands.values():
        computed = torch.promote_types(computed, tensor.dtype)
    for name, got, wanted, bound in zip(("output", *operands), actual, expected, bounds, strict=True):
        assert got.shape == wanted.shape, f"{what}: {name} has shape {list(got.shape)}, expected {list(wanted.shape)}"
        # Roundings inside, then those into the dtype of the result and of what passes on the way to it.
        rounding = summands * torch.finfo(computed).eps + 4 * torch.finfo(got.dtype).eps
        if out.dtype != computed:
            rounding += 4 * torch.finfo(out.dtype).eps
        # Below the smallest normal number, float16 has fewer digits.
        smallest = 2 * max(torch.finfo(got.dtype).tiny, torch.finfo(out.dtype).tiny)
        dtype, got, wanted = got.dtype, got.detach().double(), wanted.detach()
        off = (got - wanted).abs() - rounding * bound.detach() - smallest
        assert not (off > 0).any() and not got.isnan().any(), (
            f"{what}: {name} ({dtype}) is off by "
            f"{float((got - wanted).abs().max()):.3g} where entries reach {float(wanted.abs().max()):.3g}"
        )
