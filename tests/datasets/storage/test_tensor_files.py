"""Stored graphs of every data set, replaced by files of a stranger: nothing runs, and the error says what to remove."""

import io
import json
import os
import pickle
import re
import shutil
import sqlite3
import zipfile
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

from plstm_graph.datasets import DAGFolder, OnDiskDAGFolder, SmilesDataset, from_networkx
from plstm_graph.datasets.architectures import ENASDataset
from plstm_graph.datasets.molecules.ogb import OGBMolDataset
from plstm_graph.datasets.molecules.peptides import PeptidesDataset
from plstm_graph.datasets.molecules.tu import TUGraphs
from plstm_graph.datasets.storage.ogb_graphs import OGBGraphs
from plstm_graph.datasets.storage.tensor_files import TensorFileError, load_graphs, load_tensors, tensors_only
from tests.fuzz.damage import damaged
from tests.tiny_sets import tiny_ogb


class Command:
    """Unpickled in full, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def smiles(folder):
    (folder / "table.csv").write_text("smiles,y\nCCO,1\nCC,2\nC,3\n")
    return lambda: SmilesDataset(folder, folder / "table.csv", log=False)


def dag_folder(folder, kind=DAGFolder):
    import networkx as nx

    graphs = [nx.DiGraph([(0, 1), (1, 2 + number)], graph=f"g{number}", y=float(number)) for number in range(10)]
    from_networkx(graphs, folder / "dags", targets=["y"])
    return lambda: kind(folder / "dags")


def dag_set(folder):
    line = "[[1], [4, 0], [5, 0, 0], [0, 1, 1, 1], [2, 1, 1, 1, 1], [3, 0, 0, 0, 0, 1]], 0.7302"
    (folder / "source" / "enas").mkdir(parents=True)
    path = folder / "source" / "enas" / "final_structures6.txt"
    path.write_text("\n".join(["not read"] * 1000 + [line] * 20) + "\n")
    return lambda: ENASDataset(folder / "root", "train", folder / "source")


def tu(folder):
    files = {"A": "1, 2\n2, 1\n3, 4\n4, 3\n", "graph_indicator": "1\n1\n2\n2\n", "graph_labels": "0\n1\n"}
    (folder / "source").mkdir()
    with zipfile.ZipFile(folder / "source" / "TINY.zip", "w") as archive:
        for name, text in files.items():
            archive.writestr(f"TINY/TINY_{name}.txt", text)
    return lambda: TUGraphs(str(folder / "root"), "TINY", source=str(folder / "source"))


def peptides(folder):
    raw = folder / "peptides-struct" / "raw"
    raw.mkdir(parents=True)
    graph = (
        torch.ones(2, 9, dtype=torch.long),
        torch.ones(2, 3).long(),
        torch.tensor([[0, 1], [1, 0]]),
        torch.ones(1, 11),
    )
    for subset in ("train", "val", "test"):
        torch.save([graph, graph], raw / f"{subset}.pt")
    return lambda: PeptidesDataset(folder, "Peptides-struct")


SETS = {"smiles": smiles, "dag_folder": dag_folder, "dag_set": dag_set, "tu": tu, "peptides": peptides}


def stored_file(dataset):
    return Path(dataset.processed_paths[0])


def saved(value, **how):
    buffer = io.BytesIO()
    torch.save(value, buffer, **how)
    return buffer.getvalue()


def compressed(content):
    """The same archive, its parts compressed, and one of a gigabyte of zeros beside them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        with new.open("archive/data/99", "w") as part:
            for _ in range(64):
                part.write(bytes(1 << 20))
    return buffer.getvalue()


def crafted(made, whole):
    """Files by strangers: what is in them, by name."""
    command = Command(made)
    values, slices, *more, data_class = torch.load(io.BytesIO(whole), weights_only=True)
    return {
        "a command": saved(command),
        "a command in an old format": saved(command, _use_new_zipfile_serialization=False),
        "a plain pickle": pickle.dumps(command),
        "a command among tensors": saved((values | {"x": command}, slices, *more, data_class)),
        "a command as where graphs begin": saved((values, command, *more, data_class)),
        "a command as the class": saved((values, slices, *more, command)),
        "a function as the class": saved((values, slices, *more, os.system)),
        "another class": saved((values, slices, *more, dict)),
        "no graphs": saved({"x": torch.ones(3)}),
        "a tensor": saved(torch.ones(3)),
        "graphs that are none": saved((7, slices, *more, data_class)),
        "attributes that are none": saved(({"edge_index": 7}, slices, *more, data_class)),
        "graphs outside": saved((values, {"edge_index": torch.tensor([0, 1 << 40])}, *more, data_class)),
        "graphs before the first": saved((values, {"edge_index": torch.tensor([-5, 1])}, *more, data_class)),
        "graphs of nothing": saved((values, {"nothing": torch.tensor([0, 1])}, *more, data_class)),
        "a number written out": saved((values | {"x": torch.zeros(1).expand(1 << 40)}, slices, *more, data_class)),
        "a compressed archive": compressed(whole),
        "half of it": whole[: len(whole) // 2],
        "a script": b"import os\nos.abort()\n",
        "nothing": b"",
    }


@pytest.mark.parametrize("name", SETS)
def test_stored_graphs_of_a_stranger(tmp_path, name):
    open_set = SETS[name](tmp_path)
    first = open_set()
    path, expected = stored_file(first), [graph.edge_index.tolist() for graph in first]
    made = tmp_path / "made"
    for kind, content in crafted(made, path.read_bytes()).items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"remove the folder {re.escape(str(path.parent))} to make it anew"):
            open_set()
            pytest.fail(f"{kind} was read")
        assert not made.exists(), kind
    shutil.rmtree(path.parent)
    assert [graph.edge_index.tolist() for graph in open_set()] == expected


