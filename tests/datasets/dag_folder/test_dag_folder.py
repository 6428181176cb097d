import gzip
import json
import math

import networkx as nx
import pandas as pd
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from plstm_graph.datasets import DAGFolder, DAGFolderError, OnDiskDAGFolder, from_networkx, write_dag_folder
from plstm_graph.datasets.dag_folder.check import check_folder
from plstm_graph.graph import LineGraph
from plstm_graph.transforms import ToDAG


def _tables(folder, suffix=".csv", **spec):
    """Twelve graphs: a chain of three to five nodes each, with numbers, categories and missing cells."""
    rows = {"graphs": [], "nodes": [], "edges": []}
    for number in range(12):
        name, length = f"g{number}", 3 + number % 3
        part = ("train", "train", "valid", "test")[number % 4]
        rows["graphs"].append({"graph": name, "cost": number * 1.5, "kind": ("red", "blue")[number % 2], "part": part})
        for node in range(length):
            op = (None, "add", "mul")[(number + node) % 3] if number < 10 else "rare"
            size = None if node == 1 else number + node / 2
            rows["nodes"].append({"graph": name, "node": f"n{node}", "op": op, "size": size})
        for node in range(length - 1):
            edge = {"graph": name, "source": f"n{node}", "target": f"n{node + 1}", "port": node % 2}
            rows["edges"].append(edge | {"flow": node / 4})
    folder.mkdir(exist_ok=True)
    for name, records in rows.items():
        frame = pd.DataFrame(records)
        if suffix == ".parquet":
            frame.to_parquet(folder / f"{name}.parquet")
        else:
            frame.to_csv(folder / f"{name}{suffix}", index=False)
    defaults = {"targets": ["cost"], "split": "part", "edges": {"features": {"port": "category", "flow": "number"}}}
    (folder / "dag.yaml").write_text(json.dumps(defaults | spec))
    return folder


def _same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert set(one.keys()) == set(other.keys())
        for key in one.keys():
            if isinstance(one[key], torch.Tensor):
                torch.testing.assert_close(one[key], other[key], equal_nan=True, rtol=0, atol=0)
            else:
                assert one[key] == other[key]


def test_features_are_standardised_by_the_training_part(tmp_path):
    data = DAGFolder(_tables(tmp_path / "dags"))
    assert {name: rows.tolist() for name, rows in data.split.items()} == {
        "train": [0, 1, 4, 5, 8, 9],
        "valid": [2, 6, 10],
        "test": [3, 7, 11],
    }
    train = torch.cat([graph.x for graph in data.part("train")])
    present = train[:, 1] == 0
    assert data.encoding.node_sizes == [0, 0, 3]  # value, whether missing, code of add, mul or another
    assert train[present, 0].mean().item() == pytest.approx(0, abs=1e-6)
    assert train[present, 0].std(unbiased=False).item() == pytest.approx(1, abs=1e-6)
    assert train[~present, 0].abs().sum() == 0
    assert data[10].x[:, 2].tolist() == [0.0] * 4  # "rare" is not in the training part
    assert data[0].x[:, 2].tolist() == [0.0, 1.0, 2.0]  # missing, add, mul
    assert data.encoding.edge_sizes == [0, 3]
    assert data[1].y.tolist() == [[1.5]]
    assert (data[1].graph_id, data[1].node_id) == ("g1", ["n0", "n1", "n2", "n3"])
    assert data[1].edge_index.tolist() == [[0, 1, 2], [1, 2, 3]]
    assert data[1].level.tolist() == [0, 1, 2, 3]


def test_batches_have_a_line_graph(tmp_path):
    data = DAGFolder(_tables(tmp_path / "dags"), pre_transform=ToDAG())
    batch = next(iter(DataLoader(data, batch_size=12)))
    assert LineGraph.from_data(batch).num_edges == sum(graph.num_edges for graph in data)
    assert batch.y.shape == (12, 1)


