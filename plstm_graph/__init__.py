"""pLSTM for PyTorch Geometric: a linear recurrent network that runs on any directed acyclic graph."""

from plstm_graph.graph import CycleError as CycleError
from plstm_graph.graph import LineGraph as LineGraph
from plstm_graph.nn import PLSTM as PLSTM
from plstm_graph.nn import PLSTMConv as PLSTMConv
from plstm_graph.ops import plstm as plstm

__version__ = "0.1.0"
