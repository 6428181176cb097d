"""What a model of molecules reads of a row: its SMILES, and descriptors; as graphs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data

from plstm_graph.datasets.molecules.descriptors import DescriptorError, DescriptorSet, Scaling, of_plain
from plstm_graph.datasets.molecules.molecule import molecule_graphs
from plstm_graph.datasets.molecules.reading import Columns, Reading, read_rows
from plstm_graph.train.checkpoint import CheckpointError
from plstm_graph.transforms import ToDAG


@dataclass(frozen=True)
class MoleculeInputs:
    """What a model reads of a row.

    Attributes:
        smiles (tuple[str, ...]): Names that the columns of SMILES had in training.
        descriptors (DescriptorSet): Which descriptors it reads.
        scaling (Scaling): Their scale.
    """

    smiles: tuple[str, ...] = ("smiles",)
    descriptors: DescriptorSet = field(default_factory=DescriptorSet)
    scaling: Scaling = field(default_factory=Scaling)

    @classmethod
    def of_recipe(cls, recipe: Mapping[str, Any]) -> "MoleculeInputs":
        """What the recipe of a checkpoint says.

        Raises:
            CheckpointError: If it says it in another way, or this RDKit lacks a descriptor.
        """
        reading = recipe["reading"]
        more = reading.get("more_smiles", [])
        if not isinstance(more, list) or not all(isinstance(name, str) for name in more):
            raise CheckpointError("the checkpoint names columns of SMILES that are no names")
        smiles = (str(recipe["given"].get("smiles_column", "smiles")), *more)
        if "descriptors" not in reading:
            return cls(smiles)
        try:
            descriptors = of_plain(reading["descriptors"])
            scaling = Scaling.of_plain(reading["descriptors"].get("scaling"), descriptors.size(len(smiles)))
        except ValueError as error:
            raise CheckpointError(f"the checkpoint does not say which descriptors its model reads: {error}") from error
        return cls(smiles, descriptors, scaling)

    def of_argument(self, text: str) -> list[str]:
        """The SMILES of an argument of the command line.

        Raises:
            ValueError: If the model reads another number of SMILES, or columns, which only a table has.
        """
        if self.descriptors.columns:
            raise ValueError(
                f"the model reads {', '.join(self.descriptors.columns)} beside the SMILES: give a table (CSV) that has "
                f"{'this column' if len(self.descriptors.columns) == 1 else 'these columns'}"
            )
        if len(self.smiles) == 1:
            return [text]
        parts = text.split()
        if len(parts) != len(self.smiles):
            raise ValueError(
                f"the model reads {len(self.smiles)} molecules ({', '.join(self.smiles)}), and {text!r} has "
                f"{len(parts)}: give a table (CSV) with these columns, or all in one argument, such as 'CCO O'"
            )
        return parts

    def graphs(
        self, rows: Sequence[tuple[Sequence[str], Mapping[str, str]]], transform: Callable[[Data], Data]
    ) -> list[Data | str]:
        """Graphs of rows, as the model takes them; of a row that cannot be used, the reason.

        Args:
            rows: The SMILES of each, and its other cells by the names of columns.
            transform: Of the training data.
        """
        found: dict[int, Data | str] = {}
        title = "molecules" if len(self.smiles) == 1 else "rows"
        for reading in read_rows([texts for texts, _ in rows], title, None, Columns(self.smiles, self.descriptors)):
            found |= reading.errors
            graphs = molecule_graphs(
                reading.arrays, [rows[row][0][0] for row in reading.rows], several=len(self.smiles) > 1
            )
            usable: dict[int, Data] = {}
            for number, (row, graph) in enumerate(zip(reading.rows, graphs, strict=True)):
                try:
                    self._attach(graph, reading, number, rows[row][1])
                except DescriptorError as error:
                    found[row] = str(error)
                else:
                    usable[row] = graph
            given = list(usable.values())
            made = transform.many(given) if type(transform) is ToDAG else [transform(graph) for graph in given]
            found.update(zip(usable, made, strict=True))
        return [found[row] for row in range(len(rows))]

    def _attach(self, graph: Data, reading: Reading, number: int, cells: Mapping[str, str]) -> None:
        """Give a graph its descriptors, if the model reads any."""
        if self.descriptors:
            known = np.array(self.descriptors.of_cells(cells), dtype=np.float64)
            values = np.concatenate([known, reading.descriptors[number]])
            graph.descriptors = torch.from_numpy(self.scaling.apply(values[None]))
