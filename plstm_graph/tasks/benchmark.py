"""Benchmarks with an official split and metric: OGB's molecules and syntax trees, and the peptides of LRGB."""

import functools
from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform, Compose

from plstm_graph.config.parser import make_transform
from plstm_graph.datasets.benchmark import Benchmark, load_benchmark
from plstm_graph.tasks.batches import Arguments
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.losses import Objective
from plstm_graph.tasks.scale import TargetScale
from plstm_graph.tasks.task import Row
from plstm_graph.transforms import ToDAG
from plstm_graph.transforms.to_dag import Orientation

_PARTS = ("train", "valid", "test")


def benchmark(
    root: str,
    source: str | None,
    set: str,
    pre_transform: dict[str, Any] | None = None,
    orientation: Orientation = "auto",
    in_channels: Any = "atom",
    edge_dim: Any = "bond",
) -> GraphTask:
    """A benchmark by its official name.

    Args:
        root: Folder of all data sets.
        source: Folder with an offline copy of the raw files.
        set: ``"ogbg-mol..."``, ``"ogbg-code2"``, ``"Peptides-func"`` or ``"Peptides-struct"``.
        pre_transform: Class and arguments of a transform of all graphs.
        orientation: How undirected edges get directions, as in ToDAG; for models that run on DAGs. Other models get
            edges in both directions, as the benchmark has them.
        in_channels: Node features behind the transform, as :func:`plstm_graph.nn.feature_encoder` takes them.
        edge_dim: Edge features likewise.

    Raises:
        ValueError: If there is no such benchmark.
        OSError: If files are missing or damaged, or cannot be downloaded.
    """

    @functools.lru_cache(maxsize=2)
    def load(is_dag: bool, multitree: bool) -> Benchmark:
        steps = [make_transform(pre_transform)] if pre_transform else []
        if is_dag:
            steps.append(ToDAG(orientation, multitree=multitree))
        transform: BaseTransform | None = Compose(steps) if len(steps) > 1 else steps[0] if steps else None
        return load_benchmark(set, root, source, transform)

    @functools.lru_cache(maxsize=6)
    def graphs(part: str, is_dag: bool, multitree: bool) -> list[Data]:
        return [_with_floats(graph) for graph in load(is_dag, multitree).parts[part]]

    def prepared(part: str, needs: Arguments) -> list[Data]:
        return graphs(part, "line_graph" in needs.names, needs.multitree)

    # What does not depend on edges is taken of the graphs that pLSTM runs on: making others as well takes long.
    plain = load(True, False)
    parts: dict[str, Any] = {part: plain.parts[part] for part in _PARTS}
    regression = plain.task == "regression"

    def metrics(output: Tensor, **columns: Tensor) -> Row:
        # Logits, not probabilities: in float32 those of sure predictions would tie.
        predicted = output.argmax(dim=-1) if plain.task == "sequence" else output
        return {plain.metric: plain.evaluate(columns[plain.evaluated], predicted)}

    objective: Objective = "sequence" if plain.task == "sequence" else "binary"
    if regression:
        objective = "l1" if plain.metric == "mae" else "mse"
    return GraphTask(
        name=set,
        parts=parts,
        target_level="graph",
        out_channels=len(plain.target_names),
        in_channels=in_channels,
        edge_dim=edge_dim,
        objective=objective,
        metrics=metrics,
        monitor={plain.metric: plain.mode},
        columns=(plain.evaluated,),
        target=TargetScale.fit("standard", plain.parts["train"].y) if regression else None,
        column_names={"y": plain.target_names},
        fixed=False,
        prepared=prepared,
        package=plain.package,
        serving=None if plain.task == "sequence" else partial(_serving, plain.target_names, pre_transform, orientation),
    )


def _serving(
    target_names: Sequence[str], pre_transform: dict[str, Any] | None, orientation: Orientation, needs: Arguments
) -> dict[str, Any]:
    """How ``predict`` prepares molecules as the benchmark was for a model."""
    steps = [pre_transform] if pre_transform else []
    if "line_graph" in needs.names:
        dag = {"orientation": orientation, "multitree": needs.multitree}
        steps.append({"class_path": "plstm_graph.transforms.ToDAG", "init_args": dag})
    # Where no transform is named, ``predict`` would make a DAG of each molecule.
    transform = {"class_path": "torch_geometric.transforms.Compose", "init_args": {"transforms": steps}}
    given = {"smiles_column": "smiles", "pre_transform": transform}
    return {"data": "molecules", "given": given, "target_names": list(target_names), "reading": {}}


def _with_floats(graph: Data) -> Data:
    """Labels as floats: OGB stores them as integers where none is missing."""
    graph.y = graph.y.float()
    return graph
