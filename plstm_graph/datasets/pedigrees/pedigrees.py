"""Pedigrees of animals whose genes are dropped from parents to children, with records of some of them."""

import math

import numpy as np
import torch
from torch_geometric.data import Data

from plstm_graph.datasets.seeded import SeededGraphs

#: Columns of the edge feature: the parent is the father or the mother.
SIRE, DAM = 0, 1


class Pedigrees(SeededGraphs):
    r"""Simulated pedigrees, each decided by a seed and its number alone.

    Every founder has two alleles of its own at each of ``loci`` unlinked places; a child takes one of the two alleles
    of each parent at random (gene dropping). The *breeding value* of an animal is the sum of the effects of its
    alleles, so that it is the mean of its parents' values and a deviation (Mendelian sampling), and variances are those
    of the numerator relationship matrix. Founders have variance 1. A *record* is a breeding value and noise of variance
    :math:`1 / h^2 - 1`, with :math:`h^2` the heritability. The last generation has no records: these are the young
    animals among which a breeder has to choose.

    * ``x`` ``[N, 2]``: the record, 0 where there is none, and whether there is one.
    * ``edge_index`` ``[2, E]`` from parents to children; ``edge_attr`` ``[E, 1]``, 0 from the father, 1
      from the mother.
    * ``y`` ``[N, 1]``: breeding values.
    * ``has_record`` ``[N]``, bool, and ``generation`` ``[N]``, the founders' is 0.

    A parent is unknown with probability ``unknown``; it was a founder then, which is not in the pedigree.

    Args:
        num_graphs (int): Number of pedigrees.
        generations (int): Generations after the founders.
        size (int): Animals of a generation.
        sires (float): Fathers of a generation, as a part of all animals of the one before; mothers are five times as
            many. (default: ``0.1``)
        recorded (float): Part of the animals before the last generation with a record. (default: ``0.7``)
        heritability (float): :math:`h^2`. (default: ``0.3``)
        unknown (float): Probability that a parent is not known. (default: ``0.05``)
        loci (int): Places of genes. (default: ``100``)
        seed (int): Pedigree ``i`` depends on this and on ``i`` only. (default: ``0``)

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        num_graphs: int,
        generations: int,
        size: int,
        sires: float = 0.1,
        recorded: float = 0.7,
        heritability: float = 0.3,
        unknown: float = 0.05,
        loci: int = 100,
        seed: int = 0,
    ) -> None:
        if num_graphs < 0 or min(generations, loci) < 1 or size < 4:
            raise ValueError(
                "pedigrees need generations and loci of 1 or more and a size of 4 or more, got "
                f"num_graphs={num_graphs}, generations={generations}, size={size}, loci={loci}"
            )
        if not (0 < sires <= 0.2 and 0 < heritability <= 1 and 0 <= recorded <= 1 and 0 <= unknown <= 1):
            raise ValueError(
                f"sires must be in (0, 0.2], heritability in (0, 1], recorded and unknown in [0, 1], got {sires}, "
                f"{heritability}, {recorded} and {unknown}"
            )
        super().__init__(num_graphs, seed)
        self.generations, self.size, self.loci = generations, size, loci
        self.sires, self.recorded, self.heritability, self.unknown = sires, recorded, heritability, unknown

    def _make(self, random: np.random.Generator) -> Data:
        size, last = self.size, self.generations
        generation = np.repeat(np.arange(last + 1), size)
        parents = np.full((generation.size, 2), -1)  # father and mother, -1 where not known
        for number in range(1, last + 1):
            parents[number * size : (number + 1) * size] = self._mate((number - 1) * size, random)
        parents[size:][random.random((size * last, 2)) < self.unknown] = -1
        value = drop_genes(parents, self.loci, random)
        is_recorded = (generation < last) & (random.random(generation.size) < self.recorded)
        noise = math.sqrt(1 / self.heritability - 1) * random.standard_normal(generation.size)
        record = np.where(is_recorded, value + noise, 0.0)
        children, kinds = np.nonzero(parents >= 0)
        return Data(
            x=torch.from_numpy(np.stack([record, is_recorded], axis=1)).float(),
            edge_index=torch.from_numpy(np.stack([parents[children, kinds], children])),
            edge_attr=torch.from_numpy(kinds).view(-1, 1),
            y=torch.from_numpy(value).float().view(-1, 1),
            has_record=torch.from_numpy(is_recorded),
            generation=torch.from_numpy(generation),
        )

    def _mate(self, first: int, random: np.random.Generator) -> np.ndarray:
        """Father and mother of each animal of a generation, ``[size, 2]``, from the animals behind ``first``."""
        order = first + random.permutation(self.size)
        fathers = max(round(self.sires * self.size), 1)
        mothers = order[fathers : fathers + max(round(5 * self.sires * self.size), 1)]
        return np.stack([random.choice(order[:fathers], self.size), random.choice(mothers, self.size)], axis=1)


def drop_genes(parents: np.ndarray, loci: int, random: np.random.Generator) -> np.ndarray:
    """Breeding values by gene dropping.

    Args:
        parents: Father and mother of each animal, which stand before it, ``[N, 2]``; -1 for one that is not known,
            whose alleles are new.
        loci: Number of unlinked places.
        random: Of the draws.

    Returns:
        ``[N]``, of variance 1 for animals without parents.
    """
    scale = math.sqrt(1 / (2 * loci))
    effects = scale * random.standard_normal((len(parents), 2, loci))  # of new alleles; children's are overwritten
    chosen = random.integers(2, size=(len(parents), 2, loci))
    place = np.arange(loci)
    for child, pair in enumerate(parents):
        for side, parent in enumerate(pair):
            if parent >= 0:
                effects[child, side] = effects[parent, chosen[child, side], place]
    return effects.sum(axis=(1, 2))
