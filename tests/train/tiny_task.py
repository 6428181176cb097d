"""A task and trials so small that a training takes a second; for tests of the engine."""

from pathlib import Path

import torch
from torch_geometric.data import Data

from plstm_graph.graph import random_dag
from plstm_graph.tasks.graph_task import GraphTask, regression
from plstm_graph.train.training import Training
from plstm_graph.train.trial import Trial

WIDTH = {"hidden_channels": 8, "num_layers": 1, "heads": 2}
#: A network that forgets nothing by chance, and one that does.
PLSTM = {"class_path": "plstm_graph.nn.PLSTM", "init_args": {**WIDTH, "modes": "P", "dropout": 0.3}}
BAG = {
    "class_path": "plstm_graph.nn.baselines.BagOfNodes",
    "init_args": {"hidden_channels": 8, "ffn_ratio": 2},
}


def tiny_task(fixed: bool = True, train: int = 14, valid: int = 5) -> GraphTask:
    """Nodes with numbers, of which a third are unknown: the sum of what stands above a node.

    Args:
        fixed: Whether batches are made once.
        train: Graphs of the training part.
        valid: Those of the validation part.
    """
    generator = torch.Generator().manual_seed(0)

    def graph(number: int) -> Data:
        nodes = 4 + number % 5
        edge_index = random_dag(nodes, nodes, generator=generator)
        x = torch.randn(nodes, 3, generator=generator)
        y = x[:, :1].clone().index_add_(0, edge_index[1], x[edge_index[0], 1:2])
        y[torch.rand(nodes, generator=generator) < 0.3] = torch.nan
        y[0] = x[0, 0]
        return Data(x=x, edge_index=edge_index, y=y)

    graphs = [graph(number) for number in range(train + valid + 4)]
    parts = {"train": graphs[:train], "valid": graphs[train : train + valid], "test": graphs[train + valid :]}
    task = regression("tiny", parts, "node", 3, None)
    task.fixed = fixed
    return task


def tiny_trial(folder: Path, spec: dict = PLSTM, seed: int = 3, **training: object) -> Trial:
    """A trial of a model on the task."""
    options = {"epochs": 5, "batch_size": 4, "lr": 0.01} | training
    return Trial("model", spec, {"name": "tiny"}, Training(**options), seed, folder)
