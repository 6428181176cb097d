"""No option of a model is taken and then ignored: each changes what the model is or what it gives.

The options are those of the signatures, so that a new one fails here until :data:`PLSTM_OPTIONS` or
:data:`PEER_OPTIONS` says which of its values must matter, and beside which others.
"""

import inspect
import pkgutil
from collections.abc import Callable
from importlib import import_module
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import pytest
import torch
from torch import Tensor, nn

import plstm_graph.nn.baselines
from plstm_graph.graph import random_dag
from plstm_graph.nn import PLSTM, PLSTMConv, plstm_conv
from plstm_graph.nn.baselines import DAGBaseline
from plstm_graph.nn.block import PLSTMLayer
from plstm_graph.nn.encoders import num_columns


class Entry(NamedTuple):
    """Values of an option that must matter, and what is given with them and without."""

    values: tuple[Any, ...]
    beside: dict[str, Any] = {}  # noqa: RUF012


#: Of what both kinds of models are made of when a test begins.
GIVEN: dict[str, Any] = {"out_channels": 2, "in_channels": [5, 0], "edge_dim": [3, 0], "hidden_channels": 8}
_SHARED = {
    "out_channels": Entry((3,)),
    "in_channels": Entry(([6, 0], 2, "atom", "bond")),
    "edge_dim": Entry(([4, 0], 2, None, "atom", "bond", "auto")),
    "hidden_channels": Entry((12,)),
    "dropout": Entry((0.5,)),
    "pool": Entry(("max", ["mean", "max"])),
    "degree": Entry((False,)),
    "norm": Entry(("batch", "none")),
    "predict": Entry(("node", "edge")),
    "edge_context": Entry((True,)),
    "edge_context_norm": Entry(("rms", "batch"), {"edge_context": True}),
    "encoder_layers": Entry((1, 2)),
    "edges_in_nodes": Entry((False,)),
    "descriptors": Entry((4,)),
    "components": Entry((2,)),
    "component_readout": Entry(("pooled",), {"components": 2}),
}
_MATRIX = {"transition": "matrix"}

#: Of :class:`PLSTM`, and of its layers as far as they are reached through it.
PLSTM_OPTIONS = _SHARED | {
    "num_layers": Entry((1, 3)),
    "heads": Entry((2,)),
    "modes": Entry(("P", "D", "M", "G", "DP")),
    "direction": Entry(("forward", "backward")),
    "ffn_ratio": Entry((3.0,)),
    "share_weights": Entry((True,)),
    "local": Entry(("conv", "ffn")),
    "virtual_node": Entry((True,)),
    "head_dropout": Entry((0.5,)),
    "readout_channels": Entry((12,)),
    "histogram": Entry(([4],)),
    "size_readout": Entry(("PM", "P", ""), {"modes": "PM"}),
    "size_scale": Entry(("log",), {"modes": "M"}),
    "gated_aggr": Entry(("sum", "max"), {"modes": "G"}),
    "neighbours": Entry((True, "channel")),
    "head_channels": Entry((3,)),
    "normalization": Entry(("row",)),
    "decay": Entry((True, "node")),
    "bias": Entry((False,)),
    "transition": Entry(("node", "matrix"), {"modes": "P"}),
    "norm_eps": Entry((1.0,)),
    "head_norm": Entry(("log", "ratio")),
    "output_gate": Entry((True,)),
    "scores": Entry((False,)),
    "matrix_size": Entry((3,), _MATRIX),
    "matrix_kind": Entry(("signed",), _MATRIX),
    "reflections": Entry((2,), _MATRIX),
    "source": Entry(("shared", "tied"), {"modes": "P", "transition": "node"}),
}
#: Options of layers that PLSTM decides by others of its own; it does not take them.
DECIDED = {"channels": "hidden_channels", "mode": "modes"}
#: Options that change how numbers are computed, and not which; :func:`test_the_form_reaches_the_operator`.
SAME_NUMBERS = {"form"}

#: Of all peers; what lies between nodes and head is there to be told by ``num_layers``.
PEER_OPTIONS = _SHARED | {
    "num_layers": Entry((1, 3), {"ffn_ratio": 2.0}),
    "ffn_ratio": Entry((2.0,)),
    "heads": Entry((2,)),
    "both": Entry((False,)),
    "aggr": Entry(("sum", "max")),
}


