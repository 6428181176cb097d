"""Training on Lightning: any PyG model of graphs, tables of molecules, folders of DAGs, baselines, report."""

from plstm_graph.tasks.metrics import GraphMetrics, evaluate
from plstm_graph.tasks.sampler import EpochBatchSampler
from plstm_graph.train.checkpoint import CheckpointError, read_checkpoint
from plstm_graph.train.dag_data import DAGDataModule
from plstm_graph.train.data import MoleculeDataModule
from plstm_graph.train.graph_data import GraphDataModule
from plstm_graph.train.module import GraphModule

__all__ = [
    "CheckpointError",
    "DAGDataModule",
    "EpochBatchSampler",
    "GraphDataModule",
    "GraphMetrics",
    "GraphModule",
    "MoleculeDataModule",
    "evaluate",
    "read_checkpoint",
]
