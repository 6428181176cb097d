"""The results of a run as pictures."""

from pathlib import Path

from matplotlib.axes import Axes

from benchmarks.operators.results import Results, measurements
from benchmarks.operators.suites import BOTH
from plstm_graph.datasets.storage.files import replace_file
from plstm_graph.viz.curves import new_figure

_OPERATORS = "plstm "
_BY_SIZE = ("random", "chain", "grid", "circuit")
# A curve of fewer points shows nothing.
_POINTS = 3


def save_plots(results: Results, folder: Path) -> list[str]:
    """Draw time against size, time against depth and memory against size of each form, as far as they were measured.

    Args:
        results: As :func:`~benchmarks.operators.runner.run_suite` returns them, or read from their JSON.
        folder: Where to put the pictures.

    Returns:
        Names of the files.
    """
    families = [family for family in _BY_SIZE if _has_curve(results, family)]
    names = []
    if families:
        names.append(_save(results, folder / "time_by_size.png", families, "edges", "seconds"))
    if _has_curve(results, "layered"):
        names.append(_save(results, folder / "time_by_depth.png", ["layered"], "depth", "seconds"))
    with_memory = [family for family in families if _has_curve(results, family, "peak_bytes")]
    if with_memory:
        names.append(_save(results, folder / "memory_by_size.png", with_memory, "edges", "peak_bytes"))
    return names


def _save(results: Results, path: Path, families: list[str], by: str, what: str) -> str:
    figure, panels = new_figure(len(families))
    for axes, family in zip(panels, families, strict=True):
        for operator in _operators(results, family):
            _draw(axes, *_curve(results, family, operator, by, what), operator.removeprefix(_OPERATORS))
        label = "time, s" if what == "seconds" else "peak memory, MiB"
        axes.set(xscale="log", yscale="log", xlabel=by, ylabel=f"{label} ({BOTH})", title=family)
        axes.grid(True, which="major", color="0.9")
        axes.legend(frameon=False)
    replace_file(path, lambda name: figure.savefig(name, format="png", dpi=150))
    return path.name


def _draw(axes: Axes, sizes: list[float], values: list[float], label: str) -> None:
    # `auto` is one of the others, so it is drawn as marks around their points.
    if label == "auto":
        axes.plot(sizes, values, "o", label=label, fillstyle="none", markersize=9, color="black")
    else:
        axes.plot(sizes, values, ".-", label=label)


def _curve(results: Results, family: str, operator: str, by: str, what: str) -> tuple[list[float], list[float]]:
    points: dict[float, float] = {}
    for entry in measurements(results):
        name = entry["workload"]
        if name.startswith(f"{family}-") and entry["operator"] == operator and entry["pass"] == BOTH and what in entry:
            value = entry["seconds"]["median"] if what == "seconds" else entry["peak_bytes"] / 2**20
            points[results["workloads"][name][by]] = value
    return sorted(points), [points[size] for size in sorted(points)]


def _operators(results: Results, family: str) -> list[str]:
    names = dict.fromkeys(e["operator"] for e in measurements(results) if e["workload"].startswith(f"{family}-"))
    return [name for name in names if name.startswith(_OPERATORS)]


def _has_curve(results: Results, family: str, what: str = "seconds") -> bool:
    return any(
        len(_curve(results, family, operator, "edges", what)[0]) >= _POINTS for operator in _operators(results, family)
    )
