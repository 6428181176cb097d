"""Layers and models."""

from plstm_graph.nn.block import PLSTMBlock as PLSTMBlock
from plstm_graph.nn.block import PLSTMLayer as PLSTMLayer
from plstm_graph.nn.dag_baselines import BagOfNodes as BagOfNodes
from plstm_graph.nn.dag_baselines import DAGBaseline as DAGBaseline
from plstm_graph.nn.dag_baselines import DirectedGATv2 as DirectedGATv2
from plstm_graph.nn.dag_baselines import DirectedGCN as DirectedGCN
from plstm_graph.nn.dag_baselines import DirectedGIN as DirectedGIN
from plstm_graph.nn.dag_baselines_gru import LevelGRU as LevelGRU
from plstm_graph.nn.dag_baselines_transformer import DAGTransformer as DAGTransformer
from plstm_graph.nn.dag_baselines_tree_lstm import ChildSumTreeLSTM as ChildSumTreeLSTM
from plstm_graph.nn.encoders import CategoryEncoder as CategoryEncoder
from plstm_graph.nn.encoders import DegreeEncoder as DegreeEncoder
from plstm_graph.nn.encoders import feature_encoder as feature_encoder
from plstm_graph.nn.ensemble import Ensemble as Ensemble
from plstm_graph.nn.gates import DirectGate as DirectGate
from plstm_graph.nn.gates import MarkGate as MarkGate
from plstm_graph.nn.gates import SourceGate as SourceGate
from plstm_graph.nn.gates import TransitionGate as TransitionGate
from plstm_graph.nn.node_transition import NodeTransitionGate as NodeTransitionGate
from plstm_graph.nn.norm import MultiHeadRMSNorm as MultiHeadRMSNorm
from plstm_graph.nn.plstm import PLSTM as PLSTM
from plstm_graph.nn.plstm_1d import PLSTM1d as PLSTM1d
from plstm_graph.nn.plstm_2d import PLSTM2d as PLSTM2d
from plstm_graph.nn.plstm_conv import PLSTMConv as PLSTMConv
from plstm_graph.nn.plstm_vision import PLSTMVision as PLSTMVision
from plstm_graph.nn.positions import Positions as Positions