@pytest.mark.parametrize("suffix", [".csv.gz", ".parquet"])
def test_other_files_give_the_same_graphs(suffix, tmp_path):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    _same(DAGFolder(_tables(tmp_path / "a")), DAGFolder(_tables(tmp_path / "b", suffix)))


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    folder = _tables(tmp_path / "dags")
    (folder / "nodes.csv").rename(folder / "nodes.parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        DAGFolder(folder)


def _as_json(folder, target):
    """The same graphs as JSON lines."""
    frames = {name: pd.read_csv(folder / f"{name}.csv", dtype=object) for name in ("graphs", "nodes", "edges")}
    lines = []
    for row in frames["graphs"].to_dict("records"):
        own = {name: frame[frame["graph"] == row["graph"]].drop(columns="graph") for name, frame in frames.items()}
        nodes = own["nodes"].rename(columns={"node": "id"})
        plain = [
            [{key: None if value != value else value for key, value in record.items()} for record in each]
            for each in (nodes.to_dict("records"), own["edges"].to_dict("records"))
        ]
        lines.append(json.dumps(row | {"nodes": plain[0], "links": plain[1]}) + "\n")
    target.mkdir()
    (target / "dag.yaml").write_text((folder / "dag.yaml").read_text())
    (target / "dags.jsonl.gz").write_bytes(gzip.compress("".join(lines).encode()))
    return target


def test_json_lines_give_the_same_graphs(tmp_path):
    tables = _tables(tmp_path / "tables")
    _same(DAGFolder(tables), DAGFolder(_as_json(tables, tmp_path / "json")))


@pytest.mark.parametrize("kind", ["tables", "json", "parquet"])
@pytest.mark.parametrize("split", ["part", "random"])
def test_piece_by_piece_gives_the_same_graphs(kind, split, tmp_path, monkeypatch):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    monkeypatch.setattr("plstm_graph.datasets.dag_folder.pieces._ROWS", 7)
    folder = _tables(
        tmp_path / "a",
        ".parquet" if kind == "parquet" else ".csv",
        split=split,
        task="classification",
        targets=["kind"],
    )
    folder = _as_json(folder, tmp_path / "json") if kind == "json" else folder
    whole, pieces = DAGFolder(folder, pre_transform=ToDAG()), OnDiskDAGFolder(folder, None, ToDAG(), graphs_at_once=5)
    _same(whole, pieces)
    assert whole.encoding.classes == pieces.encoding.classes == [["blue", "red"]]
    for name in ("train", "valid", "test"):
        assert whole.split[name].tolist() == pieces.split[name].tolist()
    batch = next(iter(DataLoader(pieces.part("train"), batch_size=4)))
    assert batch.graph_id == [whole[int(number)].graph_id for number in whole.split["train"][:4]]


def test_rows_out_of_order_are_found_piece_by_piece(tmp_path):
    folder = _tables(tmp_path / "dags")
    lines = (folder / "nodes.csv").read_text().splitlines()
    (folder / "nodes.csv").write_text("\n".join([*lines[:3], *lines[4:], lines[3]]) + "\n")
    assert len(DAGFolder(folder)) == 12
    with pytest.raises(DAGFolderError, match=r"graph g0: target n2 is no node .* among its rows that follow"):
        OnDiskDAGFolder(folder, graphs_at_once=2)
    assert not list((folder / "processed").glob("*/sqlite.db"))
    assert len(list((folder / "processed").iterdir())) == 1


def test_node_targets_of_one_graph_get_masks(tmp_path):
    nodes = "graph,node,y,fold\n" + "".join(f"a,{n},{n % 3},{('train', 'valid', 'test')[n % 3]}\n" for n in range(9))
    edges = "graph,source,target\n" + "".join(f"a,{n},{n + 1}\n" for n in range(8))
    spec = "targets: y\nlevel: node\ntask: classification\nsplit: fold\n"
    for name, content in {"nodes.csv": nodes, "edges.csv": edges, "dag.yaml": spec}.items():
        (tmp_path / name).write_text(content)
    data = DAGFolder(tmp_path)
    assert data[0].y.shape == (9, 1)
    assert data[0].x.tolist() == [[1.0]] * 9
    assert data[0].val_mask.tolist() == [n % 3 == 1 for n in range(9)]
    (train,) = data.part("train")
    assert [math.isnan(value) for value in train.y[:, 0].tolist()] == [n % 3 != 0 for n in range(9)]
    with pytest.raises(ValueError, match="use DAGFolder"):
        OnDiskDAGFolder(tmp_path)


def test_edge_targets_and_no_table_of_nodes(tmp_path):
    (tmp_path / "edges.csv").write_text("graph,source,target,a,b\n" + "".join(f"{g},x,y,1,0\n" for g in range(10)))
    (tmp_path / "dag.yaml").write_text("targets: [a, b]\nlevel: edge\ntask: multilabel\n")
    data = DAGFolder(tmp_path)
    assert len(data) == 10
    assert data[3].y.tolist() == [[1.0, 0.0]]
    assert data[3].node_id == ["x", "y"]


def test_a_changed_table_is_read_anew(tmp_path):
    folder = _tables(tmp_path / "dags")
    before = DAGFolder(folder)[0].y.item()
    text = (folder / "graphs.csv").read_text().replace("g0,0.0", "g0,77.25")
    (folder / "graphs.csv").write_text(text)
    assert (before, DAGFolder(folder)[0].y.item()) == (0.0, 77.25)


def test_an_interrupted_conversion_leaves_nothing(tmp_path):
    class Interrupt(ToDAG):
        def forward(self, data):
            if data.graph_id == "g7":
                raise KeyboardInterrupt
            return super().forward(data)

    folder = _tables(tmp_path / "dags")
    for dataset in (DAGFolder, OnDiskDAGFolder):
        with pytest.raises(KeyboardInterrupt):
            dataset(folder, pre_transform=Interrupt())
        assert list((folder / "processed").iterdir()) == []


def test_columns_that_are_no_features_are_named(tmp_path):
    folder = _tables(tmp_path / "dags")
    frame = pd.read_csv(folder / "nodes.csv")
    frame.assign(name=[f"word {row}" for row in range(len(frame))], empty=math.nan).to_csv(
        folder / "nodes.csv", index=False
    )
    left_out = DAGFolder(folder).encoding.left_out
    assert left_out == {
        "nodes.name": "nearly every row has a word of its own, as identifiers have",
        "nodes.empty": "it has no value at all",
    }


def test_features_of_graphs_enter_every_node(tmp_path):
    data = DAGFolder(_tables(tmp_path / "dags", graphs={"features": ["kind"]}))
    assert data.encoding.node_sizes == [0, 0, 3, 3]
    assert data[0].x[:, 3].tolist() != data[1].x[:3, 3].tolist()


def test_data_written_and_read_again(tmp_path):
    data = DAGFolder(_tables(tmp_path / "dags"))
    write_dag_folder(data, tmp_path / "copy", split=data.split, target_names=["cost"])
    copy = DAGFolder(tmp_path / "copy")
    assert {name: rows.tolist() for name, rows in copy.split.items()} == {
        name: rows.tolist() for name, rows in data.split.items()
    }
    for one, other in zip(data, copy, strict=True):
        assert one.edge_index.tolist() == other.edge_index.tolist()
        assert (one.graph_id, one.node_id, one.y.tolist()) == (other.graph_id, other.node_id, other.y.tolist())


@pytest.mark.parametrize(("level", "rows"), [("node", 3), ("edge", 2)])
def test_labels_of_nodes_and_edges_are_written(level, rows, tmp_path):
    edge_index = torch.tensor([[0, 1], [1, 2]])
    graphs = [
        Data(x=torch.tensor([[0], [1], [2]]), edge_index=edge_index, y=torch.arange(rows) % 2, num_nodes=3)
        for _ in range(10)
    ]
    write_dag_folder(graphs, tmp_path / "out", task="classification", level=level)
    data = DAGFolder(tmp_path / "out")
    assert data[0].y.view(-1).tolist() == [number % 2 for number in range(rows)]
    assert data.encoding.node_sizes == [4]
    assert data[0].x.dtype == torch.int64


def test_writing_refuses_and_leaves_nothing(tmp_path):
    cyclic = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2, y=torch.ones(1))
    with pytest.raises(DAGFolderError, match=r"not written: .*a cycle of 2 nodes: 0 -> 1 -> 0|cycle"):
        write_dag_folder([cyclic] * 10, tmp_path / "out")
    with pytest.raises(ValueError, match=r"graph 0 has y \[1\], expected \[2, T\] for targets of nodes"):
        write_dag_folder([cyclic], tmp_path / "out", level="node")
    with pytest.raises(ValueError, match="graph 0 is undirected"):
        from_networkx([nx.path_graph(3)], tmp_path / "out", targets=["y"])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is there already"):
        write_dag_folder([cyclic], tmp_path / "out")


