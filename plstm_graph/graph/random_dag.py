"""Random DAGs for tests, benchmarks and synthetic tasks."""

import torch
from torch import Tensor


def random_dag(
    num_nodes: int, num_edges: int, span: int | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """A DAG drawn uniformly from those whose edges rise in one topological order of the nodes, which is random too.

    Args:
        num_nodes: Number of nodes ``N``.
        num_edges: Number of edges ``E``; all are different.
        span: Largest distance in the topological order that an edge may bridge; a small one gives deep DAGs. (default:
            no limit)
        generator: Source of randomness. (default: torch's own)

    Returns:
        ``edge_index``, ``[2, E]``, int64, sorted by start in the topological order.

    Raises:
        ValueError: If there are not so many different edges.
    """
    span = max(num_nodes - 1, 0) if span is None else min(span, max(num_nodes - 1, 0))
    # Of the nodes in topological order all but the last `span` have `span` possible edges.
    most = span * num_nodes - span * (span + 1) // 2
    if not 0 <= num_edges <= most:
        raise ValueError(f"a DAG of {num_nodes} nodes with span {span} has 0 to {most} edges, not {num_edges}")
    number = _distinct(most, num_edges, generator)
    full = span * (num_nodes - span)
    start = torch.where(number < full, number // max(span, 1), 0)
    end = start + 1 + number % max(span, 1)
    rest = (number >= full).nonzero().view(-1)
    if rest.numel() > 0:
        # The last `span` nodes form a triangle, numbered from its end: node i from the end has i edges.
        back = most - 1 - number[rest]
        row = ((1 + (8 * back.double() + 1).sqrt()) / 2).floor().long()
        row = row - (row * (row - 1) // 2 > back).long() + ((row + 1) * row // 2 <= back).long()
        start[rest] = num_nodes - 1 - row
        end[rest] = num_nodes - 1 - (back - row * (row - 1) // 2)
    order = torch.randperm(num_nodes, generator=generator)
    by_start = torch.argsort(start * num_nodes + end)
    return order[torch.stack([start, end])[:, by_start]]


def random_tree(num_nodes: int, generator: torch.Generator | None = None) -> Tensor:
    """A random recursive tree: every node but the root hangs from a uniformly drawn node before it.

    Args:
        num_nodes: Number of nodes ``N``; node 0 is the root, and edges lead away from it.
        generator: Source of randomness. (default: torch's own)

    Returns:
        ``edge_index``, ``[2, N - 1]``, int64, sorted by end.
    """
    end = torch.arange(1, num_nodes)
    start = (torch.rand(end.shape, generator=generator, dtype=torch.double) * end).long()
    return torch.stack([start, end])


def _distinct(most: int, count: int, generator: torch.Generator | None) -> Tensor:
    """``count`` different numbers from 0 to ``most - 1``."""
    if most <= 4 * count:
        return torch.randperm(most, generator=generator)[:count]
    numbers = torch.empty(0, dtype=torch.long)
    while numbers.numel() < count:
        more = torch.randint(most, (count + count // 8 + 8,), generator=generator)
        numbers = torch.unique(torch.cat([numbers, more]))
    return numbers[torch.randperm(numbers.numel(), generator=generator)[:count]]
