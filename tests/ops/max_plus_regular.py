"""Chains and grids of M-mode as DAGs, whose edges carry what stands at the nodes; and operands to try them with."""

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.ops import plstm_max_plus
from plstm_graph.ops.shapes import GATES


def drawn(shapes, *, ties=False, closed=0.0, seed=0, dtype=torch.float64):
    """Random operands; ``ties`` makes many sums equal, ``closed`` is the share of minus infinity."""
    generator = torch.Generator().manual_seed(seed)
    operands = {}
    for name, shape in shapes.items():
        tensor = torch.randn(shape, dtype=dtype, generator=generator)
        tensor = tensor.round() if ties else tensor
        operands[name] = tensor.masked_fill(torch.rand(shape, generator=generator) < closed, -torch.inf)
    return operands


def value_and_gradients(call, operands):
    """Output and gradients by name, of an output gradient that differs from entry to entry."""
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in operands.items()}
    out = call(**leaves)
    out_grad = torch.randint(-9, 10, out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)
    grads = torch.autograd.grad(out, list(leaves.values()), out_grad, materialize_grads=True)
    return {"output": out.detach(), **dict(zip(leaves, grads, strict=True))}


def chain_on_dag(
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    direct: Tensor,
    initial_state: Tensor | None = None,
    temperature: float = 0.0,
    form: str = "naive",
) -> tuple[Tensor, Tensor]:
    """Outputs ``[L, C]`` and final state ``[C]``: one node more at both ends, for the states that enter and leave."""
    length, channels = direct.shape
    edges = torch.stack([torch.arange(length + 1), torch.arange(1, length + 2)])
    nothing = torch.full((1, channels), -torch.inf, dtype=direct.dtype)
    first = nothing if initial_state is None else initial_state.unsqueeze(0)
    out = plstm_max_plus(
        torch.cat([first, source]),
        transition,
        torch.cat([mark, torch.zeros_like(nothing)]),
        torch.cat([nothing, direct, nothing]),
        LineGraph(edges, length + 2),
        temperature,
        form,
    )
    return out[1:-1], out[-1]


def grid_on_dag(
    *,
    direct: Tensor,
    orientation: str = "right-down",
    temperature: float = 0.0,
    form: str = "naive",
    **gates: Tensor,
) -> Tensor:
    """Outputs ``[X, Y, C]`` of one orientation: edges along the first axis come first, as in ``LineGraph.grid``."""
    width, height, channels = direct.shape
    ahead = (-1 if "left" in orientation else 1, 0), (0, -1 if "up" in orientation else 1)
    edges, number = [], {}
    for way, (dx, dy) in enumerate(ahead):
        for x in range(width):
            for y in range(height):
                if 0 <= x + dx < width and 0 <= y + dy < height:
                    number[way, x + dx, y + dy] = len(edges)
                    edges.append(((x, y), (x + dx, y + dy), way))
    index = torch.tensor([[x * height + y for x, y in edge[:2]] for edge in edges], dtype=torch.long).view(-1, 2).t()
    graph = LineGraph(index, width * height)
    names = {
        (0, 0): "right_from_left",
        (1, 1): "down_from_up",
        (0, 1): "down_from_left",
        (1, 0): "right_from_up",
    }
    sources, marks = ("source_right", "source_down"), ("mark_left", "mark_up")
    none = direct.new_zeros(0, channels)
    source = [gates[sources[way]][start] for start, _, way in edges]
    mark = [gates[marks[way]][end] for _, end, way in edges]
    transition = [gates[names[edges[e][2], edges[f][2]]][edges[f][0]] for e, f in graph.pairs.t().tolist()]
    stacked = [torch.stack(rows) if rows else none for rows in (source, transition, mark)]
    out = plstm_max_plus(*stacked, direct.flatten(0, 1), graph, temperature, form)
    return out.view(direct.shape)


def grid_shapes(shape, channels, orientations=None):
    """Of the operands of a grid, ``[*shape, C]``, or ``[*shape, O, C]`` but for direct."""
    own = (channels,) if orientations is None else (orientations, channels)
    return dict.fromkeys(GATES, (*shape, *own)) | {"direct": (*shape, channels)}
