"""Processor time of a training step of every model of a task of DAGs, measured in turns.

For docs/dags.md and docs/modes.md.

    python -m benchmarks.dag_steps configs/dags/enas.yaml configs/dags/copy.yaml

A step is forward and backward on one batch whose structure is there, by one thread: the batch of the largest graphs of
the task. It is the processor's time, not the clock's, so that other work on the machine matters less; medians.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
import yaml
from torch_geometric.data import Batch

from benchmarks.operators.verify import verify_forms
from plstm_graph.datasets.storage.files import replace_text
from plstm_graph.nn import count_parameters
from plstm_graph.tasks.batches import attach_line_graph, call_model, model_arguments
from plstm_graph.tasks.registry import load_task


def measure(path: Path, repeat: int) -> dict:
    """Milliseconds of a step of each model of a configuration."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    task, size = load_task(**config["task"]), config["training"]["batch_size"]
    largest = sorted(task.parts["train"], key=lambda graph: graph.num_nodes)[-size:]
    models = {name: task.make_model(spec) for name, spec in config["models"].items()}
    batches = {
        name: attach_line_graph(Batch.from_data_list(largest), model_arguments(model)) for name, model in models.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for number in range(repeat + 1):
        for name, model in models.items():
            started = time.process_time()
            output = call_model(model, batches[name], model_arguments(model))
            loss, _ = task.loss_of(output, batches[name].y)
            loss.backward()
            if number > 0:  # the first builds what is built once
                seconds[name].append(time.process_time() - started)
    batch = next(iter(batches.values()))
    return {
        "nodes": batch.num_nodes,
        "levels": int(batch.line_graph.level.max()) + 1,
        "milliseconds": {name: round(1e3 * statistics.median(values), 1) for name, values in seconds.items()},
        "parameters": {name: count_parameters(model) for name, model in models.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", type=Path, nargs="+")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path("results/dags/steps.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    verify_forms()
    found = {}
    for path in options.configs:
        found[path.stem] = measure(path, options.repeat)
        print(path.stem, found[path.stem], flush=True)
    replace_text(options.output, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
