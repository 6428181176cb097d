import json
import shutil

import pytest

import results
from benchmarks.everything import QUICK_STEPS, file_of
from benchmarks.sources import digest_sources
from results import performance
from tests.benchmarks.test_report import measurement, results_of

README = f"Before.\n\n{performance.BEGIN}\nold words\n{performance.END}\n\nAfter.\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The script with folders and a README of its own, and sources whose digest is ``"today"``."""
    for name in ("docs", "kept"):
        (tmp_path / name).mkdir()
    (tmp_path / "README.md").write_text(README)
    monkeypatch.setattr(performance, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(performance, "NUMBERS", tmp_path / "kept")
    monkeypatch.setattr(performance, "README", tmp_path / "README.md")
    monkeypatch.setattr(performance, "digest_sources", lambda: "today")
    return tmp_path


def keep(place, key, threads, step, found, sources="today"):
    path = place / "kept" / "performance" / key / f"{step}-{threads}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"step": step, "key": key, "threads": threads, "sources": sources, "others": 0.1}
    path.write_text(json.dumps(found | about))


def operator(ours, **more):
    names = {"plstm auto": ours, "GATv2Conv": 0.004, "GINEConv": 0.003, "PLSTMConv P": 0.006, "PLSTMConv D": 0.0064}
    group = [measurement("nci-128", name, seconds) for name, seconds in names.items()]
    return results_of(group, suite="figures", **more)


def test_a_page_of_several_machines(place):
    keep(place, "abacus", 1, "figures", operator(0.001))
    keep(place, "abacus", 2, "figures", operator(0.002))
    old = operator(0.003)
    old["machine"] = old["machine"] | {"revision": "abc"}
    keep(place, "zuse", 2, "figures", old, sources="yesterday")
    curve = [measurement(f"chain-{size}", "plstm recurrent", 1e-5 * size) for size in (10, 100, 1000)]
    keep(place, "abacus", 2, "sweep", results_of(curve, suite="sweep"))
    (place / "docs" / "performance_reading.md").write_text("## Why\n\nBecause.\n")
    performance.main()
    text = (place / "docs" / "performance.md").read_text()
    heads = "abacus, 1 thread | abacus, 2 threads | zuse, 2 threads, **older sources** (abc) |"
    assert f"| what | at most | aim | {heads}" in text
    assert "128 molecules, against GATv2Conv | 0.450 / 0.500 | 0.350 | 0.250 ✓ | 0.500 | **0.750** |" in text
    assert "| zuse | abacus | 2 | 4 | 2.13.0 | abc | **older** |" in text
    assert "128 molecules, against GATv2Conv: 0.75 (zuse, 2 threads" in text and "## Why\n\nBecause." in text
    for name in ("costs.png", "abacus/sweep/time_by_size.png"):
        assert (place / "docs" / "performance" / name).stat().st_size > 0
    details = (place / "docs" / "performance" / "details.md").read_text()
    assert "![time by size](abacus/sweep/time_by_size.png)" in details
    assert details.count("### Benchmark: figures") == 3 and "## zuse, 2 threads, **older sources** (abc)" in details
    readme = (place / "README.md").read_text()
    assert readme.startswith("Before.\n") and readme.endswith("After.\n") and "old words" not in readme
    told = " ".join(readme.split())
    assert "over `abacus` and `zuse`, each with one thread and two threads" in told
    assert "**0.25 to 0.75 of the time of GATv2Conv**" in told and "its gates 1.50 to 1.60 times" in told
    performance.main()  # the page alone, made again of the same
    assert (place / "docs" / "performance.md").read_text() == text and (place / "README.md").read_text() == readme


def test_other_measurements_have_their_tables(place):
    row = {"form": "parallel", "workload": "nci-128", "threads": 1, "native_ms": 2.0, "torch_ms": 4.0, "ratio": 0.5}
    machine = {"machine": operator(0.001)["machine"]}
    keep(place, "abacus", 1, "native", machine | {"rows": [row]})
    grid = {"plstm auto": {"median": 0.02, "ratio": 0.75}}
    keep(place, "abacus", 1, "grids", machine | {"rows": {"grid 24x24, batch 8": grid}, "per_pixel": 1.1})
    sets = {"NCI1": {name: {"graphs_per_second": rate, "parameters": 41000} for name, rate in (("a", 10), ("b", 2000))}}
    options = {"width": 64, "batch_size": 32}
    for threads in (1, 2):
        keep(place, "abacus", threads, "throughput", machine | {"sets": sets, "options": options})
    forms = [measurement("grid-3", f"plstm {form}", t) for form, t in (("auto", 0.003), ("parallel", 0.002))]
    keep(place, "abacus", 1, "sweep", results_of(forms, suite="sweep"))
    performance.main()
    worst = "native code in parallel on nci-128, 0.50 (-2.00 ms); `auto` on grid-3, 1.50 of parallel (+1.00 ms)"
    assert f"* abacus, 1 thread: {worst}\n" in (place / "docs" / "performance.md").read_text()
    details = (place / "docs" / "performance" / "details.md").read_text()
    assert "| parallel | nci-128 | 2.00 | 4.00 | 0.50 |" in details
    assert "| grid 24x24, batch 8 | plstm auto | 20.0 | 0.750 |" in details
    page = (place / "docs" / "throughput.md").read_text()
    assert "Width 64, batches of 32" in page
    assert page.index("| b | 2,000 | 2,000 | 41,000 |") < page.index("| a | 10 | 10 | 41,000 |")


def test_numbers_of_two_revisions_do_not_share_a_column(place):
    keep(place, "abacus", 1, "figures", operator(0.001))
    keep(place, "abacus", 2, "figures", operator(0.001), sources="yesterday")
    with pytest.raises(ValueError, match="numbers of several revisions"):
        performance.main()


def test_without_numbers_nothing_is_written(place):
    with pytest.raises(SystemExit, match="nothing was measured yet"):
        performance.main()
    assert (place / "README.md").read_text() == README and not list((place / "docs").iterdir())


def test_a_readme_without_its_place_is_left_alone(place):
    (place / "README.md").write_text("No marks.\n")
    keep(place, "abacus", 1, "figures", operator(0.001))
    with pytest.raises(ValueError, match=r"README\.md lacks"):
        performance.main()


def test_the_published_pages_are_made_of_what_is_kept(tmp_path, monkeypatch):
    docs, readme = tmp_path / "docs", tmp_path / "README.md"
    docs.mkdir()
    shutil.copyfile(results.DOCS / "performance_reading.md", docs / "performance_reading.md")
    shutil.copyfile(performance.README, readme)
    published = performance.README.read_text()
    monkeypatch.setattr(performance, "DOCS", docs)
    monkeypatch.setattr(performance, "README", readme)
    performance.main()
    wrong = f"numbers and pages have drifted apart: run `{performance.AGAIN}`"
    for name in ("performance.md", "performance/details.md", "throughput.md"):
        assert (docs / name).read_text() == (results.DOCS / name).read_text(), wrong
    assert readme.read_text() == published, wrong
    shown = {path.relative_to(results.DOCS) for path in (results.DOCS / "performance").rglob("*.png")}
    assert {path.relative_to(docs) for path in docs.rglob("*.png")} == shown, wrong


def test_some_machine_has_measured_the_sources_of_today():
    """A change of what the operator computes, or how, leaves the pages behind; comments and layout do not."""
    kept, sources = results.NUMBERS / "performance", digest_sources()
    wanted = {file_of("", step, threads, kept).name for step in QUICK_STEPS for threads in step.threads}
    lacking = {}
    for folder in (path for path in kept.iterdir() if path.is_dir()):
        found = {path.name for path in folder.glob("*.json") if json.loads(path.read_text())["sources"] == sources}
        lacking[folder.name] = sorted(wanted - found)
    assert not all(lacking.values()), (
        "plstm_graph/ops or plstm_graph/native was changed after every measurement. On a machine that does nothing "
        f"else, run `make benchmark` (or `{performance.AGAIN}`), about twelve minutes; if it was stopped, it goes on "
        f"where it was. What each machine lacks: {lacking}"
    )
