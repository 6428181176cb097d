import gzip
from pathlib import Path

import pytest

from plstm_graph.datasets import BadRow, TableError, read_table

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
