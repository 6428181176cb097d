"""pLSTM for images."""

import math
from collections.abc import Callable
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from plstm_graph.nn.head_norm import HeadNorm
from plstm_graph.nn.norm import rms_norm
from plstm_graph.nn.plstm_conv import LayerMode
from plstm_graph.nn.vision.batch_norm import BatchNorm, BatchRMSNorm
from plstm_graph.nn.vision.drop_path import DropPath
from plstm_graph.nn.vision.patches import PositionEmbedding, Stem, make_stem
from plstm_graph.nn.vision.plstm_2d import PLSTM2d
from plstm_graph.nn.vision.pool import ImagePool, NodePool, check_pool
from plstm_graph.ops.grid2d.single_turn import Chirality

Size = Literal["T", "S", "B"]
Pool = Literal["corners"] | NodePool
Norm = Literal["rms", "batch", "batch_rms"]

_NORMS: dict[str, Callable[[int], nn.Module]] = {"rms": rms_norm, "batch": BatchNorm, "batch_rms": BatchRMSNorm}

#: Width, heads and drop path of the paper's models.
SIZES: dict[str, dict[str, Any]] = {
    "T": {"hidden_channels": 192, "heads": 3, "drop_path": 0.0},
    "S": {"hidden_channels": 384, "heads": 6, "drop_path": 0.05},
    "B": {"hidden_channels": 768, "heads": 12, "drop_path": 0.1},
}


class PLSTM2dBlock(nn.Module):
    r"""A pre-norm residual layer of :class:`PLSTM2d` and a feed-forward network.

    Args:
        channels (int): Size of node features.
        heads (int): Number of heads.
        mode (str): As in :class:`PLSTM2d`.
        ffn_ratio (float): Width of the feed-forward network over ``channels``. (default: ``4``)
        drop_path (float): Rate of :class:`~plstm_graph.nn.vision.drop_path.DropPath`. (default: ``0``)
        chirality (str): As in :class:`PLSTM2d`. (default: ``"L"``)
        gate_weights (bool): As in :class:`PLSTM2d`. (default: ``True``)
        norm (str): Norm before the mixer and the feed-forward network: ``"rms"``, ``"batch"``, or ``"batch_rms"``,
            :class:`~plstm_graph.nn.vision.batch_norm.BatchRMSNorm`. (default: ``"rms"``)
        norm_eps (float, optional): As in :class:`PLSTM2d`.
        attenuation (float): As in :class:`PLSTM2d`. (default: ``0``)
        head_norm (str): As in :class:`PLSTM2d`. (default: ``"rms"``)

    Shapes:
        - **input:** ``[B, X, Y, channels]``
        - **output:** ``[B, X, Y, channels]``
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        mode: LayerMode,
        ffn_ratio: float = 4.0,
        drop_path: float = 0.0,
        chirality: Chirality = "L",
        gate_weights: bool = True,
        norm: Norm = "rms",
        norm_eps: float | None = None,
        attenuation: float = 0.0,
        head_norm: HeadNorm = "rms",
    ) -> None:
        super().__init__()
        if norm not in _NORMS:
            raise ValueError(f"norm must be one of {', '.join(map(repr, _NORMS))}, got {norm!r}")
        make_norm = _NORMS[norm]
        width = int(ffn_ratio * channels)
        self.norm = make_norm(channels)
        self.mixer = PLSTM2d(
            channels,
            channels,
            heads,
            mode,
            chirality=chirality,
            gate_weights=gate_weights,
            norm_eps=norm_eps,
            attenuation=attenuation,
            head_norm=head_norm,
        )
        self.ffn = nn.Sequential(
            make_norm(channels),
            nn.Linear(channels, width, bias=False),
            nn.GELU(),
            nn.Linear(width, channels, bias=False),
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Run the layer."""
        x = x + self.drop_path(self.mixer(self.norm(x)))
        return x + self.drop_path(self.ffn(x))


