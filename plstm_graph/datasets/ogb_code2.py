"""ogbg-code2: abstract syntax trees of Python functions, whose names are to be predicted."""

import contextlib
import io
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from ogb.graphproppred import Evaluator
from torch import Tensor
from torch_geometric.data import Data, Dataset
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from plstm_graph.datasets.storage.archives import check_gzip
from plstm_graph.datasets.storage.checksums import record
from plstm_graph.datasets.storage.download import download_zip
from plstm_graph.datasets.storage.files import new_folder
from plstm_graph.datasets.storage.graph_cache import GraphCache
from plstm_graph.datasets.storage.ogb_check import check_tables
from plstm_graph.datasets.storage.ogb_graphs import OGBGraphs
from plstm_graph.datasets.storage.sources import find_source

NAME = "ogbg-code2"
_URL = "https://snap.stanford.edu/ogb/data/graphproppred/code2.zip"
_FOLDER = "ogbg_code2"
_RELEASE = "RELEASE_v1.txt"
_NODES = ("node_is_attributed", "node_dfs_order", "node_depth")
_TABLES = {"edge": "edge", "node-feat": "node", "graph-label": "graph", **dict.fromkeys(_NODES, "node")}
_RAW = (*_TABLES, "num-node-list", "num-edge-list")
_PARTS = ("train", "valid", "test")
# Part of the cache key; raise it when what is stored changes.
_FORMAT = 1


class OGBCode2Dataset(OGBGraphs):
    r"""The set ``ogbg-code2`` by OGB's own loader, with its split by project (:meth:`get_idx_split`).

    A graph is the syntax tree of a function, edges from the parent to the child: ``x`` ``[N, 2]`` (type, attribute),
    ``node_depth``, ``node_dfs_order`` and ``node_is_attributed``, ``[N, 1]`` each, and ``y``, the list of the words of
    the function's name. :class:`ASTEdges` adds edges between leaves, :class:`NameVocabulary` makes ``y`` numbers.

    Args:
        root (str): Folder of all data sets.
        source (str, optional): Folder with an offline copy (``ogbg_code2`` as OGB's archive unpacks, or a folder above
            it). (default: the environment variable ``PLSTM_DATA``, else OGB's server)
        transform (callable, optional): Applied to each graph at every access.
        pre_transform (callable, optional): Applied to each graph once, before it is stored.

    Raises:
        FileNotFoundError: If raw files are missing.
        OSError: If raw files are damaged or cannot be downloaded.
        ValueError: If raw files do not fit together, or stored graphs cannot be read.
    """

    def __init__(
        self,
        root: str | Path = "datasets",
        source: str | Path | None = None,
        transform: Callable[..., Any] | None = None,
        pre_transform: Callable[..., Any] | None = None,
    ) -> None:
        root = Path(root).expanduser()
        cache = GraphCache(_ensure_files(root, source), [pre_transform], [_FORMAT])
        super().__init__(NAME, root, cache, transform, pre_transform)

    @property
    def num_types(self) -> int:
        """Number of types of nodes, column 0 of ``x``."""
        return self._rows("typeidx2type")

    @property
    def num_attributes(self) -> int:
        """Number of attributes of nodes, column 1 of ``x``."""
        return self._rows("attridx2attr")

    def process(self) -> None:
        """Make the graphs with OGB's reader. PyG calls this if they are not stored yet."""
        try:
            # OGB's reader reports each of its steps, and makes tensors of arrays that pandas does not let it write to.
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
                warnings.catch_warnings(),
            ):
                warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
                super().process()
        except (pd.errors.ParserError, pd.errors.EmptyDataError, IndexError) as error:
            raise ValueError(f"the raw files in {self.raw_dir} are damaged or do not fit together: {error}") from error

    def _rows(self, name: str) -> int:
        return len(pd.read_csv(Path(self.root) / "mapping" / f"{name}.csv.gz"))


@functional_transform("ast_edges")
class ASTEdges(BaseTransform):
    r"""Adds an edge from each leaf of a syntax tree to the next one in the text (functional name: ``ast_edges``).

    The tree leads from parent to child and the text from left to right, so the graph stays a DAG: a node comes before
    its children and the leaves after it in the depth-first order. ``edge_attr`` ``[E, 1]`` int64 is 0 for edges of the
    tree and 1 for those of the text.

    Args:
        inverse (bool): Add the inverse of every edge too (types 2 and 3), for models that need both directions; the
            graph is no DAG then. (default: ``False``)
    """

    def __init__(self, inverse: bool = False) -> None:
        self.inverse = inverse

    def forward(self, data: Data) -> Data:
        """Add edges to a graph of :class:`OGBCode2Dataset`."""
        tree = data.edge_index
        if tree is None or any(name not in data for name in _NODES):
            raise ValueError(f"the graph is none of {NAME}: it needs edge_index, {', '.join(_NODES)}")
        leaves = data.node_is_attributed.view(-1).nonzero().view(-1)
        leaves = leaves[torch.argsort(data.node_dfs_order.view(-1)[leaves], stable=True)]
        text = torch.stack([leaves[:-1], leaves[1:]])
        parts = [tree, text] + ([tree.flip(0), text.flip(0)] if self.inverse else [])
        data.edge_index = torch.cat(parts, dim=1)
        kinds = torch.arange(len(parts)).repeat_interleave(torch.tensor([part.size(1) for part in parts]))
        data.edge_attr = kinds.view(-1, 1)
        return data

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}(inverse={self.inverse})"


