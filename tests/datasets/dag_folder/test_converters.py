"""Graphs of networkx and PyG as folders: every attribute keeps its name and its values, or an error names it."""

import datetime
import decimal
import fractions

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data, HeteroData

from plstm_graph.datasets import DAGFolder, DAGFolderError, from_networkx, write_dag_folder
from plstm_graph.transforms import ToDAG

_PARTS = ("train", "train", "valid", "test")


def _read(folder):
    """The tables as they stand in the files, every cell as text."""
    return {
        name: pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False).to_dict("list")
        for name in ("graphs", "nodes", "edges")
    }


def _decoded(dataset, data):
    """Features of a graph by table and column, as they were before they were encoded."""
    found, encoding = {}, dataset.encoding
    for values, tables in ((data.x, ("nodes", "graphs")), (data.get("edge_attr"), ("edges",))):
        position = 0
        for column in sorted(encoding.of(*tables), key=lambda column: column.kind == "category"):
            own = values[:, position]
            if column.kind == "category":
                decoded = [([None, *column.words])[int(code)] for code in own.tolist()]
            else:
                absent = values[:, position + 1].bool().tolist() if column.missing else [False] * len(own)
                numbers = (own.double() * column.std + column.mean).tolist()
                decoded = [None if empty else number for number, empty in zip(numbers, absent, strict=True)]
            found[f"{column.table}.{column.name}"] = decoded
            position += len(column.sizes)
    return found


def _near(values):
    """Features are float32 in units of their standard deviation: some units in the last place of the largest."""
    return pytest.approx(values, rel=1e-6, abs=1e-6 * (1 + max(map(abs, values))))


def _chains(count=8, nodes=3, **attributes):
    """Chains a -> b -> c; ``attributes`` makes those of graph, node and edge from their numbers."""
    graphs = []
    for number in range(count):
        graph = nx.DiGraph(y=number / 2, part=_PARTS[number % 4], **attributes.get("graph", lambda g: {})(number))
        for node in range(nodes):
            graph.add_node("abc"[node], **attributes.get("node", lambda g, n: {})(number, node))
        for node in range(nodes - 1):
            graph.add_edge("abc"[node], "abc"[node + 1], **attributes.get("edge", lambda g, e: {})(number, node))
        graphs.append(graph)
    return graphs


def _from_networkx(folder, graphs, **options):
    from_networkx(graphs, folder, **{"targets": ["y"], "split": "part"} | options)
    return DAGFolder(folder)


@pytest.mark.parametrize("names", [("source", "target"), ("graph", "source"), ("target", "source_id"), ("graph", "y")])
def test_attributes_of_edges_may_have_the_names_of_structure(names, tmp_path):
    edge = lambda g, e: {name: 10.0 * g + e + number for number, name in enumerate(names)}  # noqa: E731
    data = _from_networkx(tmp_path / "out", _chains(edge=edge))
    for number, graph in enumerate(data):
        assert graph.edge_index.tolist() == [[0, 1], [1, 2]]
        assert (graph.graph_id, graph.node_id) == (str(number), ["a", "b", "c"])
        found = _decoded(data, graph)
        for place, name in enumerate(names):
            assert found[f"edges.{name}"] == _near([10 * number + place, 10 * number + 1 + place])


@pytest.mark.parametrize(
    "names", [("node", "graph"), ("id", "level"), ("source", "split"), ("y", "part0"), ("x", "node_id")]
)
def test_attributes_of_nodes_may_have_the_names_of_structure(names, tmp_path):
    node = lambda g, n: {name: float(100 * g + 10 * n + number) for number, name in enumerate(names)}  # noqa: E731
    data = _from_networkx(tmp_path / "out", _chains(node=node))
    for number, graph in enumerate(data):
        assert graph.node_id == ["a", "b", "c"]
        found = _decoded(data, graph)
        for place, name in enumerate(names):
            assert found[f"nodes.{name}"] == _near([100 * number + 10 * n + place for n in range(3)])


