"""Operands that no form can take are named in an error: numbers that are not real, and other devices."""

import pytest
import torch

from plstm_graph import LineGraph, plstm
from plstm_graph.testing import random_dag, random_operands
from tests.ops.catalogue import case_of, native_and_torch, native_code, one_case_of_each_operator

FORMS = ("naive", "recurrent", "parallel", "chunkwise", "auto")


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex128, torch.float8_e4m3fn], ids=str)
@one_case_of_each_operator
def test_numbers_that_are_not_real_are_refused(chosen, dtype):
    """Of integers the result would be cut to integers, and gradients of complex numbers would lack a conjugate."""
    with case_of(*chosen) as case:
        for name, tensor in case.operands.items():
            with pytest.raises(TypeError, match=f"{name} must be float64"):
                case.call(**case.operands | {name: tensor.detach().to(dtype)})


@native_and_torch
@pytest.mark.parametrize("form", FORMS)
def test_operands_and_structure_on_different_devices_are_refused(form, native):
    """torch takes a function that tells shapes for the operator if only one tensor is on the meta device."""
    graph = LineGraph(random_dag(9, 16, torch.Generator().manual_seed(1)), 9)
    operands = random_operands(graph, 2, 3, 4)
    with native_code(native):
        plstm(**operands, line_graph=graph, form=form)
        with pytest.raises(ValueError, match="query is on cpu, but the line graph on meta"):
            plstm(**operands, line_graph=graph.to("meta"), form=form)
        for name in operands:
            with pytest.raises(ValueError, match=f"{name} is on meta, but the line graph on cpu"):
                plstm(**operands | {name: operands[name].detach().to("meta")}, line_graph=graph, form=form)


@native_and_torch
@pytest.mark.parametrize("form", FORMS)
def test_another_default_device_changes_nothing(form, native):
    edges = random_dag(12, 26, torch.Generator().manual_seed(1))
    operands = random_operands(LineGraph(edges, 12), 2, 3, 4)
    expected = plstm(**operands, line_graph=LineGraph(edges, 12), form="naive")
    with native_code(native):
        with torch.device("meta"):
            graph = LineGraph(edges, 12)
            found = [plstm(**operands, line_graph=graph, form=form)]
            found.append(plstm(**operands, line_graph=graph, form=form))
    for each in found:
        torch.testing.assert_close(each, expected)
