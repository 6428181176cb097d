"""Random calls of M-mode on chains and grids, held against its naive form on the DAG that they are, and merged ones."""

import itertools
import random
from collections.abc import Callable

import torch
from torch import Tensor

from plstm_graph.ops import ORIENTATIONS, plstm_max_plus, plstm_max_plus_chain, plstm_max_plus_grid2d_oriented
from tests.fuzz.dags import random_line_graph
from tests.ops.max_plus_regular import chain_on_dag, grid_on_dag, grid_shapes
from tests.ops.test_layouts import permuted, reversed_axes, sliced

CHAIN_FORMS = ("auto", "naive", "recurrent", "scan")
GRID_FORMS = ("auto", "naive", "recurrent")
DTYPES = (torch.float64, torch.float64, torch.float32, torch.float32, torch.bfloat16, torch.float16)


def max_plus_chain(rng: random.Random, seed: int) -> None:
    """Draw a call of ``plstm_max_plus_chain`` with a state that enters and check it."""
    length, channels = rng.choice((1, 2, 3, 15, 16, 17, 33, 50)), rng.randint(1, 5)
    batch, form, temperature = _drawn_how(rng, CHAIN_FORMS)
    shapes = dict.fromkeys(("source", "transition", "mark", "direct"), (*batch, length, channels))
    operands = _drawn(rng, seed, shapes | {"initial_state": (*batch, channels)})

    def call(**o: Tensor) -> Tensor:
        out, state = plstm_max_plus_chain(**o, temperature=temperature, form=form, return_final_state=True)
        # The final state is no narrower than float32, and as wide as whatever it was computed from.
        return torch.cat([out.to(state.dtype), state.unsqueeze(-2)], dim=-2)

    def reference(**o: Tensor) -> Tensor:
        out, state = chain_on_dag(**o, temperature=temperature)
        return torch.cat([out, state.unsqueeze(0)])

    what = f"seed {seed}: plstm_max_plus_chain, form {form!r}, length {length}, temperature {temperature}"
    _compare(what, call, reference, batch, operands, temperature, steps=length + 1)


def max_plus_grid(rng: random.Random, seed: int) -> None:
    """Draw a call of ``plstm_max_plus_grid2d_oriented`` and check it."""
    width, height, channels = rng.randint(1, 7), rng.randint(1, 7), rng.randint(1, 5)
    batch, form, temperature = _drawn_how(rng, GRID_FORMS)
    orientations = rng.sample(ORIENTATIONS, rng.randint(1, 4))
    operands = _drawn(rng, seed, grid_shapes((*batch, width, height), channels, len(orientations)))

    def reference(direct: Tensor, **gates: Tensor) -> Tensor:
        # What one orientation reads is what the next reads at least: the first of equal terms counts.
        for o, name in enumerate(orientations):
            own = {gate: tensor.select(-2, o) for gate, tensor in gates.items()}
            direct = grid_on_dag(direct=direct, orientation=name, temperature=temperature, **own)
        return direct

    what = f"seed {seed}: plstm_max_plus_grid2d, form {form!r}, {width} x {height}, {orientations}, at {temperature}"
    _compare(
        what,
        lambda **o: plstm_max_plus_grid2d_oriented(**o, temperature=temperature, form=form, orientations=orientations),
        reference,
        batch,
        operands,
        temperature,
        steps=width + height + len(orientations),
    )


def max_plus_merged(rng: random.Random, seed: int) -> None:
    """Draw a call of ``plstm_max_plus`` in its merged form, which adds in an order of its own, and check it."""
    kind, graph = random_line_graph(rng)
    channels, temperature = rng.randint(1, 5), rng.choice((0.0, 0.0, 0.5))
    counts = {"source": graph.num_edges, "transition": graph.num_pairs, "mark": graph.num_edges}
    shapes = {name: (count, channels) for name, count in (counts | {"direct": graph.num_nodes}).items()}
    _compare(
        f"seed {seed}: merged, temperature {temperature}, {kind} pairs of {graph.num_nodes} nodes",
        lambda **o: plstm_max_plus(**o, line_graph=graph, temperature=temperature, form="merged"),
        lambda **o: plstm_max_plus(**o, line_graph=graph, temperature=temperature, form="naive"),
        (),
        _drawn(rng, seed, shapes),
        temperature,
        steps=graph.num_nodes + graph.num_edges,
    )


