"""What torch asks of operators: registration, empty sizes, checkpoints of activations, compiled code."""

import itertools

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from plstm_graph import PLSTMConv
from plstm_graph.graph import LineGraph
from plstm_graph.ops import plstm, plstm_chain, plstm_grid2d
from plstm_graph.ops.custom_operator import CustomOperator
from plstm_graph.testing import assert_close, random_dag, random_operands
from tests.ops.catalogue import case_of, cases, native_and_torch, native_code, one_case_of_each_operator

FORMS = ["naive", "recurrent", "parallel", "chunkwise", "auto"]


#: What calls of operators were found sound, by whether native code was on; several forms make the same call.
_SOUND = set()


def _content(value):
    return (value.shape, value.dtype, value.detach().numpy().tobytes()) if torch.is_tensor(value) else value


@cases("(dag|matrix|max_plus).*-(forward|reversed)$|messages|chain-chunkwise-40|grid-.*oriented|max_plus_chain-.*-5")
def test_every_operator_is_registered_soundly(chosen, monkeypatch):
    calls = {}
    run = CustomOperator.__call__

    def recorded(self, *operands, structure=(), options=()):
        calls[self.op] = ([*operands], [*structure], [*options])
        return run(self, *operands, structure=structure, options=options)

    monkeypatch.setattr(CustomOperator, "__call__", recorded)
    with case_of(*chosen) as case:
        case.call(**case.operands)
        for operator, (operands, structure, options) in calls.items():
            call = (operator, chosen[1], *map(_content, (*operands, *structure, *options)))
            if call in _SOUND:
                continue
            leaves = [tensor.detach().requires_grad_() for tensor in operands]
            results = torch.library.opcheck(operator, (*leaves, structure, options))
            assert set(results.values()) == {"SUCCESS"}, operator
            _SOUND.add(call)


