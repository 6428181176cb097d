"""Loaders for real graphs and images. Each checks what it reads and says where something is wrong."""

from plstm_graph.datasets.architectures import ENASDataset, NASBenchGraph
from plstm_graph.datasets.arrow_pointing import ArrowPointing
from plstm_graph.datasets.chembl import ChEMBL2321810
from plstm_graph.datasets.circuits import EPFLCircuits
from plstm_graph.datasets.dag_folder.dataset import DAGFolder, OnDiskDAGFolder
from plstm_graph.datasets.dag_folder.problems import DAGFolderError
from plstm_graph.datasets.dag_folder.write import from_networkx, write_dag_folder
from plstm_graph.datasets.image_folder import ImageFolder
from plstm_graph.datasets.image_sets import CIFAR10, FashionMNIST
from plstm_graph.datasets.molecule import InvalidSmilesError, smiles_to_data
from plstm_graph.datasets.sentiment import SentimentTreebank
from plstm_graph.datasets.smiles import BadRowsWarning, SmilesDataset
from plstm_graph.datasets.splits import column_split, random_split, scaffold_split
from plstm_graph.datasets.table import BadRow, Table, TableError, read_table

__all__ = [
    "CIFAR10",
    "ArrowPointing",
    "BadRow",
    "BadRowsWarning",
    "ChEMBL2321810",
    "DAGFolder",
    "DAGFolderError",
    "ENASDataset",
    "EPFLCircuits",
    "FashionMNIST",
    "ImageFolder",
    "InvalidSmilesError",
    "NASBenchGraph",
    "OnDiskDAGFolder",
    "SentimentTreebank",
    "SmilesDataset",
    "Table",
    "TableError",
    "column_split",
    "from_networkx",
    "random_split",
    "read_table",
    "scaffold_split",
    "smiles_to_data",
    "write_dag_folder",
]
