import json
import shutil

import pytest

import results
from results import performance
from tests.benchmarks.test_report import measurement, results_of


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The script, with folders of its own."""
    for name in ("docs", "kept"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(performance, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(performance, "NUMBERS", tmp_path / "kept")
    return performance


def test_page_of_a_run(page, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    group = [measurement("nci-128", "plstm auto", 0.002), measurement("nci-128", "GATv2Conv", 0.004)]
    curve = [measurement(f"chain-{size}", "plstm recurrent", 1e-5 * size) for size in (10, 100, 1000)]
    figures = [{"what": "speed", "measured": 0.5, "limit": 1.0, "aim": 0.75, "unit": "", "met": "aim"}]
    found = results_of(group, curve, suite="figures", figures=figures)
    (folder / "results.json").write_text(json.dumps(found))
    page.main([folder])
    text = (tmp_path / "docs" / "performance.md").read_text()
    assert text.count("| speed | 0.500 | 1.00 | 0.750 | aim reached |") == 1
    assert "## Benchmark: figures" in text
    assert "![time by size](performance/figures/time_by_size.png)" in text
    # Drawn from the numbers: a run that was interrupted has no plots of its own.
    assert (tmp_path / "docs" / "performance" / "figures" / "time_by_size.png").stat().st_size > 0
    assert json.loads((tmp_path / "kept" / "performance" / "figures.json").read_text()) == found
    # The page alone, from what was kept.
    page.main([])
    assert (tmp_path / "docs" / "performance.md").read_text() == text


def test_page_without_a_run_says_what_is_asked(page, tmp_path):
    page.main([])
    assert "| whole PLSTMConv, P-mode, against GATv2Conv |  | 2.00 | 1.30 | not measured |" in (
        (tmp_path / "docs" / "performance.md").read_text()
    )


def test_the_published_page_is_made_of_what_is_kept(page, tmp_path):
    shutil.copytree(results.NUMBERS / "performance", tmp_path / "kept" / "performance")
    page.main([])
    assert (tmp_path / "docs" / "performance.md").read_text() == (results.DOCS / "performance.md").read_text()
    shown = {path.relative_to(results.DOCS) for path in (results.DOCS / "performance").rglob("*.png")}
    assert {path.relative_to(tmp_path / "docs") for path in (tmp_path / "docs").rglob("*.png")} == shown
