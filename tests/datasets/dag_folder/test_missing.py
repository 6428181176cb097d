"""Words that stand for no value: of all columns, of one, of a target; and all faults of dag.yaml at once."""

import math

import numpy as np
import pandas as pd
import pytest

from plstm_graph.datasets import DAGFolder, OnDiskDAGFolder
from plstm_graph.datasets.dag_folder import DAGFolderError
from plstm_graph.datasets.dag_folder.check import check_folder
from plstm_graph.datasets.dag_folder.missing import MissingWords
from plstm_graph.datasets.dag_folder.spec_file import spec_of

_NODES = [
    ("add", "-1.0", "1"),
    ("?", "2", "-1"),
    ("NA", "3", "0"),
    ("add", "-1", "1"),
    ("mul", "4", "0"),
    ("?", "5", "-1"),
]


def folder(path, missing):
    path.mkdir()
    rows = "".join(f"{number // 2},{number},{','.join(cells)}\n" for number, cells in enumerate(_NODES * 4))
    (path / "nodes.csv").write_text(f"graph,node,op,duration,label\n{rows}")
    (path / "edges.csv").write_text("graph,source,target\n" + "".join(f"{n},{2 * n},{2 * n + 1}\n" for n in range(12)))
    (path / "dag.yaml").write_text(f"targets: [label]\nlevel: node\ntask: classification\nmissing: {missing}\n")
    return path


@pytest.mark.parametrize("kind", [DAGFolder, OnDiskDAGFolder])
def test_each_column_has_words_of_its_own(kind, tmp_path):
    made = folder(tmp_path / "a", '{duration: -1, op: ["?"], nodes.label: [-1, NA]}')
    dataset = kind(str(made))
    assert dataset.encoding.classes == [["0", "1"]]
    labels = [value for data in dataset for value in data.y.view(-1).tolist()]
    assert [math.isnan(value) for value in labels] == [cells[2] == "-1" for cells in _NODES * 4]
    columns = {column.name: column for column in dataset.encoding.columns}
    assert columns["op"].words == ["NA", "add", "mul"] and columns["duration"].missing
    assert columns["duration"].mean >= 2


def test_check_counts_missing_cells_of_each_column(tmp_path):
    made = folder(tmp_path / "a", '{duration: -1, op: ["?"], label: -1}')
    assert check_folder(made).missing == {"nodes.op": 8, "nodes.duration": 8, "nodes.label": 8}
    other = folder(tmp_path / "b", '{"*": ["?", -1]}')
    assert check_folder(other).missing == {"nodes.op": 8, "nodes.duration": 8, "nodes.label": 8}


def test_a_column_that_there_is_not(tmp_path):
    made = folder(tmp_path / "a", '{duraton: -1, label: -1, nodes.ops: "?"}')
    with pytest.raises(DAGFolderError) as caught:
        check_folder(made)
    text = str(caught.value)
    assert "missing has 'duraton', which is no column (did you mean duration?)" in text
    assert "missing has 'nodes.ops', which is no column (did you mean nodes.op?)" in text


def test_words_by_table():
    words = MissingWords("edges", ["NA"], {"w": ["0"], "nodes.w": ["1"], "edges.kind": ["none"]})
    values = pd.DataFrame(
        {"w": ["0", "0.0", "1", "NA"], "kind": ["none", "NA", "", "x"], "z": ["NA", "0", "1", "none"]}
    )
    assert words.masked(values).isna().to_numpy().T.tolist() == [
        [True, True, False, False],
        [True, False, True, False],
        [True, False, False, False],
    ]
    assert np.array_equal(words.masked(words.masked(values)).isna(), words.masked(values).isna())


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ({"a": [None]}, "missing.a has words that YAML takes for [None]; put them in quotes"),
        ([True], "missing has words that YAML takes for [True]; put them in quotes"),
        ({"a": ["x", "x"]}, "missing.a has 'x' more than once"),
        (3, "missing must be a list of names, got 3"),
    ],
)
def test_words_that_are_none(missing, message):
    with pytest.raises(DAGFolderError) as caught:
        spec_of({"missing": missing})
    assert message in str(caught.value)


def test_all_faults_of_dag_yaml_are_told_at_once_by_the_line(tmp_path):
    made = folder(tmp_path / "a", "[NA]")
    (made / "dag.yaml").write_text(
        "target: [label]\ntask: rank\nnodes:\n  feature: [op]\n  id: 7\nsplit:\n  fractions: [1, 2]\n  seed: soon\n"
        "edges:\n  features: {w: text}\n"
    )
    with pytest.raises(DAGFolderError) as caught:
        check_folder(made)
    lines = [(problem.line, problem.message.split(",")[0]) for problem in caught.value.problems]
    assert sorted(lines) == [
        (1, "the file has an unknown key 'target'"),
        (2, "task must be one of regression"),
        (4, "nodes has an unknown key 'feature'"),
        (5, "nodes.id must be a name"),
        (7, "split.fractions must be three positive numbers of sum 1"),
        (8, "split.seed must be a whole number"),
        (10, "edges.features.w must be number"),
    ]


def test_columns_that_are_not_there_are_told_at_once(tmp_path):
    made = folder(tmp_path / "a", "[NA]")
    (made / "dag.yaml").write_text("targets: [labl]\nlevel: node\nsplit: prt\nnodes: {features: [opp, size]}\n")
    with pytest.raises(DAGFolderError) as caught:
        check_folder(made)
    text = str(caught.value)
    for name in ("'labl' (the target", "'prt' (the split", "'opp' (a feature", "'size' (a feature"):
        assert f"no column {name}" in text
    assert "did you mean label?" in text and "did you mean op?" in text
