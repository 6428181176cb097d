"""A trained model that predicts for graphs like those it was trained on."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import BaseTransform

from plstm_graph.config.parser import make_transform
from plstm_graph.config.sized import make_sized
from plstm_graph.console import Console
from plstm_graph.datasets.storage.plain_values import check_plain
from plstm_graph.nn.ensemble import members_of
from plstm_graph.tasks.batches import batches_in_order, call_model, collate_for, model_arguments
from plstm_graph.tasks.calibration import CALIBRATION, Calibration
from plstm_graph.tasks.conformal import COVERAGE
from plstm_graph.tasks.domain import DOMAIN, FINGERPRINTS, Domain, check_fingerprints
from plstm_graph.tasks.metrics import Kind
from plstm_graph.tasks.scale import TargetScale, is_scale
from plstm_graph.tasks.scores import scores_of
from plstm_graph.tasks.spread import Assessed, assess
from plstm_graph.tasks.task import Shard
from plstm_graph.train.checkpoint import FORMAT, KEY, CheckpointError, load_weights, read_checkpoint

# Nodes of a batch of predictions, so that one of large graphs does not fill the memory.
_MAX_NODES = 100_000

#: Numbers up to which no model takes long to make.
_SMALL = 1000


class Predictor(nn.Module):
    """A model behind what its task makes of its output.

    Args:
        model (torch.nn.Module): The trained model.
        recipe (dict): What the checkpoint says beside the weights.
        fingerprints (Tensor, optional): Of the training molecules.

    Attributes:
        kind (str): Of the targets.
        scale (TargetScale, optional): On which numbers were learnt.
        calibration (Calibration, optional): By the validation part; checkpoints of earlier versions have none.
        is_gaussian (bool): Whether the model gives variances of numbers, too.
        domain (Domain, optional): What the model was trained on, likewise.
        fingerprints (Tensor, optional): Of its training molecules, ``[n, 256]``, likewise.

    Shapes:
        - **input:** a batch of graphs
        - **output:** what the model gives, ``[B, T]``: logits, or numbers on the scale that it learnt
    """

    def __init__(self, model: nn.Module, recipe: Mapping[str, Any], fingerprints: Tensor | None = None) -> None:
        super().__init__()
        self.model, self.recipe = model, dict(recipe)
        self.kind: Kind = recipe["kind"]
        self.scale = None if recipe.get("scale") is None else TargetScale.of_plain(recipe["scale"])
        plain = recipe.get(CALIBRATION)
        self.calibration = None if plain is None else Calibration.of_plain(plain, self.kind, len(self.target_names))
        self.is_gaussian = recipe.get("likelihood") == "gaussian"
        domain = recipe.get(DOMAIN)
        self.domain = None if domain is None else Domain.of_plain(domain)
        self.fingerprints = fingerprints
        self._arguments = model_arguments(model)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next((tensor.device for tensor in self.model.parameters()), torch.device("cpu"))

    @property
    def target_names(self) -> list[str]:
        """Names of the targets."""
        return self.recipe["target_names"]

    @property
    def classes(self) -> list[list[str]]:
        """Names of the classes of each target; empty for numbers, and where classes have no names."""
        return self.recipe["reading"].get("classes", [])

    def forward(self, batch: Batch) -> Tensor:
        """The model's output for a batch; of means and variances the means."""
        output = call_model(self.model, batch, self._arguments)
        return output.chunk(2, dim=-1)[0] if self.is_gaussian else output

    def predict_batch(self, batch: Batch) -> Tensor:
        """Predictions for a batch: values in the unit of the data, or probabilities, ``[B, T]``."""
        return self.assess_outputs(self._outputs(batch)).values

    def _outputs(self, batch: Batch) -> Tensor:
        """What each member gives, ``[M, n, O]``."""
        return torch.stack([call_model(member, batch, self._arguments) for member in members_of(self.model)])

    def collate(self, graphs: Sequence[Data]) -> Batch:
        """A batch as the model takes it, on its device."""
        return collate_for(self._arguments)(list(graphs)).to(self.device)

    def batches(self, graphs: Sequence[Data], batch_size: int = 256) -> Iterator[Batch]:
        """Batches of graphs in their order, on the device of the model. Arguments as of :meth:`predict`."""
        return batches_in_order(graphs, batch_size, self.device, Shard(), self._arguments, _MAX_NODES)

    def assess(self, graphs: Sequence[Data], coverage: float = COVERAGE, batch_size: int = 256) -> Assessed:
        """Predictions for graphs, in their order, and how sure they are.

        Args:
            graphs: Prepared as in training.
            coverage: Part of the measured values that intervals are to hold.
            batch_size: Graphs per batch; fewer of large ones.

        Returns:
            On the CPU; without intervals where the checkpoint has no calibration, or the validation part was too small.
        """
        outputs = self.outputs_of_members(graphs, batch_size)
        if not outputs.numel():
            return Assessed(torch.empty(0, len(self.target_names), dtype=torch.double))
        return self.assess_outputs(outputs, coverage)

    def assess_outputs(self, outputs: Tensor, coverage: float = COVERAGE) -> Assessed:
        """Predictions from what each member gives, ``[M, n, O]``, and how sure they are."""
        return assess(outputs, self.kind, self.scale, self.calibration, coverage, self.is_gaussian)

    @torch.no_grad()
    def outputs_of_members(self, graphs: Sequence[Data], batch_size: int = 256) -> Tensor:
        """What each member gives for graphs, ``[M, n, O]``, on the CPU; arguments as of :meth:`assess`."""
        self.eval()
        parts = [self._outputs(batch).to("cpu") for batch in self.batches(graphs, batch_size)]
        return torch.cat(parts, dim=1) if parts else torch.empty(0)

    def report_lacking(self, coverage: float) -> None:
        """Say on stderr of which targets there are no intervals, and why."""
        lacking = [] if self.calibration is None else self.calibration.lacking(coverage, self.target_names)
        for text in lacking:
            Console(stderr=True).say(text)

    def predict(self, graphs: Sequence[Data], batch_size: int = 256) -> Tensor:
        """Predictions for graphs, in their order, ``[n, T]``, on the CPU: values in the unit of the data, or
        probabilities; arguments as of :meth:`assess`.
        """
        return self.assess(graphs, batch_size=batch_size).values


