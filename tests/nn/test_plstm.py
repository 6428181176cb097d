import pytest
import torch
from torch_geometric.data import Batch, Data

import plstm_graph.datasets  # noqa: F401  (imports ogb without its look for a newer version)
from plstm_graph import PLSTM, LineGraph
from plstm_graph.nn import CategoryEncoder, DegreeEncoder, MultiHeadRMSNorm, PLSTMBlock, PLSTMLayer, encoders
from plstm_graph.nn.baselines import GIN
from plstm_graph.tasks.batches import attach_line_graph, model_arguments
from plstm_graph.testing import (
    assert_batch_consistency,
    assert_close,
    assert_compiles_once,
    assert_edge_order_invariance,
    random_dag,
)
from plstm_graph.transforms import ToDAG


def random_graph(num_nodes, num_edges, seed):
    generator = torch.Generator().manual_seed(seed)
    edge_index = random_dag(num_nodes, num_edges, generator)
    x = torch.randn(num_nodes, 5, generator=generator)
    edge_attr = torch.randint(0, 4, (num_edges, 1), generator=generator)
    return ToDAG("keep")(Data(x=x, edge_index=edge_index, edge_attr=edge_attr, num_nodes=num_nodes))


@pytest.fixture
def model():
    return PLSTM(5, 16, 1, 2, edge_dim=[4], dropout=0.1).eval()


def run(model, data):
    return model(
        data.x, data.edge_index, data.edge_attr, data.batch, LineGraph.from_data(data), batch_size=data.num_graphs
    )


def test_batch_equals_single_graphs(model):
    sizes = [(7, 12), (1, 0), (30, 70), (4, 0), (12, 11)]
    graphs = [random_graph(nodes, edges, seed) for seed, (nodes, edges) in enumerate(sizes)]
    assert_batch_consistency(lambda data: run(model, data), graphs)


def test_plain_call_equals_call_with_structure(model):
    data = random_graph(20, 45, 0)
    plain = model(data.x, data.edge_index, data.edge_attr)
    assert plain.shape == (1, 2)
    assert_close(run(model, Batch.from_data_list([data])), plain, 1e-6, "structure")


def test_node_embeddings_follow_edges_in_any_order(model):
    data = random_graph(20, 45, 0)
    p_only = PLSTM(5, 16, 1, 1, edge_dim=[4], modes="PP").eval()
    assert_edge_order_invariance(p_only.encode, data.x, data.edge_index, data.edge_attr)


def test_information_travels_in_the_chosen_direction():
    chain = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
    x = torch.randn(5, 3, requires_grad=True)
    for direction, sees in {"forward": [0, 1, 2], "backward": [2, 3, 4], "both": [0, 1, 2, 3, 4]}.items():
        model = PLSTM(3, 8, 1, 1, direction=direction)
        (grad,) = torch.autograd.grad(model.encode(x, chain)[2].sum(), x)
        # Exact: what does not flow into a node is multiplied by zeros.
        assert grad.abs().sum(1).nonzero().view(-1).tolist() == sees, direction


def test_tied_directions_treat_a_dag_and_its_reverse_alike():
    data = random_graph(20, 45, 0)
    flipped = data.edge_index.flip(0)
    for share_weights in (True, False):
        model = PLSTM(5, 16, 1, 1, edge_dim=[4], modes="P", share_weights=share_weights).eval()
        there, back = (model.encode(data.x, index, data.edge_attr) for index in (data.edge_index, flipped))
        assert torch.allclose(there, back, atol=1e-5) == share_weights


