"""Names of graphs in a folder."""

from collections.abc import Sequence
from typing import Any

from plstm_graph.datasets.dag_folder.attributes import AttributeValueError, identifier


def graph_names(ids: Sequence[Any], names: Sequence[Any]) -> list[str]:
    """An identifier for each graph: its own, else its name if all have different ones, else its number.

    Args:
        ids: Identifiers; None where there is none.
        names: What else graphs are called; None where there is nothing.

    Raises:
        AttributeValueError: If two graphs have the same one.
    """
    others = [name if isinstance(name, str) and name.strip() else None for name in names]
    if None in others or len(set(others)) < len(others):
        others = [None] * len(others)
    found: dict[str, int] = {}
    for number, (own, other) in enumerate(zip(ids, others, strict=True)):
        given = own if own is not None else other
        text = str(number) if given is None else identifier(given, f"graph {number}")
        if text in found:
            raise AttributeValueError(f"graphs {found[text]} and {number} are both called {text!r}")
        found[text] = number
    return list(found)
