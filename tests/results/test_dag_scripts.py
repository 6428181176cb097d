"""The scripts behind docs/dags.md: gradients over distance, and tables from finished runs."""

import json
import sys

import networkx
import pytest
import torch
import yaml

from plstm_graph.cli import main
from plstm_graph.graph import LineGraph
from plstm_graph.nn import PLSTM
from plstm_graph.nn.baselines import DirectedGIN
from results import DOCS, NUMBERS, dag_tables, distance, pedigrees, timing
from tests.made_circuits import circuit_folder


def test_hops():
    for make in distance.GRAPHS.values():
        graph = LineGraph.from_edge_index(make(20, 0))
        target = int(graph.level.argmax())
        found = distance.hops_to(graph.edge_index, graph.num_nodes, target)
        reverse = networkx.DiGraph(graph.edge_index.flip(0).t().tolist())
        reverse.add_nodes_from(range(graph.num_nodes))
        expected = networkx.single_source_shortest_path_length(reverse, target)
        assert found.tolist() == [expected.get(node, -1) for node in range(graph.num_nodes)]


def test_gradients_over_distance():
    """P-mode hears every node of a chain equally well; message passing of two layers hears two hops."""
    graph = LineGraph.from_edge_index(distance.chain(60, 0))
    hops = distance.hops_to(graph.edge_index, 61, 60)
    plstm = PLSTM(4, 8, 1, 1, modes="P", direction="forward", predict="node", degree=False)
    x = torch.ones(61, 4)
    norms = distance.gradient_norms(plstm, x, graph, 60)
    torch.testing.assert_close(norms[2:59], norms[30].expand(57), rtol=1e-3, atol=0)
    norms = distance.gradient_norms(DirectedGIN(4, 8, 2, 1, predict="node"), x, graph, 60)
    # Exact: what does not reach the node is multiplied by zeros.
    assert (norms[:58] == 0).all() and (norms[58:] > 0).all()
    rows = distance.by_distance(norms, hops)
    assert rows["hops"][:2] == [1.0, 2.0] and rows["norm"][:2] == norms[[59, 58]].tolist()
    assert all(value == 0 for value in rows["norm"][2:]) and len(rows["norm"]) == len(rows["hops"])


def test_figure(tmp_path, monkeypatch):
    places = ["--numbers", str(tmp_path / "distance.json"), "--figure", str(tmp_path / "distance.png")]
    monkeypatch.setattr(sys, "argv", ["distance.py", "--hops", "24", "--seeds", "1", *places])
    distance.main()
    found = json.loads((tmp_path / "distance.json").read_text())
    assert set(found) == set(distance.GRAPHS) and set(found["chain"]) == set(distance.MODELS)
    assert (tmp_path / "distance.png").read_bytes().startswith(b"\x89PNG")


def test_figure_of_trained_models(tmp_path, monkeypatch):
    """Of each model that a run tested, averaged over its seeds."""
    sizes = {"num_graphs": 4, "size": 24}
    one_layer = {"hidden_channels": 8, "num_layers": 1}
    one_hop = {"class_path": "plstm_graph.nn.baselines.DirectedGIN", "init_args": one_layer}
    plstm = {
        "class_path": "plstm_graph.nn.PLSTM",
        "init_args": one_layer | {"modes": "P", "direction": "forward"},
    }
    config = {
        "task": {"name": "copy", "train": sizes, "valid": sizes, "tests": {"24": sizes}},
        "models": {"gin": one_hop, "plstm_p": plstm, "large": plstm | {"skip_tests": ["24"]}},
        "training": {"epochs": 1, "batch_size": 4},
    }
    (tmp_path / "copy.yaml").write_text(yaml.safe_dump(config))
    run = tmp_path / "run"
    arguments = ["--config", str(tmp_path / "copy.yaml"), "--output", str(run), "--seeds", "0,1", "--threads", "1"]
    assert main(["fit", *arguments, "--device", "cpu"]) == 0
    found = distance.after_training(run, 24)
    assert list(found) == ["GIN", "pLSTM, P"]
    norms = {name: curve["norm"] for name, curve in found.items()}
    assert found["GIN"]["hops"] == found["pLSTM, P"]["hops"]
    # Exact: what does not reach the node is multiplied by zeros. One layer hears one hop.
    assert norms["GIN"][0] > 0 and not any(norms["GIN"][1:])
    assert all(norms["pLSTM, P"])


