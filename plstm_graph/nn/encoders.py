"""Encoders: from what data sets store (category columns, floats, degrees) to vectors."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: A number of float features, the sizes of columns (0 for numbers), or OGB's scheme for atoms or bonds.
FeatureSpec = int | Sequence[int] | Literal["atom", "bond"]

#: Edge features likewise: None for none; ``"auto"`` for those of OGB's bonds where nodes are atoms, else none.
EdgeSpec = FeatureSpec | Literal["auto"] | None

#: Sizes of OGB's category columns. Written down because importing ogb looks for a newer version online.
OGB_DIMS = {"atom": [119, 5, 12, 12, 10, 6, 6, 2, 2], "bond": [5, 6, 2]}


def feature_encoder(features: FeatureSpec, channels: int) -> nn.Module:
    """The encoder for a kind of features.

    Args:
        features: An int for that many float features (a linear map); a list of ints for integer category columns of
            those sizes, where 0 stands for a column of numbers (:class:`ColumnEncoder`); ``"atom"`` or ``"bond"`` for
            the columns of OGB's molecule data sets.
        channels: Size of the encoding.

    Raises:
        ValueError: If ``features`` is none of these.
    """
    if isinstance(features, str):
        if features not in OGB_DIMS:
            raise ValueError(f"features must be an int, a list of ints, 'atom' or 'bond', got {features!r}")
        features = OGB_DIMS[features]
    if isinstance(features, int):
        return nn.Linear(features, channels)
    if 0 in features:
        return ColumnEncoder(features, channels)
    return CategoryEncoder(features, channels)


def edge_features(edge_dim: EdgeSpec, in_channels: FeatureSpec) -> FeatureSpec | None:
    """What ``edge_dim`` stands for beside the node features of a model."""
    if edge_dim == "auto":
        return "bond" if in_channels == "atom" else None
    return edge_dim


def num_columns(features: FeatureSpec) -> int:
    """How many columns of features a specification describes, see :func:`feature_encoder`."""
    if isinstance(features, str):
        features = OGB_DIMS[features]
    return features if isinstance(features, int) else len(features)


def column_offsets(sizes: Sequence[int]) -> Tensor:
    """Where the categories of each column begin if those of all columns are numbered on, ``[len(sizes)]``."""
    return torch.tensor([0, *sizes[:-1]]).cumsum(0)


class CategoryEncoder(nn.Module):
    """Sum of one embedding per integer column.

    Args:
        sizes (list[int]): Number of categories of each column.
        channels (int): Size of the encoding.

    Shapes:
        - **input:** ``[*, len(sizes)]``, int64, column ``i`` in ``[0, sizes[i])``
        - **output:** ``[*, channels]``
    """

    offset: Tensor

    def __init__(self, sizes: Sequence[int], channels: int) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.embedding = nn.Embedding(sum(self.sizes), channels)
        self.register_buffer("offset", column_offsets(self.sizes), persistent=False)
        self.has_unknown = False
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw embeddings so that their sum has unit variance."""
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(len(self.sizes)))
        if self.has_unknown:
            self.start_unknown_at_zero()

    @torch.no_grad()
    def start_unknown_at_zero(self) -> None:
        """Let category 0 of each column, which stands for what training may never see, begin without any effect."""
        self.has_unknown = True
        self.embedding.weight[self.offset] = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Encode each row."""
        if x.size(-1) != len(self.sizes) or x.is_floating_point():
            raise ValueError(
                f"expected {len(self.sizes)} integer category columns, got shape {list(x.shape)} of {x.dtype}"
            )
        # A bag rather than a sum of embeddings: most atoms are carbon, and the gradient of a plain embedding is slow
        # where few rows of it take most of the gradient.
        bags = (x + self.offset).reshape(-1, len(self.sizes))
        encoded = F.embedding_bag(bags, self.embedding.weight, mode="sum")
        return encoded.view(*x.shape[:-1], self.embedding.embedding_dim)


class ColumnEncoder(nn.Module):
    """Numbers and categories side by side: a linear map of the numbers, plus one embedding per category column.

    Args:
        sizes (list[int]): 0 for each column of numbers, the number of categories for each of the others.
        channels (int): Size of the encoding.

    Shapes:
        - **input:** ``[*, len(sizes)]``, floating point; a category is its number, exact up to ``2**24`` in float32
        - **output:** ``[*, channels]``
    """

    numbers: Tensor
    categories: Tensor

    def __init__(self, sizes: Sequence[int], channels: int) -> None:
        super().__init__()
        self.sizes = list(sizes)
        numbers = [column for column, size in enumerate(sizes) if size == 0]
        categories = [column for column, size in enumerate(sizes) if size > 0]
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.long), persistent=False)
        self.register_buffer("categories", torch.tensor(categories, dtype=torch.long), persistent=False)
        self.lin = nn.Linear(len(numbers), channels)
        self.embedding = CategoryEncoder([sizes[column] for column in categories], channels) if categories else None

    def reset_parameters(self) -> None:
        """Draw linear map and embeddings anew."""
        self.lin.reset_parameters()
        if self.embedding is not None:
            self.embedding.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Encode each row."""
        if x.size(-1) != len(self.sizes) or not x.is_floating_point():
            raise ValueError(
                f"expected {len(self.sizes)} floating-point columns, got shape {list(x.shape)} of {x.dtype}"
            )
        encoded = self.lin(x.index_select(-1, self.numbers))
        if self.embedding is not None:
            encoded = encoded + self.embedding(x.index_select(-1, self.categories).long())
        return encoded


