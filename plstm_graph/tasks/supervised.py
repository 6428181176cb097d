"""Tasks on graphs with targets of one's own: tables of molecules and folders of DAGs."""

from functools import partial
from typing import Any

from torch import Tensor, nn
from torch_geometric.data import Batch

from plstm_graph.config.parser import make_transform
from plstm_graph.nn.encoders import CategoryEncoder
from plstm_graph.tasks.dag_folder import FolderOfDAGs
from plstm_graph.tasks.graph_task import GraphTask, Objective
from plstm_graph.tasks.labelled import LabelledGraphs
from plstm_graph.tasks.metrics import Kind, evaluate
from plstm_graph.tasks.molecule_split import Split
from plstm_graph.tasks.molecules import MoleculeTable
from plstm_graph.tasks.rows import Row
from plstm_graph.tasks.scaled_target import ScaledTarget
from plstm_graph.tasks.target_check import check_targets

_OBJECTIVES: dict[Kind, Objective] = {
    "regression": "mse",
    "binary": "binary",
    "multilabel": "binary",
    "multiclass": "cross_entropy",
}


def molecules(
    root: str,
    path: str | None = None,
    kind: Kind = "regression",
    smiles_column: str = "smiles",
    target_columns: list[str] | None = None,
    split: str = "scaffold",
    group_column: str | None = None,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    num_folds: int = 0,
    fold: int = 0,
    seed: int = 0,
    pre_transform: dict[str, Any] | None = None,
    allow_missing: bool = False,
) -> GraphTask:
    """Targets of the molecules of a CSV table, or of the set that comes with RDKit.

    Args:
        root: Folder for processed molecules.
        path: A CSV with a SMILES column and targets. (default: the 1,017 molecules with measured activity,
            ChEMBL2321810, that RDKit carries)
        kind: ``"regression"``, ``"binary"`` (labels 0 and 1, or two words), ``"multilabel"`` (several such) or
            ``"multiclass"`` (one column of classes).
        smiles_column: Name of the SMILES column.
        target_columns: Names of the target columns. (default: the only other column)
        split: ``"scaffold"`` (no Bemis-Murcko scaffold in two parts), ``"random"``, ``"stratified"`` (every part has
            the same share of each class, or of each tenth of the range), ``"group"``, or the name of a column that
            says train, valid or test.
        group_column: Molecules with the same word in this column are never in two parts; with ``"group"``, or with
            ``"stratified"``.
        fractions: Fractions of the molecules in training, validation and test.
        num_folds: Number of folds of a cross-validation, in place of fractions; 0 for none.
        fold: Which of them is tested; the next one validates.
        seed: Seed of the split, if it is one by chance.
        pre_transform: Class and arguments of a transform, applied to each molecule once. (default: ToDAG)
        allow_missing: Empty target cells are missing labels rather than bad rows.
    """
    _check_kind(kind)
    transform = make_transform(pre_transform)
    how = Split(split, group_column, fractions, num_folds, fold, seed)
    table = MoleculeTable(path, smiles_column, target_columns, how, transform, allow_missing, root)
    table.use_kind(kind)
    given = {"smiles_column": smiles_column, "pre_transform": pre_transform}
    return supervised(table, kind, given, num_folds)


def dag_folder(
    path: str = "",
    split: dict[str, Any] | None = None,
    num_folds: int = 0,
    fold: int = 0,
    pre_transform: dict[str, Any] | None = None,
    on_disk: bool = False,
    unknown_words: float = 0.02,
) -> GraphTask:
    """Targets of the DAGs of a folder, whose ``dag.yaml`` says what is predicted and how the graphs are split.

    Args:
        path: The folder; ``plstm-graph check`` describes it.
        split: How the graphs are divided, in place of what ``dag.yaml`` says: ``group`` (a column), ``stratified``,
            ``fractions``, ``seed``, ``column``.
        num_folds: Number of folds of a cross-validation, in place of fractions; 0 for none.
        fold: Which of them is tested; the next one validates.
        pre_transform: Class and arguments of a transform, applied to each graph once. (default: ToDAG, which keeps the
            directions)
        on_disk: Keep the graphs in a database instead of in memory, for sets larger than that.
        unknown_words: Fraction of the words that each training step takes for unknown ones, so that the embedding of
            those is trained too. Evaluation leaves all words as they are.
    """
    if not path:
        raise ValueError("the task dag_folder needs the folder: --task.path my_dags")
    if not 0 <= unknown_words < 1:
        raise ValueError(f"unknown_words must be in [0, 1), got {unknown_words}")
    how = dict(split or {}) | ({"num_folds": num_folds, "fold": fold} if num_folds or fold else {})
    folder = FolderOfDAGs(path, make_transform(pre_transform), on_disk, split=how)
    task = supervised(folder, folder.problem.kind, {"pre_transform": pre_transform}, num_folds)
    task.changes = partial(_hide_words, folder, unknown_words) if unknown_words else None
    return task


def supervised(data: LabelledGraphs, kind: Kind, given: dict[str, Any], num_folds: int = 0) -> GraphTask:
    """A task on graphs with targets.

    Args:
        data: The graphs.
        kind: Of their targets.
        given: Arguments by which other graphs are read as these were, plain values for checkpoints.
        num_folds: Number of folds that the graphs have; 0 for none.

    Raises:
        ValueError: If targets do not fit the kind; it names place and value.
    """
    _check_kind(kind)
    if kind in ("binary", "multiclass") and len(data.target_names) > 1:
        raise ValueError(
            f"kind {kind!r} is of one target, and there are {', '.join(data.target_names)}; 'multilabel' is of several "
            "with two classes each"
        )
    problem = data.problem
    checked = check_targets(data, kind, problem.out_channels)
    parts = {part: data.subset(part) for part in ("train", "valid", "test")}
    metric, direction = checked.monitor
    numbers = kind == "regression"
    return GraphTask(
        name=data.title,
        parts=parts,
        target_level=problem.target_level,
        out_channels=problem.out_channels,
        in_channels=problem.in_channels,
        edge_dim=problem.edge_dim,
        objective=_OBJECTIVES[kind],
        metrics=partial(_metrics, kind),
        monitor={metric: direction},
        target=ScaledTarget.of_targets("standard", data.train_targets) if numbers else None,
        num_folds=num_folds,
        with_loss=True,
        fixed=False,
        labelled=data,
        made=_start_unknown if problem.has_unknown else None,
        notes=[*checked.notes, *data.notes],
        serving=lambda needs: {
            "data": data.kind,
            "given": given,
            "target_names": data.target_names,
            "reading": data.reading,
            "digest": data.digest,
        },
    )


def _check_kind(kind: Kind) -> None:
    if kind not in _OBJECTIVES:
        raise ValueError(f"kind must be one of {', '.join(_OBJECTIVES)}, got {kind!r}")


def _metrics(kind: Kind, output: Tensor, y: Tensor) -> Row:
    """Of values, or of logits, which rank as probabilities do."""
    return evaluate(output, y, kind)


def _start_unknown(model: nn.Module) -> None:
    """Let the embedding of unknown words begin at zero."""
    for module in model.modules():
        if isinstance(module, CategoryEncoder):
            module.start_unknown_at_zero()


def _hide_words(data: LabelledGraphs, rate: float, batch: Batch) -> Batch:
    return data.problem.hide_words(batch, rate) if data.problem.has_unknown else batch
