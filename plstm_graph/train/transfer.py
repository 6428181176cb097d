"""Trainings that begin with the weights of a checkpoint: what fits is taken, and the output is new for new targets."""

import hashlib
import inspect
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from plstm_graph.datasets.storage.plain_values import check_plain
from plstm_graph.nn.graph_model import GraphModel
from plstm_graph.train.checkpoint import FORMAT, KEY, CheckpointError, read_checkpoint
from plstm_graph.train.encoder_transfer import ENCODERS, encoding_of, named_weights, same_columns
from plstm_graph.train.freezing import READ_OUT, networks

_SHOWN = 6  # names in a message
# Arguments that data decide, or that change no weight.
_OF_DATA = ("in_channels", "edge_dim", "out_channels", "predict", "histogram", "column_names")


class Taken(NamedTuple):
    """What a model took from a checkpoint.

    Attributes:
        names (frozenset[str]): Of the weights and buffers that are as they were there.
        text (str): What was taken and what is new, in a line.
    """

    names: frozenset[str]
    text: str


def start_of(path: str) -> dict[str, str]:
    """A checkpoint to begin from as it stands in a configuration: its path, and the digest of what it holds.

    Raises:
        OSError: If it cannot be read.
    """
    return {"path": path, "digest": hashlib.sha256(Path(path).read_bytes()).hexdigest()}


def take_weights(model: nn.Module, recipe: Mapping[str, Any], start: Mapping[str, str]) -> Taken:
    """Give a new model the weights of a checkpoint whose names and shapes are its own.

    Other ones stay as they are: the output of the head, unless the targets are the same; parts between nodes and head
    of another shape; and what is there in one model alone. Members of an ensemble take the networks of the checkpoint
    in turn. Between folders of DAGs, columns and words are found by their names.

    Args:
        model: With the weights to begin with.
        recipe: What its own checkpoints will say.
        start: As of :func:`start_of`.

    Raises:
        FileNotFoundError: If the checkpoint is not there.
        CheckpointError: If it is none, has changed since the run began, or its model is another one; it says in what.
    """
    path = start["path"]
    if start_of(path)["digest"] != start["digest"]:
        raise CheckpointError(f"{path} is another file than the one that this run began from")
    checkpoint = read_checkpoint(path)
    old = _checked_recipe(path, checkpoint[KEY])
    sources = _sources(checkpoint["state_dict"])
    targets = list(networks(model))
    different = _check_class(path, old, recipe, targets[0][1])
    names: set[str] = set()
    for number, (prefix, network) in enumerate(targets):
        transfer = _Transfer(path, network, sources[number % len(sources)], old, recipe, different)
        names |= {f"{prefix}{name}" for name in transfer.run()}
    total = len(model.state_dict())
    texts = [f"begins with {len(names)} of {total} tensors of {path}"]
    texts += [_members(len(sources), len(targets))] if max(len(sources), len(targets)) > 1 else []
    texts += transfer.texts()  # the same for all members
    texts += [f"other arguments: {_some(different)}"] if different else []
    return Taken(frozenset(names), "; ".join(texts))


class _Transfer:
    """Weights on their way from one network to another."""

    def __init__(
        self,
        path: str,
        network: nn.Module,
        source: Mapping[str, Tensor],
        old: Mapping[str, Any],
        recipe: Mapping[str, Any],
        different: Sequence[str],
    ) -> None:
        self.path, self.network, self.source, self.different = path, network, source, different
        self.same_targets = _targets(old) is not None and _targets(old) == _targets(recipe)
        self.outputs = _output_prefixes(network)
        self.encodings = encoding_of(old), encoding_of(recipe)
        self.new: dict[str, str] = {}
        self.columns: list[str] = []

    @torch.no_grad()
    def run(self) -> set[str]:
        """Copy what fits; names of what was copied whole."""
        own = self.network.state_dict()
        names, by_name = self._encoders(own)
        problems: list[str] = []
        for name, tensor in own.items():
            if by_name and _is_of_encoder(name):
                continue
            found, is_output = self.source.get(name), name.startswith(self.outputs)
            if found is None or (is_output and not self.same_targets):
                self.new[name] = " (other targets)" if is_output else ""
            elif (found.shape, found.is_floating_point()) == (tensor.shape, tensor.is_floating_point()):
                tensor.copy_(found)
                names.add(name)
            elif name.partition(".")[0] in READ_OUT:
                self.new[name] = " (another shape)"
            else:
                problems.append(f"{name} is {list(found.shape)} there and {list(tensor.shape)} here")
        if problems or not any(name.partition(".")[0] not in READ_OUT for name in names):
            why = "; ".join(problems[:3]) or "no weights of the same names below the head"
            raise CheckpointError(
                f"the weights of {self.path} do not fit {type(self.network).__name__}: "
                f"{'; '.join([*self.different, why]) if self.different else why}"
            )
        return names

    def _encoders(self, own: Mapping[str, Tensor]) -> tuple[set[str], bool]:
        """Copy encoders by the names of columns, if the two sets of DAGs have others; whether that was necessary."""
        old, new = self.encodings
        if new is None or same_columns(old, new):
            return set(), False
        if not isinstance(self.network, GraphModel):
            raise CheckpointError(
                f"{self.path} is of other columns or words of nodes or edges, and only in the models of "
                f"plstm_graph.nn with a node_encoder they are found by name, not in {type(self.network).__name__}"
            )
        if old is None:
            self.new |= dict.fromkeys(filter(_is_of_encoder, own), "")
            return set(), True
        encoded = named_weights(own, self.source, old, new)
        for name, value in encoded.values.items():
            own[name].copy_(value)
        self.new |= {name: "" for name in own if _is_of_encoder(name) and name not in encoded.values}
        self.columns = encoded.text
        return encoded.whole, True

    def texts(self) -> list[str]:
        """What was not taken, and what is not used."""
        own = list(self.network.state_dict())
        reasons = {reason: [name for name in self.new if self.new[name] == reason] for reason in self.new.values()}
        parts = [f"{part}{reason}" for reason, names in reasons.items() for part in _parts(names, own)]
        unused = _parts([name for name in self.source if name not in own], list(self.source))
        texts = [f"new: {_some(parts)}"] if parts else []
        texts += [f"not used: {_some(unused)}"] if unused else []
        return texts + ([_some(self.columns)] if self.columns else [])


