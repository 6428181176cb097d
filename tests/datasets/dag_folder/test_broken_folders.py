"""Kinds of broken folders, each with the message it gets."""

import gzip
from pathlib import Path

import pytest

from plstm_graph.datasets.dag_folder import DAGFolderError
from plstm_graph.datasets.dag_folder.check import check_folder

_GOOD = {
    "dag.yaml": "targets: [y]\nsplit: part\n",
    "graphs.csv": "graph,y,part\na,1.5,train\nb,2.5,valid\nc,3.5,test\n",
    "nodes.csv": "graph,node,op,size\na,1,add,1\na,2,mul,2\na,3,add,3\nb,1,add,1\nb,2,mul,2\nc,1,add,5\n",
    "edges.csv": "graph,source,target,weight\na,1,2,0.5\na,2,3,0.25\nb,1,2,1\n",
}
_JSON = '{"graph": "a", "y": 1, "nodes": [{"id": 1}, {"id": 2}], "edges": [{"source": 1, "target": 2}]}\n'


def _write(folder, files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content, encoding="utf-8")
    return folder


def _with(name, old, new):
    """The good folder with one change in one file."""
    assert old in _GOOD[name]
    return _GOOD | {name: _GOOD[name].replace(old, new, 1)}


def _without(name):
    return {key: content for key, content in _GOOD.items() if key != name}


