"""Options by their dotted names, and what may be chosen for them: lists of values, and ranges of numbers."""

import copy
import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plstm_graph.config.fitting import fitting
from plstm_graph.text import meant
from plstm_graph.train.training import Training

if TYPE_CHECKING:
    from optuna import Trial as Suggestions


_SECTIONS = ("task", "training", "model")


@dataclass(frozen=True)
class Range:
    """A range of numbers, of whole numbers if both ends are whole.

    Args:
        low: Its lower end.
        high: Its upper end, included.
        log: Whether numbers are drawn evenly by their logarithm, as learning rates should be.
        step: Between numbers. (default: any; 1 of whole ones)
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf or (self.log and self.low <= 0):
            raise ValueError("a range goes from low up to high, numbers that are finite, and with log above 0")
        if self.step is not None and (self.log or not 0 < self.step <= self.high - self.low):
            raise ValueError("step goes at least once into a range, and is not for those with log")


Space = dict[str, list[Any] | Range]


def check_space(space: Any) -> Space:
    """Ranges and lists by the dotted names of options.

    Args:
        space: As a configuration has it, such as ``{"training.lr": {"low": 1e-4, "high": 1e-2, "log": True}}``;
            sections may stand within sections.

    Raises:
        ValueError: If it is something else.
    """
    if not isinstance(space, Mapping):
        raise ValueError(f"space must name options with their ranges, got {space}")
    found: Space = dict(_flat(space))
    for name, values in found.items():
        if isinstance(values, Mapping):
            try:
                found[name] = Range(**fitting(Range, values, f"space.{name}"))
            except ValueError as error:
                raise ValueError(f"space.{name} {dict(values)}: {error}") from error
    return found


def suggest(suggestions: "Suggestions", space: Space) -> dict[str, Any]:
    """The options that a sampler proposes."""
    return {name: _suggest(suggestions, name, values) for name, values in space.items()}


def _suggest(suggestions: "Suggestions", name: str, values: list[Any] | Range) -> Any:
    if not isinstance(values, Range):
        # Optuna keeps numbers, words and truth values alone; others it knows by their text.
        of = {value if isinstance(value, str | int | float | bool | None) else str(value): value for value in values}
        return of[suggestions.suggest_categorical(name, list(of))]
    if isinstance(values.low, int) and isinstance(values.high, int):
        return suggestions.suggest_int(name, values.low, values.high, step=int(values.step or 1), log=values.log)
    return suggestions.suggest_float(name, values.low, values.high, step=values.step, log=values.log)


def chosen(plain: Mapping[str, Any], choice: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with some of its options replaced.

    Args:
        plain: Sections of plain values.
        choice: Values by dotted names, such as ``"training.lr"``; those of ``"model"`` are arguments of its class.
    """
    made = copy.deepcopy(dict(plain))
    for name, value in choice.items():
        section, *keys = name.split(".")
        place = made[section]
        if section == "model":
            place = place.setdefault("init_args", {})
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = value
    return made


def check_choices(choose: Any) -> dict[str, list[Any]]:
    """Options to choose from, as a configuration has them.

    Raises:
        ValueError: If a name is none of an option, or values are no list of different ones.
    """
    if not isinstance(choose, Mapping):
        raise ValueError(
            f"choose must name options with the values to try, such as training.lr: [0.001, 0.01], got {choose}"
        )
    flat = _flat(choose)
    for name, values in flat.items():
        section, *keys = name.split(".")
        if section not in _SECTIONS or not keys or not all(keys):
            known = [f"training.{each}" for each in vars(Training())]
            whole = f"training.{name}"
            near = meant(whole if whole in known else name, known) or meant(section, _SECTIONS)
            raise ValueError(f"choose.{name} is no option of task, training or model, such as training.lr{near}")
        texts = [folder_name(value) for value in values] if isinstance(values, list) else []
        if not texts or len(set(texts)) < len(texts):
            raise ValueError(f"choose.{name} must be a list of different values, got {values}")
    return flat


def _flat(choose: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Values by dotted names, also of sections within sections, as options of a command reach into them."""
    flat: dict[str, Any] = {}
    for name, values in choose.items():
        is_section = isinstance(values, Mapping) and "low" not in values and "high" not in values
        flat |= _flat(values, f"{before}{name}.") if is_section else {f"{before}{name}": values}
    return flat


def folder_name(value: Any) -> str:
    """A value as part of the name of a folder: different values have different ones, also where case is ignored."""
    if isinstance(value, float):
        return short if float(short := f"{value:g}") == value else repr(value)
    text = str(value)
    if re.fullmatch(r"[a-z0-9_.+-]{1,60}", text):
        return text
    plain = re.sub(r"[^\w.+-]+", "_", text)[:40]
    return f"{plain}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
