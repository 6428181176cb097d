"""Kinds of files that the package reads: a small good one of each, and what reads it."""

import functools
import gzip
import io
import json
import pickle
import random
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import torch
from torch_geometric.data import Batch

from plstm_graph.cli import main
from plstm_graph.config.run_config import read_yaml
from plstm_graph.console import Console
from plstm_graph.datasets import SmilesDataset, from_networkx
from plstm_graph.datasets.architectures import ENASDataset, NASBenchGraph
from plstm_graph.datasets.circuits.epfl import circuit_data
from plstm_graph.datasets.dag_folder.check import check
from plstm_graph.datasets.dag_folder.dataset import DAGFolder, OnDiskDAGFolder
from plstm_graph.datasets.images.idx import read_idx
from plstm_graph.datasets.molecules.ogb import OGBMolDataset
from plstm_graph.datasets.molecules.peptides import PeptidesDataset
from plstm_graph.datasets.molecules.tu import TUGraphs
from plstm_graph.datasets.sentiment import SentimentTreebank
from plstm_graph.datasets.storage.restricted_pickle import load_arrays
from plstm_graph.graph import LineGraph
from plstm_graph.nn import PLSTM
from plstm_graph.ops import plstm
from plstm_graph.predict.command import predict_dags
from plstm_graph.predict.molecules import predict_smiles
from plstm_graph.predict.predictor import load_predictor
from plstm_graph.tasks.dag_folder import dag_folder
from plstm_graph.transforms import ToDAG
from tests.made_checkpoints import checkpoint_of, make_recipe, task_checkpoint
from tests.made_sets import made_enas, made_ogb, made_tu

#: What pickles of arrays hold, and in which protocols they are written.
TREE = {
    "train": np.arange(10),
    "valid": np.arange(6.0).reshape(2, 3).T,
    "more": [1, 2.5, "x", b"y", None, True, np.float32(3)],
    "pair": (np.array([True, False]), np.array([1 + 2j]), np.arange(3, dtype=">i4"), np.empty((0, 3))),
}
PROTOCOLS = range(6)
_SMILES = ["C" * n + end for n in range(1, 4) for end in ("O", "N", "c1ccccc1", "C(=O)O", "c1cc[nH]c1")]
_SIZES = {"hidden_channels": 8, "num_layers": 1, "heads": 1}
_MODEL = {"in_channels": "atom", "out_channels": 1, **_SIZES}
_CONFIG = """name: small
task: {name: molecules, path: table.csv, target_columns: [y], fractions: [0.5, 0.25, 0.25]}
models:
  plstm: {class_path: plstm_graph.nn.PLSTM, init_args: {hidden_channels: 8, heads: 1, pool: [mean, max]}}
training: {epochs: 2, lr: 1.0e-3}
choose: {training.clip: [1.0, 2.0]}
trainer: {accelerator: cpu, callbacks: [{class_path: lightning.pytorch.callbacks.RichModelSummary}]}
"""


@dataclass(frozen=True)
class Kind:
    """A kind of files.

    Attributes:
        make: Writes good ones into a folder.
        read: Reads them, also when they are damaged; what it makes goes into the second folder.
        spared: Names of files that are never damaged.
    """

    make: Callable[[Path], object]
    read: Callable[[Path, Path], object]
    spared: tuple[str, ...] = ()

    @functools.cached_property
    def files(self) -> dict[str, bytes]:
        """Good files, by their names in the folder."""
        with tempfile.TemporaryDirectory() as folder:
            self.make(Path(folder))
            return {
                path.relative_to(folder).as_posix(): path.read_bytes()
                for path in sorted(Path(folder).rglob("*"))
                if path.is_file()
            }


