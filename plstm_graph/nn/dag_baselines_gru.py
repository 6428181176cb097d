"""A GRU that walks over the levels of a DAG, in the manner of DAGNN, with a backward pass of its own."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from plstm_graph.graph import LineGraph
from plstm_graph.nn.dag_baselines import DAGBaseline
from plstm_graph.nn.dag_baselines_levels import LevelOrder


class LevelGRU(DAGBaseline):
    """Recurrent network over the levels of a DAG (`DAGNN <https://arxiv.org/abs/2101.07965>`_): attention over the
    predecessors of a node, then a GRU; one pass along the edges and one against them.

    Args:
        both (bool): Whether each layer also runs against the edges. (default: ``True``)
        **kwargs: Of :class:`~plstm_graph.nn.dag_baselines.DAGBaseline`.
    """

    def make_mixer(self, both: bool = True) -> nn.Module:
        """One or two passes and a linear map."""
        return _Passes(self.hidden_channels, self.edge_encoder is not None, both)


class _Passes(nn.Module):
    """Passes over the levels, joined by a linear map."""

    def __init__(self, channels: int, edges: bool, both: bool) -> None:
        super().__init__()
        self.passes = nn.ModuleList(LevelGRUPass(channels, edges, against) for against in (False, True)[: 1 + both])
        self.lin = nn.Linear(len(self.passes) * channels, channels)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for module in (*self.passes, self.lin):
            module.reset_parameters()

    def forward(self, x: Tensor, line_graph: LineGraph, edge_attr: Tensor | None = None) -> Tensor:
        return self.lin(torch.cat([each(x, line_graph, edge_attr) for each in self.passes], dim=-1))


class LevelGRUPass(nn.Module):
    r"""One pass over the levels: :math:`h_n = \mathrm{GRU}(x_n, m_n)` with the GRU's state :math:`m_n = \sum_e \alpha_e
    (h_{start(e)} + W a_e)` over the in-edges of a node, :math:`\alpha` a softmax of :math:`w \cdot h_{start(e)} + u
    \cdot a_e`.

    The term of the node itself in DAGNN's additive attention is the same for all its predecessors, so that it drops out
    of the softmax; it is left out.

    Args:
        channels (int): Size of node and edge features.
        edges (bool): Whether there are edge features.
        against (bool): Whether to run against the edges. (default: ``False``)

    Shapes:
        - **input:** node features ``[N, channels]``, line graph, edge features ``[E, channels]`` *(optional)*
        - **output:** ``[N, channels]``
    """

    def __init__(self, channels: int, edges: bool, against: bool = False) -> None:
        super().__init__()
        self.against = against
        self.input = nn.Linear(channels, 3 * channels)
        self.state = nn.Linear(channels, 3 * channels)
        self.score = nn.Linear(channels, 1, bias=False)
        self.edge = nn.Linear(channels, channels + 1, bias=False) if edges else None

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for module in (self.input, self.state, self.score, self.edge):
            if module is not None:
                module.reset_parameters()

    def forward(self, x: Tensor, line_graph: LineGraph, edge_attr: Tensor | None = None) -> Tensor:
        """Run over all levels."""
        order = LevelOrder.of(line_graph, self.against)
        if self.edge is None:
            at_edge = x.new_zeros(order.start.numel(), 0)
        else:
            at_edge = self.edge(edge_attr).index_select(0, order.edge_order)
        given = self.input(x).index_select(0, order.node_order)
        states = _Walk.apply(given, at_edge, self.state.weight, self.state.bias, self.score.weight[0], order)
        return states.index_select(0, order.node_position)


class _Walk(torch.autograd.Function):
    """States of all nodes in storage order.

    Levels are written in place into one tensor, forward and backward, so that time and memory are linear in the nodes;
    recorded by autograd level by level, every level would copy the states of all.
    """

    @staticmethod
    def forward(
        ctx: Any, given: Tensor, at_edge: Tensor, weight: Tensor, bias: Tensor, score: Tensor, order: LevelOrder
    ) -> Tensor:
        channels = weight.size(1)
        states, received = given.new_empty(len(given), channels), given.new_zeros(len(given), channels)
        gates, scores = torch.empty_like(given), given.new_empty(len(given))
        share = given.new_empty(len(order.start))
        weight_t = weight.t()
        for first, last, edge, last_edge in order.levels:
            state = received[first:last]
            if last_edge > edge:
                before, here = order.start[edge:last_edge], order.end[edge:last_edge] - first
                message, logit = states.index_select(0, before), scores.index_select(0, before)
                if at_edge.size(1):
                    message = message + at_edge[edge:last_edge, 1:]
                    logit = logit + at_edge[edge:last_edge, 0]
                largest = logit.new_zeros(last - first).scatter_reduce_(0, here, logit, "amax", include_self=False)
                logit = (logit - largest.index_select(0, here)).exp_()
                total = logit.new_zeros(last - first).index_add_(0, here, logit)
                share[edge:last_edge] = logit.div_(total.index_select(0, here))
                state.index_add_(0, here, message.mul_(logit.unsqueeze(1)))
            recurrent = torch.addmm(bias, state, weight_t)
            reset, update, candidate = gates[first:last].chunk(3, dim=1)
            torch.add(
                given[first:last, : 2 * channels], recurrent[:, : 2 * channels], out=gates[first:last, : 2 * channels]
            )
            gates[first:last, : 2 * channels].sigmoid_()
            torch.addcmul(given[first:last, 2 * channels :], reset, recurrent[:, 2 * channels :], out=candidate)
            candidate.tanh_()
            new = torch.lerp(candidate, state, update)
            states[first:last] = new
            torch.mv(new, score, out=scores[first:last])
        ctx.order = order
        ctx.save_for_backward(at_edge, weight, bias, score, states, received, gates, share)
        return states

    @staticmethod
    @once_differentiable  # A second derivative is an error, not a wrong number.
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        at_edge, weight, bias, score, states, received, gates, share = ctx.saved_tensors
        channels = weight.size(1)
        grad, grad_scores = grads[0].clone(), states.new_zeros(len(states))
        # Everything that does not depend on the gradient, for all levels at once.
        reset, update, candidate = gates.chunk(3, dim=1)
        recurrent = torch.addmm(bias[2 * channels :], received, weight[2 * channels :].t())
        to_update = (received - candidate) * update * (1 - update)
        to_candidate = (1 - update) * (1 - candidate.square())
        to_reset = recurrent * reset * (1 - reset)
        grad_given, grad_recurrent = torch.empty_like(gates), torch.empty_like(gates)
        grad_edge = torch.zeros_like(at_edge)
        for first, last, edge, last_edge in reversed(ctx.order.levels):
            here = slice(first, last)
            down = torch.addr(grad[here], grad_scores[here], score)
            of_candidate = down * to_candidate[here]
            of_rest = grad_recurrent[here]
            torch.mul(of_candidate, to_reset[here], out=of_rest[:, :channels])
            torch.mul(down, to_update[here], out=of_rest[:, channels : 2 * channels])
            torch.mul(of_candidate, reset[here], out=of_rest[:, 2 * channels :])
            grad_given[here, 2 * channels :] = of_candidate
            if last_edge == edge:
                continue
            of_state = torch.addmm(down * update[here], of_rest, weight)
            before, to = ctx.order.start[edge:last_edge], ctx.order.end[edge:last_edge] - first
            of_message, part = of_state.index_select(0, to), share[edge:last_edge]
            message = states.index_select(0, before)
            if at_edge.size(1):
                message = message + at_edge[edge:last_edge, 1:]
            of_share = (of_message * message).sum(dim=1).mul_(part)
            mean = of_share.new_zeros(last - first).index_add_(0, to, of_share)
            of_logit = of_share - part * mean.index_select(0, to)
            of_message = of_message * part.unsqueeze(1)
            grad.index_add_(0, before, of_message)
            grad_scores.index_add_(0, before, of_logit)
            if at_edge.size(1):
                grad_edge[edge:last_edge, 1:] = of_message
                grad_edge[edge:last_edge, 0] = of_logit
        grad_given[:, : 2 * channels] = grad_recurrent[:, : 2 * channels]
        grad_weight, grad_bias = grad_recurrent.t() @ received, grad_recurrent.sum(dim=0)
        return grad_given, grad_edge, grad_weight, grad_bias, states.t() @ grad_scores, None