@pytest.mark.parametrize(
    "vector", [list, tuple, np.array, torch.tensor, lambda v: np.array(v, dtype=np.float32), pd.Series]
)
def test_vectors_become_columns(vector, tmp_path):
    node = lambda g, n: {"x": vector([g + 0.5, n * 2.0, -1.5])}  # noqa: E731
    edge = lambda g, e: {"f": vector([float(g), float(e)])}  # noqa: E731
    data = _from_networkx(tmp_path / "out", _chains(node=node, edge=edge))
    assert [column.name for column in data.encoding.columns] == ["x.0", "x.1", "x.2", "f.0", "f.1"]
    for number, graph in enumerate(data):
        found = _decoded(data, graph)
        assert found["nodes.x.0"] == _near([number + 0.5] * 3)
        assert found["nodes.x.1"] == _near([0.0, 2.0, 4.0])
        assert found["nodes.x.2"] == _near([-1.5] * 3)
        assert found["edges.f.1"] == _near([0.0, 1.0])


def test_matrices_mappings_and_vectors_of_targets(tmp_path):
    def node(g, n):
        return {"m": np.arange(4.0).reshape(2, 2) + g, "op": {"kind": "add" if n else "in", "at": [n, g]}, "t": [n, -g]}

    graphs = _chains(node=node)
    data = _from_networkx(tmp_path / "out", graphs, targets=["t"], level="node")
    assert data.encoding.target_names == ["t.0", "t.1"]
    for number, graph in enumerate(data):
        assert graph.y.tolist() == [[0, -number], [1, -number], [2, -number]]
        found = _decoded(data, graph)
        assert set(found) == {
            f"nodes.{name}" for name in ("m.0.0", "m.0.1", "m.1.0", "m.1.1", "op.kind", "op.at.0", "op.at.1")
        }
        assert found["nodes.m.1.0"] == _near([2.0 + number] * 3)
        assert found["nodes.op.kind"] == ["in", "add", "add"]


def test_cells_of_every_type(tmp_path):
    values = {
        "bool": (True, "1"),
        "numpy_bool": (np.bool_(False), "0"),
        "int": (3, "3"),
        "numpy_int": (np.int64(-4), "-4"),
        "numpy_float": (np.float64(0.1), "0.1"),
        "float32": (np.float32(0.5), "0.5"),
        "scalar_tensor": (torch.tensor(2.5), "2.5"),
        "scalar_array": (np.array(7), "7"),
        "fraction": (fractions.Fraction(1, 4), "0.25"),
        "decimal": (decimal.Decimal("1.5"), "1.5"),
        "date": (datetime.date(2020, 1, 31), "2020-01-31"),
        "moment": (np.datetime64("2020-01-31T12:00"), "2020-01-31T12:00"),
        "none": (None, ""),
        "nan": (float("nan"), ""),
        "pandas": (pd.NA, ""),
        "word": ("a,b\n\"c\" 'd'", "a,b\n\"c\" 'd'"),
        "missing_word": ("NA", "NA"),
        "nan_word": ("nan", "nan"),
        "spaced": ("  x ", "  x "),
        "big": (2**60 + 1, str(2**60 + 1)),
        "none_or_int": (5, "5"),
        "unicode": ("Å 水", "Å 水"),
    }
    graphs = _chains(node=lambda g, n: {name: value for name, (value, _) in values.items()})
    for graph in graphs:
        graph.nodes["b"]["none_or_int"] = None  # pandas would make 5.0 of the others
    from_networkx(graphs, tmp_path / "out", targets=["y"], split="part")
    table = _read(tmp_path / "out")["nodes"]
    assert {name: column[0] for name, column in table.items() if name in values} == {
        name: text for name, (_, text) in values.items()
    }
    assert table["none_or_int"][:3] == ["5", "", "5"]
    found = _decoded(dataset := DAGFolder(tmp_path / "out"), dataset[0])
    for name in ("missing_word", "nan_word", "spaced", "unicode"):
        assert found[f"nodes.{name}"] == [values[name][0]] * 3