def _dags(folder: Path, task: str = "regression", level: str = "graph") -> None:
    draw, graphs = random.Random(0), []
    for number in range(12):
        graph = nx.gn_graph(draw.randint(2, 6), seed=number).reverse()
        graph.graph.update(graph=f"g{number}", size=number / 3, kind=draw.choice("ab"))
        value = {"regression": draw.random, "classification": lambda: draw.choice(("no", "yes"))}[task]
        if level == "graph":
            graph.graph["y"] = value()
        for node in graph.nodes:
            graph.nodes[node].update(op=draw.choice(("add", "mul, div", "-")), cost=draw.gauss(0, 1))
            if level == "node":
                graph.nodes[node]["y"] = value()
        for edge in graph.edges:
            graph.edges[edge]["weight"] = draw.random()
        graphs.append(graph)
    shutil.rmtree(folder)
    from_networkx(graphs, folder, targets=["y"], task=task, level=level)  # type: ignore[arg-type]


def _packed_dags(folder: Path) -> None:
    _dags(folder, "classification")
    for path in list(folder.glob("*.csv")):
        pd.read_csv(path, keep_default_na=False).to_csv(f"{path}.gz", index=False)
        path.unlink()


def _json_lines(folder: Path) -> None:
    lines = []
    for number in range(8):
        nodes = [{"id": node, "op": "ab"[node % 2], "at": [node, 0.5], "more": {"x": node}} for node in range(4)]
        edges = [{"source": 0, "target": 1, "w": 0.1 * number}, {"source": 1, "target": 3}, {"source": 2, "target": 3}]
        lines.append(json.dumps({"graph": f"g{number}", "nodes": nodes, "edges": edges, "y": number % 3}))
    (folder / "dags.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "dag.yaml").write_text("task: classification\ntargets: [y]\nlevel: graph\nsplit: {seed: 1}\n")


def _read_dags(folder: Path, made: Path) -> None:
    if check(str(folder), str(made / "check.json"), Console(file=io.StringIO())) != 0:
        raise ValueError("it has problems")
    _use(DAGFolder(folder, pre_transform=ToDAG("keep")))
    disk = OnDiskDAGFolder(folder, graphs_at_once=3)
    _use([disk[number] for number in range(min(len(disk), 3))])
    disk.close()


def _use(graphs) -> None:
    """Walk over graphs as training does."""
    some = [graphs[number] for number in range(min(len(graphs), 4))]
    graph = LineGraph.from_data(Batch.from_data_list(some))
    counts = {"N": graph.num_nodes, "E": graph.edge_index.size(1), "P": graph.num_pairs}
    shapes = (("N", 1, 2), ("N", 1, 2), ("N", 1, 2), ("E", 1), ("P", 1), ("E", 1), ("N", 1))
    operands = [torch.ones([counts.get(size, size) for size in shape]) for shape in shapes]  # type: ignore[call-overload]
    plstm(*operands, graph)


def _processed(folder: Path) -> None:
    _dags(folder)
    DAGFolder(folder, pre_transform=ToDAG("keep"))
    (stored,) = (folder / "processed").iterdir()
    stored.rename(folder / "stored")
    shutil.rmtree(folder / "processed")


def _read_processed(folder: Path, made: Path) -> None:
    # The name of the folder holds the content of the files, which a stranger knows.
    good = Path(tempfile.mkdtemp(dir=made)) / "dags"
    shutil.copytree(folder, good, ignore=shutil.ignore_patterns("stored"))
    name = Path(DAGFolder(good, pre_transform=ToDAG("keep")).processed_dir)
    shutil.rmtree(name)
    shutil.copytree(folder / "stored", name)
    data = dag_folder(str(good)).labelled
    assert data is not None
    _ = (data.problem, data.classes, data.targets("train"), data.row_names("test"))
    _use(data.subset("train"))


def _table(folder: Path) -> None:
    rows = [f"m{number},{smiles},{len(smiles) / 3:.2f}" for number, smiles in enumerate(_SMILES)]
    (folder / "table.csv").write_text("\n".join(["name,smiles,activity", *rows]) + "\n")


def _packed_table(folder: Path) -> None:
    _table(folder)
    table = pd.read_csv(folder / "table.csv")
    table.to_csv(folder / "table.csv.gz", index=False)
    (folder / "table.csv").unlink()


def _read_table(folder: Path, made: Path) -> None:
    (path,) = folder.iterdir()
    _use(SmilesDataset(made, path, target_columns=["activity"], pre_transform=ToDAG(), log=False))


def _stored_molecules(folder: Path) -> None:
    _table(folder)
    SmilesDataset(folder, folder / "table.csv", target_columns=["activity"], pre_transform=ToDAG(), log=False)
    (stored,) = (folder / "processed").iterdir()
    stored.rename(folder / "stored")
    shutil.rmtree(folder / "processed")


def _read_stored_molecules(folder: Path, made: Path) -> None:
    data = SmilesDataset(made, folder / "table.csv", target_columns=["activity"], pre_transform=ToDAG(), log=False)
    shutil.rmtree(data.processed_dir)
    shutil.copytree(folder / "stored", data.processed_dir)
    data = SmilesDataset(made, folder / "table.csv", target_columns=["activity"], pre_transform=ToDAG(), log=False)
    _use(data)
    _ = data.table


def _checkpoint(folder: Path) -> None:
    recipe = make_recipe(model={"class_path": "plstm_graph.nn.PLSTM", "init_args": _MODEL})
    torch.save(checkpoint_of(PLSTM(**_MODEL), recipe) | {"epoch": 3}, folder / "best.ckpt")


def _read_checkpoint(folder: Path, made: Path) -> None:
    predict_smiles(load_predictor(folder / "best.ckpt"), ["CCO", "C[nH]"], None, str(made / "out.csv"))


def _dag_checkpoint(folder: Path) -> None:
    _dags(folder, "classification", "node")
    spec = {"class_path": "plstm_graph.nn.PLSTM", "init_args": _SIZES}
    checkpoint = task_checkpoint(dag_folder(str(folder)), {"name": "dag_folder", "path": "dags"}, spec)
    shutil.rmtree(folder / "processed")
    torch.save(checkpoint, folder / "best.ckpt")


def _read_dag_checkpoint(folder: Path, made: Path) -> None:
    path = (folder / "best.ckpt").replace(made / "best.ckpt")
    predict_dags(load_predictor(path), str(folder), str(made / "out.csv"), allow_unknown=False)


def _pickles(folder: Path) -> None:
    for protocol in PROTOCOLS:
        (folder / f"{protocol}.pickle").write_bytes(pickle.dumps(TREE, protocol))


def _read_pickles(folder: Path, made: Path) -> None:
    for path in sorted(folder.iterdir()):
        load_arrays(path)


def _read_tu(folder: Path, made: Path) -> None:
    _use(TUGraphs(str(made), "MADE", ToDAG(), str(folder)))


def _ogb(folder: Path) -> None:
    made_ogb(folder)


def _read_ogb(folder: Path, made: Path) -> None:
    data = OGBMolDataset("ogbg-molfreesolv", made, folder, pre_transform=ToDAG())
    _use(data)
    data.get_idx_split()


def _circuit(folder: Path) -> None:
    gates = bytes([2, 2, 3, 2, 2, 2])
    (folder / "half.aig").write_bytes(b"aig 5 2 0 2 3\n10\n6\n" + gates + b"i0 a\ni1 b\nc\na comment\n")


def _read_circuit(folder: Path, made: Path) -> None:
    _use([circuit_data(folder / "half.aig")])


def _images(folder: Path) -> None:
    header = b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in (4, 3, 2))
    (folder / "images").write_bytes(header + bytes(range(24)))
    (folder / "labels.gz").write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x04" + bytes(4)))


