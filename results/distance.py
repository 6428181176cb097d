"""How much a node still hears of another, by the number of hops between them, at initialisation and after training.

    python -m results.distance                        # measure models that have no numbers yet, draw
    python -m results.distance --again                # measure all of them
    python -m results.distance --runs runs/copy  # and models trained on the copy task

For each model and graph: the norm of the gradient of one node's output with respect to the embedding of each node that
it can hear, averaged over nodes of about the same distance (the least number of hops) and over seeds. Numbers go to
results/dags/distance.json, the figure to docs/dags/distance.png.
"""

import argparse
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from plstm_graph.datasets.long_range import LongRange
from plstm_graph.datasets.storage.files import replace_file, replace_text
from plstm_graph.graph import LineGraph, random_dag
from plstm_graph.nn import PLSTM
from plstm_graph.nn.baselines import DirectedGATv2, DirectedGCN, DirectedGIN, LevelGRU
from plstm_graph.tasks.registry import load_task
from plstm_graph.train.study import trained_models
from results import DOCS, NUMBERS
from results.by_size import config_of

CHANNELS = 32
LAYERS = 16  # of message passing, which hears no further
PER_DECADE = 6
SMALLEST = 1e-30

MODELS: dict[str, Callable[[], nn.Module]] = {
    "pLSTM, P": lambda: PLSTM(4, CHANNELS, 1, 1, modes="P", direction="forward", predict="node"),
    "pLSTM, D": lambda: PLSTM(4, CHANNELS, 1, 1, modes="D", direction="forward", predict="node"),
    "pLSTM, M": lambda: PLSTM(4, CHANNELS, 1, 1, modes="M", direction="forward", predict="node", head_norm="log"),
    "level GRU": lambda: LevelGRU(4, CHANNELS, 1, 1, both=False, predict="node"),
    f"GCN, {LAYERS} layers": lambda: DirectedGCN(4, CHANNELS, LAYERS, 1, predict="node"),
    f"GIN, {LAYERS} layers": lambda: DirectedGIN(4, CHANNELS, LAYERS, 1, predict="node"),
    f"GATv2, {LAYERS} layers": lambda: DirectedGATv2(4, CHANNELS, LAYERS, 1, predict="node"),
}


def chain(hops: int, seed: int) -> Tensor:
    """A path."""
    node = torch.arange(hops)
    return torch.stack([node, node + 1])


def grid(hops: int, seed: int) -> Tensor:
    """Four nodes wide: the number of paths between two nodes grows with the third power of their distance."""
    return LineGraph.grid(hops - 2, 4).edge_index


def tree(hops: int, seed: int) -> Tensor:
    """A random tree whose edges lead to its root, each node hung from one of the two before it."""
    generator = torch.Generator().manual_seed(seed)
    child = torch.arange(1, int(1.5 * hops))
    parent = (child - torch.randint(1, 3, child.shape, generator=generator)).clamp(min=0)
    return torch.stack([child, parent])


def dag(hops: int, seed: int) -> Tensor:
    """A random DAG of twice as many edges as nodes, none longer than four places of the topological order."""
    nodes = 3 * hops
    return random_dag(nodes, 2 * nodes, span=4, generator=torch.Generator().manual_seed(seed))


#: Models of configs/dags/copy.yaml by their names above; they have fewer layers of message passing.
TRAINED = {
    "plstm_p": "pLSTM, P",
    "plstm_d": "pLSTM, D",
    "level_gru": "level GRU",
    "gin": "GIN",
    "gatv2": "GATv2",
    "gcn": "GCN",
}

GRAPHS = {"chain": chain, "grid, 4 wide": grid, "tree": tree, "random DAG": dag}


def hops_to(edge_index: Tensor, num_nodes: int, node: int) -> Tensor:
    """Least number of hops from each node to one node, -1 where there is no path, ``[N]``."""
    by_end = torch.argsort(edge_index[1])
    starts = edge_index[0, by_end].tolist()
    pointer = [0, *torch.bincount(edge_index[1], minlength=num_nodes).cumsum(0).tolist()]
    distance = [-1] * num_nodes
    distance[node], frontier = 0, [node]
    while frontier:
        reached = []
        for end in frontier:
            for start in starts[pointer[end] : pointer[end + 1]]:
                if distance[start] < 0:
                    distance[start] = distance[end] + 1
                    reached.append(start)
        frontier = reached
    return torch.tensor(distance)


def gradient_norms(model: nn.Module, x: Tensor, graph: LineGraph, node: int) -> Tensor:
    """Norm of the gradient of a node's output with respect to the embedding of each node, ``[N]``."""
    embedded: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        output.retain_grad()
        embedded.append(output)

    hook = model.node_encoder.register_forward_hook(keep)
    output = model.eval()(x, graph.edge_index, line_graph=graph)[node]
    hook.remove()
    (output * torch.randn_like(output)).sum().backward()
    return embedded[0].grad.norm(dim=1)


