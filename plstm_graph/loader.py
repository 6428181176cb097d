"""A loader whose batches know their line graph: models that are given ``batch.edge_index`` run on it."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch_geometric.data import Batch, HeteroData
from torch_geometric.data.data import BaseData, DataEdgeAttr, DataTensorAttr
from torch_geometric.data.storage import GlobalStorage
from torch_geometric.loader import DataLoader
from torch_geometric.loader.dataloader import Collater

from plstm_graph.graph import CycleError, LineGraph
from plstm_graph.graph.known import remember, remembered

# What a torch_geometric.data.Data is made of, which holds tensors and numbers alone: torch.load(weights_only=True) then
# reads one with data.line_graph.
torch.serialization.add_safe_globals([GlobalStorage, DataTensorAttr, DataEdgeAttr])


class DAGBatch(Batch):
    """A batch of DAGs with ``line_graph``, on which every layer runs that is given the batch's ``edge_index``.

    It goes along to another device, through worker processes, and into copies.
    """

    line_graph: LineGraph

    @classmethod
    def from_data_list(
        cls,
        data_list: list[BaseData],
        follow_batch: list[str] | None = None,
        exclude_keys: list[str] | None = None,
        prepare: Mapping[str, Any] | None = None,
    ) -> "DAGBatch":
        """Make a batch of graphs and its line graph.

        Args:
            data_list: DAGs. Levels and cuts that :class:`~plstm_graph.transforms.ToDAG` attached, or line graphs in
                ``data.line_graph``, spare computing them.
            follow_batch: As in :class:`torch_geometric.data.Batch`.
            exclude_keys: Likewise.
            prepare: Arguments of :meth:`~plstm_graph.LineGraph.prepare`, such as ``{"multitree": False}`` for models
                without D-mode layers, ``{"split_nodes": True}`` for ``transition="node"``.

        Raises:
            TypeError: If graphs are heterogeneous.
            ValueError: If a graph has a cycle, or was changed after ToDAG; says which.
        """
        for number, data in enumerate(data_list):
            if isinstance(data, HeteroData):
                raise TypeError(
                    f"graph {number} of the batch is a HeteroData: pLSTM runs on one set of nodes and one of edges; "
                    "data.to_homogeneous() makes them, with types as node_type and edge_type"
                )
        batch = super().from_data_list(data_list, follow_batch, [*(exclude_keys or ()), "line_graph"])
        batch.line_graph = _line_graph(batch, data_list).prepare(**(prepare or {}))
        remember(batch.edge_index, batch.line_graph)
        return batch

    def apply(self, func: Any, *args: str) -> "DAGBatch":
        """Apply a function to all attributes, as :meth:`to` and its like do; the line graph follows the edges."""
        known = remembered(self.edge_index) is self.line_graph
        super().apply(func, *args)
        if self.line_graph.device != self.edge_index.device:
            self.line_graph = self.line_graph.to(self.edge_index.device, non_blocking=True)
        if known:
            remember(self.edge_index, self.line_graph)
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "DAGBatch":
        known = remembered(self.edge_index) is self.line_graph
        copied = super().__deepcopy__(memo)
        if known:
            remember(copied.edge_index, copied.line_graph)
        return copied

    def __reduce__(self) -> Any:
        # Other edges than those of the line graph must not be taken for them by whoever loads the batch.
        known = remembered(self.edge_index) is self.line_graph
        make, arguments, state = super().__reduce__()
        return make, arguments, state | {"_known": known}

    def __setstate__(self, mapping: dict[str, Any]) -> None:
        super().__setstate__(mapping)
        if self.__dict__.pop("_known"):
            remember(self.edge_index, self.line_graph)


def _line_graph(batch: DAGBatch, data_list: Sequence[Any]) -> LineGraph:
    """The line graph of a batch, or an error that says in which of its graphs something is wrong."""
    try:
        if any("line_graph" in data for data in data_list):
            return LineGraph.union([LineGraph.from_data(data) for data in data_list])
        return LineGraph.from_data(batch)
    except (TypeError, ValueError):
        for number, data in enumerate(data_list):
            try:
                LineGraph.from_data(data)
            except CycleError as error:
                raise ValueError(f"graph {number} of the batch: {error}") from error
            except (TypeError, ValueError) as error:
                raise type(error)(f"graph {number} of the batch: {error}") from error
        raise


class DAGLoader(DataLoader):
    """PyG's loader with batches of :class:`DAGBatch`, so that models need no ``line_graph``.

    Line graphs are built where batches are made, so in worker processes if there are any. They lie in
    ``batch.line_graph`` as well, for what has to be told, such as compiled code.

    Args:
        dataset: Of DAGs; :class:`~plstm_graph.transforms.ToDAG` as (pre-)transform orients graphs that are none.
        batch_size (int): As in :class:`torch_geometric.loader.DataLoader`. (default: ``1``)
        shuffle (bool): Likewise. (default: ``False``)
        follow_batch (list[str], optional): Likewise.
        exclude_keys (list[str], optional): Likewise.
        prepare (dict, optional): What is built at once, as in :meth:`DAGBatch.from_data_list`; the rest is built when a
            model first needs it.
        **kwargs: Of :class:`torch.utils.data.DataLoader`, such as ``num_workers`` and ``pin_memory``.

    .. code-block:: python

        for batch in DAGLoader(dataset, batch_size=32, shuffle=True, num_workers=2):
            batch = batch.to(device)
            out = model(batch.x, batch.edge_index, batch.edge_attr, batch=batch.batch)
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        follow_batch: list[str] | None = None,
        exclude_keys: list[str] | None = None,
        prepare: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset, batch_size, shuffle, follow_batch, exclude_keys, **kwargs)
        self.prepare = prepare  # Lightning makes loaders anew from attributes of the names of arguments.
        self.collate_fn = _DAGCollater(dataset, follow_batch, exclude_keys, prepare)


class _DAGCollater(Collater):
    """PyG's way of making batches, with DAGs in the place of graphs."""

    def __init__(self, dataset: Any, follow_batch: Any, exclude_keys: Any, prepare: Mapping[str, Any] | None) -> None:
        super().__init__(dataset, follow_batch, exclude_keys)
        self.prepare = prepare

    def __call__(self, batch: list[Any]) -> Any:
        if isinstance(batch[0], BaseData):
            return DAGBatch.from_data_list(batch, self.follow_batch, self.exclude_keys, self.prepare)
        return super().__call__(batch)
