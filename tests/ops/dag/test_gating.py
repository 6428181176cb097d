import torch

from plstm_graph.graph import LineGraph
from plstm_graph.ops import gating_matrix, plstm
from plstm_graph.testing import assert_close, random_dag, random_operands


def test_gating_matrix_is_the_resolvent_on_the_line_graph():
    graph = LineGraph(random_dag(9, 18), 9)
    operands = random_operands(graph)
    source, transition, mark, direct = (operands[name] for name in ("source", "transition", "mark", "direct"))
    start, end = graph.edge_index
    for head in range(2):
        step = torch.zeros(18, 18, dtype=torch.float64)
        step.index_put_((graph.pairs[1], graph.pairs[0]), transition[:, head].detach(), accumulate=True)
        into = torch.zeros(18, 9, dtype=torch.float64)
        into[torch.arange(18), start] = source[:, head].detach()
        out = torch.zeros(9, 18, dtype=torch.float64)
        out[end, torch.arange(18)] = mark[:, head].detach()
        expected = out @ torch.linalg.inv(torch.eye(18) - step) @ into + direct[:, head].detach().diag()
        assert_close(gating_matrix(source, transition, mark, direct, graph)[head], expected, 1e-12, "G")


def test_masked_attention_with_the_gating_matrix_is_the_operator():
    graph = LineGraph(random_dag(9, 18), 9).reverse()
    operands = random_operands(graph)
    gate = gating_matrix(*(operands[name] for name in ("source", "transition", "mark", "direct")), graph)
    score = torch.einsum("nhk,mhk->hnm", operands["query"], operands["key"])
    expected = torch.einsum("hnm,mhv->nhv", gate * score, operands["value"])
    assert_close(plstm(**operands, line_graph=graph), expected, 1e-12, "attention")