def test_split_of_a_stranger(tmp_path):
    open_set = dag_folder(tmp_path)
    path = stored_file(open_set()).parent / "split.pt"
    for content in (saved(Command(tmp_path / "made")), pickle.dumps(Command(tmp_path / "made")), b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"split\.pt .*; remove the folder"):
            _ = open_set().split
    assert not (tmp_path / "made").exists()


def test_database_of_a_stranger(tmp_path):
    open_set = dag_folder(tmp_path, OnDiskDAGFolder)
    dataset = open_set()
    assert len(dataset) == 10 and dataset[0].num_nodes == 3
    (path,) = Path(dataset.processed_dir).glob("*.db")
    dataset.close()
    for content in (saved(Command(tmp_path / "made")), pickle.dumps(Command(tmp_path / "made")), saved(7)):
        with sqlite3.connect(path) as database:
            (table,) = [row[0] for row in database.execute("select name from sqlite_master where type = 'table'")]
            column = [row[1] for row in database.execute(f"pragma table_info({table})")][-1]
            database.execute(f"update {table} set {column} = ?", (content,))
        database.close()
        with pytest.raises(ValueError, match="remove the folder"):
            _ = open_set()[0]
    assert not (tmp_path / "made").exists()


def test_raw_files_of_a_stranger(tmp_path):
    open_set = peptides(tmp_path)
    raw = tmp_path / "peptides-struct" / "raw"
    for content in (saved([Command(tmp_path / "made")]), pickle.dumps(Command(tmp_path / "made")), b""):
        (raw / "val.pt").write_bytes(content)
        with pytest.raises(ValueError, match=f"remove the folder {re.escape(str(raw))}"):
            open_set()
    assert not (tmp_path / "made").exists()


def test_graphs_of_ogb_of_a_stranger(tmp_path, real_data):
    source = tiny_ogb(real_data, tmp_path / "source")
    dataset = OGBMolDataset("ogbg-molbace", tmp_path, source)
    path, whole = stored_file(dataset), stored_file(dataset).read_bytes()
    command = Command(tmp_path / "made")
    contents = [
        saved((dataset._data, command)),
        saved(command),
        saved(7),
        saved((7, {})),
        saved((1, 2, 3)),
        whole[:5000],
    ]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(TensorFileError, match=r"cannot be read: .*; remove the folder"):
            OGBMolDataset("ogbg-molbace", tmp_path, source)
    path.write_bytes(whole)
    split = tmp_path / "ogbg_molbace" / "split" / "scaffold" / "split_dict.pt"
    split.write_bytes(saved(command))
    with pytest.raises(TensorFileError, match=r"split_dict\.pt under .* names .*system.*; remove it"):
        OGBMolDataset("ogbg-molbace", tmp_path, source).get_idx_split()
    assert not (tmp_path / "made").exists()
    assert issubclass(OGBMolDataset, OGBGraphs)


def test_nothing_turns_full_unpickling_on(tmp_path, monkeypatch):
    # An environment variable of torch, by which some make old files load.
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path = tmp_path / "file.pt"
    path.write_bytes(saved(Command(tmp_path / "made")))
    with pytest.raises(TensorFileError, match="which could run code"):
        load_tensors(path, "remove it")
    for how in ({}, {"weights_only": False}, {"weights_only": True}):
        with pytest.raises(TensorFileError, match="which could run code"), tensors_only():
            torch.load(path, **how)
    assert not (tmp_path / "made").exists()
    assert os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1" and "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_what_is_safe_is_read(tmp_path):
    value = {
        "a": torch.arange(3),
        "b": [1, 2.5, "x", None, True, (torch.zeros(2, 0),)],
        "c": {"d": torch.ones(2).bfloat16()},
    }
    torch.save(value, tmp_path / "file.pt")
    found = load_tensors(tmp_path / "file.pt", "", checksums=True)
    assert json.dumps(found, default=lambda tensor: tensor.tolist()) == json.dumps(value, default=lambda t: t.tolist())
    with pytest.raises(FileNotFoundError):
        load_tensors(tmp_path / "none.pt", "")


def test_random_damage_is_a_value_error(tmp_path):
    graphs = [
        Data(x=torch.arange(6.0).view(3, 2), edge_index=torch.tensor([[0, 1], [1, 2]]), name=f"g{n}") for n in range(4)
    ]
    from torch_geometric.data import InMemoryDataset

    path = tmp_path / "data.pt"
    InMemoryDataset.save(graphs, str(path))
    count = 0
    for content in damaged(path.read_bytes(), 300, seed=0):
        path.write_bytes(content)
        try:
            load_graphs(path)
        except ValueError:
            count += 1
    assert count > 100


def test_reading_takes_away_nothing_that_somebody_has_allowed(tmp_path):
    path = tmp_path / "graphs.pt"
    torch.save(torch.ones(2), path)
    torch.serialization.add_safe_globals([Fraction])
    try:
        with tensors_only([Fraction]):
            torch.load(path)
        assert Fraction in torch.serialization.get_safe_globals()
    finally:
        torch.serialization._weights_only_unpickler._remove_safe_globals([Fraction])
