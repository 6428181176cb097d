"""Layers and models; those to compare with are in :mod:`plstm_graph.nn.baselines`, those of images in
:mod:`plstm_graph.nn.vision`."""

from plstm_graph.nn.block import PLSTMBlock as PLSTMBlock
from plstm_graph.nn.block import PLSTMLayer as PLSTMLayer
from plstm_graph.nn.critical_path import maximising_path as maximising_path
from plstm_graph.nn.critical_path import predicted_path as predicted_path
from plstm_graph.nn.encoders import CategoryEncoder as CategoryEncoder
from plstm_graph.nn.encoders import DegreeEncoder as DegreeEncoder
from plstm_graph.nn.encoders import feature_encoder as feature_encoder
from plstm_graph.nn.ensemble import Ensemble as Ensemble
from plstm_graph.nn.gated_cell import GatedCell as GatedCell
from plstm_graph.nn.gates import DirectGate as DirectGate
from plstm_graph.nn.gates import MarkGate as MarkGate
from plstm_graph.nn.gates import SourceGate as SourceGate
from plstm_graph.nn.gates import TransitionGate as TransitionGate
from plstm_graph.nn.head_norm import MultiHeadLogNorm as MultiHeadLogNorm
from plstm_graph.nn.head_norm import MultiHeadRatioNorm as MultiHeadRatioNorm
from plstm_graph.nn.head_norm import MultiHeadRMSNorm as MultiHeadRMSNorm
from plstm_graph.nn.makespan import MakespanPLSTM as MakespanPLSTM
from plstm_graph.nn.matrix_transition import MatrixTransitionGate as MatrixTransitionGate
from plstm_graph.nn.neighbours import NeighbourInput as NeighbourInput
from plstm_graph.nn.node_transition import NodeTransitionGate as NodeTransitionGate
from plstm_graph.nn.parameters import count_parameters as count_parameters
from plstm_graph.nn.plstm import PLSTM as PLSTM
from plstm_graph.nn.plstm_conv import PLSTMConv as PLSTMConv
from plstm_graph.nn.sequence_head import SequenceHead as SequenceHead
from plstm_graph.nn.vision.plstm_1d import PLSTM1d as PLSTM1d
from plstm_graph.nn.vision.plstm_2d import PLSTM2d as PLSTM2d
from plstm_graph.nn.vision.plstm_vision import PLSTMVision as PLSTMVision
