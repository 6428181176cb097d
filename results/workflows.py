"""Makespan of workflows: error of trained models against the number of tasks, beside what planners compute.

    python -m results.workflows --run runs/workflows    # draws docs/dags/workflows_sizes.png, prints a table

Workflows are new ones of the applications of training, and of those that it never saw. Models are averaged over seeds.
"""

from typing import Any

from matplotlib.figure import Figure

from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.registry import load_task
from plstm_graph.tasks.task import Row
from results.by_size import config_of, options_of, over_tests, save, two_panels

SIZES = (120, 250, 500, 1000, 2000)  # tasks, of which workflows have at most a quarter less
EACH = 4  # workflows of each size and application
BATCH = 16
CLASSICAL = {"bounds": "-.", "planned": "--", "informed": ":"}  # metrics that do not depend on a model, as lines


def task_of_sizes(data: dict[str, Any], others: list[str]) -> GraphTask:
    """The task of the run, with a test for each size, of its applications and of others."""
    tests: dict[str, dict[str, Any]] = {}
    for size in SIZES:
        own = {"num_graphs": EACH, "smallest": int(0.75 * size), "largest": size}
        tests |= {f"own_{size}": own, f"others_{size}": own | {"applications": others}}
    return load_task(**data | {"tests": tests})


def curves(name: str, row: Row) -> dict[str, float]:
    """Mean percent error of a model, and that of planners."""
    return {name: row["mape"], **{key: row[key] for key in CLASSICAL}}


def draw(found: dict[str, dict[str, float]], trained: tuple[int, int]) -> Figure:
    """Two panels: applications of training, and others."""
    figure, panels = two_panels()
    titles = {"own": "applications of training", "others": "applications that training never saw"}
    for axes, (kind, title) in zip(panels, titles.items(), strict=True):
        axes.axvspan(*trained, color="0.93", linewidth=0)
        for name, row in found.items():
            known = [(size, row[f"test_{kind}_{size}"]) for size in SIZES if f"test_{kind}_{size}" in row]
            style = {"color": "0.4", "linestyle": CLASSICAL[name]} if name in CLASSICAL else {}
            axes.plot(*zip(*known, strict=True), marker="o", markersize=3, linewidth=1, label=name, **style)
        axes.set(xscale="log", yscale="log", xlabel="tasks (grey: in training)", title=title)
    return figure


def main() -> None:
    options = options_of("workflows", __doc__)
    data = config_of(options.run[0])["task"]
    if data.get("target", "makespan") != "makespan":
        raise SystemExit(f"{options.run[0]} is a run of {data['target']}; the figure is of makespans")
    others = sorted({name for size in data["tests"].values() for name in size.get("applications", ())})
    found = over_tests(options.run, task_of_sizes(data, others), BATCH, curves)
    trained = data["train"]["smallest"], data["train"]["largest"]
    save(draw(found, trained), options.output, "mean error of the makespan, %")
    for name, row in found.items():
        print(name, ", ".join(f"{part.removeprefix('test_')} {value:.2f}" for part, value in row.items()))


if __name__ == "__main__":
    main()
