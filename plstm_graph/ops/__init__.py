"""The pLSTM operator in its exact forms. Torch only; no parameters."""

from plstm_graph.ops.chain import ChainForm as ChainForm
from plstm_graph.ops.chain import plstm_chain as plstm_chain
from plstm_graph.ops.cost import Form as Form
from plstm_graph.ops.cost import choose_form as choose_form
from plstm_graph.ops.cost import estimate_seconds as estimate_seconds
from plstm_graph.ops.dispatch import direct_term as direct_term
from plstm_graph.ops.dispatch import edge_messages as edge_messages
from plstm_graph.ops.dispatch import plstm as plstm
from plstm_graph.ops.factorized import plstm_factorized as plstm_factorized
from plstm_graph.ops.gating import gating_matrix as gating_matrix
from plstm_graph.ops.grid2d import ORIENTATIONS as ORIENTATIONS
from plstm_graph.ops.grid2d import GridForm as GridForm
from plstm_graph.ops.grid2d import Orientation as Orientation
from plstm_graph.ops.grid2d import plstm_grid2d as plstm_grid2d
from plstm_graph.ops.grid2d import plstm_grid2d_oriented as plstm_grid2d_oriented
from plstm_graph.ops.grid2d_single_turn import single_turn_gating as single_turn_gating
from plstm_graph.ops.matrix_gates import plstm_chain_matrix as plstm_chain_matrix
from plstm_graph.ops.matrix_gates import plstm_grid2d_matrix as plstm_grid2d_matrix
from plstm_graph.ops.max_plus import MaxPlusForm as MaxPlusForm
from plstm_graph.ops.max_plus import plstm_max_plus as plstm_max_plus
from plstm_graph.ops.merge import gating_matrix_merged as gating_matrix_merged
from plstm_graph.ops.orthogonal import bounded_matrix as bounded_matrix
from plstm_graph.ops.orthogonal import householder_product as householder_product
from plstm_graph.ops.orthogonal import orthogonal_exponential as orthogonal_exponential
from plstm_graph.ops.scatter import scatter_backend as scatter_backend
