"""pLSTM for PyTorch Geometric: a linear recurrent network that runs on any directed acyclic graph."""

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


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that `plstm-graph --help` need not wait for torch_geometric."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
