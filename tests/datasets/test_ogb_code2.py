"""ogbg-code2 on three syntax trees in the layout of OGB's archive."""

import ast
import gzip
import itertools
import json
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from plstm_graph.cli import main
from plstm_graph.datasets.benchmark import load_benchmark
from plstm_graph.datasets.ogb_code2 import ASTEdges, ASTNodes, NameVocabulary, OGBCode2Dataset, code2_f1
from plstm_graph.graph import LineGraph
from plstm_graph.transforms import ToDAG

CONFIG = Path(__file__).parents[2] / "configs" / "ogb" / "code2.yaml"
_FUNCTIONS = (
    "def add_two(a, b):\n    return a + b",
    "def add_to_list(items, a):\n    items.append(a)",
    "def get_name(self):\n    return self.name",
)


def _tree(source):
    """Types, attributes, depths and edges of a syntax tree in depth-first order, as OGB numbers them."""
    rows, edges = [], []

    def visit(node, depth, parent):
        number = len(rows)
        words = [value for _, value in ast.iter_fields(node) if isinstance(value, str)]
        children = [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr_context)]
        rows.append((type(node).__name__, words[0] if words else "", depth, bool(words)))
        if parent is not None:
            edges.append((parent, number))
        for child in children:
            visit(child, depth + 1, number)

    visit(ast.parse(source).body[0], 0, None)
    return rows, edges


def _write(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(("\n".join(map(str, lines)) + "\n").encode()))


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source" / "ogbg_code2"
    trees = [_tree(text) for text in _FUNCTIONS]
    types = sorted({row[0] for rows, _ in trees for row in rows})
    words = sorted({row[1] for rows, _ in trees for row in rows})
    raw = folder / "raw"
    _write(raw / "edge.csv.gz", [f"{u},{v}" for _, edges in trees for u, v in edges])
    nodes = [row for rows, _ in trees for row in rows]
    _write(raw / "node-feat.csv.gz", [f"{types.index(row[0])},{words.index(row[1])}" for row in nodes])
    _write(raw / "node_depth.csv.gz", [row[2] for row in nodes])
    _write(raw / "node_is_attributed.csv.gz", [int(row[3]) for row in nodes])
    _write(raw / "node_dfs_order.csv.gz", [number for rows, _ in trees for number in range(len(rows))])
    _write(raw / "num-node-list.csv.gz", [len(rows) for rows, _ in trees])
    _write(raw / "num-edge-list.csv.gz", [len(edges) for _, edges in trees])
    _write(raw / "graph-label.csv.gz", ["add two", "add to list", "get name"])
    for part, number in (("train", 0), ("valid", 1), ("test", 2)):
        _write(folder / "split" / "project" / f"{part}.csv.gz", [number])
    _write(folder / "mapping" / "typeidx2type.csv.gz", ["type idx,type", *(f"{i},{t}" for i, t in enumerate(types))])
    _write(folder / "mapping" / "attridx2attr.csv.gz", ["attr idx,attr", *(f"{i},{w}" for i, w in enumerate(words))])
    return folder


def test_official_loader_and_split(source, tmp_path):
    data = OGBCode2Dataset(tmp_path / "root", source)
    assert [graph.y for graph in data] == [["add", "two"], ["add", "to", "list"], ["get", "name"]]
    assert {part: rows.tolist() for part, rows in data.get_idx_split().items()} == {
        "train": [0],
        "valid": [1],
        "test": [2],
    }
    for graph, text in zip(data, _FUNCTIONS, strict=True):
        rows, edges = _tree(text)
        assert graph.edge_index.t().tolist() == [list(edge) for edge in edges]
        assert graph.node_depth.view(-1).tolist() == [row[2] for row in rows]
    assert int(data.x[:, 0].max()) < data.num_types
    assert int(data.x[:, 1].max()) < data.num_attributes
    again = OGBCode2Dataset(tmp_path / "root", tmp_path)  # the source is not needed any more
    assert len(again) == 3


def test_text_edges_join_the_leaves_in_order_and_keep_a_dag(source, tmp_path):
    data = OGBCode2Dataset(tmp_path / "root", source, pre_transform=lambda graph: ToDAG("keep")(ASTEdges()(graph)))
    for graph, text in zip(data, _FUNCTIONS, strict=True):
        rows, edges = _tree(text)
        leaves = [number for number, row in enumerate(rows) if row[3]]
        expected = [[*edge] for edge in edges] + [[u, v] for u, v in itertools.pairwise(leaves)]
        assert graph.edge_index.t().tolist() == expected
        assert graph.edge_attr.view(-1).tolist() == [0] * len(edges) + [1] * (len(leaves) - 1)
    batch = next(iter(DataLoader(data, batch_size=3)))
    assert LineGraph.from_data(batch).num_edges == batch.num_edges
    both = ASTEdges(inverse=True)(OGBCode2Dataset(tmp_path / "root")[0])
    assert sorted(set(both.edge_attr.view(-1).tolist())) == [0, 1, 2, 3]
    half = both.num_edges // 2
    assert torch.equal(both.edge_index[:, half:], both.edge_index[:, :half].flip(0))
    with pytest.raises(ValueError, match="the graph is none of ogbg-code2"):
        ASTEdges()(Data(x=torch.ones(1, 1), edge_index=torch.empty(2, 0, dtype=torch.long)))


