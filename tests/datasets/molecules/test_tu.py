"""TU sets from local zips through PyG's loader: features of every kind, and files that are missing or damaged."""

import errno
import os
import zipfile
from pathlib import Path

import pytest
import torch
from torch_geometric.datasets import TUDataset
from torch_geometric.transforms import AddRandomWalkPE, Compose

from plstm_graph.datasets.molecules.tu import TUGraphs
from plstm_graph.datasets.molecules.tu_files import check_tu
from plstm_graph.transforms import ToDAG


@pytest.fixture
def source(real_data) -> str:
    return str(real_data)


def rewritten(real_data, folder: Path, leave_out: str) -> str:
    """A folder with MUTAG's zip without some of its files."""
    with zipfile.ZipFile(real_data / "TU" / "MUTAG.zip") as old, zipfile.ZipFile(folder / "MUTAG.zip", "w") as new:
        for name in old.namelist():
            if leave_out not in name:
                new.writestr(name, old.read(name))
    return str(folder)


def test_labels_become_one_hot(tmp_path, source):
    data = TUGraphs(str(tmp_path), "MUTAG", source=source)
    assert len(data) == 188
    assert data.num_classes == 2
    assert data[0].x.shape == (17, 7)
    assert data[0].edge_attr.shape == (38, 4)
    assert (data[0].x.sum(dim=1) == 1).all()
    assert TUDataset.url.startswith("https")


def test_attributes_come_first(tmp_path, monkeypatch, source):
    monkeypatch.setenv("PLSTM_DATA", source)
    data = TUGraphs(str(tmp_path), "PROTEINS")
    assert (data.num_node_attributes, data.num_features) == (1, 4)
    assert data[0].edge_attr is None


def test_a_set_without_features_gets_a_constant(tmp_path, real_data):
    (tmp_path / "zips").mkdir()
    bare = rewritten(real_data, tmp_path / "zips", "node_labels")
    data = TUGraphs(str(tmp_path / "bare"), "MUTAG", ToDAG(), bare)
    assert torch.equal(data[0].x, torch.ones(17, 1))
    assert data[0].edge_attr.shape == (19, 4)


def test_transforms_lie_side_by_side(tmp_path, source):
    encodings = [Compose([AddRandomWalkPE(steps, attr_name=None), ToDAG()]) for steps in (4, 8)]
    sizes = [TUGraphs(str(tmp_path), "MUTAG", encoding, source).num_features for encoding in encodings]
    assert sizes == [11, 15]
    assert len(list((tmp_path / "MUTAG" / "processed").iterdir())) == 2


@pytest.mark.parametrize("name", ["NONE", "mutag"])
def test_a_wrong_name(tmp_path, source, name):
    with pytest.raises(FileNotFoundError, match=rf"no {name}.zip or TU/{name}.zip .*MUTAG, Mutagenicity, NCI1"):
        TUGraphs(str(tmp_path), name, source=source)
    assert not list(tmp_path.iterdir())


def test_a_name_that_leads_elsewhere(tmp_path):
    with pytest.raises(ValueError, match=r"name must be that of a TU set, .* got '../MUTAG'"):
        TUGraphs(str(tmp_path), "../MUTAG")


def test_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="it has no zips at all"):
        TUGraphs(str(tmp_path), "MUTAG", source=str(tmp_path / "none"))


def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr(TUGraphs, "url", "https://127.0.0.1:9")
    monkeypatch.delenv("PLSTM_DATA", raising=False)
    with pytest.raises(ConnectionError, match=r"cannot download .*put MUTAG.zip into a folder"):
        TUGraphs(str(tmp_path), "MUTAG")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("part", [0.5, 0.98, 0.0])
def test_a_truncated_zip(tmp_path, real_data, part):
    whole = (real_data / "TU" / "MUTAG.zip").read_bytes()
    (tmp_path / "MUTAG.zip").write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(ValueError, match=r"MUTAG.zip is no zip file, or damaged or cut short \(\d+ bytes\)"):
        TUGraphs(str(tmp_path / "root"), "MUTAG", source=str(tmp_path))
    assert not list((tmp_path / "root").iterdir())


def test_a_damaged_zip(tmp_path, real_data):
    content = bytearray((real_data / "TU" / "MUTAG.zip").read_bytes())
    content[2000:2100] = bytes(100)
    (tmp_path / "MUTAG.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged"):
        TUGraphs(str(tmp_path / "root"), "MUTAG", source=str(tmp_path))
    assert not list((tmp_path / "root").iterdir())


def test_a_zip_of_something_else(tmp_path, real_data):
    folder = tmp_path / "zips"
    folder.mkdir()
    with pytest.raises(ValueError, match=r"does not hold the set MUTAG: MUTAG_graph_indicator.txt is missing"):
        TUGraphs(str(tmp_path), "MUTAG", source=rewritten(real_data, folder, "indicator"))


def test_a_full_disk_while_processing(tmp_path, source, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("torch_geometric.io.fs.torch_save", full)
        with pytest.raises(OSError, match="No space left"):
            TUGraphs(str(tmp_path), "MUTAG", source=source)
    assert not list(tmp_path.rglob("*.pt"))
    assert len(TUGraphs(str(tmp_path), "MUTAG", source=source)) == 188


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"A": "1, 2\n2, 1, 3\n"}, "set, T_A.txt, line 2: 3 columns, and 2 in the first line"),
        ({"A": "1, 2\n\n2, 1\n"}, "set, T_A.txt, line 2: '' is no number"),
        ({"A": "1, 2\n2, x\n"}, "set, T_A.txt, line 2: ' x' is no number"),
        ({"A": "1\n2\n"}, "set, T_A.txt has 1 columns, expected 2"),
        ({"graph_indicator": "1\n1_0\n"}, "set, T_graph_indicator.txt, line 2: '1_0' is no number"),
        ({"graph_indicator": " \n"}, "set, T_graph_indicator.txt is empty"),
        ({"graph_labels": "1\nnan\n"}, "set, T_graph_labels.txt, line 2: 'nan' is no number"),
        ({"graph_labels": b"1\n\xe9\n"}, "set, T_graph_labels.txt, line 2: no text"),
        ({"graph_labels": "1\n2\n"}, "set, T_graph_labels.txt has 2 lines for 1 graphs"),
    ],
)
def test_files_that_are_wrong_are_named_with_the_line(tmp_path, changed, message):
    for part, text in ({"A": "1, 2\n2, 1\n", "graph_indicator": "1\n1\n\n", "graph_labels": " 1 \n"} | changed).items():
        (tmp_path / f"T_{part}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError) as error:
        check_tu(tmp_path, "T", "set")
    assert str(error.value).startswith(message)
