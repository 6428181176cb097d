"""Kinds of feature columns: numbers in their own unit, and numbers with mistakes among them."""

import json

import pytest
import torch
from torch_geometric.data import Data

from plstm_graph.cli import main
from plstm_graph.datasets import DAGFolder, write_dag_folder
from plstm_graph.datasets.dag_folder import DAGFolderError
from plstm_graph.datasets.dag_folder.check import check_folder
from plstm_graph.datasets.dag_folder.dataset import OnDiskDAGFolder
from plstm_graph.datasets.dag_folder.encoding import Encoding
from plstm_graph.datasets.dag_folder.unlabelled import read_unlabelled
from plstm_graph.tasks.registry import load_task

SPEC = "targets: [y]\nsplit: part\n"
GRAPHS = "graph,y,part\na,1.5,train\nb,2.5,valid\nc,3.5,test\n"


def folder_of(folder, cells, features="", edges=None):
    """A chain in each of three graphs, whose nodes share out the cells of a column ``size``."""
    size = len(cells) // 3
    ids = [("abc"[number // size], number % size) for number in range(len(cells))]
    ends = [(graph, node - 1, node) for graph, node in ids if node]
    folder.mkdir()
    (folder / "dag.yaml").write_text(SPEC + features)
    (folder / "graphs.csv").write_text(GRAPHS)
    nodes = [f"{graph},{node},{'xy'[node % 2]},{cell}" for (graph, node), cell in zip(ids, cells, strict=True)]
    (folder / "nodes.csv").write_text("\n".join(["graph,node,op,size", *nodes]) + "\n")
    weights = edges or range(len(ends))
    rows = [f"{graph},{start},{end},{w}" for (graph, start, end), w in zip(ends, weights, strict=True)]
    (folder / "edges.csv").write_text("\n".join(["graph,source,target,weight", *rows]) + "\n")
    return folder


RAW = "nodes: {features: {size: raw}}\nedges: {features: {weight: raw}}\n"


@pytest.mark.parametrize("kind", [DAGFolder, OnDiskDAGFolder])
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_raw_numbers_keep_their_unit(kind, scale, tmp_path):
    cells = [str(scale * number) for number in (0.0, 2.5, 7.0, 1.0, 4.0, 3.0, 9.0, 0.5, 20.0)]
    dataset = kind(folder_of(tmp_path / "dags", cells, RAW))
    x = torch.cat([data.x for data in dataset])
    assert x.view(-1).tolist() == torch.tensor(list(map(float, cells))).tolist()  # copies, rounded to float32 alike
    assert torch.cat([data.edge_attr for data in dataset]).view(-1).tolist() == list(range(6))


@pytest.mark.parametrize("cell", ["", "NA", "null"])
def test_a_missing_raw_number_is_the_mean_of_training_and_says_so(cell, tmp_path):
    folder = folder_of(tmp_path / "dags", ["1", "4", cell, "100", cell, "300", "7", "8", "9"], RAW)
    dataset = DAGFolder(folder)
    assert dataset[0].x.tolist() == [[1, 0], [4, 0], [2.5, 1]] and dataset[1].x.tolist() == [
        [100, 0],
        [2.5, 1],
        [300, 0],
    ]
    assert dataset.encoding.node_names == ["size", "size is missing"]


def test_raw_numbers_of_other_folders_are_read_alike(tmp_path):
    dataset = DAGFolder(folder_of(tmp_path / "dags", [str(number) for number in range(9)], RAW))
    encoding = Encoding.load(f"{dataset.processed_dir}/encoding.json")  # as checkpoints have it
    other = folder_of(tmp_path / "other", ["0.125", "-3", "1e30"] * 3, RAW)
    (read, *_) = read_unlabelled(other, dataset.spec, encoding).graphs
    assert read.x.view(-1).tolist() == torch.tensor([0.125, -3, 1e30]).tolist()
    for cell, message in (
        ("1.2.3", "'1.2.3', expected a finite number"),
        ("1e39", "1e+39 somewhere, more than float32"),
    ):
        wrong = folder_of(tmp_path / cell, [cell, "1", "2"] * 3, RAW)
        with pytest.raises(DAGFolderError, match="size") as error:
            read_unlabelled(wrong, dataset.spec, encoding)
        assert message in str(error.value)


def test_a_number_that_never_changes_stays_where_it_is_raw(tmp_path):
    assert DAGFolder(folder_of(tmp_path / "dags", ["5"] * 9, RAW))[0].x.tolist() == [[5]] * 3
    assert DAGFolder(folder_of(tmp_path / "standard", ["5"] * 9))[0].x[:, 0].tolist() == [0] * 3


def test_graphs_are_written_raw(tmp_path):
    graphs = [
        Data(x=torch.tensor([[shift, 0.5], [2.0, 4.0]]), edge_index=torch.tensor([[0], [1]]), y=torch.tensor([shift]))
        for shift in (1.0, 2.0, 3.0)
    ]
    split = {"train": [0], "valid": [1], "test": [2]}
    write_dag_folder(graphs, tmp_path / "raw", split=split, raw=True)
    write_dag_folder(graphs, tmp_path / "standard", split=split)
    assert [data.x.tolist() for data in DAGFolder(tmp_path / "raw")] == [graph.x.tolist() for graph in graphs]
    assert "raw" not in (tmp_path / "standard" / "dag.yaml").read_text()


NUMBERS = [str(number / 4) for number in range(30)]
MISTAKES = {"two points": "1.2.3", "a letter": "12o", "infinite": "inf", "a unit": "3 ms", "hexadecimal": "0x1f"}


@pytest.mark.parametrize("kind", [DAGFolder, OnDiskDAGFolder])
@pytest.mark.parametrize("place", [0, 13, 29])  # in each of the parts
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_makes_no_categories_of_numbers(mistake, place, kind, tmp_path):
    cells = [*NUMBERS[:place], mistake, *NUMBERS[place + 1 :]]
    with pytest.raises(DAGFolderError) as error:
        kind(folder_of(tmp_path / "dags", cells))
    graph = "abc"[place // 10]
    assert [str(problem) for problem in error.value.problems] == [
        f"nodes.csv, line {place + 2}, graph {graph}: feature 'size' is {mistake!r}, expected a finite number",
        "dag.yaml: 29 of 30 values of the feature 'size' are numbers: mend the others; if "
        f"{mistake!r} says that there is no value, add it to `missing`; if they are names of categories, say so: "
        "nodes: {features: {op: null, size: category}}",
    ]


def test_mistakes_are_found_in_edges_and_counted(tmp_path):
    edges = [*map(str, range(89)), *(f"{number}x" for number in range(7))]
    folder = folder_of(tmp_path / "dags", [str(number % 7) for number in range(99)], edges=edges)
    with pytest.raises(DAGFolderError) as error:
        check_folder(folder)
    lines = [problem.line for problem in error.value.problems if problem.file == "edges.csv"]
    assert lines == [91, 92, 93, 94, 95, None] and "and 2 more like the last" in str(error.value)
    assert "`missing`" not in str(error.value)  # no word of its own that might stand for nothing


def test_a_decimal_comma_is_named(tmp_path):
    cells = [*NUMBERS[:7], '"1,5"', *NUMBERS[8:]]
    with pytest.raises(
        DAGFolderError, match=r"line 9, graph a: feature 'size' is '1,5', expected a finite number[^\n]+"
    ):
        check_folder(folder_of(tmp_path / "dags", cells))


def test_mistakes_are_found_in_json_lines(tmp_path):
    nodes = [{"id": number, "size": number / 3} for number in range(20)]
    edges = [{"source": number, "target": number + 1} for number in range(19)]
    lines = [
        {"graph": name, "y": 1, "part": name, "nodes": nodes, "edges": edges} for name in ("train", "valid", "test")
    ]
    lines[1] = lines[1] | {"nodes": [*nodes[:-1], {"id": 19, "size": "6.3.3"}]}
    (tmp_path / "dag.yaml").write_text(SPEC)
    (tmp_path / "dags.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(
        DAGFolderError, match=r"line 2, graph valid: feature 'size' is '6\.3\.3', expected a finite number"
    ):
        check_folder(tmp_path)


@pytest.mark.parametrize("word", ["12o", "inf", "?"])
def test_what_to_do_about_mistakes_works(word, tmp_path):
    cells = [str(number % 4) for number in range(29)] + [word]
    said = folder_of(tmp_path / "said", cells, "nodes: {features: {op: null, size: category}}\n")
    assert check_folder(said).features[1] == "nodes.size: 4 categories: 0, 1, 2, 3"
    missing = folder_of(tmp_path / "missing", cells, f"missing: ['{word}']\n")
    assert check_folder(missing).features[1].startswith("nodes.size: number, mean")


@pytest.mark.parametrize("words", [["low"] * 6, ["A", "B", "C", "D"], ["?"] * 14])
def test_a_mixture_is_said(words, tmp_path, capsys):
    cells = [str(number % 5) for number in range(30)]
    cells[30 - len(words) :] = words
    folder = folder_of(tmp_path / "dags", cells)
    expected = (
        f"nodes.size: taken for categories, though {30 - len(words)} of 30 values are numbers (nodes.csv, line "
        f"{32 - len(words)}, graph {'c' if len(words) < 11 else 'b'}: it is {words[0]!r}); mend it, or add it to"
    )
    assert main(["check", str(folder)]) == 0
    assert f"mixed            {expected}" in " ".join(capsys.readouterr().out.split("\n"))
    (note,) = [note for note in load_task("dag_folder", path=str(folder)).notes if "taken for" in note]
    assert note.startswith(expected)


@pytest.mark.parametrize("words", [["x", "y", "z"], ["1", "2", "3"], ["1", "x", "2"]])
def test_plain_columns_are_of_no_mixture(words, tmp_path):
    """Categories, numbers, and as many words as numbers, such as digits in base sixteen."""
    cells = [words[number % len(words)] for number in range(30)]
    if len(set(words) & {"x"}) and "1" in words:
        cells = [*"0123456789", *"abcdefghij", *"01234", *"abcde"]
    assert check_folder(folder_of(tmp_path / "dags", cells)).mixed == {}