def _read_images(folder: Path, made: Path) -> None:
    read_idx(folder / "images")
    read_idx(folder / "labels.gz")


def _trees(folder: Path) -> None:
    trees = ["(3 (2 It) (4 shines))", "(1 (2 (2 8) (1 bores)) (2 me))", "(2 fine)"]
    with zipfile.ZipFile(folder / "trainDevTestTrees_PTB.zip", "w") as archive:
        for part in ("train", "dev", "test"):
            archive.writestr(f"trees/{part}.txt", "\n".join(trees) + "\n")


def _read_trees(folder: Path, made: Path) -> None:
    trees = SentimentTreebank(made, "train", folder)
    _use(trees)
    _ = trees.words


def _enas(folder: Path) -> None:
    path = made_enas(folder, 20)
    path.write_text("\n" * 1000 + "".join(path.read_text().splitlines(keepends=True)[1000:]))


def _read_enas(folder: Path, made: Path) -> None:
    _use(ENASDataset(made, "train", folder))


def _nas(folder: Path) -> None:
    rows = [f"cora,{key},0123,gat-gcn-skip-fc,0.8,0.7,0.1,{key}.5" for key in range(12)]
    text = "\n".join(["dataset,key,link,ops,valid_perf,perf,latency,para_M", *rows]) + "\n"
    (folder / "nas_bench_graph_light.csv.gz").write_bytes(gzip.compress(text.encode()))


