"""PyG's explainers on pLSTM layers: those that mask edges work, others are refused in words."""

import pytest
import torch
from torch_geometric.explain import Explainer, GNNExplainer, GraphMaskExplainer, PGExplainer
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks
from torch_geometric.nn import GINConv, GINEConv

from plstm_graph import PLSTM, PLSTMConv
from plstm_graph.testing import assert_close

_EDGES = torch.tensor([[0, 0, 1, 2, 3], [1, 2, 3, 3, 4]])
_NODE_TASK = {"mode": "multiclass_classification", "task_level": "node", "return_type": "raw"}


def _models():
    torch.manual_seed(0)
    graph_model = PLSTM(4, 8, 1, 2, predict="node")
    return {
        "pair": PLSTMConv(4, 8),
        "D": PLSTMConv(4, 8, mode="D"),
        "node": PLSTMConv(4, 8, transition="node"),
        "matrix": PLSTMConv(4, 8, transition="matrix"),
        "backward": PLSTMConv(4, 8, flow="target_to_source"),
        "model": graph_model,
    }


@pytest.mark.parametrize("name", ["pair", "D", "node", "matrix", "backward", "model"])
def test_graph_mask_explainer_is_refused_and_the_model_stays_usable(name):
    model, x = _models()[name].eval(), torch.randn(5, 4)
    before = model(x, _EDGES)
    explainer = Explainer(
        model, GraphMaskExplainer(1, epochs=1, log=False), explanation_type="model", node_mask_type="attributes",
        edge_mask_type="object", model_config=_NODE_TASK,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"PLSTMConv\(.*explainers such as GNNExplainer .* set; GraphMaskExplainer"):
        explainer(x, _EDGES, index=4)
    clear_masks(model)
    torch.testing.assert_close(model(x, _EDGES), before)


@pytest.mark.parametrize("name", ["pair", "D", "node", "matrix", "backward", "model"])
def test_explainers_of_edges_work(name):
    model, x = _models()[name].eval(), torch.randn(5, 4)
    explainer = Explainer(
        model, GNNExplainer(epochs=3), explanation_type="model", node_mask_type="attributes", edge_mask_type="object",
        model_config=_NODE_TASK,
    )  # fmt: skip
    found = explainer(x, _EDGES, index=4 if name != "backward" else 0)
    assert found.edge_mask.shape == (5,)
    assert found.edge_mask.isfinite().all()


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True to a scalar")  # PyG's own training
def test_a_trained_explainer_works():
    model, x = _models()["pair"].eval(), torch.randn(5, 4)
    target = model(x, _EDGES).argmax(dim=-1)
    algorithm = PGExplainer(epochs=2, lr=0.003)
    explainer = Explainer(
        model, algorithm, explanation_type="phenomenon", edge_mask_type="object", model_config=_NODE_TASK
    )
    for epoch in range(2):
        algorithm.train(epoch, model, x, _EDGES, target=target, index=4)
    assert explainer(x, _EDGES, target=target, index=4).edge_mask.isfinite().all()


def test_edges_of_gated_layers_are_not_masked_so_the_model_is_refused():
    model = PLSTM(4, 8, 1, 2, modes="PG", predict="node").eval()
    explainer = Explainer(
        model, GNNExplainer(epochs=1), explanation_type="model", edge_mask_type="object", model_config=_NODE_TASK
    )
    with pytest.raises(ValueError, match="would explain half of this model"):
        explainer(torch.randn(5, 4), _EDGES, index=4)
    clear_masks(model)
    assert model(torch.randn(5, 4), _EDGES).isfinite().all()


# Edge 3 leads from a source to a sink, so that it takes no share of what others carry: hidden is as good as gone.
_AROUND = torch.tensor([[0, 1, 2, 0, 4], [1, 2, 3, 3, 3]])
_HIDDEN = 3


@pytest.mark.parametrize("mode", ["P", "D", "M"])
@pytest.mark.parametrize("neighbours", [False, True, "channel"])
@pytest.mark.parametrize("share_weights", [False, True])
def test_a_layer_does_not_see_hidden_edges(mode, neighbours, share_weights):
    torch.manual_seed(0)
    layer = PLSTMConv(4, 8, mode=mode, neighbours=neighbours, share_weights=share_weights).double().eval()
    _assert_hidden(layer, torch.randn(6, 4).double())


@pytest.mark.parametrize("local", ["none", "ffn", "conv"])
@pytest.mark.parametrize("options", [{}, {"neighbours": True}, {"neighbours": "channel"}, {"direction": "forward"}])
@pytest.mark.parametrize("share_weights", [False, True])
@pytest.mark.parametrize("features", [False, True])
def test_no_part_of_a_model_sees_hidden_edges(local, options, share_weights, features):
    torch.manual_seed(0)
    for conv in (GINConv, GINEConv):  # PyG changes a class at its first instance, and so those that are made from it.
        conv(torch.nn.Linear(4, 4))
    model = PLSTM(
        4, 8, 2, 2, edge_dim=3 if features else None, modes="PM", predict="node",
        local=local, share_weights=share_weights, **options,
    ).double().eval()  # fmt: skip
    torch.nn.init.normal_(model.size_head.weight)
    # As many nodes as edges: masks of a wrong length would not be seen.
    x = torch.randn(5, 4).double()
    _assert_hidden(model, x, torch.randn(5, 3).double() if features else None)


def _assert_hidden(model, x, edge_attr=None):
    mask = torch.ones(_AROUND.size(1), dtype=x.dtype)
    mask[_HIDDEN] = 0
    set_masks(model, mask, _AROUND, apply_sigmoid=False)
    masked = model(x, _AROUND, edge_attr)
    clear_masks(model)
    kept = None if edge_attr is None else edge_attr[mask > 0]
    assert_close(masked, model(x, _AROUND[:, mask > 0], kept), 1e-9, "without the edge")
