"""Scales of targets: what models of numbers learn in place of the numbers, and how outputs are brought back."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.datasets.moments import Moments, centre_and_scale
from plstm_graph.text import meant

TargetKind = Literal["raw", "standard", "log", "log1p", "ln", "log10"]
_LOGARITHMS = ("log", "log1p")  # of 1 + y
_OF_POSITIVE: dict[str, float] = {"ln": 1.0, "log10": math.log(10)}  # by the logarithm of their base
# The logarithm of the largest number of which the square is a number, too; outputs beyond it are taken for it.
_LARGEST_LOG = 350.0


def as_double(values: Tensor) -> Tensor:
    """Values in float64, on the CPU if their device has no float64."""
    return (values.cpu() if values.device.type == "mps" else values).double()


class TargetScale:
    """A scale of targets: models learn on it, and their outputs are brought back before any metric sees them.

    Mean and deviation are float64 whatever precision the model has, and no buffers of a module: casting a model to half
    precision, or moving it to a device without float64, must not change the unit of its predictions.

    Args:
        kind (str or list[str]): ``"raw"`` (the targets themselves), ``"standard"`` (mean 0 and standard deviation 1 in
            the training part), ``"log"`` (the same of ``log(1 + y)``, for sizes that differ by orders of magnitude),
            ``"log1p"`` (``log(1 + y)`` itself, for models whose outputs are logarithms of amounts), ``"ln"`` or
            ``"log10"`` (mean 0 and standard deviation 1 of the natural or decimal logarithm of positive targets, such
            as concentrations); a list has one for each target.
        mean (Tensor): ``[T]``, of the logarithms where they are taken; ``[1]`` for one scale of all targets.
        std (Tensor): Likewise.
    """

    def __init__(self, kind: TargetKind | Sequence[TargetKind], mean: Tensor, std: Tensor) -> None:
        self.kinds: tuple[TargetKind, ...] = (kind,) if isinstance(kind, str) else tuple(kind)
        self.mean, self.std = mean.double().cpu(), std.double().cpu()

    @property
    def kind(self) -> TargetKind | Literal["mixed"]:
        """That of all targets, or ``"mixed"``."""
        return self.kinds[0] if len(set(self.kinds)) == 1 else "mixed"

    @property
    def is_logarithm(self) -> bool:
        """Whether models learn logarithms of ``1 + y``."""
        return self.kind in _LOGARITHMS

    @classmethod
    def fit(cls, kind: TargetKind | Sequence[TargetKind], targets: Tensor) -> "TargetScale":
        """The scale of the targets of the training part.

        Args:
            kind: See above.
            targets: ``[M, T]``; NaN where none was measured. Equal ones get their own size as their scale.

        Raises:
            ValueError: If there is no such kind, a target has no logarithm, or a mean is taken and a target was never
                measured; it gives their numbers.
        """
        kind = _one_kind(kind, targets.size(1))
        if not isinstance(kind, str):
            each = [cls.fit(of, targets[:, [number]]) for number, of in enumerate(kind)]
            return cls(kind, torch.cat([scale.mean for scale in each]), torch.cat([scale.std for scale in each]))
        check_logarithms([kind], targets, ", got")
        if kind in ("raw", "log1p"):
            return cls(kind, torch.zeros(1), torch.ones(1))
        columns = []
        for column in _forward(kind, as_double(targets).cpu()).t():
            moments = Moments()
            moments.update(column.numpy())
            columns.append(moments)
        missing = [number for number, moments in enumerate(columns) if moments.count == 0]
        if missing:
            raise ValueError(f"targets number {missing} have no measured value in the training split")
        pairs = torch.tensor([centre_and_scale(moments) for moments in columns], dtype=torch.double)
        return cls(kind, *pairs.view(-1, 2).unbind(dim=1))

    @classmethod
    def of_graphs(cls, kind: TargetKind | Sequence[TargetKind], graphs: Sequence[Data]) -> "TargetScale":
        """As :meth:`fit`, of targets ``y`` ``[M, T]`` of graphs; a target without a logarithm is named by its graph."""
        kinds = [kind] if isinstance(kind, str) else kind
        for number, graph in enumerate(graphs if set(kinds) & {*_LOGARITHMS, *_OF_POSITIVE} else ()):
            targets = graph.y.view(-1, graph.y.size(-1))
            check_logarithms(kinds, targets, f": graph {number} of the training part has")
        # A part without graphs is for whoever loads the task to refuse.
        found = [graph.y.view(-1, graph.y.size(-1)) for graph in graphs]
        return cls.fit(kind, torch.cat(found) if found else torch.empty(0, 1))

    @classmethod
    def of_plain(cls, values: dict[str, Any]) -> "TargetScale":
        """From what :meth:`to_plain` gave."""
        return cls(values["kind"], *(torch.tensor(values[name], dtype=torch.double) for name in ("mean", "std")))

    def to_plain(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        kind = list(self.kinds) if self.kind == "mixed" else self.kind
        return {"kind": kind, "mean": self.mean.tolist(), "std": self.std.tolist()}

    def unit(self, column: int) -> str:
        """What a target is counted in on this scale, but for mean and deviation."""
        kind = self.kinds[0] if len(self.kinds) == 1 else self.kinds[column]
        if kind in _OF_POSITIVE:
            return f"{kind} of the target"
        return "log(1 + target)" if kind in _LOGARITHMS else "unit of the target"

    def apply(self, targets: Tensor) -> Tensor:
        """Targets on the scale that models learn, ``[..., T]``; NaN stays."""
        if self.kind == "raw":
            return targets
        values = self._by_column(_forward, as_double(targets))
        return (values - self.mean.to(values.device)) / self.std.to(values.device)

    def restore(self, output: Tensor) -> Tensor:
        """Outputs ``[..., T]`` in the unit of the targets, float64."""
        values = as_double(output)
        values = values * self.std.to(values.device) + self.mean.to(values.device)
        return self._by_column(_backward, values)

    def _by_column(self, change: Callable[[TargetKind, Tensor], Tensor], values: Tensor) -> Tensor:
        if self.kind != "mixed":
            return change(self.kinds[0], values)
        columns = zip(self.kinds, values.unbind(dim=-1), strict=True)
        return torch.stack([change(kind, column) for kind, column in columns], dim=-1)


def _forward(kind: TargetKind, values: Tensor) -> Tensor:
    """Logarithms, where they are taken."""
    if kind in _OF_POSITIVE:
        return values.log() / _OF_POSITIVE[kind]
    return values.log1p() if kind in _LOGARITHMS else values


def _backward(kind: TargetKind, values: Tensor) -> Tensor:
    """What has these logarithms."""
    if kind in _OF_POSITIVE:
        return (values * _OF_POSITIVE[kind]).clamp(max=_LARGEST_LOG).exp()
    return values.clamp(max=_LARGEST_LOG).expm1() if kind in _LOGARITHMS else values


def _one_kind(kind: TargetKind | Sequence[TargetKind], num_targets: int) -> TargetKind | Sequence[TargetKind]:
    """The kind of all targets, or those of each if they differ."""
    kinds = [kind] if isinstance(kind, str) else list(kind)
    for each in kinds:
        if each not in get_args(TargetKind):
            words = [f"'{word}'" for word in get_args(TargetKind)]
            raise ValueError(f"target_scale must be {', '.join(words[:-1])} or {words[-1]}, got {each!r}")
    if not isinstance(kind, str) and len(kinds) != num_targets:
        raise ValueError(f"target_scale has {len(kinds)} scales for {num_targets} targets")
    return kinds[0] if len(set(kinds)) == 1 else kinds


def kinds_of_targets(given: Any, names: Sequence[str], usual: TargetKind) -> TargetKind | list[TargetKind]:
    """The scale of each target, as a configuration has it: a word for all, a list, or words by the names of targets.

    Args:
        given: What it has.
        names: Of the targets.
        usual: The scale of those that a mapping does not name.

    Raises:
        ValueError: If there is no such scale or target, or their numbers differ.
    """
    if isinstance(given, Mapping):
        for name in given:
            if name not in names:
                known = f"there are {', '.join(names)}" if names else "its targets have no names"
                raise ValueError(f"target_scale names no target {name!r}{meant(name, names)}: {known}")
        given = [given.get(name, usual) for name in names]
    found = _one_kind(given, len(names) or 1)
    return found if isinstance(found, str) else list(found)


def is_scale(values: Any, num_targets: int) -> bool:
    """Whether plain values of a file are those of a scale of so many targets, or of one for all of them."""
    if not isinstance(values, dict) or set(values) != {"kind", "mean", "std"}:
        return False
    mean, std, kind = values["mean"], values["std"], values["kind"]
    lists = all(isinstance(each, list) and all(isinstance(value, float) for value in each) for each in (mean, std))
    kinds = kind if isinstance(kind, list) else [kind]
    return (
        all(isinstance(each, str) and each in get_args(TargetKind) for each in kinds)
        and (not isinstance(kind, list) or len(kind) == num_targets == len(mean))
        and lists
        and len(mean) == len(std)
        and len(mean) in (1, num_targets)
        and all(map(math.isfinite, [*mean, *std]))
        and all(value > 0 for value in std)
    )


def without_logarithm(kinds: Sequence[TargetKind], targets: Tensor) -> Tensor:
    """Which targets have no logarithm where one is to be taken, ``[M, T]``.

    Args:
        kinds: Of each target, or one of all.
        targets: ``[M, T]``; NaN where none was measured.
    """
    least = {"log": -1.0, "log1p": -1.0, "ln": 0.0, "log10": 0.0}
    bounds = [least.get(kind, -math.inf) for kind in kinds]
    wrong = [column <= bound for column, bound in zip(targets.unbind(dim=1), _for_all(bounds, targets), strict=True)]
    return torch.stack(wrong, dim=1) & targets.isfinite()


def check_logarithms(kinds: Sequence[TargetKind], targets: Tensor, where: str) -> None:
    """Check that all targets have the logarithms that are to be taken.

    Args:
        kinds: Of each target, or one of all.
        targets: ``[M, T]``; NaN where none was measured.
        where: They stand, for the message.

    Raises:
        ValueError: If one has none; it gives the first.
    """
    if not targets.size(1) or not bool((wrong := without_logarithm(kinds, targets)).any()):
        return
    row, column = wrong.nonzero()[0].tolist()
    kind = _for_all(list(kinds), targets)[column]
    of, least = ("log(1 + y)", "-1") if kind in _LOGARITHMS else ("the logarithm of y", "0")
    raise ValueError(
        f"target_scale {kind!r} is of {of}, which needs targets above {least}{where} {float(targets[row, column]):g}; "
        "choose 'raw' or 'standard'"
    )


def _for_all(values: list[Any], targets: Tensor) -> list[Any]:
    return values * targets.size(1) if len(values) == 1 else values
