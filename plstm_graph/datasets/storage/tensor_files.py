"""Reading what ``torch.save`` wrote, from whomever: tensors, plain values and graphs, and no code of the file runs."""

import io
import os
import pickle
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor
from torch_geometric.data import Data, InMemoryDataset

# Tensors may refer to each other's memory, or to one number many times. Written out they may be so many times as large
# as their file, beyond a size that does no harm anyway.
_MAX_GROWTH, _HARMLESS = 20, 1 << 28
#: Overrides whatever a caller of ``torch.load`` asks for, and its opposite.
_FORCE, _FORCE_NOT = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


class TensorFileError(ValueError):
    """A file that is damaged, or holds anything but tensors and plain values."""


def load_tensors(
    path: str | os.PathLike[str], remedy: str, map_location: Any = "cpu", *, checksums: bool = False
) -> Any:
    """Read a file of ``torch.save`` with tensors and plain values, without running any code stored in it.

    Args:
        path: The file.
        remedy: What to do if it cannot be read, for the message.
        map_location: Where tensors go, as in :func:`torch.load`.
        checksums: Whether to compare every part with its checksum first, which reads the file twice.

    Raises:
        OSError: If it cannot be opened.
        TensorFileError: If it is damaged, no such file, or holds anything else.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        return _load(file, size, f"{path}", remedy, map_location, checksums)


def load_graph(content: bytes, name: str, remedy: str) -> Data:
    """A graph whose attributes were written by ``torch.save``.

    Args:
        content: What was written.
        name: What to call it in messages.
        remedy: What to do if it cannot be read.

    Raises:
        TensorFileError: If it is damaged, or holds anything else.
    """
    values = _load(io.BytesIO(content), len(content), name, remedy, "cpu", False)
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise TensorFileError(f"{name} is none; {remedy}")
    return Data.from_dict(values)


def load_graphs(path: str | os.PathLike[str]) -> tuple[Data, dict[str, Any] | None, list[Any]]:
    """Read the graphs that :meth:`torch_geometric.data.InMemoryDataset.save` wrote.

    Args:
        path: The file, in a folder that holds nothing but what was processed.

    Returns:
        All graphs in one, where each begins, and what stands between that and the class of the graphs.

    Raises:
        OSError: If the file cannot be opened.
        TensorFileError: If it is damaged or holds anything else; it says which folder to remove to make it anew.
    """
    remedy = make_anew(Path(path).parent)
    content = load_tensors(path, remedy)
    if not isinstance(content, tuple) or len(content) < 3:
        raise TensorFileError(f"{path} holds no graphs; {remedy}")
    values, slices, *more, data_class = content
    known = isinstance(values, dict) and isinstance(slices, dict | None)
    if not known or not isinstance(data_class, type) or not issubclass(data_class, Data):
        raise TensorFileError(f"{path} holds no graphs; {remedy}")
    try:
        data: Data = data_class.from_dict(values)  # type: ignore[attr-defined]
        check_graphs(data, slices)
    except Exception as error:  # of classes of PyG, which take what they get for sound
        raise TensorFileError(f"the graphs in {path} do not fit together ({error}); {remedy}") from error
    return data, slices, more


def make_anew(folder: str | os.PathLike[str]) -> str:
    """What to do about processed files that cannot be read."""
    return f"remove the folder {folder} to make it anew"


class PlainGraphs(InMemoryDataset):
    """A data set whose stored graphs are read by :func:`load_graphs`; PyG's own way falls back to running code."""

    def load(self, path: str, data_cls: type[Any] = Data) -> None:
        """Load the stored graphs."""
        self.data, self.slices, _ = load_graphs(path)


@contextmanager
def tensors_only(classes: Sequence[type] = ()) -> Iterator[None]:
    """Let other packages load tensors, plain values and some classes only, even where they ask for more.

    Args:
        classes: That may be in the files, beside those that PyG declares safe.

    Raises:
        TensorFileError: If a file holds anything else.
    """
    before = {name: os.environ.pop(name, None) for name in (_FORCE, _FORCE_NOT)}
    os.environ[_FORCE] = "1"
    try:
        # The context takes away at its end what it was given, also what somebody has allowed for good.
        allowed = torch.serialization.get_safe_globals()
        with torch.serialization.safe_globals([each for each in classes if each not in allowed]):
            yield
    except pickle.UnpicklingError as error:
        raise TensorFileError(reason_of(error)) from error
    finally:
        del os.environ[_FORCE]
        os.environ.update({name: value for name, value in before.items() if value is not None})


