"""The workloads: one function for each family of DAGs."""

import csv
import gzip
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from rdkit import RDConfig
from torch_geometric.data import Batch

from benchmarks.operators.registry import NotMeasured, Workload, family
from plstm_graph.datasets.circuits.aiger import read_aiger
from plstm_graph.datasets.molecules.molecule import InvalidSmilesError, smiles_to_data
from plstm_graph.graph import LineGraph
from plstm_graph.testing import random_dag
from plstm_graph.transforms import ToDAG

#: Environment variable with the folder of data sets that are not part of any package.
DATA_VARIABLE = "PLSTM_DATA"
_LAYERED_NODES = 10_000


@family("nci")
def nci(count: str) -> Workload:
    """The first molecules of the NCI set that comes with RDKit."""
    path = Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi"
    if not path.exists():
        raise NotMeasured(f"this build of RDKit comes without {path.name}")
    lines = path.read_text(encoding="utf-8").splitlines()
    return _molecules(f"nci-{count}", (line.split()[0] for line in lines if line.strip()), int(count))


@family("molhiv")
def molhiv(count: str) -> Workload:
    """The first molecules of ogbg-molhiv."""
    path = _data("ogb/ogbg_molhiv/mapping/mol.csv.gz")
    return _molecules(f"molhiv-{count}", _smiles_column(path), int(count))


@family("peptides")
def peptides(count: str) -> Workload:
    """The first peptides of LRGB's Peptides."""
    path = _data("peptides_func/peptide_multi_class_dataset.csv.gz")
    return _molecules(f"peptides-{count}", _smiles_column(path), int(count))


@family("random")
def random(edges: str) -> Workload:
    """A shallow random DAG with five edges a node and shuffled node numbers."""
    num_edges = int(edges)
    num_nodes = max(num_edges // 5, 2)
    edge_index = random_dag(num_nodes, num_edges, torch.Generator().manual_seed(0))
    return Workload(f"random-{edges}", edge_index, num_nodes)


@family("chain")
def chain(edges: str) -> Workload:
    """One path."""
    node = torch.arange(int(edges) + 1)
    return Workload(f"chain-{edges}", torch.stack([node[:-1], node[1:]]), node.numel())


@family("grid")
def grid(side: str) -> Workload:
    """A square two-dimensional grid with that many nodes a side."""
    graph = LineGraph.grid(int(side), int(side))
    return Workload(f"grid-{side}", graph.edge_index, graph.num_nodes)


@family("layered")
def layered(depth: str) -> Workload:
    """A fixed number of nodes in that many layers, each node with two random in-edges from the layer before."""
    layers = int(depth)
    width = max(_LAYERED_NODES // layers, 1)
    node = torch.arange(width, layers * width).repeat_interleave(2)
    offset = torch.randint(width, node.shape, generator=torch.Generator().manual_seed(0))
    start = (torch.div(node, width, rounding_mode="floor") - 1) * width + offset
    return Workload(f"layered-{depth}", torch.stack([start, node]), layers * width)


@family("instar")
def in_star(leaves: str) -> Workload:
    """Leaves that all lead to one hub."""
    leaf = torch.arange(int(leaves))
    return Workload(f"instar-{leaves}", torch.stack([leaf, torch.full_like(leaf, leaf.numel())]), leaf.numel() + 1)


@family("outstar")
def out_star(leaves: str) -> Workload:
    """One hub that leads to all leaves."""
    leaf = torch.arange(int(leaves))
    return Workload(f"outstar-{leaves}", torch.stack([torch.full_like(leaf, leaf.numel()), leaf]), leaf.numel() + 1)


@family("hub")
def hub(degree: str) -> Workload:
    """One hub with that many edges in and as many out, so its pairs are their product."""
    size = int(degree)
    leaf, centre = torch.arange(2 * size), torch.full((size,), 2 * size)
    edge_index = torch.stack([torch.cat([leaf[:size], centre]), torch.cat([centre, leaf[size:]])])
    return Workload(f"hub-{degree}", edge_index, 2 * size + 1)


@family("circuit")
def circuit(name: str) -> Workload:
    """A circuit of the EPFL combinational benchmark suite."""
    edge_index, num_nodes = read_aiger(_data(f"dag/epfl_aig/{name}.aig"))
    return Workload(f"circuit-{name}", edge_index, num_nodes)


def _data(path: str) -> Path:
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        raise NotMeasured(f"set {DATA_VARIABLE} to the folder of real data sets")
    if not (Path(folder) / path).exists():
        raise NotMeasured(f"{DATA_VARIABLE} has no {path}")
    return Path(folder) / path


def _smiles_column(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row["smiles"]


def _molecules(name: str, smiles: Iterable[str], count: int) -> Workload:
    """The first molecules that RDKit can read, oriented by their numbering."""
    to_dag = ToDAG("numbering")
    graphs = list(itertools.islice((to_dag(data) for data in _readable(smiles)), count))
    if len(graphs) < count:
        raise NotMeasured(f"there are only {len(graphs)} molecules")
    batch = Batch.from_data_list(graphs)
    return Workload(name, batch.edge_index, batch.num_nodes, count, batch)


def _readable(smiles: Iterable[str]) -> Iterator:
    for text in smiles:
        try:
            data = smiles_to_data(text)
        except InvalidSmilesError:
            continue
        yield data
