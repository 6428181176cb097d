"""What comes before every measurement: no time is reported of a form that is wrong."""

from collections.abc import Iterator
from typing import Any, get_args

import torch

from benchmarks.operators import workloads  # noqa: F401, it fills the registry
from benchmarks.operators.registry import make_workload
from plstm_graph.graph import LineGraph
from plstm_graph.ops import Form
from plstm_graph.testing import assert_forms_agree, random_operands

#: Largest difference over the largest entry, in float64.
TOLERANCE = 1e-10
# Two are deep enough for several blocks of the chunkwise form.
_WORKLOADS = ("random-60", "chain-40", "chain-300", "grid-5", "grid-12", "instar-9", "outstar-9", "hub-4", "nci-3")


class WrongFormError(Exception):
    """A form of the operator is wrong, so nothing is measured. The message says which, where and by how much."""


def verify_forms() -> dict[str, Any]:
    """Hold every form against the naive one in float64, values and gradients, on a few DAGs and their reversals.

    Some gates are exactly 0 or 1. A form that is not built yet is left out.

    Returns:
        What was checked, for the report.

    Raises:
        WrongFormError: If any form differs by more than :data:`TOLERANCE`.
    """
    forms: list[Form] = [form for form in get_args(Form) if form != "naive"]
    missing: set[Form] = set()
    wrong = []
    for name, graph in _graphs():
        operands = random_operands(graph, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            for gate in ("source", "transition", "mark", "direct"):
                operands[gate][0::5], operands[gate][1::5] = 0.0, 1.0
        for form in forms:
            try:
                assert_forms_agree(graph, operands, [form], TOLERANCE)
            except NotImplementedError:  # a RuntimeError too, so it comes first
                missing.add(form)
            except AssertionError as error:
                wrong.append(f"{name}: {error}")
            except RuntimeError as error:  # torch refuses what the form asks of it
                wrong.append(f"{name}: {form} form: {error}")
    if wrong:
        raise WrongFormError("\n".join(wrong))
    return {
        "passed": True,
        "tolerance": TOLERANCE,
        "forms": [form for form in forms if form not in missing],
        "not_built": sorted(missing),
        "workloads": list(_WORKLOADS),
    }


def _graphs() -> Iterator[tuple[str, LineGraph]]:
    for name in _WORKLOADS:
        graph = make_workload(name).line_graph
        yield name, graph
        yield f"{name} reversed", graph.reverse()