def _read_nas(folder: Path, made: Path) -> None:
    _use(NASBenchGraph(made, "cora", folder))


def _peptides(folder: Path) -> None:
    rows = [f'{smiles},"[{", ".join("01"[n % 2] for n in range(10))}]"' for smiles in _SMILES]
    text = "\n".join(["smiles,labels", *rows]) + "\n"
    (folder / "peptide_multi_class_dataset.csv.gz").write_bytes(gzip.compress(text.encode()))
    split = {"train": np.arange(9), "val": np.arange(9, 12), "test": np.arange(12, len(rows))}
    (folder / "splits_random_stratified_peptide.pickle").write_bytes(pickle.dumps(split))


def _read_peptides(folder: Path, made: Path) -> None:
    _use(PeptidesDataset(made, "Peptides-func", "train", folder, pre_transform=ToDAG()))


def _config(folder: Path) -> None:
    (folder / "config.yaml").write_text(_CONFIG)


def _read_config(folder: Path, made: Path) -> None:
    config = folder / "config.yaml"
    try:
        read_yaml(config)
    finally:
        try:
            status = main(["fit", "--config", str(config), "--print_config"])
        except SystemExit as stop:
            status = int(stop.code or 0)
        assert status in (0, 2), f"exit status {status}"


KINDS = {
    "tables of DAGs": Kind(_dags, _read_dags),
    "packed tables of DAGs": Kind(_packed_dags, _read_dags),
    "JSON lines": Kind(_json_lines, _read_dags),
    "processed DAGs": Kind(_processed, _read_processed, ("dag.yaml", "graphs.csv", "nodes.csv", "edges.csv")),
    "table of SMILES": Kind(_table, _read_table),
    "packed table of SMILES": Kind(_packed_table, _read_table),
    "processed molecules": Kind(_stored_molecules, _read_stored_molecules, ("table.csv",)),
    "checkpoint": Kind(_checkpoint, _read_checkpoint),
    "checkpoint for DAGs": Kind(_dag_checkpoint, _read_dag_checkpoint, ("graphs.csv", "edges.csv")),
    "pickles of arrays": Kind(_pickles, _read_pickles),
    "TU zip": Kind(made_tu, _read_tu),
    "OGB folder": Kind(_ogb, _read_ogb),
    "AIGER": Kind(_circuit, _read_circuit),
    "IDX": Kind(_images, _read_images),
    "SST zip": Kind(_trees, _read_trees),
    "ENAS": Kind(_enas, _read_enas),
    "NAS-Bench-Graph": Kind(_nas, _read_nas),
    "peptides": Kind(_peptides, _read_peptides),
    "configuration": Kind(_config, _read_config),
}
