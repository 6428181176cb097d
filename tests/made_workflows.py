"""A recipe of workflows made by the tests themselves, in place of those of wfcommons."""

import numpy as np
import torch
from torch_geometric.data import Data


class ForksAndJoins:
    """One task, many after it, and one that waits for all of them. It counts what it made."""

    categories = ("cat", "map", "merge")
    traces = ((4, "least"), (40, "larger"))
    made = 0

    def __init__(self, application):
        self.application = application

    def make(self, tasks, seed, vocabulary):
        type(self).made += 1
        random = np.random.default_rng(seed)
        middle = torch.arange(1, tasks - 1)
        kinds = ["cat", *["map"] * (tasks - 2), "merge" if self.application == "blast" else "cat"]
        return Data(
            x=torch.tensor([[vocabulary[kind]] for kind in kinds]),
            edge_index=torch.cat(
                [
                    torch.stack([torch.zeros_like(middle), middle]),
                    torch.stack([middle, torch.full_like(middle, tasks - 1)]),
                ],
                dim=1,
            ),
            runtime=torch.from_numpy(random.uniform(1, 20, tasks)),
            read=torch.from_numpy(random.uniform(0, 1e9, tasks)),
            written=torch.from_numpy(random.uniform(0, 1e8, tasks)),
        )