def load_predictor(path: str | os.PathLike[str]) -> Predictor:
    """The trained model of a checkpoint that ``plstm-graph fit`` wrote, on the CPU and in evaluation mode.

    No code of the checkpoint runs, and only models and transforms of :mod:`~plstm_graph.config.names` are made;
    :func:`~plstm_graph.config.names.allow_names` lets it name a model of your own.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If the file is no such checkpoint, is damaged, or does not fit the classes it names.
    """
    checkpoint = read_checkpoint(path)
    recipe, state = checkpoint[KEY], checkpoint["state_dict"]
    _check_recipe(path, recipe)
    _check_sizes(path, recipe["model"], state)
    try:
        model = make_sized(recipe["model"], {})
    except ValueError as error:
        raise CheckpointError(f"the model of {path} cannot be made: {error}") from error
    load_weights(model, state, path)
    try:
        fingerprints = check_fingerprints(checkpoint.get(FINGERPRINTS))
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    return Predictor(model, recipe, fingerprints).eval()


def _check_recipe(path: str | os.PathLike[str], recipe: Any) -> None:
    """Check that a checkpoint says what the commands ask of it, in plain values."""
    if not isinstance(recipe, dict) or recipe.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has no recipe of format {FORMAT} for its model: it was written by another version; train the "
            "model anew"
        )
    if "kind" not in recipe:
        raise CheckpointError(
            f"{path} is of the task {recipe.get('task')!r:.200}, for whose models there is no `predict`"
        )
    kinds = {"task": dict, "model": dict, "data": str, "given": dict, "target_names": list, "reading": dict}
    for name, kind in kinds.items():
        if name not in recipe:
            raise CheckpointError(f"the recipe of {path} lacks {name}")
        if not isinstance(recipe[name], kind):
            raise CheckpointError(f"the recipe of {path} has something else for {name}")
    if recipe["kind"] not in get_args(Kind):
        raise CheckpointError(f"the recipe of {path} has something else for kind")
    if not all(isinstance(name, str) for name in recipe["target_names"]):
        raise CheckpointError(f"the recipe of {path} has targets without a name")
    classes = recipe["reading"].get("classes", [])
    of_targets = classes if isinstance(classes, list) else [None]
    if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in of_targets):
        raise CheckpointError(f"the recipe of {path} has classes that are no names")
    if (recipe["kind"] == "regression") != is_scale(recipe.get("scale"), len(recipe["target_names"])):
        raise CheckpointError(f"the recipe of {path} has no scale that fits the kind of its targets")
    try:
        scores_of(recipe)
    except ValueError as error:
        raise CheckpointError(f"the recipe of {path}: {error}") from error
    try:
        check_plain(recipe)
    except ValueError as error:
        raise CheckpointError(f"the recipe of {path} is not plain: {error}") from error
    if recipe.get("likelihood") not in (None, "gaussian") or (
        "likelihood" in recipe and recipe["kind"] != "regression"
    ):
        raise CheckpointError(f"the recipe of {path} has another likelihood than gaussian, that of numbers")
    if recipe.get(CALIBRATION) is not None:
        try:
            Calibration.of_plain(recipe[CALIBRATION], recipe["kind"], len(recipe["target_names"]))
        except ValueError as error:
            raise CheckpointError(f"the calibration of {path} is damaged: {error}") from error
    if recipe.get(DOMAIN) is not None:
        try:
            Domain.of_plain(recipe[DOMAIN])
        except ValueError as error:
            raise CheckpointError(f"what {path} says of its training set is damaged: {error}") from error


