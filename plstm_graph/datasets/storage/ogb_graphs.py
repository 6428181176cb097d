"""What the sets of OGB share: its own loader, graphs stored by pre-transform, and no code of stored files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ogb.graphproppred import PygGraphPropPredDataset
from torch import Tensor
from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
from torch_geometric.data.storage import GlobalStorage

from plstm_graph.datasets.storage.graph_cache import CachedGraphs, GraphCache
from plstm_graph.datasets.storage.tensor_files import TensorFileError, check_graphs, make_anew, reason_of, tensors_only

# OGB stores whole objects of PyG.
_CLASSES = (DataEdgeAttr, DataTensorAttr, GlobalStorage)


class OGBGraphs(CachedGraphs, PygGraphPropPredDataset):
    """OGB's loader; graphs lie in a folder of their own for each content of the raw files and each choice of options.

    Args:
        name (str): Name of the set.
        root (str): Folder of all data sets, in which the raw files are already.
        cache (GraphCache): Where the graphs lie.
        transform (callable, optional): Applied to each graph at every access.
        pre_transform (callable, optional): Applied to each graph once, before it is stored.

    Raises:
        TensorFileError: If stored graphs cannot be read, or hold anything else; it says what to remove.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        cache: GraphCache,
        transform: Callable[..., Any] | None,
        pre_transform: Callable[..., Any] | None,
    ) -> None:
        self._cache = cache
        self._stored = False
        try:
            with tensors_only(_CLASSES):
                super().__init__(name, str(root), transform, pre_transform)
            check_graphs(self._data, self.slices)
        # OGB and PyG take what a file holds for sound, so whatever is not raises anything.
        except Exception as error:
            if not self._stored:
                raise  # it is about the raw files or the transform
            stored = self.processed_dir
            raise TensorFileError(
                f"the graphs in {stored} cannot be read: {reason_of(error)}; {make_anew(stored)}"
            ) from error

    def get_idx_split(self, split_type: str | None = None) -> dict[str, Tensor]:
        """OGB's official split.

        Args:
            split_type: Its name. (default: that of the set)
        """
        try:
            with tensors_only():
                return super().get_idx_split(split_type)
        except TensorFileError as error:
            raise TensorFileError(
                f"split_dict.pt under {self.root}/split cannot be read: {error}; remove it"
            ) from error

    def _process(self) -> None:
        super()._process()
        self._stored = True

    def _sources(self) -> list[Path]:
        raw, smiles = Path(self.raw_dir), Path(self.root) / "mapping" / "mol.csv.gz"
        return [*raw.glob("*.csv.gz"), *([smiles] if smiles.is_file() else [])]
