"""Tables as people have them: separators, headers, words for missing values; real rows, from `fit` to `predict`."""

import csv
import gzip
import io
import json

import pytest

from plstm_graph.cli import main
from tests.tables import rows_of

pytestmark = pytest.mark.slow
_FIT = ("fit", "--task.name", "molecules", "--task.split", "random", "--seeds", "0", "--threads", "1")
_FIT += ("--device", "cpu", "--models", "{tiny: {class_path: tests.train.tiny_model.TinyModel}}")
_FIT += (
    "--training.epochs",
    "1",
    "--baselines",
    "false",
    "--allow",
    "tests",
    "--task.root",
    "processed",
    "--task.path",
)


@pytest.fixture(scope="module")
def rows(real_data):
    """SMILES, a name with commas, solubility and group of some molecules of AqSolDB."""
    with gzip.open(real_data / "aqsoldb" / "curated-solubility-dataset.csv.gz", "rt") as file:
        found = [row for row, _ in zip(csv.DictReader(file), range(40), strict=False)]
    return [[row["SMILES"], row["Name"].replace("\t", " "), row["Solubility"], row["Group"]] for row in found]


def _written(path, header, rows, mark=","):
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=mark).writerows(([] if header is None else [header]) + rows)
    path.write_bytes(file.getvalue().encode())
    return path.name


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _fitted(capsys, name, *options):
    """What `fit` says of a table, and its checkpoint."""
    assert main([*_FIT, name, "--name", "run", *options]) == 0
    return capsys.readouterr().err, "runs/run/best.ckpt"


def _commas(rows):
    return [[smiles, name, value.replace(".", ","), group] for smiles, name, value, group in rows]


@pytest.mark.parametrize(
    ("file", "names", "mark", "said", "again"),
    [
        ("t.csv", "SMILES Name logS Group", ",", "SMILES are taken from the column 'SMILES'", False),
        ("t.csv", "Drug Name logS Group", ";", "separated by semicolons; decimal commas of 'logS'", True),
        ("t.tsv", "smiles Name logS Group", "\t", "separated by tabs", True),
        ("t.txt", "what Name logS Group", "|", "taken from the column 'what', whose cells are molecules", False),
        ("t.smi", "", "\t", "no header: its columns are called column_0", True),
        ("t.csv", "", ",", "no header: its columns are called column_0", True),
    ],
)
def test_from_training_to_prediction(capsys, tmp_path, rows, file, names, mark, said, again):
    """What `fit` says of a table, `predict` says too, but for the name of a column that it knows."""
    name = _written(tmp_path / file, names.split() or None, _commas(rows) if mark == ";" else rows, mark)
    message, checkpoint = _fitted(capsys, name, "--task.target_columns", "logS" if names else "2")
    assert said in message
    assert main(["predict", "--ckpt_path", checkpoint, name, "--output", "out.csv", "--allow", "tests"]) == 0
    assert (said in capsys.readouterr().err) == again
    predicted = rows_of("out.csv")
    assert [row["smiles"] for row in predicted] == [row[0] for row in rows]
    column = "logS" if names else "column_2"
    assert all(float(row[f"predicted_{column}"]) for row in predicted)
    assert [float(row[column]) for row in predicted] == [float(row[2]) for row in rows]
    assert main(["test", "--ckpt_path", checkpoint, "--data", name, "--output", "m.json", "--allow", "tests"]) == 0
    assert json.loads((tmp_path / "m.json").read_text())["molecules"] == len(rows)


def test_predict_reads_what_the_training_did_not_have(capsys, tmp_path, rows):
    """A checkpoint is of a table with other names; each table of `predict` says how it was read."""
    _written(tmp_path / "t.csv", ["smiles", "y"], [[row[0], row[2]] for row in rows])
    _, checkpoint = _fitted(capsys, "t.csv")
    (tmp_path / "m.smi").write_text("".join(f"{row[0]} {row[1]}\n" for row in rows[:5]))
    (tmp_path / "n.csv.gz").write_bytes(gzip.compress(b"CANONICAL_SMILES;id\r\nCCO;1\r\nCCN;2\r\n"))
    inputs = ["m.smi", "n.csv.gz", "CCC"]
    assert main(["predict", "--ckpt_path", checkpoint, *inputs, "--output", "out.csv", "--allow", "tests"]) == 0
    found = rows_of("out.csv")
    assert [row["source"] for row in found] == [
        *[f"m.smi:{n}" for n in range(1, 6)],
        "n.csv.gz:2",
        "n.csv.gz:3",
        "argument 3",
    ]
    assert [row["smiles"] for row in found] == [*(row[0] for row in rows[:5]), "CCO", "CCN", "CCC"]
    assert found[0]["column_1"] == rows[0][1]
    assert "n.csv.gz is separated by semicolons" in capsys.readouterr().err


def test_missing_words_names_and_an_index(capsys, tmp_path, rows):
    """As pandas writes: an index without a name, NaN; words of two classes, the positive one last."""
    words = ["active", "inactive", "NaN", "N/A"]
    table = [[str(n), row[0], words[n % 4]] for n, row in enumerate(rows)]
    name = _written(tmp_path / "t.csv", ["", "SMILES", "active"], table)
    message, _ = _fitted(capsys, name, "--task.kind", "binary", "--task.allow_missing", "true")
    assert "column 1 has no name and is no target by default" in message
    assert "'inactive' is label 0, 'active' is label 1" in message
    assert "40 molecules, no bad rows" in message
    message, _ = _fitted(capsys, name, "--task.kind", "binary", "--output", "strict")
    assert "20 molecules, 20 bad rows left out" in message
    assert "left out, line 4: target 'active' is 'NaN', which says that it is missing; allow_missing: true" in message


def test_the_wrong_configuration_says_which(capsys, tmp_path, rows):
    """A folder of DAGs for molecules, and a table for DAGs."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "dag.yaml").write_text("target: y\n")
    assert main([*_FIT, "dags"]) == 2
    assert "dags: Is a directory, of DAGs: --config configs/dag.yaml" in capsys.readouterr().err
    name = _written(tmp_path / "t.csv", ["smiles", "y"], [[row[0], row[2]] for row in rows])
    assert main(["fit", "--task.name", "dag_folder", "--task.path", name, *_FIT[5:13]]) == 2
    assert f"give --config configs/chembl.yaml --task.path {name}" in capsys.readouterr().err