def by_distance(norms: Tensor, distance: Tensor) -> dict[str, list[float]]:
    """Mean norm over nodes of about the same distance: a few bins in each power of ten."""
    longest = int(distance.max())
    edges = sorted({round(10 ** (step / PER_DECADE)) for step in range(int(PER_DECADE * math.log10(longest + 1)) + 2)})
    rows: dict[str, list[float]] = {"hops": [], "norm": []}
    for low, high in itertools.pairwise(edges):
        inside = (distance >= low) & (distance < high)
        if inside.any():
            rows["hops"].append(float(distance[inside].double().mean()))
            rows["norm"].append(float(norms[inside].double().mean()))
    return rows


def at_initialisation(hops: int, seeds: int, found: dict[str, dict[str, Any]]) -> None:
    """Curves of all graphs and of those models that have none yet, means over seeds."""
    for shape, make_graph in GRAPHS.items():
        there = found.setdefault(shape, {})
        for name, make in MODELS.items():
            if name in there:
                continue
            curves = []
            for seed in range(seeds):
                edge_index = make_graph(hops, 0)  # the same for all seeds, so that distances are too
                graph = LineGraph.from_edge_index(edge_index)
                target = int(graph.level.argmax())
                distance = hops_to(edge_index, graph.num_nodes, target)
                torch.manual_seed(seed)
                model, x = make(), torch.randn(graph.num_nodes, 4)
                curves.append(by_distance(gradient_norms(model, x, graph, target), distance))
            there[name] = mean_curve(curves)
            print(shape, name, [f"{value:.1e}" for value in there[name]["norm"][::PER_DECADE]], flush=True)


def after_training(runs: Path, hops: int) -> dict[str, Any]:
    """Curves of the models of a finished ``plstm-graph fit`` run on the copy task, on one chain."""
    config = config_of(runs)
    data = LongRange("copy", 1, hops)[0]
    graph = LineGraph.from_data(data)
    distance = hops_to(data.edge_index, data.num_nodes, hops)
    curves: dict[str, list[dict[str, list[float]]]] = {}
    for trained in trained_models(runs, load_task(**config["task"])):
        if config["models"][trained.name].get("skip_tests"):
            continue  # too large for the longest chain
        torch.manual_seed(0)
        norms = gradient_norms(trained.model, data.x, graph, hops)
        curves.setdefault(TRAINED.get(trained.name, trained.name), []).append(by_distance(norms, distance))
    found = {title: mean_curve(each) for title, each in curves.items()}
    for title, curve in found.items():
        print("trained", title, [f"{value:.1e}" for value in curve["norm"][::PER_DECADE]], flush=True)
    return found


def mean_curve(curves: list[dict[str, list[float]]]) -> dict[str, list[float]]:
    """Mean over seeds, of curves over the same distances."""
    norm = torch.tensor([curve["norm"] for curve in curves], dtype=torch.double).mean(dim=0)
    return {
        "hops": [round(value, 1) for value in curves[0]["hops"]],
        "norm": [float(f"{v:.3g}") for v in norm.tolist()],
    }


def draw(found: dict[str, dict[str, Any]], path: Path) -> None:
    """One panel for each graph."""
    figure, axes = plt.subplots(1, len(found), figsize=(3.4 * len(found), 3.6), sharey=True, layout="constrained")
    names = list(dict.fromkeys(_family(name) for curves in found.values() for name in curves))
    colour = {name: f"C{number}" for number, name in enumerate(names)}
    for axis, (title, curves) in zip(axes, found.items(), strict=True):
        for name, curve in curves.items():
            shown = [(hops, norm) for hops, norm in zip(curve["hops"], curve["norm"], strict=True) if norm > SMALLEST]
            axis.plot(*zip(*shown, strict=True), label=name, color=colour[_family(name)], marker=".", markersize=4)
            if len(shown) < len(curve["norm"]):  # it hears nothing from here on
                axis.plot(*shown[-1], marker="x", color=colour[_family(name)])
        axis.set(xscale="log", yscale="log", title=title, xlabel="hops")
        axis.set_ylim(1e-16, 10)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("norm of the gradient")
    axes[0].legend(fontsize=7, loc="lower left")
    if "chain, after training" in found:
        axes[-1].legend(fontsize=7, loc="lower left")
    replace_file(path, lambda unfinished: figure.savefig(unfinished, dpi=110, format="png"))
    plt.close(figure)


def _family(name: str) -> str:
    """The name without the number of layers."""
    return name.removesuffix(f", {LAYERS} layers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hops", type=int, default=10000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--again", action="store_true", help="measure models that have numbers too")
    parser.add_argument("--runs", type=Path, help="folder of a finished `plstm-graph fit` run on the copy task")
    parser.add_argument(
        "--numbers", type=Path, default=NUMBERS / "dags" / "distance.json", help="JSON to read and write"
    )
    parser.add_argument("--figure", type=Path, default=DOCS / "dags" / "distance.png")
    options = parser.parse_args()
    path = options.numbers
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() and not options.again else {}
    at_initialisation(options.hops, options.seeds, found)
    if options.runs is not None:
        found["chain, after training"] = after_training(options.runs, options.hops)
    replace_text(path, json.dumps(found) + "\n")
    draw(found, options.figure)


if __name__ == "__main__":
    main()
