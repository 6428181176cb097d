"""The least time that tasks with a common resource take, whatever their order: by heads, tails and work."""

import torch
from torch import Tensor

from plstm_graph.ops.scatter import sum_rows
from plstm_graph.ops.shapes import check_real, check_whole, widened


def resource_bound(
    head: Tensor, tail: Tensor, work: Tensor, batch: Tensor, batch_size: int | None = None, bins: int = 64
) -> Tensor:
    r"""The largest lower bound on the time that a graph of tasks takes if all of them share one resource.

    A task cannot begin before its *head*, the longest way to it; when it is done, its *tail*, the longest way from it,
    is still to go; and the resource needs its *work*. Tasks with heads of :math:`a` or more and tails of :math:`b` or
    more all lie between :math:`a` and the end less :math:`b`, so that for every :math:`a` and :math:`b` nothing is
    faster than (Carlier 1982)

    .. math::
        a + b + \sum_{v:\ h_v \ge a,\ t_v \ge b} w_v

    With :math:`a = b = 0` that is all the work. For ``k`` machines that are alike, work is a duration over ``k``.

    Thresholds are the heads and the tails themselves. Of a graph with more than ``bins`` different ones every so
    many-th is tried, always with the least: the result is then a bound, too, if not the largest. Cost is
    ``O(N log N + B bins^2)`` for each channel. The gradient is that of the largest, as of any maximum.

    Args:
        head: ``[N, C]``, in any unit of time.
        tail: ``[N, C]``
        work: ``[N, C]``
        batch: Graph of each node, ``[N]``, in any order.
        batch_size: Number of graphs ``B``; given, it spares a device synchronisation.
        bins: Most thresholds of each kind.

    Returns:
        ``[B, C]``; 0 for a graph without nodes.

    Raises:
        TypeError: If an operand has no real numbers; names it.
        ValueError: If shapes differ, or ``bins`` is no whole number above 0.
    """
    for name, tensor in (("head", head), ("tail", tail), ("work", work)):
        check_real(name, tensor)
        if head.dim() != 2 or tensor.shape != head.shape:
            raise ValueError(f"{name} must be [N, C], the same for all three, got {list(tensor.shape)}")
    if batch.shape != head.shape[:1]:
        raise ValueError(f"batch must be [N] = [{head.size(0)}], got {list(batch.shape)}")
    check_whole(1, bins=bins)
    if batch_size is None:
        batch_size = int(batch.max()) + 1 if batch.numel() else 0
    dtype, channels = torch.promote_types(torch.promote_types(head.dtype, tail.dtype), work.dtype), head.size(1)
    head, tail, work = widened(head, tail, work)  # thousands of tasks are added up
    bin_of, least = _binned(torch.cat([head, tail], dim=1), batch, batch_size, bins)
    (of_head, of_tail), (least_head, least_tail) = bin_of.chunk(2, dim=1), least.chunk(2, dim=2)
    cell = (((batch.unsqueeze(1) * bins) + of_head) * bins + of_tail) * channels
    cell = (cell + torch.arange(channels, device=batch.device)).view(-1)
    cells = batch_size * bins * bins * channels
    shape = (batch_size, bins, bins, channels)
    work_from = _from_here_on(work.new_zeros(cells).scatter_add(0, cell, work.reshape(-1)).view(shape))
    tasks_from = _from_here_on(work.detach().new_zeros(cells).index_fill(0, cell, 1.0).view(shape))
    bound = least_head.unsqueeze(2) + least_tail.unsqueeze(1) + work_from
    # Thresholds that no task reaches together bound nothing.
    largest = bound.masked_fill(tasks_from == 0, float("-inf")).flatten(1, 2).amax(dim=1)
    return largest.masked_fill(tasks_from[:, 0, 0] == 0, 0.0).to(dtype)


def _from_here_on(grid: Tensor) -> Tensor:
    """Sums over all cells from each on, of ``[B, bins, bins, C]``."""
    return grid.flip(1, 2).cumsum(1).cumsum(2).flip(1, 2)


def _binned(values: Tensor, batch: Tensor, batch_size: int, bins: int) -> tuple[Tensor, Tensor]:
    """The bin of each value among the different ones of its graph, ``[N, C]``, and the least of each, ``[B, bins, C]``.

    Bins that nothing is in have infinity as their least.
    """
    channels = values.size(1)
    # By graph, then by value: a stable sort by graph of what is sorted by value.
    order = values.detach().argsort(dim=0)
    order = order.gather(0, batch[order].argsort(dim=0, stable=True))
    given, batch = batch, batch.sort().values
    ordered = values.detach().gather(0, order)
    differs = torch.ones_like(order)
    differs[1:] = ((ordered[1:] != ordered[:-1]) | (batch[1:] != batch[:-1]).unsqueeze(1)).long()
    count = sum_rows(differs, batch, batch_size)
    place = differs.cumsum(0) - (count.cumsum(0) - count).index_select(0, batch) - 1
    of_graph = count.index_select(0, batch)
    place = torch.where(of_graph > bins, place * bins // of_graph, place)
    place = torch.empty_like(place).scatter_(0, order, place)
    row = given.unsqueeze(1) * bins + place
    # Infinity rather than zero below the values: a zero among them would share its gradient with it.
    least = values.new_full((batch_size * bins, channels), float("inf")).scatter_reduce(0, row, values, "amin")
    return place, least.view(batch_size, bins, channels)
