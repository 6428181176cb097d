"""IDX files, the format of MNIST and its relatives."""

import math
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from plstm_graph.datasets.storage.archives import gunzip

_UINT8 = 8


def read_idx(path: str | os.PathLike[str]) -> Tensor:
    """Read an IDX file of bytes, compressed (``.gz``) or not.

    Args:
        path: The file.

    Returns:
        uint8, of the shape that the file states.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no IDX file of bytes, or shorter or longer than it states.
    """
    raw = Path(path).read_bytes()
    if raw[:2] == b"\x1f\x8b":
        raw = gunzip(raw, path)
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != _UINT8:
        raise ValueError(f"{path} is no IDX file of bytes: it begins with {raw[:4].hex(' ')}, not 00 00 08")
    dims = raw[3]
    shape = np.frombuffer(raw, ">u4", dims, offset=4).tolist() if len(raw) >= 4 + 4 * dims else []
    expected = 4 + 4 * dims + math.prod(shape)
    if len(raw) != expected:
        raise ValueError(f"{path} states a shape of {shape}, which takes {expected} bytes, but it has {len(raw)}")
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8, offset=4 + 4 * dims).view(shape)