def test_tables(tmp_path, monkeypatch):
    summary = {"mean": 0.25, "std": 0.01}
    model = {
        "parameters": 1234,
        "choice": {"training.lr": 0.003},
        "tried": [{"choice": {"training.lr": lr}} for lr in (0.003, 0.001)],
        "valid": {},
        "tests": {"test/rmse": summary},
        "seconds_per_epoch": 1.5,
        "seeds": [{}, {}],
    }
    report = {
        "models": {"plstm": model},
        "command": "plstm-graph fit --config enas.yaml",
        "config": {"task": {"name": "enas", "root": "/home/somebody"}, "choose": {"training.lr": [0.003, 0.001]}},
        "machine": {"processor": "CPU", "revision": "abc", "packages": {"torch": "2", "torch_geometric": "3"}},
    }
    run = tmp_path / "runs" / "enas"
    run.mkdir(parents=True)
    (run / "report.json").write_text(json.dumps(report))
    page = tmp_path / "docs" / "dags.md"
    page.parent.mkdir()
    page.write_text("before\n<!-- table enas test/rmse -->\nold\n<!-- end -->\nafter\n")
    (tmp_path / "dags").mkdir()
    monkeypatch.setattr(dag_tables, "NUMBERS", tmp_path)
    monkeypatch.setattr(dag_tables, "DOCS", page.parent)
    monkeypatch.setattr(sys, "argv", ["dag_tables.py", "--runs", str(tmp_path / "runs")])
    dag_tables.main()
    text = page.read_text()
    assert "| plstm | 0.2500 ± 0.0100 | 2 | 1,234 | 0.003 | 1.50 |" in text and "old" not in text
    assert text.startswith("before\n<!-- table enas test/rmse -->\n") and text.endswith("<!-- end -->\nafter\n")
    report["config"]["task"].pop("root")  # where data lie is nobody's business
    assert json.loads((tmp_path / "dags" / "enas.json").read_text()) == report


def test_models_that_a_new_run_lacks_keep_their_rows(tmp_path):
    """Over several runs, each row with the command that made it."""
    page = "<!-- table enas test/rmse -->\n<!-- end -->\n"
    for number, names in enumerate([("plstm", "gin", "bag"), ("plstm", "gin"), ("plstm",)]):
        folder = tmp_path / str(number) / "enas"
        folder.mkdir(parents=True)
        choice = {"training.lr": 0.1 * number}
        model = {
            **{"parameters": 1, "choice": choice, "tried": [{"choice": choice}], "tests": {}, "valid": {}},
            **{"seconds_per_epoch": number, "seeds": []},
        }
        report = {
            "models": dict.fromkeys(names, model),
            "command": f"run {number}",
            "config": {"choose": {"training.lr": [0.1 * number]}},
            "machine": {"processor": "CPU", "revision": "abc", "packages": {"torch": "2", "torch_geometric": "3"}},
        }
        (folder / "report.json").write_text(json.dumps(report))
        dag_tables.take(folder.parent, tmp_path)
    lines = dag_tables.fill(page, tmp_path).splitlines()
    found = [line.split(" | ") for line in lines if line.endswith("0 |")]
    assert [(row[0], row[-1]) for row in found] == [("| plstm", "2.00 |"), ("| gin", "1.00 |"), ("| bag", "0.00 |")]
    assert [line.split(";")[:2] for line in lines if "revision" in line] == [
        ["`run 2`", " learning rates tried: 0.2"],
        ["Of gin: `run 1`", " learning rates tried: 0.1"],
        ["Of bag: `run 0`", " learning rates tried: 0"],
    ]