def _peers() -> list[type[DAGBaseline]]:
    """The models of DAGs of all modules of the folder."""
    folder = plstm_graph.nn.baselines
    modules = [import_module(f"{folder.__name__}.{each.name}") for each in pkgutil.iter_modules(folder.__path__)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    return sorted(
        {each for each in found if issubclass(each, DAGBaseline)} - {DAGBaseline}, key=lambda each: each.__name__
    )


PEERS = _peers()


def _parameters(*functions: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The options that functions name, the first that names one decides about its default."""
    skipped = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    found: dict[str, inspect.Parameter] = {}
    for function in functions:
        for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
            if name != "self" and parameter.kind not in skipped:
                found.setdefault(name, parameter)
    return found


def _options_of(model: type[nn.Module]) -> dict[str, inspect.Parameter]:
    if model is PLSTM:
        found = _parameters(PLSTM, PLSTMLayer, PLSTMConv)
        return {name: each for name, each in found.items() if name not in {*DECIDED, *SAME_NUMBERS}}
    return _parameters(model, model.make_mixer)


MODELS = [PLSTM, *PEERS]
CASES = [(model, option) for model in MODELS for option in _options_of(model)]


def _entry(model: type[nn.Module], option: str) -> Entry:
    table, name = (PLSTM_OPTIONS, "PLSTM_OPTIONS") if model is PLSTM else (PEER_OPTIONS, "PEER_OPTIONS")
    assert option in table, (
        f"{model.__name__} takes the option {option!r}, which has no entry in {name} of {__name__}: add "
        f"{option!r}: Entry((VALUE, ...)) with values other than the default that must change the model, and with what "
        "has to be given beside for them to mean something"
    )
    return table[option]


def _choices(annotation: Any) -> set[Any]:
    """All values of an option that has only so many."""
    if annotation is bool:
        return {True, False}
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return set().union(*map(_choices, get_args(annotation)))
    return set()


def _graphs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two random DAGs: features, edges, their features, and the graph of each node."""
    generator = torch.Generator().manual_seed(1)
    parts = [random_dag(nodes, edges, generator=generator) for nodes, edges in ((12, 22), (9, 14))]
    edge_index = torch.cat([parts[0], parts[1] + 12], dim=1)

    def features(rows: int, kinds: int) -> Tensor:
        number = torch.randn(rows, generator=generator, dtype=torch.double)
        return torch.stack([torch.randint(kinds, (rows,), generator=generator).double(), number], dim=1)

    return features(21, 5), edge_index, features(edge_index.size(1), 3), torch.arange(21).gt(11).long()


def _graphs_for(option: str, value: Any) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """The same DAGs with the features that a model expects which is made with a value of an option."""
    x, edge_index, edge_attr, batch = _graphs()
    if option == "histogram":
        x = torch.cat([x, x.new_zeros(len(x), len(value))], dim=1)
    kind = torch.long if isinstance(value, str) else x.dtype  # of names, such as "atom", all columns are categories
    if option == "in_channels":
        x = x.new_zeros(len(x), num_columns(value), dtype=kind)
    if option == "edge_dim":
        edge_attr = None if value is None else x.new_zeros(edge_index.size(1), num_columns(value), dtype=kind)
    return x, edge_index, edge_attr, batch


def _beside_graphs(model: nn.Module) -> dict[str, Tensor]:
    """What a model asks for beside the two DAGs: descriptors of each, and of what component each node is."""
    found = {}
    if model.descriptor_readout is not None:
        found["descriptors"] = torch.linspace(-1, 1, 2 * model.descriptor_readout.descriptors, dtype=torch.double).view(
            2, -1
        )
    if model.components > 1:
        found["component"] = torch.arange(21) % model.components
    return found


def _make(model: type[nn.Module], options: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    return model(**GIVEN | options).double()


def _outputs(model: nn.Module) -> list[Tensor]:
    """In training, of the weights as they are made, and of others among which none is 0."""
    x, edge_index, edge_attr, batch = _graphs()
    found = []
    for draws in (False, True):
        if draws:
            generator = torch.Generator().manual_seed(2)
            for parameter in model.parameters():
                drawn = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
                parameter.data.copy_(0.3 * drawn)
        torch.manual_seed(3)
        found.append(model.train()(x, edge_index, edge_attr, batch, **_beside_graphs(model)).detach())
    return found


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def _differ(one: nn.Module, other: nn.Module) -> bool:
    if _shapes(one) != _shapes(other):
        return True
    pairs = list(zip(_outputs(one), _outputs(other), strict=True))
    # Far above what another order of sums does in float64.
    return any(a.shape != b.shape or not torch.allclose(a, b, rtol=1e-6, atol=1e-8) for a, b in pairs)


@pytest.mark.parametrize(("model", "option"), CASES, ids=[f"{model.__name__}-{option}" for model, option in CASES])
def test_an_option_changes_the_model(model, option):
    entry = _entry(model, option)
    without = _make(model, entry.beside)
    for value in entry.values:
        assert _differ(without, _make(model, entry.beside | {option: value})), (
            f"{model.__name__} takes {option}={value!r} and is the same model as without it: it has the same "
            "parameters and gives the same outputs"
        )


@pytest.mark.parametrize(("model", "option"), CASES, ids=[f"{model.__name__}-{option}" for model, option in CASES])
def test_all_values_of_an_option_are_tried(model, option):
    entry, parameter = _entry(model, option), _options_of(model)[option]
    default = GIVEN.get(option, entry.beside.get(option, parameter.default))
    left = [value for value in _choices(parameter.annotation) if value != default and value not in entry.values]
    assert not left, f"{option} of {model.__name__} may also be {left}: add them to its entry"
    assert default not in entry.values, f"{default!r} is the default of {option}, and can change nothing"


@pytest.mark.parametrize("model", MODELS)
def test_what_an_option_adds_is_used(model):
    """A weight that an option brings and that nothing comes to would hide that the option is ignored."""
    for option in _options_of(model):
        entry = _entry(model, option)
        before = set(_shapes(_make(model, entry.beside)))
        for value in entry.values:
            changed = _make(model, entry.beside | {option: value})
            added = {name: each for name, each in changed.named_parameters() if name not in before}
            if not added:
                continue
            output = changed(*_graphs_for(option, value), **_beside_graphs(changed))
            gradients = torch.autograd.grad(output.square().sum(), list(added.values()), allow_unused=True)
            unused = [name for name, gradient in zip(added, gradients, strict=True) if gradient is None]
            assert not unused, f"{model.__name__}({option}={value!r}) has weights that nothing depends on: {unused}"


def test_no_entry_is_of_an_option_that_is_gone():
    for table, models in ((PLSTM_OPTIONS, [PLSTM]), (PEER_OPTIONS, PEERS)):
        gone = set(table) - {option for model in models for option in _options_of(model)}
        assert not gone, f"no model takes {sorted(gone)} any more: remove the entries"
    assert len(PEERS) >= 7


@pytest.mark.parametrize("option", DECIDED)
def test_what_plstm_decides_itself_is_refused(option):
    with pytest.raises(TypeError, match=option):
        PLSTM(**GIVEN, **{option: 8})
    assert DECIDED[option] in PLSTM_OPTIONS


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("option", ["edges_in_node", "head", "hidden"])
def test_an_option_that_is_misspelt_is_refused(model, option):
    with pytest.raises(TypeError, match=option):
        model(**GIVEN, **{option: 1})


@pytest.mark.parametrize(
    ("operator", "modes", "transition"),
    [
        ("plstm", "P", "pair"),
        ("plstm", "D", "pair"),
        ("plstm_factorized", "P", "node"),
        ("plstm_matrix", "D", "matrix"),
    ],
)
@pytest.mark.parametrize("form", ["auto", "recurrent", "parallel"])
def test_the_form_reaches_the_operator(monkeypatch, operator, modes, transition, form):
    """All forms give the same numbers, so that it shows in the call alone."""
    called = []
    evaluate = getattr(plstm_conv, operator)
    monkeypatch.setattr(plstm_conv, operator, lambda *given: called.append(given[-1]) or evaluate(*given[:-1], "auto"))
    x, edge_index, edge_attr, batch = _graphs()
    _make(PLSTM, {"modes": modes, "transition": transition, "form": form})(x, edge_index, edge_attr, batch)
    assert set(called) == {form}