def test_every_parameter_learns(model):
    data = Batch.from_data_list([random_graph(20, 45, 0), random_graph(9, 20, 1)])
    run(model, data).square().sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_reset_parameters_gives_a_fresh_model(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(7.0)
    model.reset_parameters()
    assert [name for name, parameter in model.named_parameters() if (parameter == 7.0).any()] == []


def test_several_pools_and_molecule_features():
    model = PLSTM("atom", 8, 1, 3, heads=2, pool=["mean", "sum", "max"])
    x = torch.zeros(4, 9, dtype=torch.long)
    out = model(x, torch.tensor([[0, 1], [1, 2]]), torch.zeros(2, 3, dtype=torch.long), torch.tensor([0, 0, 0, 1]))
    assert out.shape == (2, 3)


def test_graph_without_nodes_in_a_batch(model):
    x = torch.randn(2, 5)
    none = torch.empty(2, 0, dtype=torch.long)
    out = model(x, none, none.t()[:, :1], torch.tensor([0, 2]), batch_size=3)
    assert out.shape == (3, 2)
    assert torch.isfinite(out).all()


def test_whole_model_compiles_into_one_graph():
    """Both directions; one of them, as layers of both are of one kind, with its backward pass, which takes longer."""

    def calls():
        for seed, (nodes, edges) in enumerate([(40, 60), (47, 90), (30, 29)]):
            data = Batch.from_data_list([random_graph(nodes, edges, seed), random_graph(9, 12, seed)])
            line_graph = LineGraph.from_data(data).prepare()
            yield (data.x, data.edge_index, data.edge_attr, data.batch, line_graph), {"batch_size": 2}

    for direction, backend in {"both": "eager", "forward": "aot_eager"}.items():
        model = PLSTM(5, 64, 1, 2, edge_dim=[4], direction=direction).eval()
        assert_compiles_once(model, calls(), backend=backend)


def test_missing_or_surplus_edge_features_are_named(model):
    data = random_graph(5, 6, 0)
    with pytest.raises(ValueError, match="so it needs edge_attr"):
        model(data.x, data.edge_index)
    without = PLSTM(5, out_channels=2)
    with pytest.raises(ValueError, match="edge_dim=None, so it cannot use edge_attr"):
        without(data.x, data.edge_index, data.edge_attr)


def test_gated_layers_among_others_read_what_they_need():
    block = PLSTMBlock(8, modes="PGM", heads=2, norm_eps=1.0, gated_aggr="sum", edge_dim=3)
    kinds = [[type(conv).__name__ for conv in layer.convs] for layer in block.layers]
    assert kinds == [["PLSTMConv"] * 2, ["GatedCell"] * 2, ["PLSTMConv"] * 2]
    assert [conv.flow for conv in block.layers[1].convs] == ["source_to_target", "target_to_source"]
    assert all(conv.aggr == "sum" for conv in block.layers[1].convs)
    shared = PLSTMBlock(8, modes="G", share_weights=True).layers[0].convs
    assert len(shared) == 1 and shared[0].share_weights
    with pytest.raises(TypeError, match="a layer has no argument 'norm_epsilon'"):
        PLSTMBlock(8, modes="G", norm_epsilon=1.0)
    with pytest.raises(ValueError, match="gated_aggr must be 'attention', 'sum' or 'max', got 'mean'"):
        PLSTMBlock(8, modes="P", gated_aggr="mean")
    with pytest.raises(ValueError, match="size_readout takes the letters P, D and M"):
        PLSTM(5, out_channels=2, modes="PG", size_readout="G")


def test_levels_of_nodes_are_built_before_training_where_layers_need_them():
    for modes, needed in (("P", False), ("PG", True)):
        model = PLSTM(5, out_channels=2, modes=modes)
        batch = attach_line_graph(Batch.from_data_list([random_graph(6, 8, 0)]), model_arguments(model))
        assert bool(batch.line_graph._node_levels) == needed


def test_sizes_are_read_of_layers_that_are_there():
    with pytest.raises(ValueError, match="size_readout names modes of layers, which are 'PM', got 'D'"):
        PLSTM(6, 8, out_channels=1, modes="PM", size_readout="D")
    assert PLSTM(6, 8, out_channels=1, modes="PD").size_head is None
    assert PLSTM(6, 8, out_channels=1, modes="PM", size_readout="").size_head is None
    assert PLSTM(6, 8, out_channels=1, modes="PM").size_head is not None


def test_wrong_choices_are_named():
    with pytest.raises(ValueError, match=r"letters P, D, M and G.*got 'PX'"):
        PLSTMBlock(8, modes="PX")
    with pytest.raises(ValueError, match=r"direction must be .* got 'up'"):
        PLSTMLayer(8, direction="up")
    with pytest.raises(ValueError, match="'atom' or 'bond', got 'atoms'"):
        PLSTM("atoms")
    with pytest.raises(ValueError, match=r"expected 2 integer category columns, got shape \[3, 1\]"):
        CategoryEncoder([2, 2], 4)(torch.zeros(3, 1, dtype=torch.long))


def test_category_encoder_sums_one_embedding_per_column():
    encoder = CategoryEncoder([3, 5], 4)
    expected = encoder.embedding.weight[2] + encoder.embedding.weight[3 + 4]
    assert torch.equal(encoder(torch.tensor([[2, 4]]))[0], expected)  # exact: a single addition


@pytest.mark.parametrize("shape", [(6, 2), (2, 3, 2), (0, 2)])
def test_category_encoder_takes_any_layout(shape):
    encoder = CategoryEncoder([3, 3], 4)
    columns = torch.randint(3, shape[::-1]).permute(*reversed(range(len(shape))))
    actual = encoder(columns)
    expected = encoder.embedding(columns + encoder.offset).sum(dim=-2)
    assert actual.shape == (*shape[:-1], 4)
    assert torch.equal(actual, expected)  # exact: a single addition


def test_degree_encoder_tells_in_from_out():
    encoded = DegreeEncoder(8)(torch.tensor([[0, 0, 1], [1, 2, 2]]), 3)
    assert len({tuple(row.tolist()) for row in encoded.detach()}) == 3


def test_multi_head_norm_gives_each_head_unit_mean_square():
    norm = MultiHeadRMSNorm(3, 8)
    out = norm(torch.randn(5, 3, 8) * torch.tensor([1e-1, 1.0, 1e4]).view(3, 1))
    assert torch.allclose(out.square().mean(-1), torch.ones(5, 3), atol=1e-2)
    assert norm(torch.ones(1, 3, 8, dtype=torch.bfloat16)).dtype == torch.float32
    assert repr(norm) == "MultiHeadRMSNorm(3, 8)"


def test_molecule_features_have_the_sizes_that_ogb_says():
    from ogb.utils.features import get_atom_feature_dims, get_bond_feature_dims

    assert encoders.OGB_DIMS == {"atom": get_atom_feature_dims(), "bond": get_bond_feature_dims()}


@pytest.mark.parametrize("make", [PLSTM, GIN])
def test_dropout_of_the_head_is_that_of_the_model_unless_given(make):
    def rates(**kwargs):
        model = make(3, 8, 1, 1, dropout=0.25, **kwargs)
        return model.head[2].p

    assert (rates(), rates(head_dropout=0.5), rates(head_dropout=0.0)) == (0.25, 0.5, 0.0)


def test_gradients_at_zero_nodes_do_not_depend_on_the_precision():
    model = PLSTM(5, 16, 3, 1, degree=False)
    for name, parameter in model.named_parameters():  # at first, what networks add is zero
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.1)
        elif name.endswith("bias"):
            torch.nn.init.zeros_(parameter)
    data, gradients = random_graph(9, 14, seed=0), []
    for dtype in (torch.float32, torch.float64):
        x = torch.zeros(9, 5, dtype=dtype, requires_grad=True)
        model.to(dtype)(x, data.edge_index).sum().backward()
        gradients.append(x.grad.double())
    assert gradients[1].norm() > 0
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-3 * float(gradients[1].abs().max()))
