"""Tasks by their names. A task is imported when it is asked for."""

import inspect
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from plstm_graph.config.fitting import fitting, not_one_of, unfit
from plstm_graph.config.written import written_options
from plstm_graph.text import meant, shortened

if TYPE_CHECKING:
    from plstm_graph.tasks.scale import TargetKind
    from plstm_graph.tasks.task import Task

#: Module and function of each task, and what its name says already.
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "molecules": ("molecules:molecules", {}),
    "dag_folder": ("dag_folder:dag_folder", {}),
    "tu": ("tu:tu", {}),
    "benchmark": ("benchmark:benchmark", {}),
    "terrain": ("terrain:terrain", {}),
    "timing": ("circuits:timing", {}),
    "workflows": ("workflows:workflows", {}),
    "pedigrees": ("pedigrees:pedigrees", {}),
    "circuits": ("circuits:circuits", {}),
    "enas": ("published_dags:enas", {}),
    "nas_bench_graph": ("published_dags:nas_bench_graph", {}),
    "sst": ("published_dags:sst", {}),
    **{
        name: ("long_range:long_range", {"task": name})
        for name in ("copy", "longest_path", "reachability", "path_parity")
    },
    "arrows": ("images:arrows", {}),
    **{name: ("images:image_set", {"name": name}) for name in ("fashion_mnist", "cifar10", "imagenet")},
}


def _common(
    name: str,
    root: str = "datasets",
    source: str | None = None,
    target_scale: Literal["raw", "standard", "log", "log1p", "ln", "log10"] | list[str] | dict[str, str] | None = None,
) -> None:
    """Options of every task, as a configuration has them."""


_COMMON = tuple(inspect.signature(_common).parameters)


def load_task(
    name: str,
    root: str = "datasets",
    source: str | None = None,
    target_scale: "TargetKind | list[TargetKind] | dict[str, TargetKind] | None" = None,
    **options: Any,
) -> "Task":
    """Load a task by its name.

    Args:
        name: One of :data:`TASKS`.
        root: Folder of all data sets.
        source: Folder with an offline copy of the raw files. (default: the environment variable PLSTM_DATA, else a
            download)
        target_scale: Scale on which numbers are learnt: ``"raw"``, ``"standard"`` (mean 0, standard deviation 1),
            ``"log"`` (of 1 + target, then standard), ``"log1p"`` (that logarithm itself), ``"ln"`` or ``"log10"`` (the
            logarithm of positive targets, then standard); for several targets with names also a list, or a mapping such
            as ``{IC50: log10}``, where others are standard. (default: that of the task)
        **options: Those of the function that makes the task.

    Raises:
        ValueError: If there is no such task, an option does not fit, or a part is left without samples.
        OSError: If data cannot be had.
        ImportError: If data are made by a package that is not installed.
    """
    make = task_maker(name, root, source)
    known = (*TASKS[name][1], "root", "source")
    task = make(**fitting(make, options, f"the task {name}", given=known, besides=_COMMON))
    empty = [part for part, samples in task.parts.items() if len(samples) == 0]
    if empty:
        kind = "an image" if TASKS[name][0].startswith("images:") else "a graph"
        given = shortened(str(options))
        raise ValueError(f"options {given} leave the task {name} without {kind} in {', '.join(empty)}")
    return task if target_scale is None else task.scaled(target_scale)


def task_maker(name: str, root: str = "datasets", source: str | None = None) -> "partial[Task]":
    """The function that makes a task of its own options.

    Raises:
        ValueError: If there is no such task.
    """
    _check_name(name)
    place, known = TASKS[name]
    module, _, function = place.partition(":")
    make = getattr(import_module(f"plstm_graph.tasks.{module}"), function)
    folders = {"root": root, "source": source}
    return partial(make, **known, **{key: folders[key] for key in folders if key in inspect.signature(make).parameters})


def takes_option(section: Mapping[str, Any], option: str) -> bool:
    """Whether the task of a section of a configuration takes an option; False where there is no such task."""
    name = section.get("name")
    return isinstance(name, str) and name in TASKS and option in _written(name)


def _written(name: str) -> dict[str, tuple[Any, ...]]:
    """Options of a task by its source, see :func:`~plstm_graph.config.written.written_options`."""
    return written_options(f"plstm_graph.tasks.{TASKS[name][0].replace(':', '.')}")


def _check_name(name: str) -> None:
    if name not in TASKS:
        raise ValueError(f"no task {name!r}{meant(name, TASKS)}: expected one of {', '.join(TASKS)}")


def check_section(section: Mapping[str, Any]) -> None:
    """Look for what is wrong with a section of a configuration before its task is imported, which takes seconds.

    Raises:
        ValueError: If there is no such task or option, or an option is none of the words that it may be.
    """
    name = section.get("name")
    if not isinstance(name, str):
        near = [f", not {key}" for key in section if meant(key, ["name"]) and key != "name"]
        own = "" if near else "; for data of your own, begin with --config configs/chembl.yaml or configs/dag.yaml"
        raise ValueError(f"a task needs its name, such as name: enas{near[0] if near else own}")
    _check_name(name)
    fitting(_common, {key: value for key, value in section.items() if key in _COMMON}, "the task")
    known = {key: words for key, words in _written(name).items() if key not in TASKS[name][1]}
    for key, value in section.items():
        if key not in known and key not in _COMMON:
            options = ", ".join(each for each in known if each not in _COMMON) or "none at all"
            why = f"there is no option {key!r}{meant(key, [*known, *_COMMON])}, of options there are {options}"
            raise unfit(f"the task {name}", {key: value}, why)
        if known.get(key) and value is not None and value not in known[key]:
            raise unfit(f"the task {name}", {key: value}, not_one_of(key, known[key], value))


def task_of(section: Mapping[str, Any]) -> "Task":
    """The task of a section of a configuration: its name, and arguments of :func:`load_task`.

    Raises:
        ValueError: If there is no name, and as :func:`load_task` does.
        OSError: If data cannot be had.
        ImportError: If data are made by a package that is not installed.
    """
    check_section(section)
    common = {key: value for key, value in section.items() if key in _COMMON}
    options = {str(key): value for key, value in section.items() if key not in common}
    return load_task(**fitting(_common, common, "the task"), **options)
