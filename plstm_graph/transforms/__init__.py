"""PyG transforms that attach the structure of a graph to it."""

from plstm_graph.transforms.grid_to_dag import GridToDAG
from plstm_graph.transforms.to_dag import ToDAG

__all__ = ["GridToDAG", "ToDAG"]
