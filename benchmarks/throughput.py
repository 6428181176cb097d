"""Graphs per second of training, for pLSTM and the baselines, on NCI1 and ogbg-molhiv.

    python -m benchmarks.throughput --source DIR --output throughput.json

The published page is made of several such files, which benchmarks/everything.py writes, by results/performance.py.

Every model has the same width and batch size and as many layers as it is made with by default. A case is a number of
training steps from collating graphs to the optimiser's update, structure of the batch included. Cases are timed in
turns (one repetition of each model, then the next of each), so that a busy moment of the machine meets all alike.
With ``--compiled`` some models run a second time with compiled steps, as with ``--compile true`` of the commands.
"""

import argparse
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import Compose

from benchmarks.operators.verify import verify_forms
from benchmarks.timing import Timer, time_in_turns
from plstm_graph.datasets.molecules.ogb import OGBMolDataset
from plstm_graph.datasets.molecules.tu import TUGraphs
from plstm_graph.datasets.storage.files import replace_text
from plstm_graph.machine import describe_machine, pick_device
from plstm_graph.nn import PLSTM, baselines, count_parameters
from plstm_graph.nn.baselines import OGBGNN
from plstm_graph.tasks.batches import attach_line_graph, call_model, model_arguments
from plstm_graph.train.optimizer import make_adamw
from plstm_graph.transforms import ToDAG

#: Models that may also be timed with compiled steps.
COMPILED = ("pLSTM", "pLSTM + local", "GIN")


def models(width: int, out_channels: int, **features: Any) -> dict[str, nn.Module]:
    """All models of one width."""
    features |= {"out_channels": out_channels, "hidden_channels": width}
    made: dict[str, nn.Module] = {
        "pLSTM": PLSTM(modes="P", num_layers=4, share_weights=True, norm="batch", **features),
        "pLSTM + local": PLSTM(modes="P", num_layers=4, share_weights=True, norm="batch", local="conv", **features),
        "pLSTM (P and D)": PLSTM(modes="PD", num_layers=2, share_weights=True, norm="batch", **features),
    }
    for name in ("GCN", "GAT", "GIN", "MPNN", "LSTMGNN"):
        made[name] = getattr(baselines, name)(num_layers=4, **features)
    if features["edge_dim"] is not None:
        made["GIN + virtual node (OGB)"] = OGBGNN(num_layers=4, virtual_node=True, **features)
    return made


def make_step(
    model: nn.Module, graphs: list[Data], batch_size: int, device: torch.device, compiled: bool
) -> Callable[[], None]:
    """Training steps over all the graphs."""
    model = model.to(device).train()
    arguments, optimizer = model_arguments(model), make_adamw(model, 1e-3, 1e-2, fused=True)
    step_model = torch.compile(model, dynamic=True) if compiled else model

    def run() -> None:
        for start in range(0, len(graphs), batch_size):
            batch = attach_line_graph(Batch.from_data_list(graphs[start : start + batch_size]), arguments).to(device)
            output = call_model(step_model, batch, arguments)
            if batch.y.dim() == 2:
                loss = F.binary_cross_entropy_with_logits(output, batch.y.float())
            else:
                loss = F.cross_entropy(output, batch.y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()  # waits for the device

    return run


def load(name: str, root: str, source: str | None, transform: Any, count: int) -> tuple[list[Data], dict[str, Any]]:
    """Graphs from all over a set, and the features its models need."""
    if name.startswith("ogbg-"):
        data: Any = OGBMolDataset(name, root, source, pre_transform=transform)
        features = {"out_channels": data.num_tasks, "in_channels": "atom", "edge_dim": "bond"}
    else:
        data = TUGraphs(root, name, transform, source)
        edge_dim = data.num_edge_features or None
        features = {"out_channels": data.num_classes, "in_channels": data.num_features, "edge_dim": edge_dim}
    rows = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:count]
    return [data[int(row)] for row in rows], features


def measure(name: str, options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Graphs per second of each model on one set."""
    dags, features = load(name, options.root, options.source, ToDAG(), options.graphs)
    undirected, _ = load(name, options.root, options.source, Compose([]), options.graphs)
    made = models(options.width, **features)
    timers = {}
    if options.compiled:
        made |= {f"{label}, compiled": copy.deepcopy(made[label]) for label in COMPILED}
    for label, model in made.items():
        graphs = dags if "line_graph" in model_arguments(model).names else undirected
        step = make_step(model, graphs, options.batch_size, device, label.endswith(", compiled"))
        step()  # compiles
        timers[label] = Timer(step, options.repeat, options.budget)
    time_in_turns(list(timers.values()))
    results = {}
    for label, timer in timers.items():
        summary = timer.summary()
        results[label] = summary | {
            "graphs_per_second": len(dags) / summary["median"],
            "parameters": count_parameters(made[label]),
        }
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["NCI1", "ogbg-molhiv"])
    parser.add_argument("--root", default="datasets")
    parser.add_argument("--source", help="folder with offline copies (default: PLSTM_DATA)")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--graphs", type=int, default=512, help="graphs of one repetition")
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--budget", type=float, default=30.0, help="seconds for each model on each set")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compiled", action="store_true", help="time compiled steps as well")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, default=Path("throughput.json"), help="where numbers are written")
    options = parser.parse_args()
    found = measure_all(options)
    replace_text(options.output, json.dumps(found, indent=1) + "\n")
    for name, rows in found["sets"].items():
        for label, row in rows.items():
            print(f"{name:16}{label:32}{row['graphs_per_second']:10,.0f} graphs/s")


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """All sets, after a check that every form of the operator is right."""
    verify_forms()
    torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    torch.manual_seed(0)
    sets = {name: measure(name, options, device) for name in options.sets}
    kept = {key: value for key, value in vars(options).items() if key not in ("root", "source", "output")}
    return {"machine": describe_machine(), "options": kept, "sets": sets}


if __name__ == "__main__":
    main()