def test_words_that_look_like_numbers_stay_words(tmp_path):
    data = _from_networkx(tmp_path / "out", _chains(node=lambda g, n: {"zip": ("02139", "2139", "1e3")[n], "n": n}))
    kinds = {column.name: column.kind for column in data.encoding.columns}
    assert kinds == {"zip": "category", "n": "number"}
    assert _decoded(data, data[0])["nodes.zip"] == ["02139", "2139", "1e3"]


def test_nodes_with_different_attributes(tmp_path):
    def node(g, n):
        return [{"a": g + 0.5, "v": [1.0, 2.0]}, {"kind": "mul"}, {"a": None, "kind": None}][n]

    data = _from_networkx(tmp_path / "out", _chains(node=node))
    found = _decoded(data, data[3])
    assert found["nodes.a"] == [pytest.approx(3.5, rel=1e-6), None, None]
    assert found["nodes.v.1"] == [pytest.approx(2.0), None, None]
    assert found["nodes.kind"] == [None, "mul", None]


@pytest.mark.parametrize(
    ("labels", "texts"),
    [
        ((0, "b", (1, 2)), ["0", "b", "(1, 2)"]),
        ((" a", "a", "a "), [" a", "a", "a "]),
        (("NA", "nan", "null"), ["NA", "nan", "null"]),
        (("[/b]", "a,b", 'q"'), ["[/b]", "a,b", 'q"']),
        ((np.int64(7), 7.5, "7"), ["7", "7.5"]),
        (("a\nb", "a", "\tb"), ["a\nb", "a", "\tb"]),
        (("07", 7, "7.0"), ["07", "7", "7.0"]),
    ],
)
def test_labels_of_nodes(labels, texts, tmp_path):
    graphs = [nx.relabel_nodes(graph, dict(zip("abc", labels, strict=True))) for graph in _chains()]
    if len(texts) < len(labels):
        with pytest.raises(ValueError, match=r"graph 0 has nodes .*7.* and '7', which are both '7' in a file"):
            _from_networkx(tmp_path / "out", graphs)
        return
    data = _from_networkx(tmp_path / "out", graphs)
    assert data[2].node_id == texts
    assert data[2].edge_index.tolist() == [[0, 1], [1, 2]]


def test_keys_of_a_multigraph(tmp_path):
    graphs = []
    for number in range(8):
        graph = nx.MultiDiGraph(y=number, part=_PARTS[number % 4])
        graph.add_edge("a", "b", key="wire", key_=1.0)
        graph.add_edge("a", "b", key="bus", key_=2.0)
        graphs.append(graph)
    data = _from_networkx(tmp_path / "named", graphs)
    assert data[0].edge_index.tolist() == [[0, 0], [1, 1]]
    assert _decoded(data, data[0])["edges.key"] == ["wire", "bus"]
    numbered = [
        nx.MultiDiGraph([("a", "b"), ("a", "b")], y=graph.graph["y"], part=graph.graph["part"]) for graph in graphs
    ]
    assert "edge_attr" not in _from_networkx(tmp_path / "numbered", numbered)[0]
    for graph in graphs:
        graph["a"]["b"]["wire"]["key"] = graph["a"]["b"]["bus"]["key"] = 5.0
    data = _from_networkx(tmp_path / "both", graphs)
    assert _decoded(data, data[0])["edges.key_id"] == ["wire", "bus"]
    assert _decoded(data, data[0])["edges.key"] == _near([5.0, 5.0])


@pytest.mark.parametrize(
    ("attributes", "ids"),
    [
        (lambda g: {"graph": f"g{g}"}, [f"g{g}" for g in range(8)]),
        (lambda g: {"name": f"n{g}"}, [f"n{g}" for g in range(8)]),
        (lambda g: {"name": "same"}, [str(g) for g in range(8)]),
        (lambda g: {"graph": {"a": 1}, "name": None}, [str(g) for g in range(8)]),
        (lambda g: {"graph": np.int64(g + 5), "name": "x"}, [str(g + 5) for g in range(8)]),
    ],
)
def test_names_of_graphs(attributes, ids, tmp_path):
    data = _from_networkx(tmp_path / "out", _chains(graph=attributes))
    assert [graph.graph_id for graph in data] == ids
    if "name" in attributes(0):
        assert _read(tmp_path / "out")["graphs"]["name"][0] == (attributes(0)["name"] or "")