class Watching(TorchDispatchMode):
    """Remembers which operators of this package are called."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.namespace == "plstm_graph":
            self.seen.append(function)
        return function(*args, **(kwargs or {}))


class Marked(torch.Tensor):
    """A subclass that torch tells of every function."""


def _values_and_gradients(case, as_leaf=lambda tensor: tensor):
    leaves = {name: as_leaf(tensor.detach().clone()).requires_grad_() for name, tensor in case.operands.items()}
    out = case.call(**leaves)
    grad = torch.linspace(-1, 1, out.numel(), dtype=out.dtype, device="cpu").view(out.shape)
    return [out, *torch.autograd.grad(out, list(leaves.values()), grad, materialize_grads=True)]


@one_case_of_each_operator
def test_whoever_watches_sees_registered_operators_and_the_same_numbers(chosen):
    with case_of(*chosen) as case:
        expected = _values_and_gradients(case)
        with Watching() as mode:
            watched = _values_and_gradients(case)
        with torch.device("meta"):  # decides nothing, for every tensor is given
            elsewhere = _values_and_gradients(case)
        with torch.autograd.graph.save_on_cpu():
            moved = _values_and_gradients(case)
        subclassed = _values_and_gradients(case, lambda tensor: tensor.as_subclass(Marked))
        for found in (watched, elsewhere, moved, subclassed):
            for got, wanted in zip(found, expected, strict=True):
                assert torch.equal(got.as_subclass(torch.Tensor), wanted)  # The same code ran.
        # Two forms are made of operations of torch alone.
        assert mode.seen or chosen[0].startswith(("gating-merged", "chain-matrix", "grid-matrix", "chain-scan"))


# torch.jit.trace itself fails at the list of integers that the chunkwise form hands over.
@cases("dag-(auto|recurrent|parallel)-forward|max_plus-(auto|recurrent)-forward")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_trace_of_an_operator_can_be_saved(chosen, tmp_path):
    """With its structure, which is that of one graph: a registered operator stands in the trace."""
    with case_of(*chosen) as case:
        tensors = tuple(tensor.detach() for tensor in case.operands.values())
        traced = torch.jit.trace(lambda *args: case.call(**dict(zip(case.operands, args, strict=True))), tensors)
        traced.save(str(tmp_path / "operator.pt"))
        loaded = torch.jit.load(str(tmp_path / "operator.pt"))
        assert torch.equal(loaded(*tensors), case.call(**case.operands))  # The same code ran.
        assert "plstm_graph::" in str(loaded.inlined_graph)


@cases("dag-.*-forward|max_plus-(auto|recurrent)-forward")
def test_several_gradients_at_once_are_refused_by_torch(chosen):
    with case_of(*chosen) as case:
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in case.operands.items()}
        out = case.call(**leaves)
        with pytest.raises(RuntimeError, match="Batching rule not implemented for plstm_graph::"):
            torch.autograd.grad(out, list(leaves.values()), torch.ones(3, *out.shape).to(out), is_grads_batched=True)


@one_case_of_each_operator
def test_a_graph_can_be_gone_back_through_twice_and_in_part(chosen):
    with case_of(*chosen) as case:
        expected = _values_and_gradients(case)[1:]
        for number, name in enumerate(case.operands):
            given = {n: t.detach().clone().requires_grad_(n == name) for n, t in case.operands.items()}
            out = case.call(**given)
            grad = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
            for keep in (True, False):
                (found,) = torch.autograd.grad(out, given[name], grad, retain_graph=keep, materialize_grads=True)
                assert_close(found, expected[number], 1e-12, name)
        with pytest.raises(RuntimeError, match="second time"):
            torch.autograd.grad(out, given[name], grad)


@native_and_torch
@pytest.mark.parametrize("form", FORMS)
def test_sizes_of_zero_on_dags(form, native):
    empty = LineGraph(torch.empty(2, 0, dtype=torch.long), 0)
    isolated = LineGraph(torch.empty(2, 0, dtype=torch.long), 3)
    grid = LineGraph.grid(2, 3)
    with native_code(native):
        for graph, heads, keys, values in itertools.product(
            (empty, isolated, grid, grid.reverse(), grid.to_multitree()), (0, 2), (0, 3), (0, 2)
        ):
            operands = random_operands(graph, heads, keys, values)
            out = plstm(**operands, line_graph=graph, form=form)
            assert out.shape == operands["value"].shape
            if keys == 0:
                assert not out.any()  # A product of no keys is exactly 0.
            out.sum().backward()


@native_and_torch
@pytest.mark.parametrize("form", ["naive", "recurrent", "parallel", "chunkwise", "scan", "auto"])
def test_sizes_of_zero_on_chains(form, native):
    with native_code(native):
        for length, heads, keys, values in itertools.product((0, 1, 5), (0, 2), (0, 3), (0, 2)):
            features = [torch.randn(2, length, heads, width, requires_grad=True) for width in (keys, keys, values)]
            gates = [torch.randn(2, length, heads, requires_grad=True) for _ in range(4)]
            state = torch.randn(2, heads, keys, values, requires_grad=True)
            out, final = plstm_chain(*features, *gates, form=form, initial_state=state, return_final_state=True)
            assert out.shape == features[2].shape
            assert final.shape == state.shape
            if length == 0:
                assert torch.equal(final, state)  # Nothing has been done to it.
            (out.sum() + final.sum()).backward()


@native_and_torch
@pytest.mark.parametrize("form", ["naive", "recurrent", "parallel", "chunkwise", "auto"])
def test_sizes_of_zero_on_grids(form, native):
    with native_code(native):
        for width, height, heads, keys, values in itertools.product((0, 1, 3), (0, 4), (0, 2), (0, 3), (0, 2)):
            shape = (2, width, height, heads)
            features = [torch.randn(*shape, size, requires_grad=True) for size in (keys, keys, values)]
            out = plstm_grid2d(*features, *(torch.randn(shape, requires_grad=True) for _ in range(9)), form=form)
            assert out.shape == features[2].shape
            out.sum().backward()


@one_case_of_each_operator
@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpoints(chosen, reentrant):
    with case_of(*chosen) as case:
        names = list(case.operands)

        def gradients(run):
            leaves = [case.operands[name].detach().requires_grad_() for name in names]
            out = run(*leaves)
            (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)).sum().backward()
            return [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]

        def run(*tensors):
            return case.call(**dict(zip(names, tensors, strict=True)))

        with_checkpoint = gradients(lambda *t: checkpoint(run, *t, use_reentrant=reentrant))
        for name, got, wanted in zip(names, with_checkpoint, gradients(run), strict=True):
            assert_close(got, wanted, 1e-10, name)


@native_and_torch
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_compiles_in_one_piece_once_prepared_for_widths(form, reverse, native):
    torch._dynamo.reset()
    graph = LineGraph(random_dag(30, 60, torch.Generator().manual_seed(0)), 30).prepare(widths=(2, 3, 5))
    graph = graph.reverse() if reverse else graph
    operands = random_operands(graph)
    with native_code(native):
        compiled = torch.compile(
            lambda **o: plstm(**o, line_graph=graph, form=form), backend="aot_eager", fullgraph=True
        )
        results = []
        for run in (compiled, lambda **o: plstm(**o, line_graph=graph, form="naive")):
            leaves = {name: tensor.detach().requires_grad_() for name, tensor in operands.items()}
            out = run(**leaves)
            results.append([out, *torch.autograd.grad(out.square().sum(), list(leaves.values()))])
    for name, got, wanted in zip(("output", *operands), *results, strict=True):
        assert_close(got, wanted, 1e-10, name)


@pytest.mark.parametrize("form", ["recurrent", "parallel", "chunkwise"])
def test_structure_that_is_missing_in_compiled_code_is_named(form):
    torch._dynamo.reset()
    graph = LineGraph(random_dag(30, 60, torch.Generator().manual_seed(0)), 30)
    operands = random_operands(LineGraph(graph.edge_index, 30))
    compiled = torch.compile(lambda **o: plstm(**o, line_graph=graph, form=form), backend="aot_eager", fullgraph=True)
    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"call line_graph\.prepare\("):
        compiled(**operands)


def test_a_line_graph_is_not_built_in_compiled_code():
    torch._dynamo.reset()
    layer, edge_index = PLSTMConv(4, 4, heads=2), random_dag(9, 16, torch.Generator().manual_seed(0))
    x = torch.randn(9, 4)
    with pytest.raises(torch._dynamo.exc.Unsupported, match="compiled code cannot build a line graph"):
        torch.compile(layer, backend="eager", fullgraph=True)(x, edge_index)
    # With graph breaks allowed, it is built outside.
    with torch.no_grad():
        assert_close(torch.compile(layer, backend="eager")(x, edge_index), layer(x, edge_index), 1e-5, "output")


@pytest.mark.parametrize("transform", ["jvp", "vmap", "grad"])
def test_transforms_inside_compiled_code_are_refused(transform):
    torch._dynamo.reset()
    graph = LineGraph.grid(3, 3).prepare(widths=(2, 3, 5))
    query, *rest = (tensor.detach() for tensor in random_operands(graph).values())

    def run(query):
        if transform == "jvp":
            return torch.func.jvp(lambda q: plstm(q, *rest, graph), (query,), (query,))[1]
        if transform == "vmap":
            return torch.func.vmap(lambda q: plstm(q, *rest, graph))(torch.stack([query, query]))
        return torch.func.grad(lambda q: plstm(q, *rest, graph).sum())(query)

    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"cannot trace a transform of torch\.func"):
        torch.compile(run, backend="aot_eager", fullgraph=True)(query)
    # With graph breaks allowed, the transform runs outside.
    assert_close(torch.compile(run, backend="aot_eager")(query), run(query), 1e-10, transform)
