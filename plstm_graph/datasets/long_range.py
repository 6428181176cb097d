"""Synthetic tasks on DAGs whose answer lies many hops away, each graph decided by a seed and its number alone."""

import math
from typing import Literal, get_args

import numpy as np
import torch
from torch_geometric.data import Data

from plstm_graph.datasets.seeded import SeededGraphs
from plstm_graph.graph import descendants, longest_path_levels, random_dag

Task = Literal["copy", "longest_path", "reachability", "path_parity"]
Shape = Literal["chain", "braid"]

#: Symbols of the copy task.
SYMBOLS = 8


class LongRange(SeededGraphs):
    """Graphs of a synthetic task, made when they are asked for.

    * ``"copy"``: the last node of a path tells the symbol of the first; all others carry symbols that do not matter.
      ``x`` ``[N, 2]`` is symbol and role (0 on the way, 1 source, 2 sink); ``y`` ``[N, 1]`` is the symbol at the sink,
      NaN elsewhere. In the shape ``"braid"`` every second node of the path is doubled, so that a path of ``L`` hops is
      one of ``2 ** (L / 2)``.
    * ``"longest_path"``: for each node of a random DAG, the number of edges of the longest path that ends there.
    * ``"reachability"``: 1 for each descendant of a marked node, 0 for other nodes.
    * ``"path_parity"``: whether the number of paths from the marked node is odd; NaN for nodes that it does not reach.

    In the last three, ``x`` ``[N, 1]`` is 1 for the marked node, 0 for others (for all in ``"longest_path"``), and
    ``y`` is ``[N, 1]``; graphs have twice as many edges as nodes, none longer than an eighth of the topological order.

    Args:
        task (str): One of the above.
        num_graphs (int): Number of graphs.
        size (int): Hops of ``"copy"``, else nodes.
        smallest (int, optional): Draw the size of each graph from here to ``size``, uniformly on a logarithmic scale.
            (default: all graphs have the same size)
        shape (str): Of ``"copy"``: ``"chain"`` or ``"braid"``. (default: ``"chain"``)
        seed (int): Graph ``i`` depends on this and on ``i`` only. (default: ``0``)

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self, task: Task, num_graphs: int, size: int, smallest: int | None = None, shape: Shape = "chain", seed: int = 0
    ) -> None:
        if task not in get_args(Task) or shape not in get_args(Shape):
            raise ValueError(
                f"task must be one of {', '.join(get_args(Task))} and shape {' or '.join(get_args(Shape))}, "
                f"got {task!r} and {shape!r}"
            )
        if shape != "chain" and task != "copy":
            raise ValueError(f"shape is of the task 'copy', got shape={shape!r} for {task!r}")
        lowest = 2 if task == "copy" else 16
        if num_graphs < 0 or not lowest <= (size if smallest is None else smallest) <= size:
            raise ValueError(
                f"a task {task!r} needs {lowest} <= smallest <= size, got smallest={smallest}, size={size} "
                f"and num_graphs={num_graphs}"
            )
        super().__init__(num_graphs, seed)
        self.task, self.shape = task, shape
        self.size, self.smallest = size, size if smallest is None else smallest

    def _make(self, random: np.random.Generator) -> Data:
        size = round(math.exp(random.uniform(math.log(self.smallest), math.log(self.size))))
        if self.task == "copy":
            return _copy(size, self.shape, random)
        generator = torch.Generator().manual_seed(int(random.integers(2**62)))
        edge_index = random_dag(size, 2 * size, span=max(size // 8, 3), generator=generator)
        marked = torch.zeros(size, 1, dtype=torch.long)
        if self.task == "longest_path":
            return Data(x=marked, edge_index=edge_index, y=longest_path_levels(edge_index, size).float().view(-1, 1))
        level = longest_path_levels(edge_index, size)
        early = (level <= int(level.max()) // 2).nonzero().view(-1)
        source = int(early[random.integers(len(early))])
        marked[source] = 1
        reached = descendants(edge_index, size, source)
        target = reached.float()
        if self.task == "path_parity":
            target = _parity_of_paths(edge_index, level, source)
            target[~reached] = math.nan
        return Data(x=marked, edge_index=edge_index, y=target.view(-1, 1))


def _copy(hops: int, shape: Shape, random: np.random.Generator) -> Data:
    """A path of nodes 0 to ``hops``; of a braid, the nodes behind them double nodes 1, 3, 5, ..."""
    node = torch.arange(hops + 1)
    edge_index = torch.stack([node[:-1], node[1:]])
    num_nodes = hops + 1
    if shape == "braid":
        doubled = node[1:-1:2]
        twin = num_nodes + torch.arange(len(doubled))
        beside = torch.cat([torch.stack([doubled - 1, twin]), torch.stack([twin, doubled + 1])], dim=1)
        edge_index = torch.cat([edge_index, beside], dim=1)
        num_nodes += len(doubled)
    symbol = torch.from_numpy(random.integers(SYMBOLS, size=num_nodes))
    role = torch.zeros(num_nodes, dtype=torch.long)
    role[0], role[hops] = 1, 2
    target = torch.full((num_nodes, 1), math.nan)
    target[hops] = float(symbol[0])
    return Data(x=torch.stack([symbol, role], dim=1), edge_index=edge_index, y=target)


def _parity_of_paths(edge_index: torch.Tensor, level: torch.Tensor, source: int) -> torch.Tensor:
    parity = np.zeros(level.numel(), dtype=np.int64)
    parity[source] = 1
    by_level = torch.argsort(level[edge_index[1]], stable=True)
    for start, end in edge_index[:, by_level].t().tolist():
        parity[end] ^= parity[start]
    return torch.from_numpy(parity).float()
