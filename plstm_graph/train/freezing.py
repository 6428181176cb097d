"""Which parts of a network that began from a checkpoint stand still, or learn at a rate of their own."""

from collections.abc import Collection, Iterator
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from torch import nn

from plstm_graph.nn.ensemble import Ensemble
from plstm_graph.nn.sequence_head import SequenceHead
from plstm_graph.train.training import Training

#: Parts of a :class:`~plstm_graph.nn.graph_model.GraphModel` that make predictions of what was pooled.
HEAD = ("head", "size_head")
#: Those between the embeddings of nodes and the predictions.
READ_OUT = ("widen", "pool", "histogram", "descriptor_readout", *HEAD)


def networks(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The networks of a model that have a head each, with what stands before the names of their weights."""
    if isinstance(model, Ensemble):
        for number, member in enumerate(model.members):
            yield from networks(member, f"{prefix}members.{number}.")
    elif isinstance(model, SequenceHead):
        yield from networks(model.model, f"{prefix}model.")
    else:
        yield prefix, model


def pretrained_body(model: nn.Module, taken: Collection[str], without: Collection[str] = HEAD) -> frozenset[str]:
    """Names of the weights that a checkpoint brought, but for those of some parts.

    Args:
        model: The model.
        taken: Names of all weights that it brought.
        without: Names of the parts of each network that are left out.
    """
    found = set()
    for prefix, _ in networks(model):
        own = {name for name in taken if name.startswith(prefix)}
        found |= {name for name in own if name.removeprefix(prefix).partition(".")[0] not in without}
    return frozenset(found)


def frozen_names(model: nn.Module, taken: Collection[str], training: Training) -> frozenset[str]:
    """Names of the weights that ``training.freeze`` keeps as a checkpoint brought them."""
    if training.freeze == "none":
        return frozenset()
    return pretrained_body(model, taken, READ_OUT if training.freeze == "encoder" else HEAD)


def check_head(model: nn.Module, training: Training) -> None:
    """Check that one can tell the head of a model from the rest of it, if the training asks for that.

    Raises:
        ValueError: If one cannot.
    """
    if not training.needs_start:
        return
    for _, network in networks(model):
        if not hasattr(network, "head"):
            raise ValueError(
                f"{type(network).__name__} has no part called `head`, so training.freeze and training.encoder_lr "
                "cannot tell what learns as usual"
            )


class Freezing(Callback):
    """Keeps weights as they are, and the parts that they are of in evaluation mode: no dropout, norms of fixed moments.

    Args:
        model (torch.nn.Module): The model.
        names (Collection[str]): Names of weights that stand still.
        epochs (int, optional): For how many epochs. (default: for all)
    """

    def __init__(self, model: nn.Module, names: Collection[str], epochs: int | None) -> None:
        self.epochs = epochs
        self.parameters = [parameter for name, parameter in model.named_parameters() if name in names]
        frozen = {id(parameter) for parameter in self.parameters}
        self.modules = [module for _, network in networks(model) for module in _still(network, frozen)]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Take weights that never learn from the optimiser, which is made after this."""
        if self.epochs is None:
            for parameter in self.parameters:
                parameter.requires_grad_(False)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Set the modes of the epoch. Its own hook is not called in the first epoch after a pause."""
        if batch_idx == 0:
            for module in self.modules:
                module.training = not self._is_frozen(trainer)

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: Any, optimizer: Any) -> None:
        """Forget the gradients of weights that will learn later: without one, the optimiser leaves them alone.

        Processes that train together have made the same ones, so none waits for another.
        """
        if self.epochs is not None and self._is_frozen(trainer):
            for parameter in self.parameters:
                parameter.grad = None

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave the model as any other."""
        for parameter in self.parameters:
            parameter.requires_grad_(True)

    def _is_frozen(self, trainer: pl.Trainer) -> bool:
        return self.epochs is None or trainer.current_epoch < self.epochs


def _still(network: nn.Module, frozen: Collection[int]) -> Iterator[nn.Module]:
    """The modules of a network of which nothing learns."""
    parts = dict(network.named_children())
    body = nn.ModuleList(part for name, part in parts.items() if name not in READ_OUT)
    learning = [parameter for parameter in body.parameters() if id(parameter) not in frozen]
    own = [parameter for parameter in network.parameters(recurse=False) if id(parameter) not in frozen]
    if frozen and not learning and not own:  # with modules that have no weights, and what the network does itself
        yield network
        yield from (module for part in body for module in part.modules())
    for part in parts.values():
        yield from _within(part, frozen)


def _within(module: nn.Module, frozen: Collection[int]) -> Iterator[nn.Module]:
    parameters = list(module.parameters())
    if parameters and all(id(parameter) in frozen for parameter in parameters):
        yield from module.modules()
    else:
        for child in module.children():
            yield from _within(child, frozen)