def _drawn_how(rng: random.Random, forms: tuple[str, ...]) -> tuple[tuple[int, ...], str, float]:
    return rng.choice(((), (1,), (2,), (2, 2))), rng.choice(forms), rng.choice((0.0, 0.0, 0.5))


def _drawn(rng: random.Random, seed: int, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Quarters, so that sums are exact in every dtype that they are computed in, and many are equal; minus infinity."""
    generator = torch.Generator().manual_seed(seed)
    dtype, mixed, closed = rng.choice(DTYPES), rng.random() < 0.2, rng.choice((0.0, 0.2, 0.7))
    operands = {}
    for name, shape in shapes.items():
        tensor = torch.randint(-12, 13, shape, generator=generator) / 4
        tensor = tensor.masked_fill(torch.rand(shape, generator=generator) < closed, -torch.inf)
        layout = rng.choice((lambda t: t, lambda t: t, permuted, reversed_axes, sliced))
        operands[name] = layout(tensor.to(rng.choice(DTYPES) if mixed else dtype))
    return operands


def _compare(
    what: str,
    call: Callable[..., Tensor],
    reference: Callable[..., Tensor],
    batch: tuple[int, ...],
    operands: dict[str, Tensor],
    temperature: float,
    steps: int,
) -> None:
    """Outputs and all gradients: of a maximum exactly, of a soft one within what the arithmetic explains.

    The reference computes one item of the batch after the other, in float64. A soft maximum is off by an epsilon of the
    largest number at every step; its weights, and so all gradients, by that over the temperature.
    """
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in operands.items()}
    out = call(**leaves)
    out_grad = torch.randint(-2, 3, out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)
    actual = [out, *torch.autograd.grad(out, list(leaves.values()), out_grad, materialize_grads=True)]

    wide = {name: tensor.detach().double().contiguous().requires_grad_() for name, tensor in operands.items()}
    items = [
        reference(**{name: tensor[index] for name, tensor in wide.items()})
        for index in itertools.product(*map(range, batch))
    ]
    expected = torch.stack(items).unflatten(0, batch) if batch else items[0]
    wanted = [expected]
    wanted += torch.autograd.grad(expected, list(wide.values()), out_grad.double(), materialize_grads=True)

    computed = torch.float32
    for tensor in operands.values():
        computed = torch.promote_types(computed, tensor.dtype)
    largest, mass = 3.0 * steps, float(out_grad.abs().sum()) + 1.0
    soft = 0.0 if temperature == 0 else 16 * steps * torch.finfo(computed).eps * largest / temperature * mass
    for name, got, right in zip(("output", *operands), actual, wanted, strict=True):
        assert got.shape == right.shape, f"{what}: {name} has shape {list(got.shape)}, expected {list(right.shape)}"
        got, right = got.detach(), right.detach()
        dtypes = [torch.finfo(tensor.dtype) for tensor in (got, operands["direct"])]
        # Below the smallest normal number, float16 has fewer digits.
        rounding, smallest = 4 * max(each.eps for each in dtypes), 2 * max(each.tiny for each in dtypes)
        off = torch.where(got == right, 0.0, (got.double() - right).abs())
        allowed = soft + rounding * right.nan_to_num(neginf=0.0).abs() + smallest
        if name != "output" and temperature == 0:
            allowed = 0.0  # Sums of a hundred small whole numbers are exact in bfloat16, too.
        assert (off <= allowed).all(), (
            f"{what}: {name} ({got.dtype}) is off by {float(off.max()):.3g} where entries reach "
            f"{float(right.nan_to_num(neginf=0.0).abs().max()):.3g}"
        )
