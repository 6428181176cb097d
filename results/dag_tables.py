"""Tables of docs/dags.md and docs/modes.md from finished runs of ``plstm-graph fit``.

    python -m results.dag_tables                        # docs/dags.md from the numbers in results/dags
    python -m results.dag_tables --page modes           # docs/modes.md from those in results/modes
    python -m results.dag_tables --runs runs       # take the reports of new runs there first

A table stands between ``<!-- table NAME METRIC ... -->`` and ``<!-- end -->``; NAME is that of a run. Models that a new
run of a name did not train keep their rows, with the command that made them.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from plstm_graph.datasets.storage.files import replace_text
from plstm_graph.report.study import table
from results import DOCS, NUMBERS

_TABLE = re.compile(r"(<!-- table (\w+)((?: [\w/]+)*) -->\n).*?(<!-- end -->)", re.DOTALL)


def take(runs: Path, folder: Path) -> None:
    """Copy what is worth keeping of each report, beside what is kept of models that it does not have."""
    for path in sorted(runs.glob("*/report.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        kept = folder / f"{path.parent.name}.json"
        if report["models"]:
            for place in ("root", "source"):  # of data, on the machine that made the run
                report["config"].get("task", {}).pop(place, None)
            if kept.is_file():
                report = merged(report, json.loads(kept.read_text(encoding="utf-8")))
            replace_text(kept, json.dumps(report, indent=1) + "\n")


def merged(report: dict[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
    """A report with the models of an earlier one that it did not train itself; ``run`` says what made those."""
    run = {"command": kept["command"], "machine": kept["machine"], "config": {"choose": kept["config"]["choose"]}}
    models = dict(report["models"])
    for name, model in kept["models"].items():
        numbers = {key: value for key, value in model.items() if key != "run"}
        if models.get(name, numbers) == numbers and ("run" in model or report["command"] != kept["command"]):
            models[name] = {"run": run} | model
    return report | {"models": models}


def fill(page: str, folder: Path) -> str:
    """The page with its tables made anew.

    Raises:
        FileNotFoundError: If a run that it names has no numbers.
    """

    def make(found: re.Match[str]) -> str:
        begin, name, metrics, end = found.groups()
        report: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        lines = [*table(report, metrics.split() or None), "", *_below(report)]
        return begin + "\n".join(lines) + "\n" + end

    return _TABLE.sub(make, page)


def _below(report: dict[str, Any]) -> list[str]:
    """What made the rows of a table; runs that made some of them only, with the names of these."""
    names: dict[str, list[str]] = {}
    for name, model in report["models"].items():
        if "run" in model:
            names.setdefault(_origin(model["run"]), []).append(name)
    return [f"{_origin(report)}.", *(f"Of {', '.join(rows)}: {origin}." for origin, rows in names.items())]


def _origin(run: dict[str, Any]) -> str:
    machine = run["machine"]
    packages = ", ".join(f"{name} {machine['packages'][name]}" for name in ("torch", "torch_geometric"))
    choose = {
        "learning rates" if name == "training.lr" else name: each for name, each in run["config"]["choose"].items()
    }
    tried = "; ".join(f"{name} tried: {_values(values)}" for name, values in choose.items())
    return f"`{run['command']}`; {tried}; {machine['processor']}, revision {machine['revision']}, {packages}"


def _values(values: list[Any]) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, help="folder of runs whose reports are taken")
    parser.add_argument("--page", default="dags", choices=("dags", "modes"), help="(default: %(default)s)")
    options = parser.parse_args()
    folder, page = NUMBERS / options.page, DOCS / f"{options.page}.md"
    if options.runs is not None:
        take(options.runs, folder)
    replace_text(page, fill(page.read_text(encoding="utf-8"), folder))


if __name__ == "__main__":
    main()
