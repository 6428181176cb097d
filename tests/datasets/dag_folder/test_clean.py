"""`clean`: what is dropped, by kind, and that the copy is sound and otherwise the same."""

import csv
import gzip
import json

import pytest

from plstm_graph.datasets import DAGFolder
from plstm_graph.datasets.dag_folder import DAGFolderError
from plstm_graph.datasets.dag_folder.check import check_folder
from plstm_graph.datasets.dag_folder.clean import clean_folder
from plstm_graph.datasets.dag_folder.cleaning import TimeRule

_GOOD = {
    "dag.yaml": "targets: [y]\nsplit: part\n",
    "graphs.csv": "graph,y,part\na,1.5,train\nb,2.5,valid\nc,3.5,test\n",
    "nodes.csv": "graph,node,op,year\na,1,add,1999\na,2,mul,2001\na,3,add,2001\nb,1,add,\nb,2,mul,1990\nc,1,add,5\n",
    "edges.csv": "graph,source,target,weight\na,1,2,0.5\na,2,3,0.25\nb,1,2,1\n",
}


def write(folder, files):
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def added(**rows):
    return _GOOD | {f"{name}.csv": _GOOD[f"{name}.csv"] + text for name, text in rows.items()}


def cleaned(tmp_path, files, time=None):
    folder = write(tmp_path / "old", files)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    clean_folder(folder, tmp_path / "new", time)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    check_folder(tmp_path / "new")
    with (tmp_path / "new" / "dropped.csv").open() as file:
        return [tuple(row.values()) for row in csv.DictReader(file)]


_NO_END, _AGAIN = "an end of the edge is no node of its graph", "the same row stands there before"
_OTHER = "stands there before with other values; the first row stays"
_NO_GRAPH = "there is no such graph in graphs.csv"

#: What is added to each table, and the row of dropped.csv.
_DROPPED = {
    "self-loop": ("edges", "a,2,2,1", "5", "a", "2 -> 2", "the edge leads from a node to itself"),
    "unknown end": ("edges", "a,2,9,1", "5", "a", "2 -> 9", _NO_END),
    "node of another graph": ("edges", "c,1,2,1", "5", "c", "1 -> 2", _NO_END),
    "same edge": ("edges", "a,1,2,0.5", "5", "a", "1 -> 2", _AGAIN),
    "cycle": ("edges", "a,3,1,7", "5", "a", "3 -> 1", "the edge closes a cycle"),
    "edge without end": ("edges", "a,3,,7", "5", "a", "3 -> ", "column 'target' is empty"),
    "edge of unknown graph": ("edges", "z,1,2,7", "5", "z", "1 -> 2", _NO_GRAPH),
    "edge without graph": ("edges", ",1,2,7", "5", "", "1 -> 2", "column 'graph' is empty"),
    "same node": ("nodes", "a,3,add,2001", "8", "a", "3", _AGAIN),
    "other node": ("nodes", "a,3,mul,2001", "8", "a", "3", f"the node {_OTHER}"),
    "node without name": ("nodes", "a,NA,mul,2001", "8", "a", "", "column 'node' is empty"),
    "node of unknown graph": ("nodes", "z,1,mul,2001", "8", "z", "1", _NO_GRAPH),
    "same graph": ("graphs", "b,2.5,valid", "5", "b", "", _AGAIN),
    "other graph": ("graphs", "b,2,valid", "5", "b", "", f"the graph {_OTHER}"),
    "graph without nodes": ("graphs", "d,2,valid", "5", "d", "", "the graph has no nodes"),
}


@pytest.mark.parametrize("kind", _DROPPED)
def test_what_is_dropped(kind, tmp_path):
    table, row, *expected = _DROPPED[kind]
    assert cleaned(tmp_path, added(**{table: f"{row}\n"})) == [(f"{table}.csv", *expected)]
    for name, text in _GOOD.items():
        assert (tmp_path / "new" / name).read_text() == text


def test_a_good_folder_stays_as_it_is(tmp_path):
    nodes = '\ufeffgraph, node ,op,year\r\na,1,"x, y",1\r\na,2, mul,2\na,3,"""q""",\nb,1,,\nb,2,"a\nb",NA\nc,1,é,5\n'
    files = _GOOD | {"nodes.csv": nodes}
    assert cleaned(tmp_path, files) == []
    assert (tmp_path / "new" / "nodes.csv").read_text() == (tmp_path / "old" / "nodes.csv").read_text()
    assert DAGFolder(str(tmp_path / "old"))[1].x.tolist() == DAGFolder(str(tmp_path / "new"))[1].x.tolist()


def test_cells_keep_their_text(tmp_path):
    rows = 'a,1," x, y",1.50\na,2,NA,2\na,3,"""q""",\nb,1,,\nb,2,"a\nb",NA\nc,1,é ,5\n'
    files = added() | {"nodes.csv": "graph,node,op,year\n" + rows + "a,1,z,1\n"}
    assert len(cleaned(tmp_path, files)) == 1
    rows = []
    for name in ("old", "new"):
        with (tmp_path / name / "nodes.csv").open(newline="") as file:
            rows.append(list(csv.reader(file)))
    assert rows[1] == rows[0][:-1]


def test_parallel_edges_that_differ_and_chains_through_dropped_edges(tmp_path):
    found = cleaned(tmp_path, added(edges="a,1,2,0.75\na,2,1,1\na,3,2,1\na,3,1,1\n"))
    assert {row[-1] for row in found} == {"the edge closes a cycle"}
    assert {row[1] for row in found} == {"3", "6"}


