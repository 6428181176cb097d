"""The pLSTM operator in its exact forms. Torch only; no parameters."""

from plstm_graph.ops.dispatch import Form as Form
from plstm_graph.ops.dispatch import direct_term as direct_term
from plstm_graph.ops.dispatch import edge_messages as edge_messages
from plstm_graph.ops.dispatch import plstm as plstm
from plstm_graph.ops.gating import gating_matrix as gating_matrix
from plstm_graph.ops.scatter import scatter_backend as scatter_backend
