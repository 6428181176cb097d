"""Parity and composition of permutations: what scalar gates cannot track and matrix gates can.

    python -m benchmarks.state_tracking

A word of tokens is read by one layer whose transitions depend on the token alone; at every place it is asked for the
sum modulo 2 (parity) or for the product in S3 of all tokens before. Trained on words of 24 tokens, tested on 240.
Four kinds of transition: scalars from 0 to 1 (sigmoid), scalars from -1 to 1 (tanh), products of two reflections, and
matrices with singular values by tanh between two such products (bounded).
"""

import argparse
import itertools
import json
import statistics

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plstm_graph.ops import bounded_matrix, householder_product, plstm_chain_matrix

HEADS, SIZE, WIDTH = 8, 3, 4


def parity(words: int, length: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Bits, and the parity of all bits before each place."""
    tokens = torch.randint(2, (words, length), generator=generator)
    return tokens, (tokens.cumsum(dim=1) - tokens) % 2


def permutations(words: int, length: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Elements of S3, and the product of all before each place."""
    elements = list(itertools.permutations(range(3)))
    table = torch.tensor([[elements.index(tuple(a[i] for i in b)) for b in elements] for a in elements])
    tokens = torch.randint(6, (words, length), generator=generator)
    products = [torch.zeros(words, dtype=torch.long)]
    for place in range(length - 1):
        products.append(table[tokens[:, place], products[-1]])
    return tokens, torch.stack(products, dim=1)


class Tracker(nn.Module):
    """One layer; its state is learned at the start and changed by transitions only."""

    def __init__(self, kind: str, tokens: int, classes: int) -> None:
        super().__init__()
        self.kind = kind
        self.gate = nn.Parameter(torch.randn(tokens, HEADS, 2, SIZE))
        self.right = nn.Parameter(torch.randn(tokens, HEADS, 2, SIZE))
        self.singular = nn.Parameter(torch.randn(tokens, HEADS, SIZE))
        self.start = nn.Parameter(torch.randn(HEADS, SIZE, 1, WIDTH))
        self.mark = nn.Parameter(torch.randn(HEADS, SIZE))
        self.out = nn.Sequential(nn.Linear(HEADS * WIDTH, 64), nn.GELU(), nn.Linear(64, classes))

    def transition(self) -> Tensor:
        """One matrix for each token and head; scalars are multiples of the identity, one for each coordinate."""
        if self.kind == "reflections":
            return householder_product(self.gate)
        if self.kind == "bounded":
            return bounded_matrix(householder_product(self.gate), 3 * self.singular, householder_product(self.right))
        squash = torch.sigmoid if self.kind == "sigmoid" else torch.tanh
        return squash(2 * self.gate.sum(dim=-2)).diag_embed()

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores of classes at every place."""
        words, length = tokens.shape
        query = torch.ones(words, length, HEADS, 1)
        value = torch.zeros(words, length, HEADS, WIDTH)
        none = torch.zeros(words, length, HEADS, SIZE)
        read = plstm_chain_matrix(
            query,
            query,
            value,
            none,
            self.transition()[tokens],
            self.mark.expand(words, length, -1, -1),
            none[..., 0],
            self.start.expand(words, -1, -1, -1, -1),
        )
        return self.out(read.flatten(2))


def accuracy(task, kind: str, seed: int, steps: int) -> float:
    """Train one tracker and test it on words ten times as long."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    tokens, classes = (2, 2) if task is parity else (6, 6)
    model = Tracker(kind, tokens, classes)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        # Longer and longer words: short ones give the first signal.
        words, target = task(64, 3 + 21 * step // steps, generator)
        loss = F.cross_entropy(model(words).flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        words, target = task(64, 240, generator)
        return float((model(words)[:, 120:].argmax(dim=-1) == target[:, 120:]).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600)
    options = parser.parse_args()
    for task in (parity, permutations):
        for kind in ("sigmoid", "tanh", "reflections", "bounded"):
            found = [accuracy(task, kind, seed, options.steps) for seed in range(options.seeds)]
            row = {"task": task.__name__, "transition": kind, "accuracy": [round(a, 3) for a in found]}
            print(json.dumps(row | {"median": round(statistics.median(found), 3)}))


if __name__ == "__main__":
    main()