def test_vocabulary():
    vocabulary = NameVocabulary([["add", "two"], ["add", "to", "list"], ["get", "list"]], size=3, length=4)
    assert vocabulary.words == ["add", "list", "two", "__UNK__", "__EOS__"]
    assert vocabulary.encode(["add", "to", "list"]).tolist() == [[0, 3, 1, 4]]
    assert vocabulary.encode(["add"] * 6).tolist() == [[0, 0, 0, 0]]
    assert vocabulary.decode(torch.tensor([[0, 3, 4, 1], [0, 1, 2, 0], [4, 4, 4, 4]])) == [
        ["add", "__UNK__"],
        ["add", "list", "two", "add"],
        [],
    ]
    assert len(vocabulary) == 5


def test_the_metric_is_the_official_one():
    reference = [["add", "two"], ["get", "name"], ["a"]]
    predicted = [["two", "add"], ["get", "__UNK__"], []]
    assert code2_f1(reference, predicted) == pytest.approx((1 + 0.5 + 0) / 3)


def test_missing_and_damaged_files_leave_nothing(source, tmp_path):
    (source / "raw" / "node_depth.csv.gz").rename(source / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"lacks raw/node_depth\.csv\.gz"):
        OGBCode2Dataset(tmp_path / "root", source)
    (source / "raw" / "node_depth.csv.gz").write_bytes((source / "elsewhere").read_bytes()[:-9])
    with pytest.raises(ValueError, match="damaged or cut short"):
        OGBCode2Dataset(tmp_path / "root", source)
    with pytest.raises(FileNotFoundError, match="no raw files of ogbg-code2"):
        OGBCode2Dataset(tmp_path / "root", tmp_path)
    assert list((tmp_path / "root").iterdir()) == []


def test_depths_become_features(source, tmp_path):
    data = OGBCode2Dataset(tmp_path / "root", source, pre_transform=ASTNodes(max_depth=2))
    for graph, text in zip(data, _FUNCTIONS, strict=True):
        assert graph.x[:, 2].tolist() == [min(row[2], 2) for row in _tree(text)[0]]
    with pytest.raises(ValueError, match="the graph is none of ogbg-code2"):
        ASTNodes()(Data(x=torch.ones(1, 1)))


def test_benchmark_compares_whole_names(source, tmp_path):
    benchmark = load_benchmark("ogbg-code2", str(tmp_path / "root"), str(source))
    assert [len(benchmark.parts[part]) for part in ("train", "valid", "test")] == [1, 1, 1]
    graph = benchmark.parts["test"][0]
    assert (graph.number.item(), graph.y.shape) == (2, (1, 5))
    words = NameVocabulary([["add", "two"]])  # of the training part
    assert words.decode(graph.y) == [["__UNK__", "__UNK__"]]  # get name
    assert benchmark.evaluate(torch.tensor([0, 1]), words.encode(["add"]).expand(2, -1)) == pytest.approx(
        (2 / 3 + 2 / 4) / 2
    )


@pytest.mark.slow
def test_a_study_trains_and_reports_f1(source, tmp_path, capsys):
    data = OGBCode2Dataset(tmp_path / "root", source)
    model = "--models.plstm.init_args.model.init_args"
    arguments = (
        *("fit", "--config", str(CONFIG), "--task.root", str(tmp_path / "root"), "--task.source", str(source)),
        *("--task.in_channels", f"[{data.num_types},{data.num_attributes},21]", f"{model}.hidden_channels", "16"),
        *(
            f"{model}.out_channels",
            "20",
            f"{model}.num_layers",
            "1",
            "--training.epochs",
            "60",
            "--training.lr",
            "1e-2",
        ),
        *("--seeds", "0-1", "--device", "cpu", "--output", str(tmp_path / "run"), "--training.average", "0"),
    )
    assert main(list(arguments)) == 0
    assert "test/F1" in capsys.readouterr().out
    report = json.loads((tmp_path / "run" / "ogb_form.json").read_text())["plstm"]
    assert (report["metric"], len(report["seeds"])) == ("F1", 2)
    # Learnt from one function, "add two": "add" is in the name of the validation function too.
    assert report["validation"]["mean"] > 0.2
    assert report["test"]["mean"] == 0
    losses = [
        json.loads(line)["train/loss"] for line in (tmp_path / "run/plstm/seed_0/epochs.jsonl").read_text().splitlines()
    ]
    assert losses[-1] < 0.1 < 1.0 < losses[0]