def _is_of_encoder(name: str) -> bool:
    return name.startswith(tuple(ENCODERS))


def _parts(names: Sequence[str], of_all: Sequence[str]) -> list[str]:
    """The largest parts of a network of which all weights are among some."""
    others = [name for name in of_all if name not in set(names)]
    found: dict[str, None] = {}
    for name in names:
        pieces = name.split(".")
        starts = (".".join(pieces[:length]) for length in range(1, len(pieces) + 1))
        found[next(start for start in starts if not any(f"{each}.".startswith(f"{start}.") for each in others))] = None
    return list(found)


def _checked_recipe(path: str, recipe: Any) -> dict[str, Any]:
    """What a checkpoint says of its model, as far as a transfer asks."""
    if not isinstance(recipe, dict) or recipe.get("format") != FORMAT or not isinstance(recipe.get("model"), dict):
        raise CheckpointError(f"{path} does not say of which model it is, or was written by another version")
    try:
        check_plain(recipe)
    except ValueError as error:
        raise CheckpointError(f"the recipe of {path} is not plain: {error}") from error
    return recipe


def _sources(state: Mapping[str, Any]) -> list[dict[str, Tensor]]:
    """The weights of each network of a checkpoint."""
    usable = {}
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.is_complex():
            raise CheckpointError(f"{name} of the checkpoint is no dense tensor of real numbers")
        if not bool(tensor.isfinite().all()):
            raise CheckpointError(f"{name} of the checkpoint has values that are not finite")
        usable[str(name)] = tensor
    found: dict[int, dict[str, Tensor]] = {}
    for name, tensor in usable.items():
        member = re.fullmatch(r"members\.([0-9]{1,4})\.(.+)", name)
        if member is None:
            return [_unwrapped(usable)]
        found.setdefault(int(member[1]), {})[member[2]] = tensor
    if not found:
        raise CheckpointError("the checkpoint holds no weights")
    return [_unwrapped(found[number]) for number in sorted(found)]


def _unwrapped(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights without what a :class:`~plstm_graph.nn.SequenceHead` puts before their names."""
    if all(name.startswith("model.") for name in weights):
        return {name.removeprefix("model."): tensor for name, tensor in weights.items()}
    return weights


def _check_class(path: str, old: Mapping[str, Any], recipe: Mapping[str, Any], network: nn.Module) -> list[str]:
    """Check that two recipes are of one class and one kind of data; arguments in which the models differ."""
    there, here = (_network_spec(each.get("model")) for each in (old, recipe))
    name = str(there.get("class_path")).rpartition(".")[2]
    if name != type(network).__name__:
        raise CheckpointError(f"{path} is of a {name:.100}, and the model here is a {type(network).__name__}")
    data = [each.get("data") for each in (old, recipe)]
    if None not in data and data[0] != data[1]:
        raise CheckpointError(f"{path} was trained on {data[0]!r:.100}, and the data here are {data[1]!r}")
    defaults = {key: each.default for key, each in inspect.signature(type(network)).parameters.items()}
    was, now = ({**defaults, **_arguments(each)} for each in (there, here))
    changed = [key for key in now if key not in _OF_DATA and now[key] != was.get(key)]
    return [f"{key} is {now[key]!r:.60} here and {was.get(key)!r:.60} there" for key in changed]


def _network_spec(spec: Any) -> Mapping[str, Any]:
    """Class and arguments of the network within those that hold networks."""
    while isinstance(inner := _arguments(spec).get("model"), Mapping) and "class_path" in inner:
        spec = inner
    return spec if isinstance(spec, Mapping) else {}


def _arguments(spec: Any) -> Mapping[str, Any]:
    arguments = spec.get("init_args") if isinstance(spec, Mapping) else None
    return arguments if isinstance(arguments, Mapping) else {}


def _targets(recipe: Mapping[str, Any]) -> Any:
    """What a model answers: of which targets, classes and scale; None where that is not said."""
    encoding, reading, scale = encoding_of(recipe), recipe.get("reading"), recipe.get("scale")
    if not recipe.get("target_names") or not isinstance(reading, Mapping):
        return None
    classes = reading.get("classes") if encoding is None else encoding.classes
    kind = scale.get("kind") if isinstance(scale, Mapping) else None
    return recipe["target_names"], recipe.get("kind"), classes, kind


def _output_prefixes(network: nn.Module) -> tuple[str, ...]:
    """What stands before the names of the weights that make outputs of the head's hidden layer, or of what it reads."""
    head = getattr(network, "head", None)
    last = f"head.{len(head) - 1}." if isinstance(head, nn.Sequential) else "head."
    return last, "size_head."


def _members(sources: int, targets: int) -> str:
    if sources == 1:
        return f"each of the {targets} members begins with the same weights"
    if targets < sources:
        return f"of its {sources} members the first {'is' if targets == 1 else f'{targets} are'} taken"
    return f"its {sources} members are taken {'one by one' if targets == sources else 'in turn'}"


def _some(texts: Sequence[str]) -> str:
    return ", ".join(texts[:_SHOWN]) + (f", and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else "")
