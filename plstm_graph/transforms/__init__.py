"""PyG transforms that attach the structure of a graph to it."""

from plstm_graph.transforms.add_dag_levels import AddDAGLevels
from plstm_graph.transforms.add_wl_colors import AddWLColors
from plstm_graph.transforms.grid_to_dag import GridToDAG
from plstm_graph.transforms.subdivide_edges import SubdivideEdges
from plstm_graph.transforms.to_dag import ToDAG
from plstm_graph.transforms.transitive import TransitiveClosure, TransitiveReduction

__all__ = [
    "AddDAGLevels",
    "AddWLColors",
    "GridToDAG",
    "SubdivideEdges",
    "ToDAG",
    "TransitiveClosure",
    "TransitiveReduction",
]
