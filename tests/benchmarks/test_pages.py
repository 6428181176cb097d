"""Pages of measurements are made of their numbers, and no time is measured of what is wrong."""

import argparse
import importlib
import json
import pkgutil

import pytest

import benchmarks
import results
from benchmarks import grids, max_plus, pages

PAGES = {"grids/speed": grids, "max_plus_speed": max_plus}


@pytest.mark.parametrize("name", PAGES)
def test_the_published_page_is_made_of_its_numbers(name):
    numbers = json.loads((results.NUMBERS / f"{name}.json").read_text())
    assert PAGES[name].to_markdown(numbers) == (results.DOCS / f"{name}.md").read_text()


def options(*arguments):
    parser = argparse.ArgumentParser()
    pages.add_options(parser)
    return parser.parse_args(arguments)


def test_numbers_and_page_are_written_and_the_page_alone_made_again(tmp_path, capsys):
    measured = iter([{"seconds": {2: 0.5}}])

    def page(numbers):
        return f"two threads: {numbers['seconds']['2']} s\n"

    pages.publish("some/speed", options("--output", str(tmp_path)), lambda: next(measured), page)
    numbers, text = tmp_path / "results" / "some" / "speed.json", tmp_path / "docs" / "some" / "speed.md"
    assert json.loads(numbers.read_text()) == {"seconds": {"2": 0.5}}
    assert text.read_text() == "two threads: 0.5 s\n" and capsys.readouterr().out == "two threads: 0.5 s\n\n"
    numbers.write_text('{"seconds": {"2": 0.25}}')
    pages.publish("some/speed", options("--output", str(tmp_path), "--page"), lambda: next(measured), page)
    assert text.read_text() == "two threads: 0.25 s\n"


@pytest.mark.parametrize("place", [benchmarks, results])
def test_every_script_can_be_imported(place):
    modules = [module.name for module in pkgutil.walk_packages(place.__path__, f"{place.__name__}.")]
    assert len(modules) > 5
    for name in modules:
        if not name.endswith("__main__"):
            importlib.import_module(name)


def wrong_value(function):
    return lambda *operands, form="auto": (1.001 if form == "chunkwise" else 1) * function(*operands, form=form)


def wrong_gradient(function):
    def inexact(*operands, form="auto"):
        out = function(*operands, form=form)
        return out if form == "naive" else 1.001 * out - 0.001 * out.detach()

    return inexact


@pytest.mark.parametrize(
    ("name", "fault", "message"),
    [
        ("plstm_grid2d_oriented", wrong_value, "chunkwise form, grid.*output"),
        ("plstm_grid2d_oriented", wrong_gradient, "auto form, grid.*gradient of operand 1"),
        ("plstm_chain", wrong_gradient, "auto form, chain.*gradient of operand"),
    ],
)
def test_nothing_is_measured_if_a_form_is_wrong(monkeypatch, tmp_path, name, fault, message):
    monkeypatch.setattr(grids, name, fault(getattr(grids, name)))
    monkeypatch.setattr(grids, "measure", lambda *arguments: pytest.fail("something was measured"))
    monkeypatch.setattr("sys.argv", ["grids.py", "--threads", "1", "--output", str(tmp_path)])
    with pytest.raises(AssertionError, match=message):
        grids.main()
    assert list(tmp_path.iterdir()) == []
