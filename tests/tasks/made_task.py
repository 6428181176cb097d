"""A task on a few alcohols with targets that are given, for tests of losses and predictions."""

import torch
from torch_geometric.data import Data

from plstm_graph.datasets import smiles_to_data
from plstm_graph.predict.predictor import Predictor
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.losses import Objective
from plstm_graph.tasks.metrics import MONITOR, Kind, evaluate, to_prediction
from plstm_graph.tasks.scale import TargetScale
from plstm_graph.transforms import ToDAG

_OBJECTIVES: dict[str, Objective] = {
    "regression": "mse",
    "binary": "binary",
    "multilabel": "binary",
    "multiclass": "cross_entropy",
    "sequence": "sequence",
}


def alcohols(targets: list[list[float]], dtype: torch.dtype = torch.float) -> list[Data]:
    """Methanol, ethanol and so on, a molecule for each row of targets."""
    graphs = [ToDAG()(smiles_to_data("C" * (number + 1) + "O")) for number in range(len(targets))]
    for graph, target in zip(graphs, targets, strict=True):
        graph.y = torch.tensor([target], dtype=dtype)
    return graphs


def made_task(
    targets: list[list[float]], kind: Kind, columns: int | None = None, dtype: torch.dtype = torch.float
) -> GraphTask:
    """The task to predict these targets.

    Args:
        targets: A row for each molecule.
        kind: Of the targets.
        columns: That a model gives. (default: one for each target)
        dtype: Of the targets.
    """
    graphs = alcohols(targets, dtype)
    y = torch.cat([graph.y for graph in graphs])
    return GraphTask(
        name="alcohols",
        parts={"train": graphs, "valid": graphs, "test": graphs},
        target_level="graph",
        out_channels=columns or y.size(1),
        in_channels="atom",
        edge_dim="bond",
        objective=_OBJECTIVES[kind],
        metrics=lambda output, y: evaluate(to_prediction(output, kind), y, kind),
        monitor=dict([MONITOR[kind]]),
        target=TargetScale.fit("standard", y) if kind == "regression" else None,
        fixed=False,
        serving=lambda needs: {
            "data": "molecules",
            "given": {},
            "target_names": [f"y{number}" for number in range(y.size(1))],
            "reading": {},
        },
    )


def predictor_of(task: GraphTask, model: torch.nn.Module) -> Predictor:
    """A model of a task as ``predict`` has it."""
    plain = task.recipe(model, {"class_path": "plstm_graph.nn.PLSTM"}, 1)
    return Predictor(model, plain)
