import importlib.util
import json
from pathlib import Path

import pytest

from tests.bench.test_report import measurement, results_of

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "performance.py"


@pytest.fixture
def page(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("performance", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "DOCS", tmp_path)
    return module


def test_page_of_a_run(page, tmp_path):
    folder = tmp_path / "performance" / "figures"
    folder.mkdir(parents=True)
    group = [measurement("nci-128", "plstm auto", 0.002), measurement("nci-128", "GATv2Conv", 0.004)]
    curve = [measurement(f"chain-{size}", "plstm recurrent", 1e-5 * size) for size in (10, 100, 1000)]
    figures = [{"what": "speed", "measured": 0.5, "limit": 1.0, "aim": 0.75, "unit": "", "met": "aim"}]
    results = results_of(group, curve, suite="figures", figures=figures)
    (folder / "results.json").write_text(json.dumps(results))
    page.main([folder])
    text = (tmp_path / "performance.md").read_text()
    assert text.count("| speed | 0.500 | 1.00 | 0.750 | aim reached |") == 1
    assert "## Benchmark: figures" in text
    assert "![time by size](performance/figures/time_by_size.png)" in text
    # Drawn from the numbers: a run that was interrupted has no plots of its own.
    assert (folder / "time_by_size.png").stat().st_size > 0


def test_page_without_a_run_says_what_is_asked(page, tmp_path):
    page.main([])
    assert "| whole PLSTMConv, P-mode, against GATv2Conv |  | 2.00 | 1.30 | not measured |" in (
        (tmp_path / "performance.md").read_text()
    )
