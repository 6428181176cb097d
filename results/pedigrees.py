"""Breeding values in pedigrees: accuracy of trained models over that of BLUP, against generations and their size.

    python -m results.pedigrees --run runs/pedigrees    # draws docs/dags/pedigrees_sizes.png, prints a table

Pedigrees are new ones, of other seeds than those of the tests. Models are averaged over seeds.
"""

from typing import Any

from matplotlib.figure import Figure

from plstm_graph.tasks.registry import load_task
from plstm_graph.tasks.task import Row, Task
from results.by_size import config_of, options_of, over_tests, save, two_panels

GENERATIONS = (3, 5, 10, 20, 40)  # behind the founders, of as many animals as in training
ANIMALS = (20, 40, 80, 160, 320)  # of each of as many generations as in training
ANIMALS_OF_A_PART = 12_000
BATCH = 4


def task_of_sizes(data: dict[str, Any]) -> Task:
    """The task of the run, with tests of more generations and of larger ones."""
    own = data["train"]

    def part(generations: int, size: int) -> dict[str, int]:
        graphs = max(10, ANIMALS_OF_A_PART // ((generations + 1) * size))
        return {"num_graphs": graphs, "generations": generations, "size": size}

    tests = {f"generations_{number}": part(number, own["size"]) for number in GENERATIONS}
    tests |= {f"animals_{size}": part(own["generations"], size) for size in ANIMALS}
    return load_task(**data | {"train": own | {"num_graphs": 10}, "tests": tests})


def curves(name: str, row: Row) -> dict[str, float]:
    """Accuracy of a model over that of BLUP."""
    return {name: row["of_blup"]}


def draw(found: dict[str, dict[str, float]], trained: tuple[int, int]) -> Figure:
    """Two panels: against generations, and against their size."""
    figure, panels = two_panels()
    kinds = {
        "generations": (GENERATIONS, "generations (line: in training)"),
        "animals": (ANIMALS, "animals of a generation (line: in training)"),
    }
    for axes, (kind, (sizes, label)), own in zip(panels, kinds.items(), trained, strict=True):
        axes.axvline(own, color="0.8", linewidth=1)
        for name, row in found.items():
            values = [row[f"test_{kind}_{size}"] for size in sizes]
            axes.plot(sizes, values, marker="o", markersize=3, linewidth=1, label=name)
        axes.set(xscale="log", xlabel=label)
        axes.minorticks_off()
        axes.set_xticks(sizes, [str(size) for size in sizes])
    return figure


def main() -> None:
    options = options_of("pedigrees", __doc__)
    data = config_of(options.run[0])["task"]
    found = over_tests(options.run, task_of_sizes(data), BATCH, curves)
    save(
        draw(found, (data["train"]["generations"], data["train"]["size"])), options.output, "accuracy over that of BLUP"
    )
    for name, row in found.items():
        print(name, ", ".join(f"{part.removeprefix('test_')} {value:.3f}" for part, value in row.items()))


if __name__ == "__main__":
    main()