_BROKEN = {
    # dag.yaml
    "no YAML": (_GOOD | {"dag.yaml": "targets: [y\n"}, "dag.yaml, line 2: no YAML: expected ',' or ']'"),
    "a list": (_GOOD | {"dag.yaml": "- y\n"}, "dag.yaml: the file must be keys with values, got ['y']"),
    "unknown key": (_GOOD | {"dag.yaml": "target: y\n"}, "unknown key 'target', did you mean 'targets'?"),
    "unknown key of a table": (
        _GOOD | {"dag.yaml": "nodes: {fil: x}\n"},
        "nodes has an unknown key 'fil', did you mean",
    ),
    "unknown task": (
        _GOOD | {"dag.yaml": "task: rank\n"},
        "task must be one of regression, classification, multilabel",
    ),
    "unknown level": (_GOOD | {"dag.yaml": "level: path\n"}, "level must be one of graph, node, edge, got 'path'"),
    "unknown kind": (
        _GOOD | {"dag.yaml": "nodes: {features: {op: text}}\n"},
        "op must be number, raw or category, got 'text'",
    ),
    "two classes": (_GOOD | {"dag.yaml": "task: classification\ntargets: [y, z]\n"}, "classification has one target"),
    "fractions": (
        _GOOD | {"dag.yaml": "targets: y\nsplit: {fractions: [1, 1, 1]}\n"},
        "three positive numbers of sum 1",
    ),
    "no targets": (_GOOD | {"dag.yaml": ""}, "no targets: say which columns of graphs (graph, y, part) to predict"),
    "named file": (
        _GOOD | {"dag.yaml": "nodes: {file: n.csv}\n"},
        "nodes.file is 'n.csv', but the folder has dag.yaml",
    ),
    "a target as feature": (
        _GOOD | {"dag.yaml": "targets: y\ngraphs: {features: [y]}\n"},
        "graphs.features has 'y', which is a target, the split or an identifier",
    ),
    # files
    "no edges": (_without("edges.csv"), "neither edges.csv (or .csv.gz, .parquet) nor dags.jsonl is there"),
    "two files": (_GOOD | {"nodes.csv.gz": gzip.compress(b"x")}, "the folder has nodes.csv and nodes.csv.gz"),
    "empty file": (_GOOD | {"nodes.csv": ""}, "nodes.csv: empty: a header with the names of the columns was expected"),
    "binary": (_GOOD | {"nodes.csv": b"graph,node\na,1\na,\xff\n"}, "nodes.csv, line 3: not UTF-8 text"),
    "cut gzip": (
        _without("nodes.csv") | {"nodes.csv.gz": gzip.compress(b"graph,node" * 99)[:20]},
        "nodes.csv.gz: the file is damaged or cut short, not a complete gzip file",
    ),
    "column twice": (_with("nodes.csv", "op,size", "op,op"), "nodes.csv, line 1: more than one column is named 'op'"),
    "nameless column": (_with("nodes.csv", "op,size", ",size"), "nodes.csv, line 1: column 3 has no name"),
    "too many fields": (_with("edges.csv", "0.25", "0.25,1"), "edges.csv, line 3: 5 fields, the header has 4"),
    "too few fields": (_with("edges.csv", ",0.25", ""), "edges.csv, line 3: 3 fields, the header has 4"),
    # columns and identifiers
    "no column": (
        _with("edges.csv", "source", "from"),
        "edges.csv: no column 'source' (source); its columns are graph, fr",
    ),
    "no graph column": (
        _with("edges.csv", "graph,", "g,"),
        "edges.csv: no column 'graph' (the graph, which graphs.csv has too)",
    ),
    "no target column": (_with("graphs.csv", "y,part", "z,part"), "graphs.csv: no column 'y' (the target)"),
    "no split column": (_with("graphs.csv", "part", "fold"), "graphs.csv: no column 'part' (the split)"),
    "named feature": (_with("dag.yaml", "split", "nodes: {features: [cost]}\nsplit"), "no column 'cost' (a feature)"),
    "no identifier": (
        _with("edges.csv", "a,2,3", "a,,3"),
        "edges.csv, line 3: column 'source' is empty, an identifier",
    ),
    "unknown graph": (_with("nodes.csv", "c,1", "d,1"), "nodes.csv, line 7, graph d: graphs.csv has no such graph"),
    "graph twice": (
        _with("graphs.csv", "b,2.5", "a,2.5"),
        "graphs.csv, line 3, graph a: this graph stands in the table",
    ),
    "graph without nodes": (
        _with("graphs.csv", "c,3", "d,3,test\nc,3"),
        "graphs.csv, line 4, graph d: the graph has no n",
    ),
    "node twice": (
        _with("nodes.csv", "a,3", "a,1"),
        "nodes.csv, line 4, graph a: node 1 stands twice, first in line 2",
    ),
    "unknown node": (
        _with("edges.csv", "b,1,2", "b,1,3"),
        "edges.csv, line 4, graph b: target 3 is no node of this graph",
    ),
    # graphs
    "cycle": (
        _with("edges.csv", "b,1,2", "a,3,1,0\nb,1,2"),
        "edges.csv, line 4, graph a: a cycle of 3 nodes: 1 -> 2 -> 3 -> 1",
    ),
    "self-loop": (
        _with("edges.csv", "b,1,2", "b,2,2"),
        "edges.csv, line 4, graph b: a cycle: node 2 has an edge to itself",
    ),
    # values
    "target no number": (
        _with("graphs.csv", "2.5", "much"),
        "graphs.csv, line 3, graph b: target 'y' is 'much', expected a",
    ),
    "infinite target": (_with("graphs.csv", "2.5", "inf"), "graph b: target 'y' is 'inf', expected a finite number"),
    "label": (
        _with("dag.yaml", "split", "task: multilabel\nsplit"),
        "graphs.csv, line 2, graph a: target 'y' is '1.5', a number, and the column has 3 different",
    ),
    "target without values": (
        _GOOD | {"graphs.csv": "graph,y,part\na,,train\nb,,valid\nc,,test\n"},
        "graphs.csv: target 'y' has no value at all",
    ),
    "one class": (
        _GOOD
        | {"dag.yaml": "targets: y\ntask: classification\nsplit: part"}
        | {"graphs.csv": "graph,y,part\na,p,train\nb,p,valid\nc,p,test\n"},
        "target 'y' is 'p', in every row; at least two classes are needed",
    ),
    "split word": (
        _with("graphs.csv", "valid", "maybe"),
        "line 3, graph b: split 'part' is 'maybe', expected one of train",
    ),
    "empty part": (
        _with("graphs.csv", "valid", "train"),
        "the valid part of the graphs would be empty (train 2, valid 0, t",
    ),
    "small for a random split": (
        _with("dag.yaml", "split: part", ""),
        "dag.yaml: the valid part of the graphs would be em",
    ),
    "feature no number": (
        _with("dag.yaml", "split", "nodes: {features: {op: number}}\nsplit"),
        "nodes.csv, line 2, graph a: feature 'op' is 'add', expected a finite number",
    ),
    # JSON lines
    "no JSON": (
        {"dag.yaml": "targets: y", "dags.jsonl": _JSON + "{x}\n"},
        "dags.jsonl, line 2: no JSON: Expecting propert",
    ),
    "no object": (
        {"dag.yaml": "targets: y", "dags.jsonl": "[]\n"},
        "dags.jsonl, line 1: an object was expected, got a list",
    ),
    "no nodes": (
        {"dag.yaml": "targets: y", "dags.jsonl": '{"edges": []}\n'},
        "line 1: 'nodes' must be a list of objects",
    ),
    "node without id": (
        {"dag.yaml": "targets: y", "dags.jsonl": '{"nodes": [{"x": 1}], "edges": []}\n'},
        "dags.jsonl, line 1: node 0 has no 'id'",
    ),
    "vectors of two lengths": (
        {
            "dag.yaml": "targets: y",
            "dags.jsonl": '{"nodes": [{"id": 1, "x": [1, 2]}, {"id": 2, "x": [1]}], "links": []}\n',
        },
        "dags.jsonl, line 1: attribute 'x' has 2 values at node 0, but 1 value at node 1; vectors of one",
    ),
    "a vector and a number": (
        {
            "dag.yaml": "targets: y",
            "dags.jsonl": '{"nodes": [{"id": 1, "x": 1}, {"id": 2, "x": [1]}], "links": []}\n',
        },
        "dags.jsonl, line 1: attribute 'x' has a single value at node 0, but 1 value at node 1",
    ),
    "two attributes, one column": (
        {"dag.yaml": "targets: y", "dags.jsonl": '{"nodes": [{"id": 1, "x": [1], "x.0": 2}], "links": []}\n'},
        "line 1: node 0: the attributes 'x' and 'x.0' both become the column 'x.0'; rename one of them",
    ),
    "attribute like a column of structure": (
        {"dag.yaml": "targets: y", "dags.jsonl": '{"nodes": [{"id": 1, "node": 5}], "links": []}\n'},
        "line 1: node 0 has an attribute 'node', as the column of its structure is called",
    ),
    "edge with an attribute graph": (
        {
            "dag.yaml": "targets: y",
            "dags.jsonl": '{"nodes": [{"id": 1}, {"id": 2}], "links": [{"source": 1, "target": 2, "graph": 7}]}\n',
        },
        "line 1: edge 0 has an attribute 'graph', as the column",
    ),
    "key twice": (
        {"dag.yaml": "targets: y", "dags.jsonl": '{"y": 1, "nodes": [{"id": 1, "x": 1, "x": 2}], "links": []}\n'},
        "dags.jsonl, line 1: an object has the key 'x' twice",
    ),
    "undirected": (
        {"dag.yaml": "targets: y", "dags.jsonl": '{"directed": false, "graph": {}, "nodes": [], "links": []}\n'},
        "line 1: 'directed' is false; a DAG needs directed edges",
    ),
    "attribute of the graph twice": (
        {"dag.yaml": "targets: y", "dags.jsonl": '{"y": 1, "graph": {"y": 2}, "nodes": [], "links": []}\n'},
        "line 1: 'y' is an attribute of the graph twice",
    ),
    "nested without end": (
        {"dag.yaml": "targets: y", "dags.jsonl": '{"y":' * 100_000 + "\n"},
        "line 1: objects or lists are nested too deeply",
    ),
    "a number without end": (
        {"dag.yaml": "targets: y", "dags.jsonl": '{"y": ' + "1" * 5000 + "}\n"},
        "line 1: Exceeds the limit",
    ),
}