@pytest.mark.parametrize(
    ("rule", "gone"),
    [
        (TimeRule("year"), []),  # as many lead to later nodes
        (TimeRule("year", "later", "drop"), ["2 -> 3"]),
        (TimeRule("year", "earlier"), ["1 -> 2"]),
        (TimeRule("year", "earlier", "drop"), ["1 -> 2", "2 -> 3"]),
    ],
)
def test_times(rule, gone, tmp_path):
    found = cleaned(tmp_path, _GOOD, rule)
    assert [row[3] for row in found] == gone  # those of graph b have an end without a time


def test_dates_are_times_and_most_edges_say_the_direction(tmp_path):
    dates = "a,1,add,2001-05-01\na,2,mul,2001-04-30T12:00:00\na,3,add,1999\nb,1,x,\nb,2,x,2000\nc,1,x,\n"
    files = _GOOD | {"nodes.csv": f"graph,node,op,year\n{dates}", "edges.csv": _GOOD["edges.csv"] + "a,3,1,1\n"}
    found = cleaned(tmp_path, files, TimeRule("year"))
    assert [row[3:] for row in found] == [("3 -> 1", "the edge runs against time")]


@pytest.mark.parametrize(
    ("nodes", "column", "message"),
    [
        ("a,1,x,soon\n", "year", "nodes.csv, line 8: time 'year' is 'soon', expected a number or a date"),
        ("", "yaer", "no column 'yaer' (the times) (did you mean year?); its columns are graph, node, op, year"),
    ],
)
def test_bad_times(nodes, column, message, tmp_path):
    folder = write(tmp_path / "old", added(nodes=nodes.replace("a,1", "a,77")))
    with pytest.raises(DAGFolderError) as caught:
        clean_folder(folder, tmp_path / "new", TimeRule(column))
    assert message in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_without_a_table_of_nodes_or_column_of_graphs(tmp_path):
    files = {
        "dag.yaml": "targets: [y]\nlevel: edge\n",
        "edges.csv": "source,target,y\n" + "".join(f"{n},{n + 1},{n}\n" for n in range(20)) + "20,0,1\n5,5,1\n3,4,3\n",
    }
    found = cleaned(tmp_path, files)
    assert [row[3] for row in found] == ["5 -> 5", "3 -> 4", "20 -> 0"]


@pytest.mark.parametrize("packed", [False, True])
def test_json_lines(packed, tmp_path):
    ring = [{"source": a, "target": b} for a, b in [(1, 2), (2, 3), (3, 1), (2, 2), (1, 9), (1, 2)]]
    nodes = [{"id": each, "op": {"kind": "é"}, "v": [1, 0.5]} for each in (1, 2, 3, 1)]
    lines = [{"graph": name, "y": y, "nodes": nodes, "links": ring} for y, name in enumerate("abcdefghij")]
    text = "".join(json.dumps(line) + "\n" for line in [*lines, {"graph": "z", "y": 1, "nodes": [], "edges": []}])
    folder = write(tmp_path / "old", {"dag.yaml": "targets: [y]\n"})
    name = "dags.jsonl.gz" if packed else "dags.jsonl"
    (folder / name).write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    found = clean_folder(folder, tmp_path / "new")
    assert found.counts == {"graphs": 10, "nodes": 30, "edges": 20}
    reasons = sorted((each.table, len(each.rows)) for each in found.cleaning.dropped)
    assert reasons == [("edges", 10)] * 4 + [("graphs", 1), ("nodes", 10)]
    check_folder(tmp_path / "new")
    content = (tmp_path / "new" / name).read_bytes()
    first = json.loads((gzip.decompress(content) if packed else content).splitlines()[0])
    assert first == lines[0] | {"nodes": lines[0]["nodes"][:3], "links": ring[:2]}


def test_parquet(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    from pyarrow import csv as arrow

    folder = write(tmp_path / "old", added(edges="a,2,2,1\n"))
    pq.write_table(arrow.read_csv(folder / "edges.csv"), folder / "edges.parquet")
    (folder / "edges.csv").unlink()
    clean_folder(folder, tmp_path / "new")
    assert len(pq.read_table(tmp_path / "new" / "edges.parquet")) == 3
    check_folder(tmp_path / "new")


def test_what_dropping_does_not_mend_is_named_by_the_lines_of_the_old_files(tmp_path):
    folder = write(tmp_path / "old", added(edges="a,2,2,1\na,1,3,soon\n", graphs="c,4,test\nb,fast,valid\n") | {
        "graphs.csv": "graph,y,part\na,1.5,train\na,1.5,train\nb,fast,valid\nc,3.5,test\n"})  # fmt: skip
    with pytest.raises(DAGFolderError) as caught:
        clean_folder(folder, tmp_path / "new")
    assert "graphs.csv, line 4, graph b: target 'y' is 'fast', expected a finite number" in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_where_nothing_may_be_written(tmp_path):
    folder = write(tmp_path / "old", _GOOD)
    for inner in (folder, folder / "new"):
        with pytest.raises((ValueError, FileExistsError)):
            clean_folder(folder, inner)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine").touch()
    with pytest.raises(FileExistsError, match="not empty"):
        clean_folder(folder, tmp_path / "new")
    assert sorted(path.name for path in folder.iterdir()) == sorted(_GOOD)
