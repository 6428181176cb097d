"""Training on Lightning: any graph-level PyG model, tables of molecules, baselines and the final report."""

from plstm_graph.train.checkpoint import CheckpointError, read_checkpoint
from plstm_graph.train.data import MoleculeDataModule
from plstm_graph.train.metrics import GraphMetrics, evaluate
from plstm_graph.train.module import GraphModule
from plstm_graph.train.sampler import EpochBatchSampler

__all__ = [
    "CheckpointError",
    "EpochBatchSampler",
    "GraphMetrics",
    "GraphModule",
    "MoleculeDataModule",
    "evaluate",
    "read_checkpoint",
]
