"""Native code leaves nothing but its tensors, whatever indices and sizes arrive, and needs no deep stack."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import plstm_graph
from plstm_graph.graph import LineGraph
from plstm_graph.graph.structure_native import has_native_structure, list_ancestors, stable_order, unique_links
from plstm_graph.native.load import check_room
from plstm_graph.ops import plstm, plstm_grid2d_oriented, plstm_max_plus
from plstm_graph.ops.chain import native as chain_native
from plstm_graph.ops.dag import parallel_native as parallel_native
from plstm_graph.ops.dag import recurrent_native as recurrent_native
from plstm_graph.ops.dag.max_plus import native as max_plus_native
from plstm_graph.ops.grid2d import native as grid2d_native
from plstm_graph.testing import assert_close, random_dag, random_operands, value_and_gradients
from tests.ops.catalogue import max_plus_operands
from tests.ops.chain.test_plstm_chain import assert_same, results
from tests.ops.chain.test_plstm_chain import operands as chain_operands
from tests.ops.grid2d.test_plstm_grid2d import operands as grid_operands

needs_compiler = pytest.mark.skipif(
    not has_native_structure(torch.empty(0)), reason="native code is off: PLSTM_COMPILE=0, or no C compiler"
)
pytestmark = needs_compiler

#: No index of any array of a small graph.
BAD = [-1, 10_000, 2**40, -(2**63)]
INPUTS = ("query", "key", "value", "source", "transition", "mark", "direct")


@pytest.fixture
def graph():
    return LineGraph(random_dag(9, 16, torch.Generator().manual_seed(0)), 9)


@pytest.fixture
def inputs(graph):
    operands = random_operands(graph)
    return [operands[name] for name in INPUTS]


def structure_of(graph):
    """What the parallel form hands to C."""
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        run = lambda *given, structure: seen.append(structure) or given[2]  # noqa: E731
        patch.setattr(parallel_native, "_PARALLEL", run)
        plstm(**random_operands(graph), line_graph=graph, form="parallel")
    return [tensor.clone() for tensor in seen[0]]


def parallel_form(inputs, structure):
    return parallel_native._PARALLEL.op(*inputs, structure, [])


NO_PLAN = torch.empty(0, dtype=torch.long)


def recurrent_form(inputs, *structure, plan=NO_PLAN):
    return recurrent_native._RECURRENT.op(*inputs, [*structure, plan], [])


def with_bad_number(tensor, value):
    changed = tensor.clone()
    changed.view(-1)[changed.numel() // 2] = value
    return changed


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("name", parallel_native._STRUCTURE)
@pytest.mark.parametrize("reverse", [False, True])
def test_parallel_form_refuses_an_index_outside_its_range(graph, name, value, reverse):
    graph = graph.reverse() if reverse else graph
    inputs, structure = [random_operands(graph)[name] for name in INPUTS], structure_of(graph)
    out, carried, weight = parallel_form(inputs, structure)
    number = parallel_native._STRUCTURE.index(name)
    structure[number] = with_bad_number(structure[number], value)
    with pytest.raises(ValueError, match=rf"{name} of the line graph .*build a new LineGraph"):
        parallel_form(inputs, structure)
    with pytest.raises(ValueError, match=rf"{name} of the line graph .*build a new LineGraph"):
        parallel_native._PARALLEL.backward_op(out, [carried, weight], *inputs, structure, [])


@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("name", ["ptr", "back_ptr"])
def test_parallel_form_refuses_rows_that_do_not_hold_all_links(graph, inputs, name, place):
    structure = structure_of(graph)
    structure[parallel_native._STRUCTURE.index(name)][place] += 1
    with pytest.raises(ValueError, match=f"{name} of the line graph"):
        parallel_form(inputs, structure)


@pytest.mark.parametrize("place", [0, -1])
def test_parallel_form_refuses_entries_that_are_not_those_of_the_edges(graph, inputs, place):
    structure = structure_of(graph)
    own = structure[parallel_native._STRUCTURE.index("own")]
    own[place] = own[1] if place == 0 else own[-1] - 1
    with pytest.raises(ValueError, match="own of the line graph"):
        parallel_form(inputs, structure)


def test_parallel_form_refuses_steps_that_are_not_those_of_the_pairs(graph, inputs):
    structure = structure_of(graph)
    structure[parallel_native._STRUCTURE.index("pair_in")].fill_(0)
    with pytest.raises(ValueError, match="steps of the line graph are not those of its pairs"):
        parallel_form(inputs, structure)


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("which", ["edge_index", "pairs"])
@pytest.mark.parametrize("row", [0, 1])
def test_recurrent_form_refuses_an_index_outside_its_range(graph, inputs, which, row, value):
    structure = {"edge_index": graph.edge_index, "pairs": graph.pairs}
    structure[which] = structure[which].clone()
    structure[which][row] = with_bad_number(structure[which][row], value)
    with pytest.raises(ValueError, match=r"outside their range: .*build a new LineGraph"):
        recurrent_form(inputs, *structure.values())
    with pytest.raises(ValueError, match=r"outside their range: .*build a new LineGraph"):
        recurrent_native._RECURRENT.backward_op(inputs[2], [], *inputs, [*structure.values(), NO_PLAN], [])


def test_recurrent_form_refuses_a_pair_that_does_not_meet(graph, inputs):
    """Else a state would be read before it is written."""
    for pairs in (graph.pairs.flip(0), graph.pairs.roll(1, dims=1) * torch.tensor([[1], [0]]), graph.pairs * 0):
        with pytest.raises(ValueError, match="does not meet at a node"):
            recurrent_form(inputs, graph.edge_index, pairs)


def test_recurrent_form_refuses_a_cycle(inputs):
    cycle = torch.tensor([[0, 1, 2], [1, 2, 0]])
    inputs = [inputs[0][:3], inputs[1][:3], inputs[2][:3], inputs[3][:3], inputs[4][:0], inputs[5][:3], inputs[6][:3]]
    with pytest.raises(ValueError, match="has a cycle"):
        recurrent_form(inputs, cycle, cycle[:, :0])


def max_plus_results(graph):
    """Operands, output and what is kept."""
    inputs = list(max_plus_operands(graph, 3).values())
    out, sums = max_plus_native._MAX_PLUS.op(*inputs, [graph.edge_index, graph.pairs, NO_PLAN], [])
    return inputs, out, [sums, out]


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("which", ["edge_index", "pairs"])
@pytest.mark.parametrize("row", [0, 1])
def test_max_plus_refuses_an_index_outside_its_range(graph, which, row, value):
    inputs, out, kept = max_plus_results(graph)
    structure = {"edge_index": graph.edge_index, "pairs": graph.pairs}
    structure[which] = structure[which].clone()
    structure[which][row] = with_bad_number(structure[which][row], value)
    structure = [*structure.values(), NO_PLAN]
    with pytest.raises(ValueError, match=r"outside their range: .*build a new LineGraph"):
        max_plus_native._MAX_PLUS.op(*inputs, structure, [])
    with pytest.raises(ValueError, match=r"outside their range: .*build a new LineGraph"):
        max_plus_native._MAX_PLUS.backward_op(out, kept, *inputs, structure, [])


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("reverse", [False, True])
def test_no_number_of_a_plan_may_be_outside_its_range(graph, inputs, reverse, value):
    graph = graph.reverse() if reverse else graph
    given, out, kept = max_plus_results(graph)
    for number in range(graph.native_plan.numel()):
        plan = graph.native_plan.clone()
        plan[number] = value
        structure = [graph.edge_index, graph.pairs, plan]
        for run in (
            lambda structure=structure: max_plus_native._MAX_PLUS.op(*given, structure, []),
            lambda structure=structure: max_plus_native._MAX_PLUS.backward_op(out, kept, *given, structure, []),
            lambda structure=structure: recurrent_native._RECURRENT.op(*inputs, structure, []),
            lambda structure=structure: recurrent_native._RECURRENT.backward_op(inputs[2], [], *inputs, structure, []),
        ):
            with pytest.raises(ValueError, match=r"outside their range: .*build a new LineGraph"):
                run()


@pytest.mark.parametrize("seed", range(5))
def test_the_plan_of_another_graph_leads_to_no_other_memory(graph, inputs, seed):
    """It is in range, so numbers are wrong, but nothing else is read or written."""
    order = torch.randperm(graph.num_edges, generator=torch.Generator().manual_seed(seed))
    other = LineGraph(graph.edge_index[:, order], graph.num_nodes)
    assert other.num_pairs == graph.num_pairs
    given, out, kept = max_plus_results(graph)
    structure = [graph.edge_index, graph.pairs, other.native_plan]
    max_plus_native._MAX_PLUS.op(*given, structure, [])
    max_plus_native._MAX_PLUS.backward_op(out, kept, *given, structure, [])
    recurrent_native._RECURRENT.op(*inputs, structure, [])
    recurrent_native._RECURRENT.backward_op(inputs[2], [], *inputs, structure, [])


def test_max_plus_refuses_pairs_that_do_not_meet_and_cycles(graph):
    inputs, _, _ = max_plus_results(graph)
    for pairs in (graph.pairs.flip(0), graph.pairs.roll(1, dims=1) * torch.tensor([[1], [0]]), graph.pairs * 0):
        with pytest.raises(ValueError, match="does not meet at a node"):
            max_plus_native._MAX_PLUS.op(*inputs, [graph.edge_index, pairs, NO_PLAN], [])
    cycle = torch.tensor([[0, 1, 2], [1, 2, 0]])
    source, transition, mark, direct = inputs
    with pytest.raises(ValueError, match="has a cycle"):
        max_plus_native._MAX_PLUS.op(
            source[:3], transition[:0], mark[:3], direct[:3], [cycle, cycle[:, :0], NO_PLAN], []
        )


@pytest.mark.parametrize("change", ["shorter", "another width", "another dtype", "no axis"])
def test_max_plus_refuses_tensors_that_do_not_fit(graph, change):
    inputs, out, kept = max_plus_results(graph)
    operator, structure = max_plus_native._MAX_PLUS, [graph.edge_index, graph.pairs, graph.native_plan]

    def changed(tensors, number):
        tensor = tensors[number]
        other = {
            "shorter": tensor[:-1],
            "another width": tensor[:, :-1] if tensor.dim() > 1 else tensor[1:],
            "another dtype": tensor.to(torch.float32 if tensor.is_floating_point() else torch.int32),
            "no axis": tensor.unsqueeze(0),
        }[change]
        return [*tensors[:number], other, *tensors[number + 1 :]]

    for number in range(len(inputs)):
        with pytest.raises(ValueError):
            operator.op(*changed(inputs, number), structure, [])
        with pytest.raises(ValueError):
            operator.backward_op(out, kept, *changed(inputs, number), structure, [])
    for number in range(len(kept)):
        with pytest.raises(ValueError, match="native code needs"):
            operator.backward_op(out, changed(kept, number), *inputs, structure, [])
    for number in range(len(structure)):
        with pytest.raises(ValueError):
            operator.op(*inputs, changed(structure, number), [])
        with pytest.raises(ValueError):
            operator.backward_op(out, kept, *inputs, changed(structure, number), [])
    with pytest.raises(ValueError, match="native code needs grad"):
        operator.backward_op(changed([out], 0)[0], kept, *inputs, structure, [])


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_no_number_of_channels_is_too_much_for_the_stack(temperature):
    graph = LineGraph(torch.tensor([[0, 0, 1], [1, 2, 2]]), 3)
    leaves = {name: tensor.requires_grad_() for name, tensor in max_plus_operands(graph, 1_200_000).items()}
    results = []
    for form in ("auto", "naive"):
        out = plstm_max_plus(**leaves, line_graph=graph, temperature=temperature, form=form)
        results.append([out, *torch.autograd.grad(out.sum(), list(leaves.values()))])
    for got, wanted in zip(*results, strict=True):
        assert_close(got, wanted, 1e-10, "channels")


@pytest.mark.parametrize("number", range(len(INPUTS)))
@pytest.mark.parametrize("change", ["shorter", "another width", "another dtype"])
def test_operands_that_do_not_fit_are_refused(graph, inputs, number, change):
    structure = structure_of(graph)
    tensor = inputs[number]
    inputs[number] = {
        "shorter": tensor[:-1],
        "another width": tensor[:, :-1],
        "another dtype": tensor.to(torch.float32 if number else torch.float16),
    }[change]
    with pytest.raises((ValueError, KeyError)):
        parallel_form(inputs, structure)
    with pytest.raises((ValueError, KeyError)):
        recurrent_form(inputs, graph.edge_index, graph.pairs)


@pytest.mark.parametrize("number", range(len(parallel_native._STRUCTURE)))
def test_index_tensors_that_do_not_fit_are_refused(graph, inputs, number):
    for change in (lambda tensor: tensor.int(), lambda tensor: tensor.unsqueeze(0)):
        structure = structure_of(graph)
        structure[number] = change(structure[number])
        with pytest.raises(ValueError, match="native code needs"):
            parallel_form(inputs, structure)
    with pytest.raises(ValueError, match="native code needs edge_index"):
        recurrent_form(inputs, graph.edge_index.int(), graph.pairs)
    with pytest.raises(ValueError, match="native code needs pairs"):
        recurrent_form(inputs, graph.edge_index, graph.pairs.repeat(2, 1))


@pytest.mark.parametrize("value", BAD)
def test_lists_of_a_structure_refuse_numbers_outside_their_range(graph, value):
    good = torch.arange(5)
    with pytest.raises(ValueError, match="none of the graph's"):
        stable_order(with_bad_number(good, value), 5)
    for pair in ((with_bad_number(good, value), good), (good, with_bad_number(good, value))):
        with pytest.raises(ValueError, match="none of the graph's"):
            unique_links(*pair, 5, 5)
    for name in ("pair_in", "pair_out"):
        schedule = LineGraph(graph.edge_index, graph.num_nodes).schedule
        getattr(schedule, name)[schedule.pair_in.numel() // 2] = value
        with pytest.raises(ValueError, match="not in the order of their edges"):
            list_ancestors(schedule, 2**20)


def test_grids_refuse_operands_that_do_not_fit():
    x = grid_operands(3, 4, orientations=(2,))
    query, key, value, direct = (x.pop(name).unsqueeze(0) for name in ("query", "key", "value", "direct"))
    gates, flips = [gate.unsqueeze(0) for gate in x.values()], [0] * 4
    good, grid = [query, key, value, direct, *gates], grid2d_native._GRID
    out = grid.op(*good, [], flips)
    assert out.shape == value.shape
    for number, bad in enumerate([query[..., :1], key[:, :2], value[:, :, :2], direct.float(), gates[0][:, :2]]):
        given = [*good[:number], bad, *good[number + 1 :]]
        with pytest.raises(ValueError, match="need"):
            grid.op(*given, [], flips)
        with pytest.raises(ValueError, match="need"):
            grid.backward_op(out, [], *given, [], flips)
    with pytest.raises(ValueError, match="need"):
        grid.op(*good, [], flips[:3])
    with pytest.raises(ValueError, match="native code needs grad"):
        grid.backward_op(out[..., :-1], [], *good, [], flips)


@pytest.mark.parametrize("widths", [(1, 1_200_000), (1_200_000, 1), (33, 65), (32, 33), (33, 32)], ids=str)
@pytest.mark.parametrize("form", ["parallel", "recurrent"])
def test_no_width_is_too_much_for_the_stack(form, widths):
    graph = LineGraph(torch.tensor([[0, 0, 1], [1, 2, 2]]), 3)
    operands = random_operands(graph, 1, *widths)
    out_grad = torch.randn(3, 1, widths[1], dtype=torch.float64)
    actual, expected = (value_and_gradients(operands, graph, each, out_grad) for each in (form, "naive"))
    for name, tensor in expected.items():
        assert_close(actual[name], tensor, 1e-10, name)


@pytest.mark.parametrize("widths", [(1, 1_200_000), (1_200_000, 1)], ids=str)
def test_no_width_of_a_grid_is_too_much_for_the_stack(widths):
    inputs = grid_operands(2, 2, heads=1, key_width=widths[0], value_width=widths[1], orientations=(1,))

    def run(form):
        return results(lambda **x: plstm_grid2d_oriented(**x, form=form, orientations=("right-down",)), inputs)

    assert_same(run("native"), run("naive"))


def test_chains_refuse_operands_that_do_not_fit():
    x = chain_operands(5)
    good = [x[name] for name in ("query", "key", "value", "source", "transition", "mark", "direct")]
    chain = chain_native._CHAIN
    out = chain.op(*good, [], [])
    assert out.shape == good[2].shape
    for number in range(len(good)):
        for bad in (good[number][:, :-1], good[number].float() if number else good[number].half()):
            given = [*good[:number], bad, *good[number + 1 :]]
            with pytest.raises((ValueError, KeyError)):
                chain.op(*given, [], [])
            with pytest.raises((ValueError, KeyError)):
                chain.backward_op(out, [], *given, [], [])
    with pytest.raises(ValueError, match="native code needs grad"):
        chain.backward_op(out[..., :-1], [], *good, [], [])


@pytest.mark.parametrize("numbers", [2**58, 2**62, 2**100], ids=str)
def test_states_that_no_memory_holds_are_a_memory_error(numbers):
    """C counts in 64 bits: what does not fit them must not reach it."""
    with pytest.raises(MemoryError, match="the states of 2 edges"):
        check_room(numbers, torch.float64, "the states of 2 edges")


@pytest.mark.parametrize("source", sorted(Path(plstm_graph.__file__).parent.rglob("*.c")), ids=lambda path: path.name)
def test_sources_have_no_arrays_of_variable_length(source):
    compiler = (os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")).split()
    command = [*compiler, "-std=c11", "-fsyntax-only", "-Wvla", "-Werror=vla", "-DREAL=float", str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
