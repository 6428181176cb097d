"""Which column has the SMILES, and whether there is a header."""

import gzip
from pathlib import Path

import pytest

from plstm_graph.datasets import SmilesDataset, TableError
from plstm_graph.datasets.molecules.smiles_column import find_target_columns, parse_molecule_table, read_molecule_table

ROWS = [("CCO", "1.5", "a"), ("CCN", "2.5", "b"), ("c1ccccc1", "0.5", "NO"), ("C", "3", "NO")]


def text(header: str | None, mark: str = ",") -> bytes:
    lines = [*([] if header is None else [header]), *(mark.join(row) for row in ROWS)]
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    "header", ["smiles,y,name", "SMILES,y,name", "Canonical_Smiles,y,x", "Drug,Drug_ID,Y", "mol,y,z", "a,b,c", "0,1,2"]
)
def test_a_column_of_smiles_is_found_by_its_name_or_its_cells(header: str) -> None:
    table, ragged, name = parse_molecule_table(text(header), Path("t.csv"))
    assert table.column(name) == [row[0] for row in ROWS]
    assert table.lines == [2, 3, 4, 5]
    assert ragged == []
    assert bool(table.notes) == (name != "smiles")


def test_a_vague_name_counts_only_where_the_cells_are_molecules() -> None:
    _, _, name = parse_molecule_table(b"molecule,structure\nm1,CCO\nm2,CCN\n", Path("t.csv"))
    assert name == "structure"


def test_usual_names_come_before_cells() -> None:
    _, _, name = parse_molecule_table(b"solvent,SMILES\nCCO,CC\nCCN,CCC\n", Path("t.csv"))
    assert name == "SMILES"


@pytest.mark.parametrize(("file", "mark"), [("t.csv", ","), ("t.csv", ";"), ("t.smi", " "), ("t.smi", "\t")])
def test_a_table_without_a_header(tmp_path: Path, file: str, mark: str) -> None:
    path = tmp_path / file
    path.write_bytes(text(None, mark))
    table, _, name = read_molecule_table(path)
    assert (name, table.columns, table.lines) == ("column_0", ("column_0", "column_1", "column_2"), [1, 2, 3, 4])
    assert table.column(1) == ["1.5", "2.5", "0.5", "3"]
    assert "no header: its columns are called column_0, column_1, column_2" in " ".join(table.notes)
    dataset = SmilesDataset(tmp_path, path, target_columns=[1])
    assert dataset.y.view(-1).tolist() == [1.5, 2.5, 0.5, 3]
    assert (dataset.smiles_column, dataset.target_columns) == ("column_0", ["column_1"])
    packed = tmp_path / f"{file}.gz"
    packed.write_bytes(gzip.compress(text(None, mark)))
    assert read_molecule_table(packed)[0].rows == table.rows


@pytest.mark.parametrize("content", [b"CCO\n", b"CCO\nCC\n", b"CCO,1\n", b"C1CC,1.5\nCCO,2.5\nCCN,3\n"])
def test_few_rows_without_a_header(content: bytes) -> None:
    table, _, name = parse_molecule_table(content, Path("t.csv"))
    assert (name, table.lines[0]) == ("column_0", 1)


@pytest.mark.parametrize("header", ["smiles", "name", "CNS", "BBBP", "CO2"])
def test_a_name_that_looks_like_a_molecule_is_a_name(header: str) -> None:
    table, _, name = parse_molecule_table(f"structure,{header}\nCCO,1\nCCN,0\n".encode(), Path("t.csv"))
    assert (table.columns, name) == (("structure", header), header if header == "smiles" else "structure")


@pytest.mark.parametrize(
    ("content", "given", "message"),
    [
        (b"a,b\n1,2\n", None, "no column 'smiles', nor one whose cells are molecules; its columns are a, b"),
        (b"solvent,solute\nCC,CCO\nCCN,CC\n", None, "molecules in the columns solvent, solute: say which"),
        (
            b"smiles,y\n1,CCO\n2,CC\n",
            "smiles",
            r"t\.csv, line 2: column 'smiles' is '1', no SM.*: smiles_column: y",
        ),
        (b"SMILES,y\nCC,1\n", "smiles", "Did you mean 'SMILES'"),
        (b"SMILES,y\nCC,1\n", 2, "no column '2'"),
    ],
)
def test_columns_that_cannot_be_used(content: bytes, given: str | int | None, message: str) -> None:
    with pytest.raises(TableError, match=message):
        parse_molecule_table(content, Path("t.csv"), given)


def test_a_column_of_bad_smiles_stays_what_the_user_says() -> None:
    """Bad rows are reported each for itself; no other column is better."""
    assert parse_molecule_table(b"smiles,y\nC1CC,1\n,2\n", Path("t.csv"), "smiles")[2] == "smiles"


def test_an_index_without_a_name_is_no_target(tmp_path: Path) -> None:
    table, _, name = parse_molecule_table(b",smiles,y\n0,CC,1\n1,CCO,2\n", Path("t.csv"))
    assert find_target_columns(table, name, None) == ["y"]
    assert find_target_columns(table, name, [0]) == ["column_0"]


@pytest.mark.parametrize("word", ["", "NA", "nan", "NaN", "null", "N/A", "#N/A", "None", "-"])
def test_words_for_missing_values(tmp_path: Path, word: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"smiles,y,z,c\nCC,1,yes,1\nCCO,{word},{word},{word}\nCCC,2,no,0\n")
    for kind, names in (("number", ["y"]), ("label", ["c"])):
        dataset = SmilesDataset(tmp_path, path, target_columns=names, kind=kind, allow_missing=True)
        assert dataset.y.isnan().view(-1).tolist() == [False, True, False]
        with pytest.warns(UserWarning, match="line 3: .*allow_missing: true keeps such rows"):
            assert len(SmilesDataset(tmp_path, path, target_columns=names, kind=kind)) == 2
    if word in ("None", "-"):  # which may be the name of a class
        dataset = SmilesDataset(tmp_path, path, target_columns=["z"], kind="class", allow_missing=True)
        assert dataset.classes == [sorted(["yes", "no", word])]


def test_labels_that_differ_in_capitals_are_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("smiles,y\nCC,Active\nCCO,inactive\nCCC,active\n")
    with pytest.raises(TableError, match=r"t\.csv, line 4: target 'y' is 'active', which differs from 'Active' in cap"):
        SmilesDataset(tmp_path, path, kind="label")
