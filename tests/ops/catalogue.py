"""Every form of every operator, with operands to call it with: what the tests of all of them go through."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, get_args

import pytest
import torch
from torch import Tensor

from plstm_graph.experimental import gating_matrix_merged
from plstm_graph.graph import LineGraph
from plstm_graph.native import load
from plstm_graph.ops import (
    Form,
    GridForm,
    MaxPlusChainForm,
    MaxPlusForm,
    MaxPlusGridForm,
    edge_messages,
    gating_matrix,
    plstm,
    plstm_chain,
    plstm_chain_matrix,
    plstm_factorized,
    plstm_grid2d,
    plstm_grid2d_matrix,
    plstm_grid2d_oriented,
    plstm_matrix,
    plstm_max_plus,
    plstm_max_plus_chain,
    plstm_max_plus_factorized,
    plstm_max_plus_grid2d,
    plstm_max_plus_grid2d_oriented,
)
from plstm_graph.ops.chain.plstm_chain import ChainForm
from plstm_graph.ops.grid2d.native import has_native_grids
from plstm_graph.ops.shapes import GATES
from plstm_graph.testing import random_dag, random_operands


class Case(NamedTuple):
    """An operator in one form: called with ``operands`` as keywords, it must equal ``reference``."""

    call: Callable[..., Tensor]
    reference: Callable[..., Tensor]
    operands: dict[str, Tensor]


def dag_graph(kind: str) -> LineGraph:
    graph = LineGraph(random_dag(9, 16, torch.Generator().manual_seed(1)), 9)
    return {
        "forward": graph,
        "reversed": graph.reverse(),
        "multitree": graph.to_multitree(),
        "reversed multitree": graph.to_multitree().reverse(),
    }[kind]


def _drawn(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, dtype=torch.float64, generator=generator) for name, shape in shapes.items()}


def _dag(form: Form, kind: str) -> Case:
    graph = dag_graph(kind)

    def call(form: Form = form, **operands: Tensor) -> Tensor:
        return plstm(**operands, line_graph=graph, form=form)

    return Case(call, lambda **o: call("naive", **o), random_operands(graph, 2, 3, 4))


def _messages(form: Form, kind: str) -> Case:
    graph = dag_graph(kind)

    def call(form: Form = form, **operands: Tensor) -> Tensor:
        return edge_messages(**operands, line_graph=graph, form=form)

    operands = random_operands(graph, 2, 3, 4)
    del operands["mark"], operands["direct"]
    return Case(call, lambda **o: call("naive", **o), operands)


def _factorized(form: Form) -> Case:
    graph = dag_graph("forward")

    def call(form: Form = form, **operands: Tensor) -> Tensor:
        return plstm_factorized(**operands, line_graph=graph, form=form)

    operands = random_operands(graph, 2, 3, 4)
    del operands["transition"]
    operands |= _drawn({"out_gate": tuple(operands["mark"].shape), "in_gate": tuple(operands["mark"].shape)})
    return Case(call, lambda **o: call("naive", **o), operands)


def max_plus_operands(graph: LineGraph, channels: int, factorized: bool = False) -> dict[str, Tensor]:
    edges, pairs, nodes = graph.num_edges, graph.num_pairs, graph.num_nodes
    shapes = {"source": edges, "transition": pairs, "mark": edges, "direct": nodes}
    if factorized:
        shapes = {"source": edges, "out_gate": edges, "in_gate": edges, "mark": edges, "direct": nodes}
    return _drawn({name: (rows, channels) for name, rows in shapes.items()})


def _max_plus(form: MaxPlusForm, kind: str, temperature: float, factorized: bool = False) -> Case:
    graph = dag_graph(kind)
    operator = plstm_max_plus_factorized if factorized else plstm_max_plus

    def call(form: MaxPlusForm = form, **operands: Tensor) -> Tensor:
        return operator(**operands, line_graph=graph, temperature=temperature, form=form)

    return Case(call, lambda **o: call("naive", **o), max_plus_operands(graph, 5, factorized))


def _merged() -> Case:
    graph = dag_graph("forward")
    operands = random_operands(graph, 2)
    gates = {name: operands[name] for name in ("source", "transition", "mark", "direct")}
    return Case(
        lambda **o: gating_matrix_merged(**o, line_graph=graph),
        lambda **o: gating_matrix(**o, line_graph=graph),
        gates,
    )


def _chain(form: ChainForm, length: int) -> Case:
    def call(form: ChainForm = form, **operands: Tensor) -> Tensor:
        out, state = plstm_chain(**operands, form=form, return_final_state=True)
        return torch.cat([out.flatten(), state.flatten()])

    features = {"query": (2, length, 2, 3), "key": (2, length, 2, 3), "value": (2, length, 2, 4)}
    gates = dict.fromkeys(("source", "transition", "mark", "direct"), (2, length, 2))
    operands = _drawn(features | gates | {"initial_state": (2, 2, 3, 4)})
    operands["transition"].tanh_()[0, 1, 0] = 0.0
    return Case(call, lambda **o: call("naive", **o), operands)


def _chain_from_nothing(form: ChainForm, length: int) -> Case:
    """Where no state is given or asked for."""

    def call(form: ChainForm = form, **operands: Tensor) -> Tensor:
        return plstm_chain(**operands, form=form)

    operands = {name: tensor for name, tensor in _chain(form, length).operands.items() if name != "initial_state"}
    return Case(call, lambda **o: call("naive", **o), operands)


def _grid(form: GridForm, width: int, height: int, oriented: bool) -> Case:
    operator = plstm_grid2d_oriented if oriented else plstm_grid2d

    def call(form: GridForm = form, **operands: Tensor) -> Tensor:
        return operator(**operands, form=form)

    shape, own = (2, width, height), (4, 2) if oriented else (2,)
    features = {"query": (*shape, 2, 3), "key": (*shape, 2, 3), "value": (*shape, 2, 4), "direct": (*shape, 2)}
    return Case(call, lambda **o: call("naive", **o), _drawn(features | dict.fromkeys(GATES, (*shape, *own))))


def _chain_matrix() -> Case:
    features = {"query": (5, 2, 3), "key": (5, 2, 3), "value": (5, 2, 4), "direct": (5, 2)}
    gates = {"source": (5, 2, 2), "mark": (5, 2, 2), "transition": (5, 2, 2, 2)}

    def step_by_step(**o: Tensor) -> Tensor:
        state, outs = 0.0, []
        for t in range(5):
            read = 0.0 if t == 0 else torch.einsum("hj,hk,hjkv->hv", o["mark"][t], o["query"][t], state)
            own = o["direct"][t, :, None] * (o["query"][t] * o["key"][t]).sum(-1, keepdim=True) * o["value"][t]
            outs.append(read + own)
            put = torch.einsum("hj,hk,hv->hjkv", o["source"][t], o["key"][t], o["value"][t])
            state = put if t == 0 else torch.einsum("hij,hjkv->hikv", o["transition"][t], state) + put
        return torch.stack(outs)

    return Case(plstm_chain_matrix, step_by_step, _drawn(features | gates))


def _grid_matrix() -> Case:
    """Matrices of one number are the ordinary gates."""
    names = ("source_right", "source_down", "mark_left", "mark_up")
    shape = (3, 4)
    features = {"query": (*shape, 2, 3), "key": (*shape, 2, 3), "value": (*shape, 2, 4), "direct": (*shape, 2)}
    gates = {name: (*shape, 2, 1) if name in names else (*shape, 2, 1, 1) for name in GATES}

    def reference(**o: Tensor) -> Tensor:
        plain = {name: o[name].flatten(3).squeeze(-1) for name in GATES}
        return plstm_grid2d(**{name: o[name] for name in features}, **plain, form="naive")

    return Case(plstm_grid2d_matrix, reference, _drawn(features | gates))


def matrix_operands(
    graph: LineGraph, heads: int = 2, keys: int = 3, values: int = 4, size: int = 3
) -> dict[str, Tensor]:
    """Random arguments of ``plstm_matrix``."""
    nodes, edges = (graph.num_nodes, heads), (graph.num_edges, heads)
    features = {"query": (*nodes, keys), "key": (*nodes, keys), "value": (*nodes, values), "direct": nodes}
    gates = {"source": (*edges, size), "transition": (graph.num_pairs, heads, size, size), "mark": (*edges, size)}
    return _drawn(features | gates)


def _dag_matrix(form: Form, kind: str) -> Case:
    graph = dag_graph(kind)

    def call(form: Form = form, **operands: Tensor) -> Tensor:
        return plstm_matrix(**operands, line_graph=graph, form=form)

    return Case(call, lambda **o: call("naive", **o), matrix_operands(graph))


def _max_plus_chain(form: MaxPlusChainForm, length: int, temperature: float) -> Case:
    def call(form: MaxPlusChainForm = form, **operands: Tensor) -> Tensor:
        out, state = plstm_max_plus_chain(**operands, temperature=temperature, form=form, return_final_state=True)
        return torch.cat([out.flatten(), state.flatten()])

    operands = dict.fromkeys(("source", "transition", "mark", "direct"), (2, length, 3))
    return Case(call, lambda **o: call("naive", **o), _drawn(operands | {"initial_state": (2, 3)}))


def _max_plus_grid(width: int, height: int, oriented: bool, temperature: float) -> Case:
    operator = plstm_max_plus_grid2d_oriented if oriented else plstm_max_plus_grid2d

    def call(form: MaxPlusGridForm = "recurrent", **operands: Tensor) -> Tensor:
        return operator(**operands, temperature=temperature, form=form)

    shape, own = (2, width, height), (4, 3) if oriented else (3,)
    operands = _drawn(dict.fromkeys(GATES, (*shape, *own)) | {"direct": (*shape, 3)})
    return Case(call, lambda **o: call("naive", **o), operands)


def _every_case() -> Iterator[tuple[str, Callable[[], Case]]]:
    """The naive forms are what the others are held against."""
    for form in get_args(Form):
        if form == "naive":
            continue
        for kind in ("forward", "reversed", "multitree", "reversed multitree"):
            yield f"dag-{form}-{kind}", lambda form=form, kind=kind: _dag(form, kind)
        yield f"messages-{form}-forward", lambda form=form: _messages(form, "forward")
        yield f"messages-{form}-reversed", lambda form=form: _messages(form, "reversed")
        yield f"factorized-{form}", lambda form=form: _factorized(form)
    for form in get_args(MaxPlusForm):
        if form == "naive":
            continue
        for operator, temperature in (("max_plus", 0.0), ("soft_max_plus", 0.5)):
            for kind in ("forward", "reversed", "multitree"):
                name = f"{operator}-{form}-{kind}"
                yield name, lambda form=form, kind=kind, soft=temperature: _max_plus(form, kind, soft)
            name = f"{operator}_factorized-{form}-reversed"
            yield name, lambda form=form, soft=temperature: _max_plus(form, "reversed", soft, factorized=True)
    yield "gating-merged", _merged
    for form in get_args(ChainForm):
        if form in ("parallel", "chunkwise", "scan"):
            yield f"chain-{form}-5", lambda form=form: _chain(form, 5)
            yield f"chain-{form}-40", lambda form=form: _chain(form, 40)
        elif form in ("auto", "native"):
            yield f"chain-{form}-5", lambda form=form: _chain_from_nothing(form, 5)
    for form in get_args(GridForm):
        if form == "naive":
            continue
        for width, height, oriented in ((3, 5, False), (3, 5, True), (6, 2, True)):
            name = f"grid-{form}-{width}x{height}{'-oriented' if oriented else ''}"
            yield name, lambda f=form, w=width, h=height, o=oriented: _grid(f, w, h, o)
    for kind, temperature in (("hard", 0.0), ("soft", 0.5)):
        for form in ("recurrent", "scan"):
            for length in (5, 40):
                name = f"max_plus_chain-{form}-{length}-{kind}"
                yield name, lambda f=form, n=length, t=temperature: _max_plus_chain(f, n, t)
        for width, height, oriented in ((3, 5, False), (3, 5, True), (6, 2, True)):
            name = f"max_plus_grid-recurrent-{width}x{height}{'-oriented' if oriented else ''}-{kind}"
            yield name, lambda w=width, h=height, o=oriented, t=temperature: _max_plus_grid(w, h, o, t)
    yield "chain-matrix", _chain_matrix
    yield "grid-matrix", _grid_matrix
    for kind in ("forward", "reversed", "multitree", "reversed multitree"):
        yield f"matrix-recurrent-{kind}", lambda kind=kind: _dag_matrix("recurrent", kind)
    # The others are those of scalars, on another graph.
    for form in ("auto", "parallel", "chunkwise"):
        for kind in ("forward", "reversed multitree"):
            yield f"matrix-{form}-{kind}", lambda form=form, kind=kind: _dag_matrix(form, kind)


_CASES = dict(_every_case())


@contextmanager
def native_code(runs: bool) -> Iterator[None]:
    """Whether native code may run within the block."""
    with pytest.MonkeyPatch.context() as patch:
        if not runs:
            patch.setattr(load, "_is_there", lambda *_: False)
        yield


#: Where native code is off, cases with it would be those without it once more.
_NATIVE = [] if os.environ.get("PLSTM_COMPILE") == "0" else [pytest.param(True, id="native")]
native_and_torch = pytest.mark.parametrize("native", [*_NATIVE, pytest.param(False, id="torch")])


def _parameters(pattern: str) -> Iterator[object]:
    for name in _CASES:
        if not re.search(pattern, name):
            continue
        operator, form = name.split("-")[:2]
        on_dags = re.fullmatch("dag|matrix|messages|factorized|(soft_)?max_plus(_factorized)?", operator)
        # Whether C can be had is asked when a test runs: asking it here would compile while tests are collected.
        differs = on_dags and form != "chunkwise" and (operator, form) != ("matrix", "recurrent")
        if _NATIVE and (differs or name.startswith(("chain-auto", "chain-native", "grid-auto", "grid-native"))):
            yield pytest.param((name, True), id=f"{name}-native")
        if form != "native":
            yield pytest.param((name, False), id=f"{name}-torch")


@contextmanager
def case_of(name: str, native: bool) -> Iterator[Case]:
    """A case, evaluated with or without native code within the block; skips where it cannot be had."""
    if native and "native" in name and not has_native_grids(torch.empty(0)):
        pytest.skip("needs native code: a C compiler, and PLSTM_COMPILE not 0")
    with native_code(native):
        case = _CASES[name]()
        case.call(**case.operands)  # Builds the structure, as the first batch of a training does.
        yield case


def cases(pattern: str) -> pytest.MarkDecorator:
    """The cases whose names a regular expression finds; a test opens the one it is given with :func:`case_of`."""
    return pytest.mark.parametrize("chosen", list(_parameters(pattern)))


every_case = cases("")
one_case_of_each_operator = cases("forward|factorized|merged|chain-.*-5|grid-.*3x5-oriented|matrix")
