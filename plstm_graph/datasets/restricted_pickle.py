"""Reading pickles of arrays from strangers: nothing but arrays and plain values is ever made."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np

# What a pickled array names, by the module paths of numpy 1 and numpy 2.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_SCALAR = np.float64(0).__reduce__()[0]
_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.multiarray", "scalar"): _SCALAR,
    ("numpy._core.multiarray", "scalar"): _SCALAR,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which could run code") from None


def load_arrays(path: str | os.PathLike[str], encoding: str = "ASCII") -> Any:
    """Read a pickle of numpy arrays, lists, dicts, numbers and strings.

    Args:
        path: The file.
        encoding: Of strings in files that Python 2 wrote; ``"bytes"`` leaves them as they are.

    Raises:
        OSError: If it cannot be opened.
        ValueError: If it holds anything else, or is damaged; nothing of it was run.
    """
    with Path(path).open("rb") as file:
        try:
            return _ArrayUnpickler(file, encoding=encoding).load()
        except (pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no whole pickle of arrays: {error}") from error
