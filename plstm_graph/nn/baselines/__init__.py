"""Models to compare with: message passing, a GRU and Tree-LSTM by levels, a transformer, and the networks of OGB."""

from plstm_graph.nn.baselines.directed import BagOfNodes as BagOfNodes
from plstm_graph.nn.baselines.directed import DAGBaseline as DAGBaseline
from plstm_graph.nn.baselines.directed import DirectedGATv2 as DirectedGATv2
from plstm_graph.nn.baselines.directed import DirectedGCN as DirectedGCN
from plstm_graph.nn.baselines.directed import DirectedGIN as DirectedGIN
from plstm_graph.nn.baselines.level_gru import LevelGRU as LevelGRU
from plstm_graph.nn.baselines.ogb_gnn import OGBGNN as OGBGNN
from plstm_graph.nn.baselines.transformer import DAGTransformer as DAGTransformer
from plstm_graph.nn.baselines.tree_lstm import ChildSumTreeLSTM as ChildSumTreeLSTM
from plstm_graph.nn.baselines.undirected import GAT as GAT
from plstm_graph.nn.baselines.undirected import GCN as GCN
from plstm_graph.nn.baselines.undirected import GIN as GIN
from plstm_graph.nn.baselines.undirected import LSTMGNN as LSTMGNN
from plstm_graph.nn.baselines.undirected import MPNN as MPNN