def test_the_set_that_comes_with_the_repository_is_good():
    found = check_folder(Path(__file__).parents[3] / "datasets" / "nas_bench_graph_proteins")
    assert found.counts["graphs"] == 2021
    assert found.split == {"train graphs": 1415, "valid graphs": 202, "test graphs": 404}
    assert found.left_out == {}


def test_the_good_folder_is_good(tmp_path):
    found = check_folder(_write(tmp_path, _GOOD))
    assert found.counts == {"graphs": 3, "nodes": 6, "edges": 3, "isolated nodes": 1, "duplicate edges": 0}


@pytest.mark.parametrize("kind", _BROKEN)
def test_each_broken_folder_gets_its_message(kind, tmp_path):
    files, message = _BROKEN[kind]
    folder = _write(tmp_path / "dags", files)
    with pytest.raises(DAGFolderError) as error:
        check_folder(folder)
    assert message in str(error.value)
    assert str(folder) in str(error.value)
    assert {path.name for path in folder.iterdir()} == set(files)


def test_all_problems_are_listed_at_once(tmp_path):
    files = _GOOD | {
        "nodes.csv": _GOOD["nodes.csv"].replace("c,1", "d,1"),
        "edges.csv": _GOOD["edges.csv"] + "a,3,1,0\nb,2,9,0\n",
        "graphs.csv": _GOOD["graphs.csv"].replace("2.5", "x"),
    }
    with pytest.raises(DAGFolderError) as error:
        check_folder(_write(tmp_path, files))
    found = [(problem.file, problem.line, problem.graph) for problem in error.value.problems]
    expected = {
        *(("nodes.csv", 7, "d"), ("edges.csv", 5, "a"), ("edges.csv", 6, "b")),
        *(("graphs.csv", 3, "b"), ("graphs.csv", 4, "c")),
    }
    assert set(found) == expected