class PLSTMVision(nn.Module):
    r"""A stack of P-, D- and M-mode layers over the patches of an image (pLSTM-Vis of the `paper
    <https://arxiv.org/abs/2506.11997>`_).

    Patches are embedded, positions added, and after the last layer the four corners of the grid are read: in each
    orientation one of them has the whole image before it. Images may be of any size that patches divide; the position
    embedding is resized.

    Args:
        in_channels (int): Channels of the images. (default: ``3``)
        hidden_channels (int): Size of patch embeddings. (default: ``192``)
        num_layers (int): Number of layers. (default: ``12``)
        out_channels (int): Number of outputs ``T``, such as logits of classes. (default: ``1000``, the classes of
            ImageNet)
        image_size (int or tuple[int, int]): Height and width for which positions are learned. (default: ``192``)
        patch_size (int): Side of a patch in pixels. (default: ``16``)
        heads (int): Number of heads. (default: ``3``)
        modes (str): Modes of the layers in turn, ``"P"``, ``"D"`` and ``"M"``. D-mode layers turn around alternate
            corners. (default: ``"PD"``)
        ffn_ratio (float): Width of the feed-forward networks over ``hidden_channels``. (default: ``4``)
        drop_path (float): Rate of stochastic depth. (default: ``0``)
        gate_weights (bool): As in :class:`~plstm_graph.nn.PLSTM2d`. (default: ``True``)
        positions (bool): Whether to add a position embedding. (default: ``True``)
        stem (str): ``"linear"``, or ``"conv"`` for convolutions that overlap,
            :class:`~plstm_graph.nn.vision.patches.ConvStem`. (default: ``"linear"``)
        norm (str): ``"rms"``, or over the batch: a norm of each node alone keeps what all nodes have in common, and in
            sums over an image that is mostly background this hides the rest. ``"batch"`` subtracts it; ``"batch_rms"``
            does not, but leaves at zero what is zero, so that without positions a larger background changes nothing
            where its patches are embedded as zero. (default: ``"rms"``)
        pool (str): What is read at the end, ``"corners"``, or all nodes by ``"mean"``, ``"max"``, ``"attention"``
            or ``"top"``, see :class:`~plstm_graph.nn.vision.pool.ImagePool`. (default: ``"corners"``)
        norm_eps (float, optional): As in :class:`~plstm_graph.nn.PLSTM2d`; about 1 leaves nodes that hear nothing near
            zero.
        attenuation (float): As in :class:`~plstm_graph.nn.PLSTM2d`; for tests on images larger than those of training.
            (default: ``0``)
        head_norm (str): As in :class:`~plstm_graph.nn.PLSTM2d`. (default: ``"rms"``)

    Shapes:
        - **input:** images ``[B, in_channels, height, width]``, float in [0, 1], or uint8, which is divided by 255
        - **output:** ``[B, T]``

    Raises:
        ValueError: If an argument, or an image, does not fit.
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
        modes: str = "PD",
        ffn_ratio: float = 4.0,
        drop_path: float = 0.0,
        gate_weights: bool = True,
        positions: bool = True,
        stem: Stem = "linear",
        norm: Norm = "rms",
        pool: Pool = "corners",
        norm_eps: float | None = None,
        attenuation: float = 0.0,
        head_norm: HeadNorm = "rms",
    ) -> None:
        super().__init__()
        check_pool(pool, "corners")
        if not modes or set(modes) - set(get_args(LayerMode)):
            raise ValueError(f"modes must be a word of the letters P, D and M, such as 'PD', got {modes!r}")
        self.patches = make_stem(stem, in_channels, hidden_channels, patch_size)
        self.positions = PositionEmbedding(hidden_channels, patch_grid(image_size, patch_size)) if positions else None
        layer_modes = [modes[layer % len(modes)] for layer in range(num_layers)]
        self.layers = nn.Sequential(
            *(
                PLSTM2dBlock(
                    hidden_channels,
                    heads,
                    cast(LayerMode, mode),
                    ffn_ratio,
                    drop_path,
                    "L" if layer_modes[:layer].count("D") % 2 == 0 else "R",
                    gate_weights,
                    norm,
                    norm_eps,
                    attenuation,
                    head_norm,
                )
                for layer, mode in enumerate(layer_modes)
            )
        )
        self.pool = None if pool == "corners" else ImagePool(pool, hidden_channels)
        read = hidden_channels * (4 if pool == "corners" else 1)
        self.norm = rms_norm(read)
        self.head = nn.Linear(read, out_channels)
        self.apply(init_small)
        init_head(self.head)

    @classmethod
    def of_size(cls, size: Size, out_channels: int = 1000, **kwargs: Any) -> "PLSTMVision":
        """One of the paper's models: T (6 million parameters), S (23 million) or B (89 million).

        Args:
            size: ``"T"``, ``"S"`` or ``"B"``.
            out_channels: Number of outputs.
            **kwargs: Other arguments of the class; they override those of the size.
        """
        if size not in SIZES:
            raise ValueError(f"size must be one of {', '.join(map(repr, SIZES))}, got {size!r}")
        return cls(out_channels=out_channels, **(SIZES[size] | kwargs))

    def forward(self, x: Tensor) -> Tensor:
        """Classify images."""
        x = self.patches(x)
        if self.positions is not None:
            x = self.positions(x)
        x = self.layers(x)
        if self.pool is not None:
            read = self.pool(x.flatten(1, 2))
        else:
            read = torch.cat([x[:, 0, 0], x[:, -1, 0], x[:, 0, -1], x[:, -1, -1]], dim=-1)
        return self.head(self.norm(read))


def patch_grid(image_size: int | tuple[int, int], patch_size: int) -> tuple[int, int]:
    """Numbers of patches of an image along its height and its width.

    Raises:
        ValueError: If patches do not divide the image.
    """
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    if min(height, width) < patch_size or height % patch_size or width % patch_size:
        raise ValueError(
            f"image_size must be a multiple of the patch size, {patch_size}, along both sides, got {height} x {width}"
        )
    return height // patch_size, width // patch_size


def init_small(module: nn.Module) -> None:
    r"""Draw the weights of a linear map of ``C`` inputs from a normal distribution of std :math:`\sqrt{2 / (5 C)}`.

    At the widths of the paper's models these are the 0.02 to 0.05 that vision models start with; narrow models start
    with as large signals as wide ones.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=math.sqrt(2 / (5 * module.in_features)))
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def init_head(head: nn.Linear) -> None:
    """Start the last layer close to zero, so that at first every class is as likely."""
    nn.init.normal_(head.weight, std=2e-5)
