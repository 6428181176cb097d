"""A folder of DAGs from `check` to `fit` and `test`, as a user runs them."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from plstm_graph.cli import main
from tests.made_sets import make_folder, with_edge_features

CONFIG = str(Path(__file__).parents[2] / "configs" / "dag.yaml")
_SMALL = (
    # All graphs of the test part in one batch, as `test` has them: others round differently, which orders ties.
    *("--training.epochs", "2", "--device", "cpu", "--training.batch_size", "8"),
    *("--model.hidden_channels", "8", "--model.num_layers", "1", "--choose={}"),
)


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 5)


def test_check_describes_a_good_folder_and_lists_what_is_wrong_with_a_bad_one(tmp_path, capsys):
    folder = make_folder(tmp_path / "dags")
    assert main(["check", "dags", "--output", "dags.json"]) == 0
    shown = capsys.readouterr().out
    for text in ("dags: no problems", "24 graphs, 120 nodes", "longest path", "3 categories: add, mul, neg", "degree"):
        assert text in shown
    assert json.loads((tmp_path / "dags.json").read_text())["counts"]["edges"] == 120
    with (folder / "edges.csv").open("a") as file:
        file.write("g3,2,1,0,0\n")
    lines = (folder / "nodes.csv").read_text().splitlines()
    (folder / "nodes.csv").write_text("\n".join([*lines, lines[-1]]) + "\n")
    assert main(["check", "dags"]) == 1
    shown = capsys.readouterr().out
    assert "edges.csv, line 122, graph g3: 3 fields" not in shown
    assert "dags: 1 problem" in shown
    (folder / "edges.csv").write_text((folder / "edges.csv").read_text().replace("g3,2,1,0,0\n", "g3,2,1\n"))
    assert main(["check", "dags"]) == 1
    shown = capsys.readouterr().out
    assert "edges.csv, line 122, graph g3: a cycle of 2 nodes: 1 -> 2 -> 1" in shown
    assert "nodes.csv, line 122, graph g23: node 5 stands twice, first in line 121" in shown
    assert "dags: 2 problems" in shown
    assert main(["check", "none"]) == 2
    assert "no folder none" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "task", "names"),
    [
        ("graph", "classification", ["graph"]),
        ("node", "regression", ["graph", "node"]),
        ("edge", "multilabel", ["graph", "source", "target"]),
    ],
)
def test_fit_and_test(level, task, names, tmp_path, capsys):
    make_folder(tmp_path / "dags", level, task)
    assert main(["fit", "--config", CONFIG, "--task.path", "dags", "--name", "run", *_SMALL]) == 0
    shown = capsys.readouterr().err
    assert "dags, 24 graphs" in shown
    assert "part: 12 train, 6 valid, 6 test" in shown
    report = json.loads((tmp_path / "runs" / "run" / "report.json").read_text())
    assert len(report["beside"]) == 3
    with (tmp_path / "runs" / "run" / "plstm" / "seed_0" / "test_predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[: len(names)] == names
    assert main(["test", "--ckpt_path", "runs/run/best.ckpt", "--output", "metrics.json"]) == 0
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["graphs"] == 6
    tests = report["models"]["plstm"]["tests"]
    for name in set(found) - {"data", "split", "graphs"}:
        assert found[name] == pytest.approx(tests[f"test/{name}"]["mean"])
    _predict(rows, level, task, capsys)
    _explain(level, task, capsys)


def _predict(rows, level, task, capsys):
    """Another folder: the same graphs in other words, without targets and split."""
    checkpoint = ("predict", "--ckpt_path", "runs/run/best.ckpt")
    shutil.copytree("dags", "new", ignore=shutil.ignore_patterns("processed", "dag.yaml"))
    for name in ("graphs", "nodes", "edges"):
        path = Path("new") / f"{name}.csv"
        columns = pd.read_csv(path, dtype=str).drop(columns=["a", "b", "part"], errors="ignore")
        columns.to_csv(path, index=False)
    assert main([*checkpoint, "new", "--output", "new.csv"]) == 0
    capsys.readouterr()
    assert main([*checkpoint, "dags"]) == 0
    labelled = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    with open("new.csv") as file:
        found = list(csv.DictReader(file))
    names = [name for name in ("graph", "node", "source", "target") if name in rows[0]]
    assert [[row[name] for name in found[0]] for row in labelled] == [list(row.values()) for row in found]
    predicted = {tuple(row[name] for name in names): row for row in found}
    assert len(found) == len(labelled) >= len(rows)
    assert [name for name in labelled[0] if name.startswith("measured_")]
    for row in rows:
        other = predicted[tuple(row[name] for name in names)]
        for name, value in other.items():
            known = name.replace("probability_", "predicted_a: ") if name.startswith("prob") else name
            if known in row and known not in names and not (task == "classification" and name == "predicted_a"):
                assert float(value) == pytest.approx(float(row[known]), rel=1e-3, abs=1e-5)
    if task == "classification":
        best = max((name for name in found[0] if name.startswith("prob")), key=lambda name: float(found[0][name]))
        assert found[0]["predicted_a"] == best.removeprefix("probability_")
    assert main([*checkpoint, "CCO", "CCC"]) == 2
    assert "it takes one such folder and no SMILES" in capsys.readouterr().err
    assert main([*checkpoint, "nowhere"]) == 2
    assert "no folder nowhere" in capsys.readouterr().err
    nodes = Path("new/nodes.csv")
    nodes.write_text(nodes.read_text().replace("mul", "mull", 1))
    assert main([*checkpoint, "new", "--output", "bad.csv"]) == 2
    shown = capsys.readouterr().err
    assert "nodes.csv, line 3, graph g0: feature" in shown
    assert "is 'mull', which the model was not trained on; did you mean 'mul'?" in shown
    assert not Path("bad.csv").exists()
    assert main([*checkpoint, "new", "--output", "bad.csv", "--allow_unknown"]) == 0
    assert Path("bad.csv").exists()


def _explain(level, task, capsys):
    checkpoint = ("explain", "--ckpt_path", "runs/run/best.ckpt", "dags")
    item = {"graph": [], "node": ["--item", "3"], "edge": ["--item", "1", "2"]}[level]
    assert main([*checkpoint, "--graph", "g2", *item, "--output", "why.png"]) == 0
    shown = capsys.readouterr().out
    assert "g2" in shown
    assert {"graph": "log probability", "node": "unit of the target", "edge": "logit"}[level] in shown
    assert Path("why.png").read_bytes().startswith(b"\x89PNG")
    for wrong, message in [
        (["--graph", "g99"], "there is no graph of dags called 'g99'; there are g0, g1"),
        (["--target", "none"], "there is no target called 'none'"),
        (["--item", "1", "2", "3"], "--item"),
    ]:
        assert main([*checkpoint, *wrong, "--output", "none.png"]) == 2
        assert message in capsys.readouterr().err
    assert not Path("none.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "options"),
    [
        ("graph", {"modes": "PM", "head_norm": "log", "neighbours": "channel", "size_readout": "PM"}),
        ("node", {"modes": "PMG", "head_norm": "ratio", "neighbours": "true", "output_gate": "true"}),
        ("edge", {"modes": "GD", "gated_aggr": "sum", "share_weights": "true", "transition": "matrix"}),
    ],
)
def test_layers_of_every_mode_from_fit_to_explain(level, options, tmp_path, capsys):
    make_folder(tmp_path / "dags", level, "regression")
    given = [word for name, value in options.items() for word in (f"--model.{name}", value)]
    assert main(["fit", "--config", CONFIG, "--task.path", "dags", "--name", "run", *_SMALL, *given]) == 0
    checkpoint = ("--ckpt_path", "runs/run/best.ckpt", "dags")
    assert main(["predict", *checkpoint, "--output", "new.csv"]) == 0
    item = {"graph": [], "node": ["--item", "3"], "edge": ["--item", "1", "2"]}[level]
    assert main(["explain", *checkpoint, *item, "--output", "why.png"]) == 0


@pytest.mark.slow
def test_edges_that_become_nodes_from_fit_to_explain(tmp_path, capsys):
    with_edge_features(make_folder(tmp_path / "dags"))
    steps = [
        {"class_path": "plstm_graph.transforms.ToDAG", "init_args": {"orientation": "keep"}},
        {"class_path": "plstm_graph.transforms.SubdivideEdges"},
    ]
    compose = {"class_path": "torch_geometric.transforms.Compose", "init_args": {"transforms": steps}}
    given = ("--task.path", "dags", "--task.pre_transform", json.dumps(compose), "--name", "run")
    assert main(["fit", "--config", CONFIG, *given, *_SMALL]) == 0
    checkpoint = ("--ckpt_path", "runs/run/best.ckpt", "dags")
    assert main(["predict", *checkpoint, "--output", "new.csv"]) == 0
    assert len(Path("new.csv").read_text().splitlines()) == 1 + 24
    capsys.readouterr()
    assert main(["explain", *checkpoint, "--graph", "g2", "--output", "why.png"]) == 0
    assert "0 -> 1" in capsys.readouterr().out  # edges are listed among nodes


@pytest.mark.slow
def test_a_broken_folder_stops_fit_before_anything_is_written(tmp_path, capsys):
    folder = make_folder(tmp_path / "dags")
    with (folder / "edges.csv").open("a") as file:
        file.write("g3,2,1\n")
    assert main(["fit", "--config", CONFIG, "--task.path", "dags", *_SMALL]) == 2
    assert "dags: edges.csv, line 122, graph g3: a cycle of 2 nodes: 1 -> 2 -> 1" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    assert not any((folder / "processed").glob("*"))


@pytest.mark.parametrize("spokes", [3, 70, 1500])
def test_check_shows_all_degrees_of_hubs(spokes, capsys):
    """Counts and bins stand there in full, however many bins the largest degree takes."""
    Path("hub").mkdir()
    Path("hub/dag.yaml").write_text("targets: [y]\nsplit: part\n")
    edges = "".join(f"train,{node},hub\n" for node in range(spokes)) + "valid,a,b\ntest,a,b\n"
    Path("hub/edges.csv").write_text("graph,source,target\n" + edges)
    Path("hub/graphs.csv").write_text("graph,y,part\ntrain,1,train\nvalid,2,valid\ntest,3,test\n")
    assert main(["check", "hub"]) == 0
    table = capsys.readouterr().out.partition("┃ degree")[2].partition("└")[0]
    (low, high) = re.findall(r"│ (\d+)-(\d+) +│ 1 +│ 0 +│", table)[-1]
    assert int(low) <= spokes <= int(high)
    assert re.search(rf"│ 0 +│ {spokes + 2:,} +│ 3 +│", table)
    assert re.search(rf"│ 1 +│ 2 +│ {spokes + 2:,} +│", table)
    assert "…" not in table


@pytest.mark.parametrize("level", ["graph", "node"])
def test_a_page_of_a_real_graph(level, tmp_path, capsys):
    """Architectures one behind the other are a DAG of hundreds of nodes."""
    real = Path(CONFIG).parents[1] / "datasets" / "nas_bench_graph_proteins"
    nodes, edges = (pd.read_csv(real / f"{name}.csv", dtype=str).head(600) for name in ("nodes", "edges"))
    words = nodes.graph + "/" + nodes.node
    edges = pd.DataFrame({"source": edges.graph + "/" + edges.source, "target": edges.graph + "/" + edges.target})
    edges = edges[edges.source.isin(words) & edges.target.isin(words)]
    last = words.groupby(nodes.graph).last().tolist()
    first = words.groupby(nodes.graph).first().tolist()
    edges = pd.concat([edges, pd.DataFrame({"source": last[:-1], "target": first[1:]})])
    folder = tmp_path / "dags"
    folder.mkdir()
    copies = 1 if level == "node" else 6
    table = pd.DataFrame({"node": words, "op": nodes.op, "y": range(len(nodes))})
    pd.concat([table.assign(graph=f"g{n}") for n in range(copies)]).to_csv(folder / "nodes.csv", index=False)
    pd.concat([edges.assign(graph=f"g{n}") for n in range(copies)]).to_csv(folder / "edges.csv", index=False)
    (folder / "graphs.csv").write_text("graph,z\n" + "".join(f"g{n},{n}\n" for n in range(copies)))
    target = "targets: [y]\nlevel: node\n" if level == "node" else "targets: [z]\nsplit: {fractions: [0.6, 0.2, 0.2]}\n"
    (folder / "dag.yaml").write_text(f"{target}nodes: {{features: [op]}}\n")
    given = ("--task.path", "dags", "--name", "run", "--training.epochs", "1", "--baselines", "false")
    assert main(["fit", "--config", CONFIG, *given, *_SMALL[2:]]) == 0
    item = ["--item", words.iloc[300]] if level == "node" else []
    explain = ["explain", "--ckpt_path", "runs/run/best.ckpt", "dags", *item]
    assert main([*explain, "--output", "why.html"]) == 0
    assert main([*explain, "--output", "why.png"]) == 0
    shown = capsys.readouterr().out
    assert "256 of 600 nodes were tried" in shown and "what the prediction loses without the features" in shown
    rows = re.findall(r"^│ .*│ ([+-]\S+) ", shown, flags=re.M)
    assert rows and "+0" not in rows
    page = Path("why.html").read_text()
    assert page.count('class="view"') == 2 and 'data-n="300"' in page
    if level == "node":
        assert main([*explain[:-1], words.iloc[300] + "x", "--output", "none.html"]) == 2
        assert "did you mean" in capsys.readouterr().err