def test_many_problems_of_one_kind_are_counted(tmp_path):
    edges = "graph,source,target\n" + "".join(f"a,{number},1\n" for number in range(100, 150))
    with pytest.raises(DAGFolderError, match="and 40 more edges of unknown nodes"):
        check_folder(_write(tmp_path, _GOOD | {"edges.csv": edges}))


def test_lines_are_counted_through_quoted_line_breaks_and_blank_lines(tmp_path):
    nodes = 'graph,node,op,size\na,1,"ad\nd",1\n\na,2,mul,2\na,3,add,3\nb,1,x,1\nb,2,x,2\nc,1,x,1\nc,1,x,1\n'
    with pytest.raises(DAGFolderError, match=r"nodes\.csv, line 10, graph c: node 1 stands twice, first in line 9"):
        check_folder(_write(tmp_path, _GOOD | {"nodes.csv": nodes}))


def test_a_long_cycle_is_shortened(tmp_path):
    edges = "graph,source,target\n" + "".join(f"a,{number},{(number + 1) % 100}\n" for number in range(100))
    files = {"dag.yaml": "targets: y\n", "edges.csv": edges, "graphs.csv": "graph,y\na,1\n"}
    with pytest.raises(DAGFolderError, match="a cycle of 100 nodes: ") as error:
        check_folder(_write(tmp_path, files))
    assert " -> ... -> " in str(error.value)
    assert len(str(error.value)) < 500


def test_cycles_of_several_graphs_are_found(tmp_path):
    edges = "graph,source,target\n" + "".join(f"{graph},1,2\n{graph},2,1\n" for graph in "abc")
    files = {"dag.yaml": "targets: y\n", "edges.csv": edges, "graphs.csv": "graph,y\na,1\nb,2\nc,3\n"}
    with pytest.raises(DAGFolderError) as error:
        check_folder(_write(tmp_path, files))
    cycles = [problem for problem in error.value.problems if "cycle" in problem.message]
    assert sorted((problem.graph, problem.message) for problem in cycles) == [
        (graph, "a cycle of 2 nodes: 1 -> 2 -> 1") for graph in "abc"
    ]


def test_missing_folder_and_missing_yaml(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        check_folder(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"has no dag\.yaml"):
        check_folder(tmp_path)
