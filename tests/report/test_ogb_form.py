"""The form that OGB's leaderboard asks for."""

import json

import pytest

from plstm_graph.report.ogb_form import Circumstances, Entry, form_page, make_form, tuned_text, write_forms

HOW = Circumstances("ogb 1.3.6", "cpu", 2, 1)


def report_of(name, count, choose=None, choice=None, revisions=("abc+",)):
    row = {"epoch": 1, "epochs": 2, "seconds": 3.0, "parameters": 5, "peak_memory_mib": 7}
    rows = [
        row
        | {"seed": seed, "valid": {"rocauc": 0.8}, "tests": {"test": {"rocauc": 0.7 + seed / 100}}}
        | {"revision": revisions[seed % len(revisions)]}
        for seed in range(count)
    ]
    model = {"parameters": 5, "seeds": rows, "choice": choice or {}, "tests": {"test/rocauc": {"mean": 0.7}}}
    machine = {"processor": "p", "cores": 2, "memory_gib": 8, "revision": "abc+", "packages": {"torch": "2"}}
    return {
        "task": name,
        "monitor": {"rocauc": "max"},
        "models": {"plstm": model},
        "machine": machine,
        "command": "plstm-graph fit",
        "config": {"choose": choose or {}},
    }


@pytest.mark.parametrize(
    ("name", "count", "kind"),
    [
        ("ogbg-molhiv", 10, "submission"),
        ("ogbg-molhiv", 9, "preliminary"),
        ("ogbg-molhiv", 1, "preliminary"),
        ("Peptides-func", 10, "preliminary"),
    ],
)
def test_ten_seeds_of_ogb_are_a_submission(tmp_path, name, count, kind):
    write_forms(tmp_path, report_of(name, count), {}, HOW)
    form = json.loads((tmp_path / "ogb_form.json").read_text())["plstm"]
    page = (tmp_path / "ogb_form.md").read_text()
    assert form["kind"] == kind and ("submission" in page) == (kind == "submission")
    assert ("preliminary" in page) == (count < 10)
    if count == 10:
        assert "0.7450 ± 0.0303 (mean and unbiased" in page
    if count == 1:
        assert form["test"]["std"] is None
    assert "abc with changes" in page and form["revision"] == {"commit": "abc", "dirty": True}


def test_revisions_of_seeds_that_differ_are_named():
    form = make_form("plstm", report_of("ogbg-molhiv", 3, revisions=("abc+", "def", None)), Entry(), HOW)
    assert "abc with changes, def, not a checkout" in form_page(form)


def test_what_validation_chose_has_a_star():
    choose = {"training.lr": [0.001, 0.01], "model.num_layers": [2, 3]}
    report = report_of("ogbg-molhiv", 2, choose, {"training.lr": 0.01, "model.num_layers": 2})
    form = make_form("plstm", report, Entry(tuned={"dropout": [0, "0.5*"], "lr": ["0.001*", 0.01]}), HOW)
    assert form["tuned_hyperparameters"] == "dropout: [0, 0.5*], lr: [0.001, 0.01*], num_layers: [2*, 3]"
    assert tuned_text({}) == ""


@pytest.mark.parametrize("tried", [[0.1, 0.2], ["0.1*", "0.2*"], []])
def test_one_of_the_values_tried_has_a_star(tried):
    with pytest.raises(ValueError, match=r"tuned.lr must mark the selected value with a star"):
        Entry(tuned={"lr": tried})


def test_models_that_were_not_tested_have_no_form(tmp_path):
    report = report_of("ogbg-molhiv", 2)
    report["models"]["plstm"]["tests"] = {}
    write_forms(tmp_path, report, {}, HOW)
    assert not list(tmp_path.iterdir())


def test_text_of_others_is_no_markup(tmp_path):
    write_forms(tmp_path, report_of("ogbg-molhiv", 2), {"plstm": Entry(method="a|b <c>", contact="x|y")}, HOW)
    page = (tmp_path / "ogb_form.md").read_text()
    assert "a\\|b \\<c>" in page and "x\\|y" in page
