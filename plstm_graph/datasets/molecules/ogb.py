"""OGB's molecule sets (``ogbg-mol*``) by OGB's own loader, with our structure stored beside the features."""

import contextlib
import io
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import rdkit
import torch
from ogb.graphproppred import Evaluator
from rdkit import Chem
from torch import Tensor
from torch_geometric.data import Data
from tqdm import tqdm

from plstm_graph.datasets.molecules.fingerprints import read_molecule
from plstm_graph.datasets.molecules.ogb_files import ensure_ogb_files, ogb_meta
from plstm_graph.datasets.storage.graph_cache import GraphCache
from plstm_graph.datasets.storage.ogb_graphs import OGBGraphs
from plstm_graph.datasets.table import read_whole_table

# Part of the cache key; raise it when process() changes what it stores.
_FORMAT = 1


class OGBMolDataset(OGBGraphs):
    r"""Any molecule set of OGB: its official loader, features and split (:meth:`get_idx_split`).

    Beside what OGB's loader gives (``x`` ``[N, 9]``, ``edge_attr`` ``[E, 3]``, ``edge_index`` ``[2, E]`` with each bond
    in both directions, ``y`` ``[1, T]`` with NaN where a label is missing), each graph has ``canonical_rank`` ``[N]``,
    RDKit's canonical order of the atoms, as graphs of :func:`~plstm_graph.datasets.smiles_to_data` have. It comes from
    the SMILES that OGB ships with the set.

    Nothing is ever asked on stdin. Graphs are stored in a folder of their own for each pre-transform with its
    arguments, so that a change of orientation never meets graphs of another one.

    Args:
        name (str): Such as ``"ogbg-molhiv"``.
        root (str): Folder of all data sets. (default: ``"datasets"``)
        source (str, optional): Folder with an offline copy of the raw files, which is copied to ``root``; see
            :func:`~plstm_graph.datasets.molecules.ogb_files.ensure_ogb_files`. (default: the environment variable
            ``PLSTM_DATA``, else OGB's server)
        transform (callable, optional): Applied to each graph at every access.
        pre_transform (callable, optional): Applied to each graph once, before it is stored, for example
            :class:`~plstm_graph.transforms.ToDAG`.

    Raises:
        ValueError: If OGB has no set of that name, or stored graphs cannot be read.
        FileNotFoundError: If raw files are missing.
        OSError: If raw files are damaged, cannot be downloaded, or there is no room for the graphs.
    """

    def __init__(
        self,
        name: str,
        root: str | Path = "datasets",
        source: str | Path | None = None,
        transform: Callable[..., Any] | None = None,
        pre_transform: Callable[..., Any] | None = None,
    ) -> None:
        root = Path(root).expanduser()
        folder = ensure_ogb_files(name, root, source)
        self._user_transform = pre_transform
        cache = GraphCache(folder, [pre_transform], [_FORMAT, rdkit.__version__])
        super().__init__(name, root, cache, transform, self._prepare)

    @property
    def target_names(self) -> list[str]:
        """Names of the columns of ``y``, as in OGB's table of SMILES; numbers if the set came without that table."""
        path = _smiles_path(self.root)
        if not path.is_file():
            return [f"task {number}" for number in range(self.num_tasks)]
        return list(read_whole_table(path).columns[: self.num_tasks])

    @property
    def smiles(self) -> list[str]:
        """The SMILES of each graph, from OGB's table.

        Raises:
            FileNotFoundError: If the set came without that table.
        """
        path = _smiles_path(self.root)
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing, so the SMILES of {self.name} are not known")
        column = read_whole_table(path).column("smiles")
        return [column[row] for row in self.indices()]

    def download(self) -> None:
        """Never needed: the raw files are there before OGB's loader starts."""
        raise FileNotFoundError(f"raw files of {self.name} vanished from {self.raw_dir}")

    def process(self) -> None:
        """Make the graphs with OGB's reader. PyG calls this if they are not stored yet."""
        self._ranks = _canonical_ranks(self.root, self.name)
        try:
            # OGB's reader reports each of its steps, and makes tensors of arrays that pandas does not let it write to.
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
                super().process()
        except (EOFError, pd.errors.ParserError, pd.errors.EmptyDataError, IndexError) as error:
            raise ValueError(f"the raw files in {self.raw_dir} are damaged or do not fit together: {error}") from error

    def _prepare(self, data: Data) -> Data:
        """The next graph of OGB's reader with all that is stored of it."""
        rank = next(self._ranks, None)
        if rank is not None:
            if rank.numel() != data.num_nodes:
                raise ValueError(
                    f"{_smiles_path(self.root)} has a molecule of {rank.numel()} atoms where the graph has "
                    f"{data.num_nodes}"
                )
            data.canonical_rank = rank
        return data if self._user_transform is None else self._user_transform(data)


def ogb_evaluator(name: str) -> Callable[[Tensor, Tensor], float]:
    """OGB's official evaluator as a function of targets and predictions, ``[n, T]`` each.

    Args:
        name: Such as ``"ogbg-molhiv"``.

    Raises:
        ValueError: If OGB has no set of that name.
    """
    metric, evaluator = ogb_meta(name)["eval metric"], Evaluator(name)

    def evaluate(target: Tensor, prediction: Tensor) -> float:
        try:
            return float(evaluator.eval({"y_true": target, "y_pred": prediction})[metric])
        except RuntimeError as error:  # no target has both classes
            raise ValueError(f"{metric} of {name} is not defined here: {error}") from error

    return evaluate


def _canonical_ranks(folder: str | os.PathLike[str], name: str) -> Iterator[Tensor]:
    """RDKit's canonical rank of each atom, molecule by molecule; nothing if the set came without its SMILES."""
    path = _smiles_path(folder)
    if not path.is_file():
        return
    for smiles in tqdm(read_whole_table(path).column("smiles"), desc=name, unit=" molecules", delay=2, disable=None):
        ranks = Chem.CanonicalRankAtoms(read_molecule(smiles), breakTies=True)
        yield torch.tensor(list(ranks), dtype=torch.long)


def _smiles_path(folder: str | os.PathLike[str]) -> Path:
    return Path(folder) / "mapping" / "mol.csv.gz"
