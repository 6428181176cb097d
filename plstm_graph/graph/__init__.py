"""Structure of directed acyclic graphs. Torch only; nothing here has parameters or knows of features."""

from plstm_graph.graph.centre import centre_distance as centre_distance
from plstm_graph.graph.centre import centre_rank as centre_rank
from plstm_graph.graph.depth_first import depth_first_rank as depth_first_rank
from plstm_graph.graph.levels import CycleError as CycleError
from plstm_graph.graph.levels import longest_path_levels as longest_path_levels
from plstm_graph.graph.line_graph import LineGraph as LineGraph
from plstm_graph.graph.multitree import multitree_mask as multitree_mask
from plstm_graph.graph.orientation import is_symmetric as is_symmetric
from plstm_graph.graph.orientation import numbering_rank as numbering_rank
from plstm_graph.graph.orientation import orient as orient
from plstm_graph.graph.pairs import line_graph_pairs as line_graph_pairs
from plstm_graph.graph.reachability import ancestor_pairs as ancestor_pairs
from plstm_graph.graph.schedule import Schedule as Schedule