def test_models_that_a_run_went_on_with_keep_the_command_that_trained_them(tmp_path):
    model = {"parameters": 1, "seeds": []}
    machine = {"processor": "CPU"}
    first = {
        "models": {"plstm": model, "gin": model},
        "command": "first",
        "config": {"choose": {"training.lr": [1]}},
        "machine": machine,
    }
    again = first | {"models": {"plstm": model, "gin": model | {"parameters": 2}, "bag": model}, "command": "second"}
    kept = dag_tables.merged(again, first)
    assert dag_tables.merged(again, kept) == kept and kept["command"] == "second"
    assert {name: row.get("run", {}).get("command") for name, row in kept["models"].items()} == {
        "plstm": "first",
        "gin": None,
        "bag": None,
    }


@pytest.mark.parametrize("name", ["dags", "modes"])
def test_a_page_has_its_numbers(name):
    """Tables in docs/dags.md are those of results/dags, and likewise of modes."""
    page = (DOCS / f"{name}.md").read_text()
    assert dag_tables.fill(page, NUMBERS / name) == page


def test_errors_of_timing_by_size(tmp_path, monkeypatch, capsys):
    """A run made small, its figure and a line for each model."""
    source = circuit_folder(tmp_path / "source", gates=60)
    data = {"name": "timing", "samples": 12, "nodes": 20, "root": str(tmp_path / "root"), "source": str(source)}
    peers = {"bag": "BagOfNodes", "gin": "DirectedGIN"}
    models = {
        name: {
            "class_path": f"plstm_graph.nn.baselines.{kind}",
            "init_args": {"hidden_channels": 8, "ffn_ratio": 2},
        }
        for name, kind in peers.items()
    }
    config = {"name": "timing", "task": data, "models": models, "training": {"epochs": 1, "batch_size": 8}}
    (tmp_path / "timing.yaml").write_text(yaml.safe_dump(config))
    run, picture = tmp_path / "run", tmp_path / "sizes.png"
    arguments = ["--config", str(tmp_path / "timing.yaml"), "--output", str(run), "--seeds", "0,1", "--threads", "1"]
    assert main(["fit", *arguments, "--task.target_scale", "log", "--tests", "false", "--device", "cpu"]) == 0
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["timing.py", "--run", str(run), "--output", str(picture)])
    timing.main()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == list(peers)


def test_accuracy_in_pedigrees_by_size(tmp_path, monkeypatch, capsys):
    """A run made small, its figure, and a line for each model with all sizes."""
    family = {"num_graphs": 3, "generations": 2, "size": 6}
    models = {"gin": {"class_path": "plstm_graph.nn.baselines.DirectedGIN", "init_args": {"hidden_channels": 8}}}
    data = {"name": "pedigrees", "train": family, "valid": family, "tests": {"own": family}}
    config = {"name": "pedigrees", "task": data, "models": models, "training": {"epochs": 1, "batch_size": 2}}
    (tmp_path / "pedigrees.yaml").write_text(yaml.safe_dump(config))
    run, picture = tmp_path / "run", tmp_path / "sizes.png"
    arguments = ["--config", str(tmp_path / "pedigrees.yaml"), "--output", str(run), "--seeds", "0", "--threads", "1"]
    assert main(["fit", *arguments, "--device", "cpu"]) == 0
    capsys.readouterr()
    for name, value in {"GENERATIONS": (2, 4), "ANIMALS": (6, 12), "ANIMALS_OF_A_PART": 100}.items():
        monkeypatch.setattr(pedigrees, name, value)
    monkeypatch.setattr(sys, "argv", ["pedigrees.py", "--run", str(run), "--output", str(picture)])
    pedigrees.main()
    assert picture.read_bytes().startswith(b"\x89PNG")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("gin ")
    for part in ("generations_2", "generations_4", "animals_6", "animals_12"):
        assert f"{part} " in line
