"""Names of metrics, known before anything is imported that is slow to import."""

from collections.abc import Mapping, Sequence
from typing import Literal

from plstm_graph.text import meant

Better = Literal["min", "max"]
_LABELS: dict[str, Better] = {
    "auroc": "max",
    "ap": "max",
    "accuracy": "max",
    "balanced_accuracy": "max",
    "f1": "max",
    "mcc": "max",
    "brier": "min",
    "nll": "min",
}
#: Metrics by kind of targets, and whether less or more of each is better.
BETTER: dict[str, dict[str, Better]] = {
    "regression": {
        "rmse": "min",
        "mae": "min",
        "r2": "max",
        "pearson": "max",
        "spearman": "max",
        "max_error": "min",
        "mape": "min",
    },
    "binary": _LABELS,
    "multilabel": _LABELS,
    "multiclass": {
        "accuracy": "max",
        "balanced_accuracy": "max",
        "f1": "max",
        "mcc": "max",
        "kappa": "max",
        "auroc_ovr": "max",
        "nll": "min",
    },
    "sequence": {"accuracy": "max"},
}
#: Metrics that are given where nobody chooses; the first selects.
DEFAULT: dict[str, tuple[str, ...]] = {
    "regression": ("rmse", "mae", "r2"),
    "binary": ("auroc", "ap"),
    "multilabel": ("auroc", "ap"),
    "multiclass": ("accuracy", "f1"),
    "sequence": ("accuracy",),
}
#: Metrics in the unit of their target.
WITH_UNIT = ("rmse", "mae", "max_error")
STANDARDISED = "standardised_"


def chosen_metrics(kind: str, metrics: Sequence[str] | None = None, metric: str | None = None) -> tuple[str, ...]:
    """Names of the metrics of a kind of targets, the one that selects first.

    Args:
        kind: Of the targets.
        metrics: Those that are wanted. (default: :data:`DEFAULT`)
        metric: The one that selects, which need not be one of them. (default: the first of them)

    Raises:
        ValueError: If there is no such metric; it names those that there are.
    """
    known = BETTER[kind]
    if isinstance(metrics, str) or not all(isinstance(name, str) for name in metrics or ()):
        raise ValueError(f"metrics must be a list of names such as [{', '.join(DEFAULT[kind])}], got {metrics!r}")
    wanted = [*([] if metric is None else [metric]), *(DEFAULT[kind] if not metrics else metrics)]
    for name in wanted:
        plain = name.removeprefix(STANDARDISED) if kind == "regression" else name
        if name not in known and plain not in WITH_UNIT:
            others = [each for each, of in BETTER.items() if name in of and each != "sequence"]
            near = f"; it is one of {' and '.join(others)}" if others else meant(name, known)
            raise ValueError(f"there is no metric {name!r} of {kind}{near}: choose of {', '.join(known)}")
    plain_names = (name.removeprefix(STANDARDISED) for name in wanted)
    return tuple(dict.fromkeys(plain_names))


def direction(kind: str, name: str) -> Better:
    """Whether less or more of a metric is better."""
    return BETTER[kind][name.removeprefix(STANDARDISED)]


def check_metric_options(section: Mapping[str, object]) -> None:
    """Look for misspelt metrics in the section of a task whose kind stands there, before data are read.

    Raises:
        ValueError: As of :func:`chosen_metrics`.
    """
    kind, metrics, metric = (section.get(name) for name in ("kind", "metrics", "metric"))
    if metrics is None and metric is None:
        return
    if section.get("name") == "molecules" and (kind is None or kind in BETTER):
        chosen_metrics(str(kind or "regression"), metrics, metric)  # type: ignore[arg-type]
        return
    every = list(dict.fromkeys(name for names in BETTER.values() for name in names))
    for name in [*(metrics if isinstance(metrics, list) else []), *([] if metric is None else [metric])]:
        if str(name).removeprefix(STANDARDISED) not in every:
            raise ValueError(f"there is no metric {name!r}{meant(name, every)}: choose of {', '.join(every)}")
