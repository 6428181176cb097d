import zipfile

import pytest

from plstm_graph.datasets.download import download_zip


@pytest.fixture
def archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        file.writestr("bace/raw/edge.csv", "0,1\n" * 500)
    return tmp_path / "set.zip"


def test_content_of_the_inner_folder(archive, tmp_path):
    (tmp_path / "to").mkdir()
    download_zip(archive.as_uri(), tmp_path / "to", "bace")
    assert [str(path.relative_to(tmp_path / "to")) for path in (tmp_path / "to").rglob("*.*")] == ["raw/edge.csv"]


def test_truncated_missing_and_other_archives(archive, tmp_path):
    (tmp_path / "to").mkdir()
    with pytest.raises(FileNotFoundError, match=r"set\.zip has no folder 'hiv'"):
        download_zip(archive.as_uri(), tmp_path / "to", "hiv")
    archive.write_bytes(archive.read_bytes()[:100])
    with pytest.raises(OSError, match=r"set\.zip is damaged or was cut short \(100 bytes\)"):
        download_zip(archive.as_uri(), tmp_path / "to", "bace")
    archive.unlink()
    with pytest.raises(ConnectionError, match=r"cannot download .*an offline copy"):
        download_zip(archive.as_uri(), tmp_path / "to", "bace")
