import pickle
import shutil

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from plstm_graph.datasets.benchmark import load_benchmark, mean_absolute_error, mean_average_precision
from plstm_graph.datasets.molecules.fingerprints import read_molecule
from plstm_graph.datasets.molecules.peptides import PeptidesDataset
from plstm_graph.transforms import ToDAG
from tests.tiny_sets import tiny_peptides

_SPLIT = "splits_random_stratified_peptide.pickle"


@pytest.fixture(scope="module")
def source(real_data, tmp_path_factory):
    return tiny_peptides(real_data, tmp_path_factory.mktemp("peptides"))


def test_benchmark_from_the_table_of_smiles(source, tmp_path):
    benchmark = load_benchmark("Peptides-func", str(tmp_path), str(source), ToDAG())
    assert {part: len(graphs) for part, graphs in benchmark.parts.items()} == {"train": 8, "valid": 8, "test": 8}
    graph = benchmark.parts["valid"][0]
    assert graph.x.shape[1] == 9 and graph.y.shape == (1, 10) and graph.level.numel() == graph.num_nodes
    assert (benchmark.metric, benchmark.mode, benchmark.task) == ("ap", "max", "classification")
    # The second time, neither source nor raw files are touched.
    again = PeptidesDataset(tmp_path, "Peptides-func", "val", pre_transform=ToDAG())
    assert torch.equal(again[0].x, graph.x)


def test_smiles_are_those_of_the_graphs(source, tmp_path):
    benchmark = load_benchmark("Peptides-func", str(tmp_path), str(source), ToDAG())
    for part in benchmark.parts.values():
        assert [read_molecule(smiles).GetNumAtoms() for smiles in part.smiles] == [data.num_nodes for data in part]
    some = benchmark.parts["test"]
    assert some[[3, 1]].smiles == [some.smiles[3], some.smiles[1]]


def test_structure_is_read_from_raw_files_of_the_benchmark(source, tmp_path):
    PeptidesDataset(tmp_path, "Peptides-func", source=source)
    raw = tmp_path / "peptides-struct" / "raw"
    shutil.copytree(tmp_path / "peptides-func" / "raw", raw)
    for part in ("train", "val", "test"):
        graphs = torch.load(raw / f"{part}.pt", weights_only=True)
        torch.save([(*graph[:3], torch.randn(1, 11)) for graph in graphs], raw / f"{part}.pt")
    benchmark = load_benchmark("Peptides-struct", str(tmp_path))
    assert benchmark.parts["test"][0].y.shape == (1, 11)
    assert (benchmark.metric, benchmark.mode, benchmark.task) == ("mae", "min", "regression")
    with pytest.raises(FileNotFoundError, match="SMILES of peptides-struct are in peptide_multi_class_dataset"):
        _ = benchmark.parts["test"].smiles


def test_metrics_leave_unknown_labels_and_single_classes_out():
    torch.manual_seed(0)
    target, score = torch.randint(2, (50, 4)).float(), torch.rand(50, 4)
    target[:, 3] = 0
    target[:10, 1] = float("nan")
    expected = [
        average_precision_score(target[:, 0], score[:, 0]),
        average_precision_score(target[10:, 1], score[10:, 1]),
        average_precision_score(target[:, 2], score[:, 2]),
    ]
    assert mean_average_precision(target, score) == pytest.approx(np.mean(expected), abs=1e-12)
    assert mean_absolute_error(target, target + 0.5) == pytest.approx(0.5, abs=1e-6)
    with pytest.raises(ValueError, match="no label has both classes"):
        mean_average_precision(torch.zeros(5, 2), torch.rand(5, 2))


def test_split_that_could_run_code_is_not_read(source, tmp_path):
    shutil.copytree(source, tmp_path / "source")
    (tmp_path / "source" / _SPLIT).write_bytes(pickle.dumps({"train": shutil.rmtree}))
    with pytest.raises(ValueError, match=r"it names shutil\.rmtree, which could run code"):
        PeptidesDataset(tmp_path / "root", "Peptides-func", source=tmp_path / "source")
    with (tmp_path / "source" / _SPLIT).open("wb") as file:
        pickle.dump({part: np.arange(30) for part in ("train", "val", "test")}, file)
    with pytest.raises(ValueError, match="names rows twice, or outside of 0 to 23"):
        PeptidesDataset(tmp_path / "root", "Peptides-func", source=tmp_path / "source")
    assert not any((tmp_path / "root" / "peptides-func").rglob("*.pt"))


def test_wrong_names_missing_and_damaged_files(source, tmp_path):
    with pytest.raises(ValueError, match="no benchmark 'Peptides-fun'"):
        load_benchmark("Peptides-fun", str(tmp_path))
    with pytest.raises(ValueError, match="source has the table of Peptides-func only"):
        PeptidesDataset(tmp_path, "Peptides-struct", source=source)
    with pytest.raises(FileNotFoundError, match="holds peptide_multi_class_dataset"):
        PeptidesDataset(tmp_path, "Peptides-func", source=tmp_path)
    PeptidesDataset(tmp_path, "Peptides-func", source=source)
    path = tmp_path / "peptides-func" / "raw" / "val.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(
        ValueError, match=r"raw/val\.pt is no file of tensors.*; remove the folder .*peptides-func/raw to make"
    ):
        PeptidesDataset(tmp_path, "Peptides-func", pre_transform=ToDAG())
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks val\.pt"):
        PeptidesDataset(tmp_path, "Peptides-func", pre_transform=ToDAG())