def _check_sizes(path: str | os.PathLike[str], model: Any, state: dict[str, Any]) -> None:
    """Refuse a model that is larger than its weights, before it is made: it would take all memory, or forever.

    Every size of a model (layers, channels, heads, categories) and ratio of widths shows in the number of its weights.
    """
    numbers = sum(tensor.numel() for tensor in state.values() if isinstance(tensor, Tensor))
    for name, value in _numbers(model, "model"):
        if abs(value) > max(numbers, _SMALL):
            raise CheckpointError(f"{path} holds {numbers:,} numbers, too few for a model of {name} = {value}")


def _numbers(value: Any, name: str) -> Iterator[tuple[str, float]]:
    """All numbers within plain values, with the names under which they stand."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _numbers(each, str(key))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _numbers(each, name)
    elif isinstance(value, int | float):
        yield name, value


def load_transform(recipe: Mapping[str, Any], default: BaseTransform) -> Callable[[Data], Data]:
    """The pre-transform of a model's training data.

    Args:
        recipe: Of the checkpoint.
        default: That of recipes without one.

    Returns:
        The transform, which raises a :class:`CheckpointError` for graphs that it cannot be applied to.
    """
    try:
        transform = make_transform(recipe["given"].get("pre_transform"))
    except ValueError as error:
        raise CheckpointError(f"the pre-transform of the checkpoint cannot be made: {error}") from error
    if transform is None:
        return default

    def apply(data: Data) -> Data:
        try:
            return transform(data)
        except (TypeError, RuntimeError, LookupError, AttributeError, ArithmeticError, AssertionError) as error:
            name, kind = type(transform).__name__, type(error).__name__
            raise CheckpointError(
                f"the pre-transform {name} of the checkpoint cannot be applied to these graphs: {kind}: {error}"
            ) from error

    return apply
