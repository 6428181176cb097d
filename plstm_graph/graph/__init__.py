"""Structure of directed acyclic graphs. Torch only; nothing here has parameters or knows of features."""

from plstm_graph.graph.levels import CycleError as CycleError
from plstm_graph.graph.levels import longest_path_levels as longest_path_levels
from plstm_graph.graph.line_graph import LineGraph as LineGraph
from plstm_graph.graph.pairs import line_graph_pairs as line_graph_pairs
from plstm_graph.graph.schedule import Schedule as Schedule