@functional_transform("ast_nodes")
class ASTNodes(BaseTransform):
    r"""Adds the depth of each node of a syntax tree to its features (functional name: ``ast_nodes``).

    ``x`` becomes ``[N, 3]``: type, attribute, depth. OGB's examples embed these three.

    Args:
        max_depth (int): Deeper nodes count as being at this depth. (default: ``20``)
    """

    def __init__(self, max_depth: int = 20) -> None:
        self.max_depth = max_depth

    def forward(self, data: Data) -> Data:
        """Add the depth to a graph of :class:`OGBCode2Dataset`."""
        if data.x is None or "node_depth" not in data:
            raise ValueError(f"the graph is none of {NAME}: it needs x and node_depth")
        data.x = torch.cat([data.x, data.node_depth.view(-1, 1).clamp(max=self.max_depth)], dim=1)
        return data

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}(max_depth={self.max_depth})"


class NamedFunctions(Dataset):
    """The graphs of :class:`OGBCode2Dataset` with their names as numbers.

    Args:
        dataset: The graphs; they get ``number`` ``[1]``, that of the function in the whole set, and ``y`` ``[1, L]``.
        names: Name of each function.
        vocabulary: Of the names.
    """

    def __init__(self, dataset: OGBCode2Dataset, names: list[list[str]], vocabulary: "NameVocabulary") -> None:
        super().__init__()
        self.functions, self.names, self.vocabulary = dataset, names, vocabulary

    def len(self) -> int:
        """Number of functions."""
        return len(self.names)

    def get(self, idx: int) -> Data:
        """A function by its number in the whole set."""
        data = self.functions[idx]
        data.y, data.number = self.vocabulary.encode(self.names[idx]), torch.tensor([idx])
        for name in _NODES:  # transforms have used them; batches need not carry them
            del data[name]
        return data


class NameVocabulary:
    """The words of function names as numbers: the most frequent ones of the training part, as OGB's examples take them.

    Args:
        names: Names of the training part, each a list of words.
        size: Number of words that are kept; of equally frequent ones, those that come first. (default: ``5000``)
        length: Words of a name that are predicted. (default: ``5``)

    Attributes:
        words (list[str]): The words, the most frequent first; then one for all others, and one for the end of a name.
    """

    unknown = "__UNK__"
    end = "__EOS__"

    def __init__(self, names: Iterable[Sequence[str]], size: int = 5000, length: int = 5) -> None:
        counts = Counter(word for name in names for word in name)
        self.words = [word for word, _ in counts.most_common(size)] + [self.unknown, self.end]
        self.length = length
        self._codes = {word: code for code, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, name: Sequence[str]) -> Tensor:
        """A name as numbers, ``[1, length]`` int64: cut, or filled up with the end."""
        unknown, end = self._codes[self.unknown], self._codes[self.end]
        codes = [self._codes.get(word, unknown) for word in name[: self.length]]
        return torch.tensor([codes + [end] * (self.length - len(codes))])

    def decode(self, codes: Tensor) -> list[list[str]]:
        """Names of numbers ``[B, length]``, each up to its end."""
        names = [[self.words[code] for code in row] for row in codes.tolist()]
        return [name[: name.index(self.end)] if self.end in name else name for name in names]


def code2_f1(reference: list[list[str]], predicted: list[list[str]]) -> float:
    """OGB's official metric: F1 of the sets of words of each name, averaged over functions.

    Args:
        reference: Names as the set has them.
        predicted: As :meth:`NameVocabulary.decode` gives them.
    """
    return float(Evaluator(NAME).eval({"seq_ref": reference, "seq_pred": predicted})["F1"])


def _ensure_files(root: Path, source: str | Path | None) -> Path:
    """The folder of the raw files, filled from ``source`` or by a download if it is not there."""
    folder = root / _FOLDER
    if folder.is_dir():
        if not (folder / _RELEASE).is_file():
            # OGB would ask on stdin whether to delete the folder and download it anew.
            raise FileNotFoundError(f"{folder} has no {_RELEASE}: remove or rename the folder to get the set anew")
        _check(folder, folder)
        return folder
    offline = find_source(
        source,
        ("", _FOLDER, f"ogb/{_FOLDER}"),
        lambda place: place.name == _FOLDER and (place / "raw").is_dir(),
        lambda base: f"no raw files of {NAME} in {base}: expected {_FOLDER}/raw or ogb/{_FOLDER}/raw",
    )
    unknown = None
    with new_folder(folder) as unfinished:
        if offline is None:
            unknown = download_zip(_URL, unfinished, "code2", root)
        else:
            shutil.copytree(offline, unfinished, dirs_exist_ok=True, ignore=shutil.ignore_patterns("processed", ".*"))
            (unfinished / _RELEASE).touch()
        for path in _check(unfinished, offline or folder):
            check_gzip(path, (offline or folder) / path.relative_to(unfinished))
        check_tables(unfinished, _TABLES, unfinished / "split" / "project", offline or _URL, words=("graph-label",))
    if unknown is not None:
        record(_URL, unknown, root)
    return folder


def _check(folder: Path, shown: Path) -> list[Path]:
    files = [folder / "raw" / f"{name}.csv.gz" for name in _RAW]
    files += [folder / "split" / "project" / f"{part}.csv.gz" for part in _PARTS]
    files += [folder / "mapping" / f"{name}.csv.gz" for name in ("typeidx2type", "attridx2attr")]
    missing = [str(path.relative_to(folder)) for path in files if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"{shown} lacks {', '.join(missing)}, which {NAME} has")
    return files
