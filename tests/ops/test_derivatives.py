"""Derivatives beyond the first gradient, and torch's transforms: right in every form of every operator."""

import pytest
import torch
from torch.autograd import forward_ad

from plstm_graph import PLSTMConv
from plstm_graph.graph import LineGraph
from plstm_graph.ops import plstm
from plstm_graph.testing import assert_close, random_dag, random_operands
from tests.ops.catalogue import case_of, every_case, native_and_torch, native_code, one_case_of_each_operator


def _random_like(operands, seed):
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(t.shape, dtype=t.dtype, generator=generator) for n, t in operands.items()}


def _leaves(operands):
    return {name: tensor.detach().requires_grad_() for name, tensor in operands.items()}


def _dot(left, right):
    return sum((left[name] * right[name]).sum() for name in left)


@every_case
def test_tangents_of_forward_mode_and_of_func_jvp(chosen):
    with case_of(*chosen) as case:
        primals = {name: tensor.detach() for name, tensor in case.operands.items()}
        tangents = _random_like(primals, 1)
        # Reverse mode of the naive form, which has a test of its own: <w, J t> = <J' w, t>.
        out_grad = torch.randn(
            case.reference(**primals).shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
        )
        leaves = _leaves(primals)
        grads = torch.autograd.grad(case.reference(**leaves), list(leaves.values()), out_grad, materialize_grads=True)
        expected = _dot(dict(zip(leaves, grads, strict=True)), tangents)

        _, tangent = torch.func.jvp(
            lambda *args: case.call(**dict(zip(primals, args, strict=True))),
            tuple(primals.values()),
            tuple(tangents.values()),
        )
        assert_close((tangent * out_grad).sum(), expected, 1e-9, "torch.func.jvp")
        with forward_ad.dual_level():
            duals = {name: forward_ad.make_dual(tensor, tangents[name]) for name, tensor in primals.items()}
            dual = forward_ad.unpack_dual(case.call(**duals)).tangent
        assert_close(dual, tangent, 1e-10, "torch.autograd.forward_ad")


def _tangents_alone(reference, primals, tangents):
    """The tangent of the output along each operand alone, by the gradient of ``w -> J' w``, which is ``J``.

    Forward mode runs operations of torch by slow decompositions in Python, and once for each operand.
    """
    leaves = _leaves(primals)
    out = reference(**leaves)
    along = torch.zeros_like(out, requires_grad=True)
    grads = torch.autograd.grad(out, list(leaves.values()), along, create_graph=True, materialize_grads=True)
    found = {}
    for name, grad in zip(primals, grads, strict=True):
        found[name] = torch.zeros_like(out)
        if grad.requires_grad:
            slope = (grad * tangents[name]).sum()
            (found[name],) = torch.autograd.grad(slope, along, retain_graph=True, materialize_grads=True)
    return found


@one_case_of_each_operator
def test_tangents_of_each_operand_alone(chosen):
    with case_of(*chosen) as case:
        primals = {name: tensor.detach() for name, tensor in case.operands.items()}
        tangents = _random_like(primals, 1)
        expected = _tangents_alone(case.reference, primals, tangents)
        for name in primals:
            with forward_ad.dual_level():
                duals = primals | {name: forward_ad.make_dual(primals[name], tangents[name])}
                actual = forward_ad.unpack_dual(case.call(**duals)).tangent
            assert_close(actual, expected[name], 1e-9, f"tangent along {name}")


@every_case
def test_second_derivatives(chosen):
    with case_of(*chosen) as case:
        along = _random_like(case.operands, 4)

        def second(call):
            leaves = _leaves(case.operands)
            out = call(**leaves)
            out_grad = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(5))
            out_grad.requires_grad_()
            first = torch.autograd.grad(out, list(leaves.values()), out_grad, create_graph=True, materialize_grads=True)
            slope = _dot(dict(zip(leaves, first, strict=True)), along)
            second = torch.autograd.grad(slope, [*leaves.values(), out_grad], materialize_grads=True)
            return dict(zip([*leaves, "gradient of the output"], second, strict=True))

        expected = second(case.reference)
        for name, tensor in second(case.call).items():
            assert_close(tensor, expected[name], 1e-9, f"second derivative, {name}")


@every_case
def test_vmap_over_all_operands_and_over_one(chosen):
    with case_of(*chosen) as case:
        operands = {name: tensor.detach() for name, tensor in case.operands.items()}
        several = [operands, _random_like(operands, 6), _random_like(operands, 7)]
        names = list(operands)
        stacked = [torch.stack([each[name] for each in several]) for name in names]
        mapped = torch.func.vmap(lambda *args: case.call(**dict(zip(names, args, strict=True))))(*stacked)
        for each, out in zip(several, mapped, strict=True):
            assert_close(out, case.reference(**each), 1e-10, "vmap over all operands")
        for name in names:
            choices = torch.stack([each[name] for each in several], dim=-1)
            mapped = torch.func.vmap(lambda tensor, name=name: case.call(**operands | {name: tensor}), in_dims=-1)(
                choices
            )
            for each, out in zip(several, mapped, strict=True):
                assert_close(out, case.reference(**operands | {name: each[name]}), 1e-10, f"vmap over {name}")


