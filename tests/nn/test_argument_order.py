"""Models are made as those of PyG: in_channels, hidden_channels, num_layers, out_channels, by place or by name."""

import inspect

import pytest
import torch
from torch_geometric.nn import models as pyg

from plstm_graph import PLSTM
from plstm_graph.nn import PLSTMVision, baselines
from plstm_graph.nn.vision.vit import ViT

ORDER = ["in_channels", "hidden_channels", "num_layers", "out_channels"]
GRAPH_MODELS = [PLSTM, *(each for each in vars(baselines).values() if isinstance(each, type))]


@pytest.mark.parametrize("model", [*GRAPH_MODELS, PLSTMVision, ViT, pyg.GCN, pyg.GIN], ids=lambda each: each.__name__)
def test_the_first_arguments_are_those_of_pyg(model):
    assert list(inspect.signature(model).parameters)[:4] == ORDER


@pytest.mark.parametrize(
    "model", [each for each in GRAPH_MODELS if each is not baselines.DAGBaseline], ids=lambda each: each.__name__
)
def test_by_place_is_by_name(model):
    kwargs = {} if model is not baselines.OGBGNN else {"conv": "gcn"}
    placed = model("atom", 16, 2, 3, **kwargs).state_dict()
    named = model(out_channels=3, num_layers=2, in_channels="atom", hidden_channels=16, **kwargs).state_dict()
    assert {key: each.shape for key, each in placed.items()} == {key: each.shape for key, each in named.items()}


@pytest.mark.parametrize(
    ("in_channels", "edge_dim", "edges"),
    [
        ("atom", {}, [5, 6, 2]),
        ("bond", {}, None),
        (7, {}, None),
        ([3, 0], {}, None),
        ("atom", {"edge_dim": None}, None),
        (7, {"edge_dim": 4}, 4),
        ([3], {"edge_dim": "bond"}, [5, 6, 2]),
        (7, {"edge_dim": "auto"}, None),
    ],
)
@pytest.mark.parametrize("model", [PLSTM, baselines.GIN, baselines.LevelGRU])
def test_atoms_alone_have_bonds_unless_told(model, in_channels, edge_dim, edges):
    encoder = model(in_channels, 8, 1, 1, **edge_dim).edge_encoder
    if edges is None:
        assert encoder is None
    else:
        assert encoder.in_features == edges if isinstance(encoder, torch.nn.Linear) else encoder.sizes == edges
