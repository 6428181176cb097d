"""What data ask of a model: task, sizes, and whether graphs, nodes or edges have the targets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from plstm_graph.nn.encoders import FeatureSpec
from plstm_graph.train.metrics import Task

#: Makes a model of the number of its outputs and the kinds of node and edge features (None for none).
ModelFactory = Callable[[int, FeatureSpec, FeatureSpec | None], nn.Module]


@dataclass
class Problem:
    """What data ask of a model.

    Attributes:
        task (str): ``"regression"``, ``"classification"`` (labels 0 and 1) or ``"multiclass"``.
        predict (str): What has the targets: ``"graph"``, ``"node"`` or ``"edge"``.
        out_channels (int): Number of columns that the model gives: targets, labels or classes.
        in_channels (int, list[int] or str): Node features, as :func:`plstm_graph.nn.feature_encoder` takes them.
        edge_dim (int, list[int], str or None): Edge features likewise; None for none.
    """

    task: Task
    predict: Literal["graph", "node", "edge"]
    out_channels: int
    in_channels: FeatureSpec
    edge_dim: FeatureSpec | None = None

    def make(self, factory: ModelFactory) -> nn.Module:
        """Make a model of these sizes.

        Args:
            factory: A class with the arguments that data do not decide.

        Raises:
            ValueError: If the class cannot be made so, for example because it has graph-level outputs only.
        """
        make: Any = factory
        extra = {} if self.predict == "graph" else {"predict": self.predict}
        try:
            return make(self.out_channels, self.in_channels, self.edge_dim, **extra)
        except TypeError as error:
            raise ValueError(f"the model cannot be made for targets of {self.predict}s: {error}") from error
