"""The report of a search over options: the best of them, which ones matter, and pictures."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from matplotlib.figure import Figure

from plstm_graph.datasets.storage.files import replace_file, replace_json, replace_text
from plstm_graph.text import markdown_code, markdown_row

if TYPE_CHECKING:
    import optuna

#: Under which a trial of Optuna keeps the options that it stands for.
CHOICE = "choice"
_SHOWN = 10  # rows of the table


def write_search(folder: Path, search: "optuna.Study", metric: str, about: Mapping[str, Any]) -> str:
    """Write ``search.json``, ``search.md`` and, of several trials, ``parallel_coordinates.png``.

    Args:
        folder: Where.
        search: With a finished trial.
        metric: What was optimised.
        about: ``"command"`` and ``"machine"``.

    Returns:
        The text of ``search.md``.
    """
    from optuna.trial import TrialState

    finished = search.get_trials(states=[TrialState.COMPLETE])
    sign = -1 if search.direction.name == "MAXIMIZE" else 1
    finished.sort(key=lambda trial: sign * (trial.value or 0.0))
    importances = _importances(search) if len(finished) > 3 else {}
    rows = [{"number": trial.number, metric: trial.value, CHOICE: trial.user_attrs[CHOICE]} for trial in finished]
    replace_json(folder / "search.json", {"trials": rows, "importances": importances, **about})
    names = list(finished[0].user_attrs[CHOICE])
    lines = [["trial", metric, *names], ["---:"] * (2 + len(names))]
    for row in rows[:_SHOWN]:
        lines.append([str(row["number"]), f"{row[metric]:.5g}", *(shown(row[CHOICE][name]) for name in names)])
    text = ["# The best options", "", *map(markdown_row, lines), ""]
    if importances:
        shares = [[name, f"{share:.2f}"] for name, share in importances.items()]
        text += [*map(markdown_row, [["option", "importance"], ["---", "---:"], *shares]), ""]
    text += [f"{len(finished)} trials, by validation alone. Command: {markdown_code(about['command'])}", ""]
    replace_text(folder / "search.md", "\n".join(text))
    if len(finished) > 1:
        _draw(folder / "parallel_coordinates.png", search)
    return "\n".join(text)


def shown(value: Any) -> str:
    """A value as tables have it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _importances(search: "optuna.Study") -> dict[str, float]:
    """Share of the variance that each option explains; none where all trials are worth the same."""
    from optuna.importance import get_param_importances

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {name: float(share) for name, share in get_param_importances(search).items()}
    except (ValueError, RuntimeError):
        return {}


def _draw(path: Path, search: "optuna.Study") -> None:
    from matplotlib import pyplot as plt
    from optuna.visualization.matplotlib import plot_parallel_coordinate

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the pictures of Optuna are marked as experimental
        axes = plot_parallel_coordinate(search)
        for lines in axes.collections:  # which are pale blue, and those of poor choices all but white
            lines.set(cmap="viridis", linewidth=2, alpha=0.9)
        figure = cast(Figure, axes.figure)
        figure.set_size_inches(12, 6)
        replace_file(path, lambda unfinished: figure.savefig(unfinished, format="png", dpi=110, bbox_inches="tight"))
    plt.close(figure)
