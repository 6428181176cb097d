"""What a search may choose options from: lists of values, and ranges of numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plstm_graph.config.fitting import fitting

if TYPE_CHECKING:
    from optuna import Trial as Suggestions


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
    found: Space = {}
    for name, values in space.items():
        if not isinstance(values, Mapping):
            found[name] = values
        elif "low" in values or "high" in values:
            try:
                found[name] = Range(**fitting(Range, values, f"space.{name}"))
            except ValueError as error:
                raise ValueError(f"space.{name} {dict(values)}: {error}") from error
        else:
            found |= {f"{name}.{key}": value for key, value in check_space(values).items()}
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
