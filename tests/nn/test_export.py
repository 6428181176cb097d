"""``torch.export`` of a model together with the structure of one DAG, as docs/dag_tools.md shows it."""

import io

import pytest
import torch

from plstm_graph import PLSTM, LineGraph
from plstm_graph.graph import random_dag


class OnOneDAG(torch.nn.Module):
    """A model and the line graph on which it runs."""

    def __init__(self, model: PLSTM, line_graph: LineGraph) -> None:
        super().__init__()
        self.model, self.line_graph = model, line_graph

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x, self.line_graph.edge_index, line_graph=self.line_graph)


# torch's own: tensors that are slices of another are stored one by one.
@pytest.mark.filterwarnings("ignore:No complete tensor found in the group:UserWarning")
@pytest.mark.parametrize("modes", ["P", "M", "PD"])
@pytest.mark.parametrize("predict", ["graph", "node"])
def test_other_features_on_the_same_dag(modes, predict):
    torch.manual_seed(0)
    graph = LineGraph(random_dag(9, 14), 9).prepare()
    module = OnOneDAG(PLSTM(5, 8, 1, 1, heads=2, modes=modes, predict=predict).eval(), graph)
    program, file = torch.export.export(module, (torch.randn(9, 5),)), io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    stored = torch.export.load(file).module()
    for _ in range(2):
        x = torch.randn(9, 5)
        torch.testing.assert_close(stored(x), module(x))


def test_another_number_of_nodes_is_refused():
    module = OnOneDAG(PLSTM(5, 8, 1, 1, heads=2).eval(), LineGraph(random_dag(9, 14), 9).prepare())
    program = torch.export.export(module, (torch.randn(9, 5),)).module()
    with pytest.raises((RuntimeError, AssertionError), match=r"(?s)(9|Guard)"):
        program(torch.randn(8, 5))
