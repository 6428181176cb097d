"""The registries of workloads and operators, and what their entries are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch_geometric.data import Batch

from plstm_graph.graph import LineGraph

#: What can be timed of a case, in this order of the tables.
PASSES = ("forward", "forward+backward", "training step", "build")


class Width(NamedTuple):
    """Widths of an operator; a layer of the same width has ``heads * value`` channels."""

    heads: int = 4
    key: int = 24
    value: int = 24

    @property
    def channels(self) -> int:
        """Size of node features, ``H * V``."""
        return self.heads * self.value


class NotMeasured(Exception):
    """A case that cannot or should not be measured; the message says why and goes into the report."""


@dataclass(eq=False)
class Workload:
    """A DAG to run on.

    Attributes:
        name: Its name in the registry, such as ``"chain-1000"``.
        edge_index: ``[2, E]``
        num_nodes: ``N``
        num_graphs: How many graphs the DAG is a batch of.
        batch: The molecules with OGB's features and the structure that
            :class:`~plstm_graph.transforms.ToDAG` attached, if it is a batch of molecules.
    """

    name: str
    edge_index: Tensor
    num_nodes: int
    num_graphs: int = 1
    batch: Batch | None = None
    _line_graph: LineGraph | None = field(default=None, repr=False)

    @property
    def line_graph(self) -> LineGraph:
        """The line graph with its schedule, built at the first call."""
        if self._line_graph is None:
            if self.batch is None:
                self._line_graph = LineGraph(self.edge_index, self.num_nodes)
            else:
                self._line_graph = LineGraph.from_data(self.batch)
            _ = self._line_graph.schedule
        return self._line_graph

    def molecules(self) -> Batch:
        """The molecules.

        Raises:
            NotMeasured: If this is no batch of molecules.
        """
        if self.batch is None:
            raise NotMeasured("needs molecules with atom and bond features")
        return self.batch


#: What to time, by pass.
Case = dict[str, Callable[[], object]]
Operator = Callable[[Workload, Width], Case]
Family = Callable[[str], Workload]

OPERATORS: dict[str, Operator] = {}
FAMILIES: dict[str, Family] = {}

_F = TypeVar("_F", bound=Callable)


def operator(name: str) -> Callable[[_F], _F]:
    """Register an operator: a function from a workload and a width to what is to be timed.

    Args:
        name: Its name in suites and reports.
    """
    return _register(OPERATORS, name)


def family(name: str) -> Callable[[_F], _F]:
    """Register a family of workloads: a function from the part of the workload's name after the first hyphen.

    Args:
        name: The part before the hyphen.
    """
    return _register(FAMILIES, name)


def _register(registry: dict, name: str) -> Callable[[_F], _F]:
    def add(function: _F) -> _F:
        if name in registry:
            raise ValueError(f"there is a {name!r} already")
        registry[name] = function
        return function

    return add


def make_workload(name: str) -> Workload:
    """Build a workload.

    Args:
        name: Family and argument, such as ``"chain-1000"`` or ``"circuit-hyp"``.

    Raises:
        ValueError: If there is no such family.
        NotMeasured: If its data are not there.
    """
    kind, _, argument = name.partition("-")
    if kind not in FAMILIES:
        raise ValueError(f"no workload {name!r}; the families are {', '.join(FAMILIES)}")
    return FAMILIES[kind](argument)


def make_case(name: str, workload: Workload, width: Width) -> Case:
    """Prepare an operator on a workload.

    Args:
        name: Name of the operator.
        workload: What to run on.
        width: Its widths.

    Raises:
        ValueError: If there is no such operator.
        NotMeasured: If it does not apply to the workload.
    """
    if name not in OPERATORS:
        raise ValueError(f"no operator {name!r}; there are {', '.join(OPERATORS)}")
    return OPERATORS[name](workload, width)


def differentiable(function: Callable[[], Tensor], inputs: Sequence[Tensor], out_grad: Tensor) -> Case:
    """The passes of a differentiable function.

    Args:
        function: Computes the output.
        inputs: Tensors whose gradients the backward pass computes; none is accumulated.
        out_grad: Gradient of the output, in its shape.
    """

    def forward() -> None:
        with torch.no_grad():
            function()

    def both() -> None:
        torch.autograd.grad(function(), inputs, out_grad, allow_unused=True)

    return {"forward": forward, "forward+backward": both}
