"""Layers on chains and grids, and models of images: pLSTM, a Vision Transformer and a small CNN."""

from plstm_graph.nn.vision.cnn import SmallCNN as SmallCNN
from plstm_graph.nn.vision.plstm_1d import PLSTM1d as PLSTM1d
from plstm_graph.nn.vision.plstm_2d import PLSTM2d as PLSTM2d
from plstm_graph.nn.vision.plstm_vision import PLSTMVision as PLSTMVision
from plstm_graph.nn.vision.vit import ViT as ViT
