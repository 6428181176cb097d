import csv
import gzip
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plstm_graph.datasets import BadRow, TableError, read_table
from plstm_graph.datasets.separators import SEPARATORS
from plstm_graph.datasets.table import parse_table

GZIPPED = gzip.compress(b"smiles,y\nC,1\n", mtime=0)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_rows_know_their_line(tmp_path: Path) -> None:
    content = '\ufeffsmiles,note\r\nC,"two\r\nlines"\r\n\r\nCC,"a, b"\r\n'
    table, bad_rows = read_table(write(tmp_path / "t.csv", content))
    assert table.columns == ("smiles", "note")
    assert [list(row) for row in table.rows] == [["C", "two\r\nlines"], ["CC", "a, b"]]
    assert list(table.lines) == [2, 5]
    assert bad_rows == []
    assert table.column("note")[1] == "a, b"
    assert table.take([1]).lines == [5]
    assert len(table) == 2


def test_gzip(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv.gz", GZIPPED)
    assert read_table(path)[0].column("y") == ["1"]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_separators_are_found(tmp_path: Path, mark: str) -> None:
    text = 'id,smiles,note\n1,CCO,"a; b | c"\n2,CC,"d, e"\n'
    other = text.replace(",", mark).replace(f"d{mark} e", "d, e")
    table, bad_rows = read_table(write(tmp_path / "t.csv", other))
    assert [list(row) for row in table.rows] == [["1", "CCO", "a; b | c"], ["2", "CC", "d, e"]]
    assert bad_rows == []
    assert [note.partition(" is ")[2] for note in table.notes] == (
        [] if mark == "," else [f"separated by {SEPARATORS[mark]}"]
    )


def test_decimal_commas_are_read_where_a_whole_column_has_them(tmp_path: Path) -> None:
    rows = ["1,5;1,5;a;1", "-2,25e3;1.5;b;2", "3;2;1,2;3", "NA;4;c;4"]
    table, _ = read_table(write(tmp_path / "t.csv", "\n".join(["y;mixed;words;whole", *rows])))
    assert table.column("y") == ["1.5", "-2.25e3", "3", "NA"]
    assert table.column("mixed") == ["1,5", "1.5", "2", "4"]
    assert table.column("words")[2] == "1,2"
    assert table.notes[0].endswith("separated by semicolons; decimal commas of 'y' are read as points")


def test_files_of_smiles_are_separated_by_blanks(tmp_path: Path) -> None:
    table, _ = read_table(write(tmp_path / "t.smi", "smiles name\nCCO ethyl alcohol\nCC\n\nCCC  propane\n"))
    assert [list(row) for row in table.rows] == [["CCO", "ethyl alcohol"], ["CC", ""], ["CCC", "propane"]]
    assert table.lines == [2, 3, 5]
    table, _ = read_table(write(tmp_path / "t.smi", "smiles\tname\ty\nCCO\tethyl alcohol\t1\n"))
    assert [list(row) for row in table.rows] == [["CCO", "ethyl alcohol", "1"]]


def test_columns_without_a_name(tmp_path: Path) -> None:
    table, _ = read_table(write(tmp_path / "t.csv", ",Unnamed: 0.1,smiles,\n0,0,CC,\n"))
    assert table.columns == ("column_0", "Unnamed: 0.1", "smiles", "column_3")
    assert table.unnamed == {"column_0", "Unnamed: 0.1", "column_3"}
    assert table.notes[0].endswith("columns 1, 2, 4 have no name and are no target by default")


def test_columns_by_their_places(tmp_path: Path) -> None:
    table, _ = read_table(write(tmp_path / "t.csv", "a,0\nx,y\n"))
    assert table.column(1) == table.column("1") == table.column("0") == ["y"]
    with pytest.raises(TableError, match="no column '2'"):
        table.column(2)


@given(
    st.lists(st.lists(st.text(max_size=8), min_size=3, max_size=3), min_size=1, max_size=6), st.sampled_from(",;\t|")
)
def test_any_table_comes_back(rows: list[list[str]], mark: str) -> None:
    """Whatever its cells are, as the csv module writes them, but for decimal commas and characters no text has."""
    clean = [[re.sub(r"[\0\ud800-\udfff]", "", cell).replace(",", "_") for cell in row] for row in rows]
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=mark, quoting=csv.QUOTE_ALL).writerows([["a", "b", "c"], *clean])
    table, bad_rows = parse_table(file.getvalue().encode(), Path("t.csv"))
    assert [list(row) for row in table.rows] == clean
    assert bad_rows == []


def test_rows_of_another_length_are_bad(tmp_path: Path) -> None:
    table, bad_rows = read_table(write(tmp_path / "t.csv", "smiles,y\nC\nCC,1\nCCC,1,2\n"))
    assert table.column("smiles") == ["CC"]
    assert bad_rows == [BadRow(2, "1 field, the header has 2"), BadRow(4, "3 fields, the header has 2")]


def test_missing_column_is_named_beside_those_there_are(tmp_path: Path) -> None:
    table, _ = read_table(write(tmp_path / "t.csv", "SMILES,Solubility\nC,1\n"))
    with pytest.raises(TableError, match=r"no column 'smiles'; its columns are SMILES, Solubility. Did you mean 'SMIL"):
        table.column("smiles")
    with pytest.raises(TableError, match=r"no column 'xyz'; its columns are SMILES, Solubility\.$"):
        table.column("xyz")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", r"t\.csv is empty"),
        ("t.csv", "\n\n", r"t\.csv is empty"),
        ("t.csv", "smiles,y\n", r"has a header \(smiles, y\) but no rows"),
        ("t.csv", "smiles,y,y\nC,1,2\n", "more than one column named 'y'"),
        ("t.csv", b"smiles,y\nC,1\nC,\xff\n", r"not UTF-8 text \(line 3\)"),
        ("t.csv", 'smiles,y\nC,1\n"CC,1\n', r"t\.csv, line 3: "),
        ("t.csv.gz", "smiles,y\nC,1\n", "not a complete gzip file"),
        ("t.csv.gz", GZIPPED[:-9], "not a complete gzip file"),
        ("t.csv.gz", GZIPPED[:14] + b"\x00\xff" * 8, "not a complete gzip file"),
    ],
)
def test_unusable_files(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(TableError, match=message):
        read_table(write(tmp_path / name, content))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        read_table(tmp_path / "none.csv")


def test_many_columns_without_names_are_said_shortly(tmp_path):
    (tmp_path / "t.csv").write_text("smiles" + "," * 100_000 + "\nC" + "," * 100_000 + "\n")
    table, _ = parse_table((tmp_path / "t.csv").read_bytes(), tmp_path / "t.csv")
    assert len(table.unnamed) == 100_000 and max(map(len, table.notes)) < 500
