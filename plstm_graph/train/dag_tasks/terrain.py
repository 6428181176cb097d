"""Water over terrain: the discharge of every cell, learnt on tiles of one half of a map, tested on the other half."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.datasets.terrain.terrain import EDGE_FEATURES, NODE_FEATURES, Terrain, Window
from plstm_graph.train.regression import rmse
from plstm_graph.train.scale import TargetScale
from plstm_graph.train.selection import Row


class LogDischarge:
    """Targets are standardised logarithms of one plus the discharge; metrics restore them.

    Args:
        scale (TargetScale): Of the logarithms in training.
    """

    def __init__(self, scale: TargetScale) -> None:
        self.scale = scale

    def targets(self, graph: Data) -> Tensor:
        """Targets ``[N, 1]`` of a graph whose ``y`` is its discharge."""
        return self.scale.standardise(graph.y.log1p()).float()

    def discharge(self, output: Tensor) -> Tensor:
        """Discharge ``[N]`` of outputs ``[N, 1]``, in millimetres on a cell, float64; none is negative."""
        return self.scale.restore(output).view(-1).clamp(min=0).expm1()

    def metrics(self, output: Tensor, y: Tensor, outlet: Tensor) -> Row:
        """Error and efficiency of logarithms, and the mass balance at the outlets.

        Args:
            output: ``[M, 1]``
            y: Targets, ``[M, 1]``.
            outlet: The number of its graph for each outlet, -1 for other cells, ``[M]``.

        Returns:
            ``rmse`` of ``log(1 + q)``; ``nse``, the Nash-Sutcliffe efficiency of the same, pooled over graphs;
            ``balance``, how far the sum of the discharge at all outlets of a graph is off, as a part of the true sum,
            averaged over graphs.
        """
        known = outlet >= 0
        graph = outlet[known] - outlet[known].min()
        predicted, true = (
            torch.zeros(int(graph.max()) + 1, dtype=torch.double).index_add_(0, graph.cpu(), self.discharge(each)[known].cpu())
            for each in (output, y)
        )
        there = true > 0
        balance = ((predicted - true)[there].abs() / true[there]).mean()
        predicted, true = (self.scale.restore(each).view(-1) for each in (output, y))
        missed = (predicted - true).square().sum() / (true - true.mean()).square().sum()
        return {"rmse": rmse(predicted, true), "nse": 1 - float(missed), "balance": float(balance)}
