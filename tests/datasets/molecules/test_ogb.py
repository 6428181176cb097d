import gzip
import os
import shutil

import pytest
import torch
from ogb.graphproppred import Evaluator
from torch_geometric.transforms import Compose

from plstm_graph.datasets.molecules.ogb import OGBMolDataset, ogb_evaluator
from plstm_graph.datasets.molecules.ogb_files import ensure_ogb_files
from plstm_graph.graph import LineGraph
from plstm_graph.transforms import ToDAG
from tests.tiny_sets import OGB_PARTS, tiny_ogb


@pytest.fixture(scope="module")
def source(real_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    tiny_ogb(real_data, folder)
    return tiny_ogb(real_data, folder, "ogbg_moltox21")


def test_official_loader_split_and_labels(source, tmp_path):
    data = OGBMolDataset("ogbg-molbace", tmp_path, source)
    split = data.get_idx_split()
    assert {part: len(rows) for part, rows in split.items()} == {part: len(rows) for part, rows in OGB_PARTS.items()}
    graph = data[0]
    assert graph.x.shape[1] == 9 and graph.edge_attr.shape == (graph.num_edges, 3)
    # Each bond in both directions, next to each other.
    assert torch.equal(graph.edge_index[:, 0::2], graph.edge_index[:, 1::2].flip(0))
    assert sorted(graph.canonical_rank.tolist()) == list(range(graph.num_nodes))
    assert data.target_names == ["Class"]
    assert set(data.y.flatten().tolist()) == {0, 1}


def test_missing_labels_stay_missing(source, tmp_path):
    data = OGBMolDataset("ogbg-moltox21", tmp_path, source)
    assert data.y.shape == (100, 12) and data.y.isnan().any() and len(data.target_names) == 12


def test_each_orientation_has_graphs_of_its_own(source, tmp_path):
    centre = OGBMolDataset("ogbg-molbace", tmp_path, source, pre_transform=ToDAG("centre"))
    canonical = OGBMolDataset("ogbg-molbace", tmp_path, source, pre_transform=ToDAG("canonical"))
    assert not torch.equal(centre.edge_index, canonical.edge_index)
    again = OGBMolDataset("ogbg-molbace", tmp_path, pre_transform=ToDAG("centre"))
    assert torch.equal(again.edge_index, centre.edge_index)
    assert again.processed_dir == centre.processed_dir != canonical.processed_dir
    line_graph = LineGraph.from_data(centre[0])
    assert centre[0].num_edges == OGBMolDataset("ogbg-molbace", tmp_path)[0].num_edges // 2
    assert torch.equal(line_graph.edge_index, centre[0].edge_index)


def test_stored_graphs_are_used_again(source, tmp_path):
    first = OGBMolDataset("ogbg-molbace", tmp_path, source, pre_transform=Compose([ToDAG()]))
    path = first.processed_paths[0]
    before = os.stat(path).st_mtime_ns
    OGBMolDataset("ogbg-molbace", tmp_path, pre_transform=Compose([ToDAG()]))
    assert os.stat(path).st_mtime_ns == before


def test_folder_of_real_data_is_found_by_the_environment(source, tmp_path, monkeypatch):
    shutil.copytree(source, tmp_path / "data" / "ogb")
    monkeypatch.setenv("PLSTM_DATA", str(tmp_path / "data"))
    assert ensure_ogb_files("ogbg-molbace", tmp_path / "root") == tmp_path / "root" / "ogbg_molbace"


def test_evaluator_is_the_official_one(source):
    target = torch.tensor([[1.0], [0.0], [1.0], [0.0]])
    prediction = torch.tensor([[0.9], [0.1], [0.3], [0.5]])
    official = Evaluator("ogbg-molbace").eval({"y_true": target, "y_pred": prediction})["rocauc"]
    assert ogb_evaluator("ogbg-molbace")(target, prediction) == official == 0.75
    with pytest.raises(ValueError, match="rocauc of ogbg-molbace is not defined here"):
        ogb_evaluator("ogbg-molbace")(torch.ones(4, 1), prediction)


def test_wrong_name(tmp_path):
    with pytest.raises(ValueError, match="'ogbg-molbce' is no molecule set of OGB, did you mean 'ogbg-molbace'"):
        OGBMolDataset("ogbg-molbce", tmp_path)
    with pytest.raises(ValueError, match="They are ogbg-molbace, "):
        OGBMolDataset("ogbg-ppa", tmp_path)
    assert not any(tmp_path.iterdir())


def test_source_without_the_set(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no raw files of ogbg-molhiv in .*expected"):
        OGBMolDataset("ogbg-molhiv", tmp_path / "root", tmp_path)
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("name", ["raw/edge-feat.csv.gz", "raw/num-node-list.csv.gz", "split/scaffold/valid.csv.gz"])
def test_missing_and_truncated_files_are_named_and_leave_nothing(source, tmp_path, name):
    broken = tmp_path / "ogbg_molbace"
    shutil.copytree(source / "ogbg_molbace", broken)
    content = (broken / name).read_bytes()
    (broken / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=f"ogbg_molbace/{name} is damaged or cut short"):
        OGBMolDataset("ogbg-molbace", tmp_path / "root", broken)
    (broken / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{broken} lacks {name}"):
        OGBMolDataset("ogbg-molbace", tmp_path / "root", broken)
    assert not any((tmp_path / "root").iterdir())


def test_files_that_do_not_fit_together(source, tmp_path):
    shutil.copytree(source, tmp_path / "root")
    folder = tmp_path / "root" / "ogbg_molbace"
    path = folder / "mapping" / "mol.csv.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    path.write_bytes(gzip.compress("\n".join([lines[0], *lines[2:], lines[1]]).encode()))
    with pytest.raises(ValueError, match=r"mol\.csv\.gz has a molecule of \d+ atoms where the graph has \d+"):
        OGBMolDataset("ogbg-molbace", tmp_path / "root")
    assert not any((folder / "processed").iterdir())


def test_another_version_is_not_asked_about(source, tmp_path):
    shutil.copytree(source, tmp_path / "root")
    (tmp_path / "root" / "ogbg_molbace" / "RELEASE_v1.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no RELEASE_v1\.txt"):
        OGBMolDataset("ogbg-molbace", tmp_path / "root")


def test_damaged_graphs_are_named(source, tmp_path):
    data = OGBMolDataset("ogbg-molbace", tmp_path, source)
    with open(data.processed_paths[0], "r+b") as file:
        file.truncate(1000)
    with pytest.raises(
        ValueError, match=r"cannot be read: .*central directory; remove the folder .*ogbg_molbace/processed/"
    ):
        OGBMolDataset("ogbg-molbace", tmp_path)
