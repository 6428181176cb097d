"""Child-sum Tree-LSTM over the levels of a DAG, with a backward pass of its own."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from plstm_graph.graph import LineGraph
from plstm_graph.graph.node_levels import NodeLevels
from plstm_graph.nn.baselines.directed import DAGBaseline


class ChildSumTreeLSTM(DAGBaseline):
    """`Tree-LSTM <https://arxiv.org/abs/1503.00075>`_ in its child-sum variant: a node's children are its predecessors,
    so the root of a tree whose edges lead to the root has read all of it. Works on any DAG.

    Arguments as in :class:`~plstm_graph.nn.baselines.DAGBaseline`.
    """

    def make_mixer(self) -> nn.Module:
        """One pass along the edges."""
        return TreeLSTMPass(self.hidden_channels, self.edge_encoder is not None)


class TreeLSTMPass(nn.Module):
    r"""Child-sum Tree-LSTM: gates :math:`i, o, u` of a node from its input and the sum of its children's states
    :math:`h_k`, a forget gate for each child; :math:`c = i u + \sum_k f_k c_k`, :math:`h = o \tanh c`. Features of
    edges are added to the states that they bring.

    Args:
        channels (int): Size of node and edge features.
        edges (bool): Whether there are edge features.

    Shapes:
        - **input:** node features ``[N, channels]``, line graph, edge features ``[E, channels]`` *(optional)*
        - **output:** ``[N, channels]``
    """

    def __init__(self, channels: int, edges: bool) -> None:
        super().__init__()
        self.input = nn.Linear(channels, 4 * channels)
        self.state = nn.Linear(channels, 4 * channels, bias=False)
        self.edge = nn.Linear(channels, channels, bias=False) if edges else None

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for module in (self.input, self.state, self.edge):
            if module is not None:
                module.reset_parameters()

    def forward(self, x: Tensor, line_graph: LineGraph, edge_attr: Tensor | None = None) -> Tensor:
        """Run over all levels."""
        order = line_graph.node_levels
        if self.edge is None:
            at_edge = x.new_zeros(order.start.numel(), 0)
        else:
            at_edge = self.edge(edge_attr).index_select(0, order.edge_order)
        given = self.input(x).index_select(0, order.node_order)
        states = _Walk.apply(given, at_edge, self.state.weight, order)
        return states.index_select(0, order.node_position)


class _Walk(torch.autograd.Function):
    """States of all nodes in storage order; gates stand in the order i, o, u, f."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, at_edge: Tensor, weight: Tensor, order: NodeLevels) -> Tensor:
        channels = weight.size(1)
        states, received = given.new_empty(len(given), channels), given.new_zeros(len(given), channels)
        cells, gates = torch.empty_like(states), given.new_empty(len(given), 3 * channels)
        forget = given.new_empty(len(order.start), channels)
        of_node, of_child = weight[: 3 * channels].t(), weight[3 * channels :].t()
        for first, last, edge, last_edge in order.levels:
            here, along = slice(first, last), slice(edge, last_edge)
            cell = torch.zeros_like(received[here])
            if last_edge > edge:
                before, to = order.start[along], order.end[along] - first
                message = states.index_select(0, before)
                if at_edge.size(1):
                    message = message + at_edge[along]
                received[here].index_add_(0, to, message)
                logit = torch.addmm(given[here, 3 * channels :].index_select(0, to), message, of_child)
                torch.sigmoid(logit, out=forget[along])
                cell.index_add_(0, to, forget[along] * cells.index_select(0, before))
            torch.addmm(given[here, : 3 * channels], received[here], of_node, out=gates[here])
            gates[here, : 2 * channels].sigmoid_()
            gates[here, 2 * channels :].tanh_()
            into, out, update = gates[here].chunk(3, dim=1)
            torch.addcmul(cell, into, update, out=cells[here])
            torch.mul(out, cells[here].tanh(), out=states[here])
        ctx.order = order
        ctx.save_for_backward(at_edge, weight, states, received, cells, gates, forget)
        return states

    @staticmethod
    @once_differentiable  # A second derivative is an error, not a wrong number.
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        at_edge, weight, states, received, cells, gates, forget = ctx.saved_tensors
        channels = weight.size(1)
        grad, grad_cells = grads[0].clone(), torch.zeros_like(cells)
        into, out, update = gates.chunk(3, dim=1)
        squashed = cells.tanh()
        to_cell = out * (1 - squashed.square())
        to_logits = torch.cat(
            [update * into * (1 - into), squashed * out * (1 - out), into * (1 - update.square())], dim=1
        )
        grad_given = states.new_zeros(len(states), 4 * channels)
        grad_forget, grad_edge = torch.empty_like(forget), torch.zeros_like(at_edge)
        of_node, of_child = weight[: 3 * channels], weight[3 * channels :]
        for first, last, edge, last_edge in reversed(ctx.order.levels):
            here, along = slice(first, last), slice(edge, last_edge)
            cell = torch.addcmul(grad_cells[here], grad[here], to_cell[here])
            logits = grad_given[here, : 3 * channels]
            torch.mul(torch.cat([cell, grad[here], cell], dim=1), to_logits[here], out=logits)
            if last_edge == edge:
                continue
            before, to = ctx.order.start[along], ctx.order.end[along] - first
            at_child, kept = cell.index_select(0, to), forget[along]
            of_forget = at_child * cells.index_select(0, before) * kept * (1 - kept)
            grad_forget[along] = of_forget
            grad_given[here, 3 * channels :].index_add_(0, to, of_forget)
            grad_cells.index_add_(0, before, at_child * kept)
            of_message = torch.addmm((logits @ of_node).index_select(0, to), of_forget, of_child)
            grad.index_add_(0, before, of_message)
            if at_edge.size(1):
                grad_edge[along] = of_message
        message = states.index_select(0, ctx.order.start)
        if at_edge.size(1):
            message = message + at_edge
        grad_weight = torch.cat([grad_given[:, : 3 * channels].t() @ received, grad_forget.t() @ message])
        return grad_given, grad_edge, grad_weight, None
