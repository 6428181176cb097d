"""Arrow pointing: the published table has the numbers that are kept, and new reports give such rows."""

import json

import pytest

from results import DOCS, arrows


def in_new_layout(report):
    """The kept reports are of an earlier layout, with one model each."""
    model = {
        "parameters": report["parameters"],
        "choice": {"training.lr": report["lr"]},
        "valid": {f"{part}/accuracy": summary for part, summary in report["validation"].items()},
        "tests": {f"{part}/accuracy": summary for part, summary in report["test"].items()},
        "seconds": report["seconds"]["mean"],
        "seeds": report["seeds"],
    }
    return {"models": {"model": model}, "config": {"training": {"lr": None}}}


def run_of(path):
    return arrows.FinishedRun(path.stem, in_new_layout(json.loads(path.read_text())), task=None, models=[])


def test_the_published_table_has_the_numbers_that_are_kept():
    runs = arrows.in_order([run_of(path) for path in arrows.KEPT.glob("*.json")])
    assert len(runs) == 11
    assert (DOCS / "grids" / "arrows" / "arrows.md").read_text().startswith(arrows.table(runs) + "\n")


@pytest.mark.parametrize("names", [["vit", "mine", "p_only"], ["a", "cnn"], ["plstm"]])
def test_runs_with_a_title_come_first(names):
    runs = arrows.in_order([arrows.FinishedRun(name, {}, task=None, models=[]) for name in names])
    known = [name in arrows._TITLES for name in [run.name for run in runs]]
    assert known == sorted(known, reverse=True) and {run.name for run in runs} == set(names)
    assert [run.title for run in runs if run.name == "vit"] == ["ViT"] * names.count("vit")
