"""Real DAG sets: their readers on a few lines, and the sets themselves where they are at hand."""

import gzip
import random
import shutil
import zipfile

import numpy as np
import pytest
import torch

from plstm_graph.datasets.architectures import ENASDataset, NASBenchGraph
from plstm_graph.datasets.circuits.aiger import Circuit, read_circuit
from plstm_graph.datasets.circuits.epfl import circuit_data
from plstm_graph.datasets.circuits.signal_probability import signal_probability
from plstm_graph.datasets.sentiment import SentimentTreebank, parse_tree, root_sentiment
from plstm_graph.transforms import ToDAG

_ENAS = "[[1], [4, 0], [5, 0, 0], [0, 1, 1, 1], [2, 1, 1, 1, 1], [3, 0, 0, 0, 0, 1]], 0.7302"
_HALF_ADDER = b"aig 5 2 0 2 3\n10\n6\n" + bytes([2, 2, 3, 2, 1, 2])


def _enas(folder, lines):
    (folder / "enas").mkdir(parents=True)
    (folder / "enas" / "final_structures6.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_enas_reads_architectures_and_splits_as_dvae(tmp_path):
    lines = ["not read"] * 1000 + [_ENAS.replace("0.7302", f"0.{number}") for number in range(100, 120)]
    train = ENASDataset(tmp_path / "root", "train", _enas(tmp_path / "source", lines), pre_transform=ToDAG("keep"))
    test = ENASDataset(tmp_path / "root", "test", tmp_path / "source", pre_transform=ToDAG("keep"))
    graph = train[0]
    assert graph.x.view(-1).tolist() == [0, 3, 6, 7, 2, 4, 5, 1]
    edges = {(0, 4), (1, 4), (2, 4), (0, 5), (1, 5), (2, 5), (3, 5), (4, 6)}
    assert set(map(tuple, graph.edge_index.t().tolist())) == edges | {(node, node + 1) for node in range(7)}
    assert graph.level[-1] == 7
    order = list(range(100, 120))
    random.Random(0).shuffle(order)
    found = [round(1000 * value) for value in [*train.y.view(-1).tolist(), *test.y.view(-1).tolist()]]
    assert (found, len(test)) == (order, 2)
    with pytest.raises(ValueError, match="split must be one of train, test, got 'valid'"):
        ENASDataset(tmp_path / "root", "valid")


@pytest.mark.parametrize("line", ["[[1], [2, 2]], 0.7", "[[9]], 0.7", "[[1]]", "import os", "[[1], [2, 0]], 0.7"])
def test_enas_names_the_line_that_is_no_architecture(line, tmp_path):
    source = _enas(tmp_path / "source", ["x"] * 1000 + [_ENAS, line])
    with pytest.raises(ValueError, match=r"final_structures6\.txt, line 1002: no architecture"):
        ENASDataset(tmp_path / "root", "train", source)
    assert not list((tmp_path / "root" / "enas" / "processed").glob("*"))


def test_nas_bench_graph(tmp_path):
    rows = ["dataset,key,link,ops,valid_perf,perf,latency,para_M", "cora,5,0012,gcn-gat-skip-fc,0.7,0.8,0.01,1.5"]
    rows.append("cs,6,0000,gcn-gcn-gcn-gcn,0.7,0.9,0.01,1.5")
    path = tmp_path / "nas_bench_graph_light.csv.gz"
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    (graph,) = NASBenchGraph(tmp_path / "root", "cora", tmp_path)
    assert graph.x.view(-1).tolist() == [0, 3, 2, 10, 9, 1]
    assert graph.edge_index.t().tolist() == [[0, 1], [0, 2], [1, 3], [2, 4], [3, 5], [4, 5]]
    assert graph.y.item() == pytest.approx(0.8)
    assert graph.parameters.item() == 1.5
    assert NASBenchGraph(tmp_path / "root", "cs", tmp_path)[0].num_edges == 8
    with pytest.raises(ValueError, match="name must be one of cora, cs, got 'none'"):
        NASBenchGraph(tmp_path / "root", "none", tmp_path)
    path.write_bytes(gzip.compress("\n".join([*rows, "cora,7,0900,gcn-gcn-gcn-gcn,1,1,1,1"]).encode()))
    with pytest.raises(ValueError, match=r"nas_bench_graph_light\.csv\.gz, line 4: no architecture: 0900"):
        NASBenchGraph(tmp_path / "other", "cora", tmp_path)


def _treebank(folder, train="(3 (2 It) (4 (2 really) (4 shines)))\n(1 (2 It) (0 bores))\n"):
    folder.mkdir()
    with zipfile.ZipFile(folder / "trainDevTestTrees_PTB.zip", "w") as archive:
        for name, text in (
            ("train", train),
            ("dev", "(2 (2 It) (2 is))\n"),
            ("test", "(4 (4 8\u00a01/2) (2 (2 a) (2 b)))\n"),
        ):
            archive.writestr(f"trees/{name}.txt", text)
    return folder


def test_sentiment_trees_lead_to_the_root(tmp_path):
    source = _treebank(tmp_path / "source")
    train = SentimentTreebank(tmp_path / "root", "train", source)
    assert train.words == ["It", "bores", "really", "shines"]
    first = train[0]
    assert first.x.view(-1).tolist() == [0, 2, 0, 4, 5]
    assert first.edge_index.t().tolist() == [[1, 0], [2, 0], [3, 2], [4, 2]]
    assert first.edge_attr.view(-1).tolist() == [0, 1, 0, 1]
    assert first.y.view(-1).tolist() == [3, 2, 4, 2, 4]
    assert first.root_mask.tolist() == [True, False, False, False, False]
    (test,) = SentimentTreebank(tmp_path / "root", "test", source)
    assert test.x.view(-1).tolist() == [0, 1, 0, 1, 1]
    assert root_sentiment(train[0]).y.tolist() == [[3.0]]
    assert [root_sentiment(graph, binary=True).y.item() for graph in train] == [1.0, 0.0]
    (valid,) = SentimentTreebank(tmp_path / "root", "valid", source)
    assert root_sentiment(valid, binary=True).y.isnan().all()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("(3 (2 a) (2 b)", "1 brackets are not closed"),
        ("(3 (7 a) (2 b))", "node 1 has label '7'"),
        ("(3 (2 a b))", "node 1 has two words, 'a' and 'b'"),
        ("(3 a) b", "'b' stands outside the tree"),
        ("(3 a) (2 b)", "in one tree"),
        ("", "no tree"),
    ],
)
def test_broken_trees_are_named(line, message):
    with pytest.raises(ValueError, match=f"file, line 7.*{message}"):
        parse_tree(line, "file, line 7")


