"""pLSTM for PyTorch Geometric: a linear recurrent network that runs on any directed acyclic graph."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plstm_graph.graph import CycleError as CycleError
    from plstm_graph.graph import LineGraph as LineGraph
    from plstm_graph.nn import PLSTM as PLSTM
    from plstm_graph.nn import PLSTMConv as PLSTMConv
    from plstm_graph.ops import plstm as plstm

__version__ = "0.1.0"

_HOMES = {"CycleError": "graph", "LineGraph": "graph", "PLSTM": "nn", "PLSTMConv": "nn", "plstm": "ops"}

__all__ = ["PLSTM", "CycleError", "LineGraph", "PLSTMConv", "plstm"]


def lazy_names(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package whose public names are imported at their first use (PEP 562).

    Args:
        package: Its ``__name__``.
        homes: The module of each name, relative to the package.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    def names() -> list[str]:
        return sorted([*vars(sys.modules[package]), *homes])

    return get, names


# At their first use, so that `plstm-graph --help` need not wait for torch_geometric.
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