def test_networkx_graphs_become_a_folder(tmp_path):
    graphs = []
    for seed in range(20):
        graph = nx.gn_graph(8, seed=seed)
        graph.graph["depth"] = nx.dag_longest_path_length(graph)
        nx.set_node_attributes(graph, {node: {"gate": {"kind": "even" if node % 2 == 0 else "odd"}} for node in graph})
        graphs.append(graph)
    from_networkx(graphs, tmp_path / "out", targets=["depth"])
    data = DAGFolder(tmp_path / "out")
    assert data.encoding.of("nodes")[0].name == "gate.kind"
    for graph, found in zip(graphs, data, strict=True):
        assert found.y.item() == graph.graph["depth"] == found.level.max().item()
    assert check_folder(tmp_path / "out").longest_path["length"] == max(graph.graph["depth"] for graph in graphs)
    node_link = [json.dumps({**nx.node_link_data(graph, edges="links")}) + "\n" for graph in graphs]
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "dags.jsonl").write_text("".join(node_link))
    (tmp_path / "json" / "dag.yaml").write_text("targets: depth\n")
    for one, other in zip(data, DAGFolder(tmp_path / "json"), strict=True):
        assert one.x.tolist() == other.x.tolist()
        assert one.edge_index.tolist() == other.edge_index.tolist()


def test_description(tmp_path):
    found = check_folder(_tables(tmp_path / "dags", task="classification", targets=["kind"]))
    assert found.counts["isolated nodes"] == 0
    assert found.per_graph["levels"] == [3.0, 4.0, 5.0]
    assert found.longest_path == {"length": 4, "graph": "g2", "nodes": ["n0", "n1", "n2", "n3", "n4"]}
    assert found.degree_bins == ["0", "1"]
    assert found.degrees == {"in": [12, 36], "out": [12, 36]}
    assert found.missing["nodes.size"] == 12
    assert found.targets["kind"]["train"] == {"known": 6, "blue": 3, "red": 3}
    assert found.split == {"train graphs": 6, "valid graphs": 3, "test graphs": 3}
