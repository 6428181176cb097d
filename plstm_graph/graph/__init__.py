"""Structure of directed acyclic graphs. Torch only; nothing here has parameters or knows of features."""

from plstm_graph.graph.generations import generations as generations
from plstm_graph.graph.generations import heights as heights
from plstm_graph.graph.levels import CycleError as CycleError
from plstm_graph.graph.levels import longest_path_levels as longest_path_levels
from plstm_graph.graph.line_graph import LineGraph as LineGraph
from plstm_graph.graph.longest_path import longest_path as longest_path
from plstm_graph.graph.multitree.mask import multitree_mask as multitree_mask
from plstm_graph.graph.orientation.centre import centre_distance as centre_distance
from plstm_graph.graph.orientation.centre import centre_rank as centre_rank
from plstm_graph.graph.orientation.depth_first import depth_first_rank as depth_first_rank
from plstm_graph.graph.orientation.orient import is_symmetric as is_symmetric
from plstm_graph.graph.orientation.orient import numbering_rank as numbering_rank
from plstm_graph.graph.orientation.orient import orient as orient
from plstm_graph.graph.pairs import line_graph_pairs as line_graph_pairs
from plstm_graph.graph.random_dag import random_dag as random_dag
from plstm_graph.graph.random_dag import random_tree as random_tree
from plstm_graph.graph.reachability import ancestor_pairs as ancestor_pairs
from plstm_graph.graph.safe_files import allow_in_files
from plstm_graph.graph.schedule import Schedule as Schedule
from plstm_graph.graph.transitive import ancestors as ancestors
from plstm_graph.graph.transitive import descendants as descendants
from plstm_graph.graph.transitive import transitive_closure as transitive_closure
from plstm_graph.graph.transitive import transitive_reduction as transitive_reduction

allow_in_files()
