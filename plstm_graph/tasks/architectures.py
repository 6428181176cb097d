"""Performance of neural architectures, DAGs of operations."""

import random
from collections.abc import Sequence

from torch_geometric.data import Data

from plstm_graph.datasets.architectures import ENASDataset, NASBenchGraph
from plstm_graph.tasks.graph_task import GraphTask, regression


def enas(root: str, source: str | None) -> GraphTask:
    """Accuracy of ENAS architectures; the last tenth of D-VAE's training part validates."""
    train, test = (list(ENASDataset(root, part, source)) for part in ("train", "test"))
    cut = len(train) - len(train) // 10
    parts: dict[str, Sequence[Data]] = {"train": train[:cut], "valid": train[cut:], "test": test}
    return regression("enas", parts, "graph", [ENASDataset.num_types], None, target="standard", relative=True)


def nas_bench_graph(root: str, source: str | None, data: str = "proteins", seed: int = 0) -> GraphTask:
    """Performance of graph networks.

    Args:
        root: Folder of all data sets.
        source: Folder with an offline copy.
        data: The data set on which they were measured.
        seed: Of the split, 80 / 10 / 10.
    """
    dataset = NASBenchGraph(root, data, source)
    graphs = list(dataset)
    random.Random(seed).shuffle(graphs)
    tenth = len(graphs) // 10
    parts: dict[str, Sequence[Data]] = {
        "train": graphs[2 * tenth :],
        "valid": graphs[tenth : 2 * tenth],
        "test": graphs[:tenth],
    }
    types = [2 + len(NASBenchGraph.operations)]
    return regression("nas_bench_graph", parts, "graph", types, None, target="standard", relative=True)
