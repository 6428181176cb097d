"""Nothing in forward or backward waits for the device; on a GPU results are the same."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.data import Batch

from plstm_graph import PLSTM, LineGraph
from plstm_graph.datasets import smiles_to_data
from plstm_graph.nn import PLSTM1d, PLSTM2d
from plstm_graph.ops import plstm
from plstm_graph.testing import assert_close, random_dag, random_operands
from plstm_graph.transforms import ToDAG
from tests.rounding import rounding

#: Operators that a GPU must finish before the host can go on: the host needs a value, or a size.
WAITING = {
    "_local_scalar_dense",
    "nonzero",
    "bincount",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "masked_select",
    "equal",
}

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


class CountWaits(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        sized = name == "repeat_interleave" and not (kwargs or {}).get("output_size")
        if name in WAITING or sized:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def batch():
    smiles = ["CC(C)Cc1ccc(cc1)C(C)C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "C"]
    return Batch.from_data_list([ToDAG()(smiles_to_data(s)) for s in smiles])


def loss(model, batch, line_graph):
    out = model(batch.x, batch.edge_index, batch.edge_attr, batch.batch, line_graph, batch_size=3)
    return out.square().sum()


@pytest.mark.parametrize(
    "options",
    [
        *({"form": form} for form in ("recurrent", "parallel", "auto")),
        {"transition": "matrix"},
        {"transition": "matrix", "matrix_kind": "signed", "matrix_size": 3},
        {"modes": "G"},
        {"modes": "G", "gated_aggr": "sum", "share_weights": True},
    ],
)
def test_forward_and_backward_never_ask_the_device_for_a_value(batch, options):
    model = PLSTM("atom", 16, 1, 2, **options)
    line_graph = LineGraph.from_data(batch).prepare(nodes=True, rows=options.get("matrix_size", 2))
    with CountWaits() as waits:
        loss(model, batch, line_graph).backward()
    assert waits.found == []


@pytest.mark.parametrize("layer", [PLSTM1d(8, 8, mode="M", bidirectional=True), PLSTM2d(8, 8, mode="M")])
def test_layers_of_maxima_on_chains_and_grids_never_ask_either(layer):
    x = torch.randn(2, 40, 3, 8)
    with CountWaits() as waits:
        layer(x).square().sum().backward()
    assert waits.found == []


def test_the_counter_counts():
    with CountWaits() as waits:
        torch.ones(3).sum().item()
        torch.repeat_interleave(torch.ones(2, dtype=torch.long))
    assert waits.found == ["_local_scalar_dense", "repeat_interleave"]


@pytest.mark.cuda
@needs_cuda
@pytest.mark.parametrize("form", ["recurrent", "parallel"])
def test_operator_on_a_gpu(form):
    graph = LineGraph(random_dag(60, 120), 60)
    operands = random_operands(graph)
    expected = plstm(**operands, line_graph=graph, form="naive")
    on_gpu = {name: tensor.detach().cuda() for name, tensor in operands.items()}
    actual = plstm(**on_gpu, line_graph=graph.prepare().to("cuda"), form=form)
    assert_close(actual.cpu(), expected, 1e-10, form)


@pytest.mark.cuda
@needs_cuda
@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("options", [{}, {"transition": "matrix"}, {"modes": "G"}, {"modes": "G", "gated_aggr": "sum"}])
def test_model_on_a_gpu_does_not_synchronise(batch, deterministic, options):
    model = PLSTM("atom", 16, 1, 2, **options)
    line_graph = LineGraph.from_data(batch).prepare(nodes=True, rows=options.get("matrix_size", 2))
    expected = loss(model, batch, line_graph)
    model, batch, line_graph = model.cuda(), batch.to("cuda"), line_graph.to("cuda")
    torch.use_deterministic_algorithms(deterministic)
    torch.cuda.set_sync_debug_mode("error")
    try:
        actual = loss(model, batch, line_graph)
        actual.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
        torch.use_deterministic_algorithms(False)
    assert_close(actual.cpu(), expected, 1e-4, "loss")


@pytest.mark.parametrize("form", ["recurrent", "parallel", "auto"])
def test_deterministic_algorithms(batch, form):
    model = PLSTM("atom", 16, 1, 2, form=form)
    line_graph = LineGraph.from_data(batch).prepare()
    torch.use_deterministic_algorithms(True)
    try:
        results = []
        for _ in range(2):
            model.zero_grad()
            loss(model, batch, line_graph).backward()
            results.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    finally:
        torch.use_deterministic_algorithms(False)
    # The algorithms are the same; memory may lie elsewhere, and vectors be cut elsewhere. A sum has a row of each atom.
    assert_close(*results, rounding(torch.float32, batch.num_nodes * 16), "gradients")
