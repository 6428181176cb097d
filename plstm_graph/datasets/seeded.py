"""Graphs that are made when they are asked for."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch_geometric.data import Data


class SeededGraphs(Sequence[Data]):
    """Graphs of which each is decided by a seed and its number alone; a subclass makes one.

    Args:
        num_graphs (int): Number of graphs.
        seed (int): Of all draws.
    """

    def __init__(self, num_graphs: int, seed: int) -> None:
        self.num_graphs, self.seed = num_graphs, seed

    def __len__(self) -> int:
        return self.num_graphs

    def __iter__(self) -> Iterator[Data]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index):
        """Graph ``index``, or a list for a slice."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"graph {index} of {len(self)}")
        return self._make(np.random.default_rng([self.seed, index % len(self)]))

    def _make(self, random: np.random.Generator) -> Data:
        """One graph from draws of its own."""
        raise NotImplementedError