def test_a_damaged_treebank_is_named(tmp_path):
    source = _treebank(tmp_path / "source", train="(3 (2 a) (2 b))\n(3 (2 a)\n")
    with pytest.raises(ValueError, match=r"trees/train\.txt, line 2: 1 brackets"):
        SentimentTreebank(tmp_path / "root", "train", source)
    assert not any((tmp_path / "root").iterdir())
    (source / "trainDevTestTrees_PTB.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match="no zip file, or damaged"):
        SentimentTreebank(tmp_path / "root", "train", source)
    # A good one in its place is taken, and one that is damaged where it lies is named with what to do.
    (source / "trainDevTestTrees_PTB.zip").unlink()
    source.rmdir()
    _treebank(source)
    assert len(SentimentTreebank(tmp_path / "root", "train", source)) > 0
    raw = tmp_path / "root" / "sst" / "raw"
    shutil.rmtree(tmp_path / "root" / "sst" / "processed")
    (raw / "trainDevTestTrees_PTB.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match=rf"damaged.*Remove {raw} to get its files anew"):
        SentimentTreebank(tmp_path / "root", "train", source)


def test_raw_files_that_are_nowhere(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"no final_structures6\.txt in .*empty: name the folder"):
        ENASDataset(tmp_path / "root", source=tmp_path / "empty")
    monkeypatch.delenv("PLSTM_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"no nas_bench_graph_light\.csv\.gz: name the folder"):
        NASBenchGraph(tmp_path / "root")
    monkeypatch.setattr(SentimentTreebank, "files", {"trainDevTestTrees_PTB.zip": "https://127.0.0.1:9/none.zip"})
    with pytest.raises(ConnectionError, match=r"cannot download https://127\.0\.0\.1:9/none\.zip"):
        SentimentTreebank(tmp_path / "root")


def test_a_half_adder_has_the_probabilities_of_its_truth_table(tmp_path):
    (tmp_path / "half_adder.aig").write_bytes(_HALF_ADDER)
    data = circuit_data(tmp_path / "half_adder.aig")
    # a, b, a and b, neither, exactly one
    torch.testing.assert_close(data.y.view(-1), torch.tensor([0.5, 0.5, 0.25, 0.25, 0.5]), atol=0.006, rtol=0)
    assert data.x.view(-1).tolist() == [0, 0, 1, 1, 1]
    assert data.edge_attr.view(-1).tolist() == [0, 0, 1, 1, 1, 1]
    assert data.circuit == "half_adder"


def _exact(circuit):
    """Probabilities by all input vectors, gate by gate."""
    inputs = circuit.num_sources
    values = np.zeros((circuit.num_nodes + 1, 2**inputs), dtype=bool)
    values[1 : inputs + 1] = (np.arange(2**inputs) >> np.arange(inputs)[:, None]) & 1
    for gate, (read, inverts) in enumerate(zip(circuit.fan_in, circuit.inverted, strict=True)):
        first, second = (values[variable] ^ invert for variable, invert in zip(read, inverts, strict=True))
        values[inputs + 1 + gate] = first & second
    return values[1:].mean(axis=1)


@pytest.mark.parametrize("limit", [2**28, 2**12])
def test_random_circuits_have_the_probabilities_of_their_truth_tables(limit, monkeypatch):
    monkeypatch.setattr("plstm_graph.datasets.circuits.signal_probability._BYTES", limit)
    generator = np.random.default_rng(0)
    gates = np.arange(60)
    fan_in = np.stack([generator.integers(0, 9 + gates), generator.integers(0, 9 + gates)], axis=1)
    circuit = Circuit(8, fan_in, generator.random((60, 2)) < 0.5)
    found = signal_probability(circuit)
    np.testing.assert_allclose(found, _exact(circuit), atol=0.007)
    assert (found == signal_probability(circuit)).all()


def test_a_real_circuit(real_data):
    circuit = read_circuit(real_data / "dag" / "epfl_aig" / "ctrl.aig")
    assert (circuit.num_sources, len(circuit.fan_in)) == (7, 174)
    np.testing.assert_allclose(signal_probability(circuit), _exact(circuit), atol=0.007)