def _load(file: BinaryIO, size: int, name: str, remedy: str, map_location: Any, checksums: bool) -> Any:
    whole = file.read(4) == b"PK\3\4"
    try:
        with zipfile.ZipFile(file) as archive:
            _check_sizes(archive, size)
            damaged = archive.testzip() if checksums else None
    # A crafted archive raises whatever the reader of zips stumbles over.
    except Exception as error:
        whole = whole and not isinstance(error, zipfile.BadZipFile)
        reason = f"damaged: {error}" if whole else f"no file of tensors, or only a part of one ({size} bytes)"
        raise TensorFileError(f"{name} is {reason}; {remedy}") from error
    if not whole:
        raise TensorFileError(f"{name} is no file of tensors ({size} bytes); {remedy}")
    if damaged is not None:
        raise TensorFileError(f"{name} is damaged: its part {damaged} does not have its checksum; {remedy}")
    file.seek(0)
    try:
        value = torch.load(file, map_location=map_location, weights_only=True)
        _check_memory(value, size)
    # Likewise the reader of pickles, whichever step is damaged.
    except Exception as error:
        raise TensorFileError(f"{name} was not loaded: {reason_of(error)}; {remedy}") from error
    return value


def _check_sizes(archive: zipfile.ZipFile, size: int) -> None:
    """Torch compresses nothing. Parts that are, or that share their bytes, could fill the memory from a small file."""
    total = 0
    for part in archive.infolist():
        if part.compress_type != zipfile.ZIP_STORED or part.file_size != part.compress_size:
            raise ValueError(f"its part {part.filename} is compressed, which torch does not do")
        total += part.file_size
    if total > size:
        raise ValueError(f"its parts have {total} bytes in a file of {size}")


def _check_memory(value: Any, size: int) -> None:
    """Refuse tensors that are far larger written out than their file, such as one number that stands for a billion."""
    total, stack, seen = 0, [value], set()
    while stack:
        each = stack.pop()
        if isinstance(each, Tensor):
            total += each.numel() * each.element_size() if each.layout == torch.strided else 0
        elif isinstance(each, dict | list | tuple | set) and id(each) not in seen:
            seen.add(id(each))
            stack.extend(each.values() if isinstance(each, dict) else each)
    if total > max(_HARMLESS, _MAX_GROWTH * size):
        raise ValueError(f"its tensors would have {total:,} bytes, in a file of {size:,}")


def check_graphs(data: Any, slices: Any) -> None:
    """Check that loaded values are graphs, and that those begin within what there is.

    Args:
        data: All graphs in one.
        slices: Where each begins, by attribute.

    Raises:
        ValueError: If they do not fit together.
    """
    if not isinstance(data, Data):
        raise ValueError(f"it is a {type(data).__name__}")
    edges = data.get("edge_index")
    if edges is not None and not (
        isinstance(edges, Tensor)
        and edges.layout == torch.strided
        and edges.dtype == torch.int64
        and edges.dim() == 2
        and len(edges) == 2
    ):
        raise ValueError("edge_index is not [2, E] of whole numbers")
    graphs: int | None = None
    for name, begins in (slices or {}).items():
        values = data[name]
        place = data.__cat_dim__(name, values)
        if isinstance(begins, dict | list) and isinstance(values, dict | list):
            continue  # of nested values
        if not isinstance(begins, Tensor):
            raise ValueError(f"where the graphs begin in {name} is not known")
        if not isinstance(place, int):
            continue  # of sparse matrices
        if any(isinstance(each, Tensor) and each.layout != torch.strided for each in (values, begins)):
            raise ValueError(f"{name} is a sparse tensor, where a dense one belongs")
        if begins.dim() != 1 or begins.is_floating_point() or begins.is_complex() or begins.numel() == 0:
            raise ValueError(f"where the graphs begin in {name} is not known")
        count = values.size(place) if isinstance(values, Tensor) else len(values)
        if int(begins[0]) < 0 or int(begins[-1]) > count or bool((begins[1:] < begins[:-1]).any()):
            raise ValueError(f"graphs begin outside of {name}")
        graphs = begins.numel() - 1 if graphs is None else graphs
        if graphs != begins.numel() - 1:
            raise ValueError(f"there are {graphs} graphs, but {begins.numel() - 1} of them have {name}")


def reason_of(error: Exception) -> str:
    """Why torch did not load a file, in one sentence.

    Args:
        error: What it raised.
    """
    named = re.search(r"GLOBAL (\S+)", str(error))
    if named:
        return f"it names {named[1]}, which could run code; it may hold tensors and plain values only"
    return re.split(r"\n|\. ", str(error))[0].rstrip(".") or type(error).__name__
