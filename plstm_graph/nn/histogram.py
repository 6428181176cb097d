"""What a graph is made of: how often each category occurs among its nodes."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from plstm_graph.nn.encoders import column_offsets


class CategoryHistogram(nn.Module):
    """Embeds the histograms of integer columns over the nodes of each graph: ``gelu(W log(1 + count))``.

    A sum of node embeddings adds up in a few channels what hundreds of categories have; a histogram keeps them apart up
    to this layer, and its logarithm tells none from one better than fifty from sixty.

    Args:
        sizes (list[int]): Number of categories of each column.
        channels (int): Size of the embedding ``C``.
        dropout (float): Dropout of counts, and of the embedding. (default: ``0``)

    Shapes:
        - **input:** columns ``[N, len(sizes)]``, column ``i`` of whole numbers in ``[0, sizes[i])``; graph of each node
          ``[N]``; number of graphs ``B``
        - **output:** ``[B, C]``
    """

    offset: Tensor

    def __init__(self, sizes: Sequence[int], channels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.register_buffer("offset", column_offsets(self.sizes), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.lin = nn.Linear(sum(self.sizes), channels)

    def reset_parameters(self) -> None:
        """Draw the linear map anew."""
        self.lin.reset_parameters()

    def forward(self, columns: Tensor, batch: Tensor, batch_size: int) -> Tensor:
        """Embed the histograms of each graph."""
        total = sum(self.sizes)
        place = columns.long() + self.offset + total * batch.view(-1, 1)
        ones = self.lin.weight.new_ones(place.numel())
        count = ones.new_zeros(batch_size * total).index_add(0, place.view(-1), ones).view(batch_size, total)
        return self.dropout(F.gelu(self.lin(self.dropout(count.log1p()))))