class DegreeEncoder(nn.Module):
    """Sinusoidal encoding of each node's degrees, through a linear map.

    Args:
        channels (int): Size of the encoding.
        directed (bool): Encode in-degree and out-degree rather than their sum, the degree in the undirected graph,
            which the authors encode (for pLSTM alone). (default: ``True``)
        num_frequencies (int): Sines and cosines per degree. (default: ``8``)

    Shapes:
        - **input:** edge indices ``[2, E]``, number of nodes ``N``; or, if every edge of an undirected graph stands in
          ``edge_index`` twice, one of its rows ``[1, E]``, as in the encoding of the graph with each edge once
        - **output:** ``[N, channels]``
    """

    frequency: Tensor

    def __init__(self, channels: int, directed: bool = True, num_frequencies: int = 8) -> None:
        super().__init__()
        self.directed = directed
        exponent = torch.arange(num_frequencies) / num_frequencies
        self.register_buffer("frequency", math.pi / 2 * 1e4**-exponent, persistent=False)
        self.lin = nn.Linear((4 if directed else 2) * num_frequencies, channels)

    def reset_parameters(self) -> None:
        """Draw the linear map anew."""
        self.lin.reset_parameters()

    def forward(self, edge_index: Tensor, num_nodes: int, edge_mask: Tensor | None = None) -> Tensor:
        """Encode the degrees of each node; ``edge_mask``, ``[E]`` in [0, 1], says how much of each edge counts."""
        ones = self.frequency.new_ones(edge_index.size(1)) if edge_mask is None else edge_mask.to(self.frequency)
        degree = torch.stack([ones.new_zeros(num_nodes).index_add(0, index, ones) for index in edge_index], dim=1)
        if not self.directed:
            degree = degree.sum(dim=1, keepdim=True)
        angle = degree.unsqueeze(-1) * self.frequency
        return self.lin(torch.cat([angle.sin(), angle.cos()], dim=-1).flatten(1))


def start_unknown(model: nn.Module) -> None:
    """Let category 0 of all columns, which stands for what training may never see, begin without any effect.

    Args:
        model: A module with :class:`CategoryEncoder` in it.
    """
    for module in model.modules():
        if isinstance(module, CategoryEncoder):
            module.start_unknown_at_zero()
