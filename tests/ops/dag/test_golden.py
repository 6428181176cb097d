"""Cases with known answers: random DAGs, evaluated edge by edge by the authors' kernel."""

import numpy as np
import pytest
import torch

from plstm_graph.graph import LineGraph
from plstm_graph.testing import OPERANDS, assert_close, value_and_gradients


@pytest.mark.parametrize("form", ["naive", "recurrent", "parallel", "chunkwise"])
@pytest.mark.parametrize("mode", ["P", "D"])
@pytest.mark.parametrize("case", range(1, 7))
def test_graph_case(golden, case, mode, form):
    arrays = np.load(golden / f"graph_{case}_{mode}.npz")
    arrays = {name: torch.from_numpy(array) for name, array in arrays.items()}
    operands = {name: arrays[name] for name in OPERANDS}
    edge_index, pairs = arrays["edge_index"], arrays["line_edge_index"]
    graph = LineGraph(edge_index, int(arrays["num_nodes"]), pairs=pairs)

    # Once as stored, once with edges and pairs in another order.
    edge_order, pair_order = torch.randperm(graph.num_edges), torch.randperm(graph.num_pairs)
    position = torch.empty_like(edge_order)
    position[edge_order] = torch.arange(graph.num_edges)
    shuffled_graph = LineGraph(edge_index[:, edge_order], graph.num_nodes, pairs=position[pairs[:, pair_order]])
    order = {"source": edge_order, "mark": edge_order, "transition": pair_order}
    shuffled = {name: tensor[order[name]] if name in order else tensor for name, tensor in operands.items()}

    plain = value_and_gradients(operands, graph, form, arrays["out_grad"])
    mixed = value_and_gradients(shuffled, shuffled_graph, form, arrays["out_grad"])
    for name in ("out", *OPERANDS):
        expected = arrays["out" if name == "out" else f"grad_{name}"]
        assert_close(plain[name], expected, 1e-10, name)
        assert_close(mixed[name], expected[order[name]] if name in order else expected, 1e-10, f"shuffled {name}")
