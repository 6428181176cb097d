"""A Vision Transformer, to compare with :class:`~plstm_graph.nn.PLSTMVision`."""

from typing import Literal

import torch
from torch import Tensor, nn

from plstm_graph.nn.vision.batch_norm import BatchNorm
from plstm_graph.nn.vision.drop_path import DropPath
from plstm_graph.nn.vision.patches import PositionEmbedding, Stem, make_stem
from plstm_graph.nn.vision.plstm_vision import init_head, init_small, patch_grid
from plstm_graph.nn.vision.pool import ImagePool, NodePool, check_pool

Norm = Literal["layer", "batch"]
Pool = Literal["token"] | NodePool


class _ViTBlock(nn.Module):
    """Pre-norm self-attention and feed-forward network."""

    def __init__(self, channels: int, heads: int, ffn_ratio: float, drop_path: float, norm: Norm) -> None:
        super().__init__()
        if norm not in ("layer", "batch"):
            raise ValueError(f"norm must be 'layer' or 'batch', got {norm!r}")
        make_norm = nn.LayerNorm if norm == "layer" else BatchNorm
        width = int(ffn_ratio * channels)
        self.norm = make_norm(channels)
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.ffn = nn.Sequential(make_norm(channels), nn.Linear(channels, width), nn.GELU(), nn.Linear(width, channels))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        x = x + self.drop_path(self.attention(normed, normed, normed, need_weights=False)[0])
        return x + self.drop_path(self.ffn(x))


class ViT(nn.Module):
    """Vision Transformer, `"An Image is Worth 16x16 Words" <https://arxiv.org/abs/2010.11929>`_, with a class token.

    Args:
        in_channels (int): As in :class:`~plstm_graph.nn.PLSTMVision`, and so are the others. (default: ``3``)
        hidden_channels (int): (default: ``192``)
        num_layers (int): (default: ``12``)
        out_channels (int): Number of outputs ``T``. (default: ``1000``)
        image_size (int or tuple[int, int]): (default: ``192``)
        patch_size (int): (default: ``16``)
        heads (int): (default: ``3``)
        ffn_ratio (float): (default: ``4``)
        drop_path (float): (default: ``0``)
        positions (bool): (default: ``True``)
        stem (str): (default: ``"linear"``)
        norm (str): ``"layer"`` or ``"batch"``. (default: ``"layer"``)
        pool (str): What is read at the end, the class ``"token"``, or all patches by ``"mean"``, ``"max"``,
            ``"attention"`` or ``"top"``; then there is no token. (default: ``"token"``)

    Shapes:
        - **input:** images ``[B, in_channels, height, width]``, float in [0, 1], or uint8, which is divided by 255
        - **output:** ``[B, T]``
    """

    def __init__(
        self,
        in_channels: int = 3,
        hidden_channels: int = 192,
        num_layers: int = 12,
        out_channels: int = 1000,
        image_size: int | tuple[int, int] = 192,
        patch_size: int = 16,
        heads: int = 3,
        ffn_ratio: float = 4.0,
        drop_path: float = 0.0,
        positions: bool = True,
        stem: Stem = "linear",
        norm: Norm = "layer",
        pool: Pool = "token",
    ) -> None:
        super().__init__()
        check_pool(pool, "token")
        self.patches = make_stem(stem, in_channels, hidden_channels, patch_size)
        self.positions = PositionEmbedding(hidden_channels, patch_grid(image_size, patch_size)) if positions else None
        self.pool = None if pool == "token" else ImagePool(pool, hidden_channels)
        self.token = nn.Parameter(torch.zeros(hidden_channels)) if pool == "token" else None
        self.layers = nn.Sequential(
            *(_ViTBlock(hidden_channels, heads, ffn_ratio, drop_path, norm) for _ in range(num_layers))
        )
        self.norm = nn.LayerNorm(hidden_channels)
        self.head = nn.Linear(hidden_channels, out_channels)
        self.apply(init_small)
        init_head(self.head)
        if self.token is not None:
            nn.init.trunc_normal_(self.token, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images."""
        x = self.patches(x)
        if self.positions is not None:
            x = self.positions(x)
        x = x.flatten(1, 2)
        if self.token is not None:
            x = torch.cat([self.token.to(x.dtype).expand(len(x), 1, -1), x], dim=1)
        x = self.layers(x)
        return self.head(self.norm(x[:, 0] if self.pool is None else self.pool(x)))