@pytest.mark.parametrize(
    ("where", "values", "message"),
    [
        ("node", lambda g, n: {"s": {1, 2}}, "node a of graph 0: attribute 's' is a set; a column holds"),
        ("edge", lambda g, e: {"o": object()}, "edge a -> b of graph 0: attribute 'o' is a object"),
        ("graph", lambda g: {"b": b"x"}, "graph 0: attribute 'b' is a bytes"),
        ("node", lambda g, n: {"c": 1j}, "attribute 'c' is a complex"),
        ("node", lambda g, n: {"c": torch.tensor([1j])}, "attribute 'c' is a complex tensor"),
        ("node", lambda g, n: {"c": torch.eye(2).to_sparse()}, "attribute 'c' is a sparse tensor"),
        ("node", lambda g, n: {"v": [0.0] * (n + 1)}, "'v' has 1 value at node a of graph 0, but 2 values"),
        ("node", lambda g, n: {"v": 1 if n else [1]}, "'v' has 1 value at node a of graph 0, but a single"),
        ("node", lambda g, n: {"x": [1, 2], "x.0": 3}, "the attributes 'x' and 'x.0' both become the column 'x.0'"),
        ("node", lambda g, n: {"x": {"0": 1}} if n else {"x.0": 3}, "the attributes 'x.0' and 'x' both become"),
        ("edge", lambda g, e: {"a": {"b": 1}, "a.b": 2}, "edge a -> b of graph 0: the attributes 'a' and 'a.b' both"),
        ("node", lambda g, n: {" ": 2}, "node a of graph 0 has an attribute called ' '"),
        ("node", lambda g, n: {"w": "a\0b"}, "attribute 'w' is 'a\\\\x00b', which has characters"),
        ("node", lambda g, n: {"w": "\udcff"}, "attribute 'w' is '\\\\udcff', which has characters"),
        ("graph", lambda g: {"graph": "same"}, "graphs 0 and 1 are both called 'same'"),
        ("graph", lambda g: {"graph": " "}, "graph 0 has the name ' '; an identifier cannot be empty"),
        ("node", lambda g, n: {"f": float("inf")}, "feature 'f' is 'inf', expected a finite number"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_named(where, values, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        _from_networkx(tmp_path / "out", _chains(**{where: values}))
    assert list(tmp_path.iterdir()) == []


_CELLS = st.one_of(
    st.none(),
    st.integers(-(2**40), 2**40),
    st.floats(-1e6, 1e6),
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4),
)
_NAMES = st.sampled_from(
    ["a", "graph", "node", "source", "target", "id", "split", "x", "level", "[b]", "a b", "{}", "#"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_attributes_come_back(tmp_path_factory, data):
    def attributes():
        return data.draw(st.dictionaries(_NAMES, _CELLS, max_size=4))

    graphs = _chains(4, node=lambda g, n: attributes(), edge=lambda g, e: attributes())
    folder = tmp_path_factory.mktemp("any") / "out"
    from_networkx(graphs, folder, targets=["y"], split="part")
    spec, tables = yaml.safe_load((folder / "dag.yaml").read_text()), _read(folder)
    for table, records in (
        ("nodes", [values for graph in graphs for _, values in graph.nodes(data=True)]),
        ("edges", [values for graph in graphs for _, _, values in graph.edges(data=True)]),
    ):
        for name in {name for record in records for name in record}:
            for record, text in zip(records, tables[table][name], strict=True):
                value = record.get(name)
                expected = "" if value is None else str(int(value)) if isinstance(value, bool) else str(value)
                assert text == expected
    ids = {key: spec["edges"].get(key, key) for key in ("source", "target")}
    assert (
        list(zip(tables["edges"][ids["source"]], tables["edges"][ids["target"]], strict=True))
        == [("a", "b"), ("b", "c")] * 4
    )
    for graph in DAGFolder(folder):
        assert (graph.node_id, graph.edge_index.tolist()) == (["a", "b", "c"], [[0, 1], [1, 2]])


def _pyg(count=8, nodes=4, **attributes):
    """Chains with their features, beside which ``attributes`` stand, made from the number of the graph."""
    edge_index = torch.stack([torch.arange(nodes - 1), torch.arange(1, nodes)])
    graphs = []
    for number in range(count):
        data = Data(x=torch.randn(nodes, 2), edge_index=edge_index, y=torch.tensor([number / 2]))
        for key, make in attributes.items():
            data[key] = make(number)
        graphs.append(data)
    return graphs


def _written(folder, graphs, **options):
    write_dag_folder(graphs, folder, **options)
    return DAGFolder(folder)


def test_attributes_of_pyg_graphs_keep_names_and_values(tmp_path):
    torch.manual_seed(0)
    graphs = _pyg(
        edge_attr=lambda g: torch.randn(3, 2),
        edge_weight=lambda g: torch.rand(3),
        pos=lambda g: torch.randn(4, 3, dtype=torch.double),
        z=lambda g: torch.tensor([6, 1, 8, 1 + g % 2]),
        flag=lambda g: torch.tensor([True, False, True, False]),
        symbol=lambda g: ["C", "H", "O", "H"],
        source=lambda g: torch.arange(4.0) + g,
        name=lambda g: f"mol-{g}",
        smiles=lambda g: "C[nH]",
        energy=lambda g: -1.5 * g,
        dipole=lambda g: torch.tensor([[1.0, 2.0, float(g)]]),
        meta=lambda g: {"origin": "lab", "batch": g},
    )
    data = _written(tmp_path / "out", graphs)
    for number, (graph, found) in enumerate(zip(graphs, data, strict=True)):
        assert (found.graph_id, found.y.item(), found.edge_index.tolist()) == (
            f"mol-{number}", number / 2, graph.edge_index.tolist(),
        )  # fmt: skip
        features = _decoded(data, found)
        assert features["nodes.x0"] == _near(graph.x[:, 0].tolist())
        assert features["nodes.x1"] == _near(graph.x[:, 1].tolist())
        assert features["edges.e1"] == _near(graph.edge_attr[:, 1].tolist())
        assert features["edges.edge_weight"] == _near(graph.edge_weight.tolist())
        for axis in range(3):
            assert features[f"nodes.pos.{axis}"] == _near(graph.pos[:, axis].tolist())
        assert features["nodes.source"] == _near(graph.source.tolist())
        assert features["nodes.z"] == [str(value) for value in graph.z.tolist()]
        assert features["nodes.flag"] == ["1", "0", "1", "0"]
        assert features["nodes.symbol"] == graph.symbol
    table = _read(tmp_path / "out")["graphs"]
    assert table["name"] == [f"mol-{number}" for number in range(8)]
    assert table["smiles"] == ["C[nH]"] * 8
    assert table["energy"] == [str(-1.5 * number) for number in range(8)]
    assert table["dipole.2"] == [str(float(number)) for number in range(8)]
    assert (table["meta.origin"], table["meta.batch"]) == (["lab"] * 8, [str(number) for number in range(8)])


@pytest.mark.parametrize("level", ["node", "edge", "graph"])
def test_masks_become_the_split(level, tmp_path):
    count = {"node": 9, "edge": 8, "graph": 1}[level]
    parts = lambda g: (torch.arange(count) + (g if level == "graph" else 0)) % 4  # noqa: E731
    graphs = _pyg(
        8, 9,
        y=lambda g: torch.arange(float(count)) if count > 1 else torch.tensor([float(g)]),
        train_mask=lambda g: parts(g) == 0,
        val_mask=lambda g: parts(g) == 1,
        test_mask=lambda g: parts(g) == 2,  # the last quarter is in no part
        split=lambda g: torch.arange(9.0),
    )  # fmt: skip
    data = _written(tmp_path / "out", graphs, level=level)
    assert "nodes.split" in _decoded(data, data[0])
    if level == "graph":
        assert {name: numbers.tolist() for name, numbers in data.split.items()} == {
            "train": [0, 4], "valid": [1, 5], "test": [2, 6],
        }  # fmt: skip
        return
    for graph, found in zip(graphs, data, strict=True):
        for mask in ("train_mask", "val_mask", "test_mask"):
            assert found[mask].tolist() == graph[mask].tolist()
    known = [value for graph in data.part("train") for value in graph.y.view(-1).tolist() if value == value]
    assert known == [float(number) for number in range(0, count, 4)] * 8


def test_what_to_dag_attached_is_computed_anew(tmp_path):
    graphs = [ToDAG("keep")(graph) for graph in _pyg(canonical_rank=lambda g: torch.arange(4))]
    data = _written(tmp_path / "out", graphs)
    assert set(_decoded(data, data[0])) == {"nodes.x0", "nodes.x1"}
    assert data[0].level.tolist() == graphs[0].level.tolist()
    assert set(_read(tmp_path / "out")["nodes"]) == {"graph", "node", "x0", "x1", "canonical_rank"}
    own = _written(tmp_path / "own", _pyg(level=lambda g: torch.tensor([3, 1, 1, 0])))
    assert _decoded(own, own[0])["nodes.level"] == ["3", "1", "1", "0"]


def test_a_split_of_some_graphs_leaves_others_in_no_part(tmp_path):
    data = _written(tmp_path / "out", _pyg(), split={"train": [0, 1], "valid": torch.tensor([2]), "test": [7]})
    assert {name: rows.tolist() for name, rows in data.split.items()} == {"train": [0, 1], "valid": [2], "test": [7]}


@pytest.mark.parametrize(
    ("y", "task", "level", "expected"),
    [
        (lambda g: ["red", "blue"][g % 2], "classification", "graph", [["1"], ["0"]]),
        (lambda g: torch.tensor([[float(g % 2), float("nan")]]), "multilabel", "graph", None),
        (lambda g: g % 2 == 0, "classification", "graph", None),
        (lambda g: ["a", "b", "a", "c"], "classification", "node", None),
        (lambda g: np.arange(4) % 2, "classification", "node", None),
        (lambda g: 0.25 * g, "regression", "graph", None),
    ],
)
def test_targets_of_every_type(y, task, level, expected, tmp_path):
    if task == "multilabel":
        y_of = y
        y = lambda g: torch.tensor([[float(g % 2), float(g // 2 % 2)]]) if g else y_of(g)  # noqa: E731
    data = _written(tmp_path / "out", _pyg(16, y=y), task=task, level=level)
    names = data.encoding.classes[0]
    for number, graph in enumerate(data):
        found, given = graph.y.view(-1).tolist(), y(number)
        if task == "classification":
            words = [names[int(code)] for code in found]
            given = [given] if isinstance(given, str | bool) else list(given)
            assert words == [str(int(word)) if isinstance(word, bool) else str(word) for word in given]
        else:
            torch.testing.assert_close(graph.y.view(-1), torch.as_tensor(given).float().view(-1), equal_nan=True)


_EDGES = torch.tensor([[0, 1, 2], [1, 2, 3]])
_ONES, _ALL = torch.ones(4), torch.ones(4).bool()


def _data(**attributes):
    return Data(**{"edge_index": _EDGES, "num_nodes": 4, "y": 1.0} | attributes)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda g: _data(edge_index=torch.tensor([[0], [7]])), {}, "graph 0 has an edge of node 7, but only 4 nodes"),
        (lambda g: _data(edge_index=torch.tensor([[0], [-1]])), {}, "graph 0 has an edge of node -1"),
        (lambda g: _data(edge_index=_EDGES.float()), {}, r"graph 0 has an edge_index of \[2, 3\], torch.float32"),
        (lambda g: _data(edge_index=_EDGES.t()), {}, r"graph 0 has an edge_index of \[3, 2\]"),
        (lambda g: _data(edge_index=None), {}, "graph 0 has no edge_index"),
        (lambda g: _data(y=None), {}, "graph 0 has no y"),
        (lambda g: _data(x=torch.ones(3, 1)), {}, r"graph 0 has x \[3, 1\], but 4 nodes"),
        (lambda g: _data(x=torch.eye(4).to_sparse()), {}, "graph 0 has x that is sparse or complex"),
        (lambda g: _data(w=torch.ones(5 + g)), {}, r"attribute 'w' is \[5\], which fits neither its 4 nodes nor its 3"),
        (lambda g: _data(edge_label_index=_EDGES), {}, "attribute 'edge_label_index' numbers nodes"),
        (lambda g: _data(o=object()), {}, "graph 0: attribute 'o' is a object"),
        (lambda g: _data(node_id=["a"]), {}, "1 names in node_id, but 4 nodes"),
        (lambda g: _data(graph_id="a"), {}, "graphs 0 and 1 are both called 'a'"),
        (lambda g: _data(y=0.5 + g), {"task": "classification"}, "graph 0 has y 0.5; labels are whole numbers"),
        (lambda g: _data(y=torch.ones(1, 1 + g)), {}, "graph 1 has 2 targets, but graph 0 has 1"),
        (lambda g: _data(y=torch.ones(1, 1, 1)), {}, r"graph 0 has y \[1, 1, 1\], expected \[1, T\]"),
        (lambda g: _data(train_mask=_ALL), {}, r"train_mask \[4\], but targets are of graphs"),
        (lambda g: _data(y=_ONES, train_mask=_ALL.expand(3, 4).t()), {"level": "node"}, r"train_mask\[:, 0\]"),
        (
            lambda g: _data(y=_ONES, train_mask=_ALL, test_mask=_ALL),
            {"level": "node"},
            "node 0 is in the train part and in test_mask",
        ),
        (lambda g: _data(train_mask=_ALL[0]), {"split": {"train": [0]}}, "have train_mask, and split is given too"),
        (lambda g: _data(), {"split": {"train": [0, 1], "test": [1]}}, r"graph 1 is in split\['train'\] and"),
        (lambda g: _data(), {"split": {"train": [9]}}, r"split\['train'\] has 9, but the 2 graphs count"),
        (lambda g: _data(x=torch.ones(4, 2)), {"node_features": ["a"]}, "x has 2 columns, but 1 names"),
        (lambda g: _data(x=torch.ones(4, 2)), {"node_features": ["a", "a"]}, "two columns 'a'"),
        (lambda g: _data(x=_ONES, y=_ONES), {"level": "node", "target_names": ["x0"]}, "two columns 'x0'"),
        (lambda g: Batch.from_data_list([_data()]), {}, "graph 0 is a batch of graphs; batch.to_data_list"),
        (lambda g: HeteroData(), {}, "graph 0 is a HeteroData"),
    ],
)
def test_what_pyg_graphs_cannot_keep_is_named(make, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_dag_folder([make(0), make(1)], tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []


def test_columns_of_structure_are_found_by_other_readers(tmp_path):
    """``dag.yaml`` says what the columns of structure are called, where attributes have their names."""
    edge = lambda g, e: {"source": "usb", "target": "hdmi", "graph": "g"}  # noqa: E731
    from_networkx(_chains(edge=edge), tmp_path / "out", targets=["y"])
    spec = yaml.safe_load((tmp_path / "out" / "dag.yaml").read_text())
    assert {key: spec["edges"][key] for key in ("graph", "source", "target")} == {
        "graph": "graph_id", "source": "source_id", "target": "target_id",
    }  # fmt: skip
    assert spec["edges"]["features"] == {"source": None, "target": None, "graph": None}


def test_no_graphs(tmp_path):
    for write in (
        lambda: write_dag_folder([], tmp_path / "a"),
        lambda: from_networkx([], tmp_path / "b", targets=["y"]),
    ):
        with pytest.raises(DAGFolderError, match="there is no graph"):
            write()
