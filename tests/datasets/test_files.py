from pathlib import Path

import pytest

from plstm_graph.datasets.files import replace_file


def test_makes_missing_folders(tmp_path: Path) -> None:
    replace_file(tmp_path / "a" / "b.txt", lambda path: Path(path).write_text("new"))
    assert (tmp_path / "a" / "b.txt").read_text() == "new"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_a_crash_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    path.write_text("old")

    def write(unfinished: str) -> None:
        Path(unfinished).write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_file(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
