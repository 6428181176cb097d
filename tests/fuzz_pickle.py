"""Read damaged pickles of arrays; in a process of its own, so that a crash of it is seen.

python -m tests.fuzz_pickle 10000
"""

import pickle
import sys
import tempfile
from pathlib import Path

import numpy as np

from plstm_graph.datasets.restricted_pickle import load_arrays
from tests.damage import damaged

TREE = {
    "train": np.arange(10),
    "valid": np.arange(6.0).reshape(2, 3).T,
    "more": [1, 2.5, "x", b"y", None, True, np.float32(3)],
    "pair": (np.array([True, False]), np.array([1 + 2j]), np.arange(3, dtype=">i4"), np.empty((0, 3))),
}
PROTOCOLS = range(6)


def read_damaged(count: int) -> int:
    """Read copies of a pickle of each protocol that are damaged at random.

    Args:
        count: Number of copies.

    Returns:
        How many could be read all the same; each of the others raised ValueError.
    """
    whole = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrays.pickle"
        for protocol in PROTOCOLS:
            share = count // len(PROTOCOLS) + (protocol < count % len(PROTOCOLS))
            for copy in damaged(pickle.dumps(TREE, protocol), share, seed=protocol):
                path.write_bytes(copy)
                try:
                    load_arrays(path)
                    whole += 1
                except ValueError:
                    pass
    return whole


if __name__ == "__main__":
    count = int(sys.argv[1])
    print(f"{count} damaged pickles, of which {read_damaged(count)} could be read")