@pytest.mark.parametrize("form", ["recurrent", "parallel", "chunkwise"])
@pytest.mark.parametrize("reverse", [False, True])
def test_gradgradcheck_and_forward_mode_gradcheck(form, reverse):
    graph = LineGraph(random_dag(5, 8, torch.Generator().manual_seed(0)), 5)
    graph = graph.reverse() if reverse else graph
    operands = tuple(random_operands(graph, 1, 2, 2, generator=torch.Generator().manual_seed(0)).values())
    assert torch.autograd.gradcheck(lambda *t: plstm(*t, graph, form=form), operands, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda *t: plstm(*t, graph, form=form), operands)


@pytest.mark.parametrize("form", ["recurrent", "parallel", "chunkwise"])
def test_operands_may_be_one_tensor_or_depend_on_each_other(form):
    graph = LineGraph.grid(3, 3)
    start = torch.randn(9, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gates = [tensor.detach() for tensor in list(random_operands(graph, 2, 3, 3).values())[3:]]

    def hessian_times(form, vector):
        x = start.clone().requires_grad_()
        key = x.sin()  # Depends on the query.
        out = plstm(x, key, x, *gates, graph, form=form)
        (first,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
        return torch.autograd.grad((first * vector).sum(), x)[0]

    vector = torch.randn_like(start)
    assert_close(hessian_times(form, vector), hessian_times("naive", vector), 1e-9, "Hessian")


@pytest.mark.parametrize("mode", ["P", "D"])
@pytest.mark.parametrize("form", ["recurrent", "parallel", "chunkwise"])
def test_forces_and_hessians_through_a_layer(mode, form):
    """What users do: a force is a gradient that is trained on; a Hessian is forward mode over reverse mode."""
    torch.manual_seed(0)
    edge_index = random_dag(6, 9, torch.Generator().manual_seed(0))
    x = torch.randn(6, 4, dtype=torch.float64)
    layer = PLSTMConv(4, 4, heads=2, mode=mode, form=form).double()
    reference = PLSTMConv(4, 4, heads=2, mode=mode, form="naive").double()
    reference.load_state_dict(layer.state_dict())

    def gradient_of_force_error(layer):
        position = x.clone().requires_grad_()
        (force,) = torch.autograd.grad(layer(position, edge_index).square().sum(), position, create_graph=True)
        return torch.autograd.grad(force.square().sum(), list(layer.parameters()))

    for (name, _), got, wanted in zip(
        layer.named_parameters(), gradient_of_force_error(layer), gradient_of_force_error(reference), strict=True
    ):
        assert_close(got, wanted, 1e-8, name)
    hessians = [
        torch.func.hessian(lambda x, layer=layer: layer(x, edge_index).square().sum())(x)
        for layer in (layer, reference)
    ]
    assert_close(hessians[0], hessians[1], 1e-8, "Hessian")
    assert_close(hessians[0].view(24, 24), hessians[0].view(24, 24).t(), 1e-8, "symmetry of the Hessian")


@native_and_torch
@pytest.mark.parametrize("form", ["recurrent", "parallel", "chunkwise", "auto"])
def test_structure_that_is_first_built_inside_a_transform_serves_afterwards(form, native):
    edge_index = random_dag(9, 16, torch.Generator().manual_seed(1))
    expected = LineGraph(edge_index, 9)
    query, *rest = (tensor.detach() for tensor in random_operands(expected, 2, 3, 4).values())
    wanted = plstm(query, *rest, expected, form="naive")
    with native_code(native):
        for direction in (lambda graph: graph, LineGraph.reverse):
            fresh = LineGraph(edge_index, 9)
            outside = plstm(query, *rest, direction(fresh), form="naive")
            graph = LineGraph(edge_index, 9)
            inside, _ = torch.func.vjp(lambda q, graph=graph, d=direction: plstm(q, *rest, d(graph), form=form), query)
            assert_close(inside, outside, 1e-10, "inside the transform")
            assert_close(plstm(query, *rest, direction(graph), form=form), outside, 1e-10, "after it")
        # All arguments of a function are wrapped, indices among them.
        inside = torch.func.vmap(lambda q: plstm(q, *rest, LineGraph(edge_index, 9), form=form))(query.unsqueeze(0))
        assert_close(inside[0], wanted, 1e-10, "vmap")
        gradient = torch.func.grad(lambda q, index: plstm(q, *rest, LineGraph(index, 9), form=form).sum())
        assert gradient(query, edge_index).shape == query.shape


def test_vmap_over_the_structure_is_refused():
    edge_index = random_dag(9, 16, torch.Generator().manual_seed(1))
    with pytest.raises(ValueError, match="one disjoint DAG"):
        torch.func.vmap(lambda index: LineGraph(index, 9).pairs)(torch.stack([edge_index, edge_index]))
