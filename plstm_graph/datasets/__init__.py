"""Loaders for real graphs and images. Each checks what it reads and says where something is wrong."""

from typing import TYPE_CHECKING

from plstm_graph import lazy_names

if TYPE_CHECKING:
    from plstm_graph.datasets.architectures import ENASDataset as ENASDataset
    from plstm_graph.datasets.architectures import NASBenchGraph as NASBenchGraph
    from plstm_graph.datasets.circuits.epfl import EPFLCircuits as EPFLCircuits
    from plstm_graph.datasets.circuits.timing import CircuitTiming as CircuitTiming
    from plstm_graph.datasets.dag_folder.dataset import DAGFolder as DAGFolder
    from plstm_graph.datasets.dag_folder.dataset import OnDiskDAGFolder as OnDiskDAGFolder
    from plstm_graph.datasets.dag_folder.from_networkx import from_networkx as from_networkx
    from plstm_graph.datasets.dag_folder.from_pyg import write_dag_folder as write_dag_folder
    from plstm_graph.datasets.dag_folder.problems import DAGFolderError as DAGFolderError
    from plstm_graph.datasets.images.arrow_pointing import ArrowPointing as ArrowPointing
    from plstm_graph.datasets.images.folder import ImageFolder as ImageFolder
    from plstm_graph.datasets.images.sets import CIFAR10 as CIFAR10
    from plstm_graph.datasets.images.sets import FashionMNIST as FashionMNIST
    from plstm_graph.datasets.long_range import LongRange as LongRange
    from plstm_graph.datasets.molecules.chembl import ChEMBL2321810 as ChEMBL2321810
    from plstm_graph.datasets.molecules.molecule import InvalidSmilesError as InvalidSmilesError
    from plstm_graph.datasets.molecules.molecule import smiles_to_data as smiles_to_data
    from plstm_graph.datasets.molecules.smiles import BadRowsWarning as BadRowsWarning
    from plstm_graph.datasets.molecules.smiles import SmilesDataset as SmilesDataset
    from plstm_graph.datasets.molecules.splits import column_split as column_split
    from plstm_graph.datasets.molecules.splits import random_split as random_split
    from plstm_graph.datasets.molecules.splits import scaffold_split as scaffold_split
    from plstm_graph.datasets.ogb_code2 import ASTEdges as ASTEdges
    from plstm_graph.datasets.ogb_code2 import ASTNodes as ASTNodes
    from plstm_graph.datasets.ogb_code2 import OGBCode2Dataset as OGBCode2Dataset
    from plstm_graph.datasets.pedigrees.pedigrees import Pedigrees as Pedigrees
    from plstm_graph.datasets.sentiment import SentimentTreebank as SentimentTreebank
    from plstm_graph.datasets.table import BadRow as BadRow
    from plstm_graph.datasets.table import Table as Table
    from plstm_graph.datasets.table import TableError as TableError
    from plstm_graph.datasets.table import read_table as read_table
    from plstm_graph.datasets.terrain.terrain import Terrain as Terrain
    from plstm_graph.datasets.workflows.workflows import Workflows as Workflows

_HOMES = {
    "ASTEdges": "ogb_code2",
    "ASTNodes": "ogb_code2",
    "ArrowPointing": "images.arrow_pointing",
    "BadRow": "table",
    "BadRowsWarning": "molecules.smiles",
    "CIFAR10": "images.sets",
    "ChEMBL2321810": "molecules.chembl",
    "CircuitTiming": "circuits.timing",
    "DAGFolder": "dag_folder.dataset",
    "DAGFolderError": "dag_folder.problems",
    "ENASDataset": "architectures",
    "EPFLCircuits": "circuits.epfl",
    "FashionMNIST": "images.sets",
    "ImageFolder": "images.folder",
    "InvalidSmilesError": "molecules.molecule",
    "LongRange": "long_range",
    "NASBenchGraph": "architectures",
    "OGBCode2Dataset": "ogb_code2",
    "OnDiskDAGFolder": "dag_folder.dataset",
    "Pedigrees": "pedigrees.pedigrees",
    "SentimentTreebank": "sentiment",
    "SmilesDataset": "molecules.smiles",
    "Table": "table",
    "TableError": "table",
    "Terrain": "terrain.terrain",
    "Workflows": "workflows.workflows",
    "column_split": "molecules.splits",
    "from_networkx": "dag_folder.from_networkx",
    "random_split": "molecules.splits",
    "read_table": "table",
    "scaffold_split": "molecules.splits",
    "smiles_to_data": "molecules.molecule",
    "write_dag_folder": "dag_folder.from_pyg",
}

__all__ = [
    "CIFAR10",
    "ASTEdges",
    "ASTNodes",
    "ArrowPointing",
    "BadRow",
    "BadRowsWarning",
    "ChEMBL2321810",
    "CircuitTiming",
    "DAGFolder",
    "DAGFolderError",
    "ENASDataset",
    "EPFLCircuits",
    "FashionMNIST",
    "ImageFolder",
    "InvalidSmilesError",
    "LongRange",
    "NASBenchGraph",
    "OGBCode2Dataset",
    "OnDiskDAGFolder",
    "Pedigrees",
    "SentimentTreebank",
    "SmilesDataset",
    "Table",
    "TableError",
    "Terrain",
    "Workflows",
    "column_split",
    "from_networkx",
    "random_split",
    "read_table",
    "scaffold_split",
    "smiles_to_data",
    "write_dag_folder",
]

# At their first use: torch_geometric and ogb take seconds, a table of SMILES needs neither.
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
