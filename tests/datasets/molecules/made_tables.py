"""Tables of molecules in memory, for tests of what divides them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Data

from plstm_graph.datasets import Table
from plstm_graph.datasets.molecules.molecule import canonical_smiles

#: Molecules of several scaffolds, of none, and two of the same molecule, written in two ways.
POOL = ["CCO", "OCC", "CCN", "CCCl", "CC(=O)O", "c1ccccc1", "Cc1ccccc1", "Oc1ccccc1", "c1ccc(O)cc1", "c1ccncc1"]
POOL += ["Cc1ccncc1", "C1CCCCC1", "OC1CCCCC1", "C1CCNCC1", "c1ccc2ccccc2c1", "Cc1ccc2ccccc2c1", "c1ccoc1", "Cc1ccoc1"]
POOL += ["c1ccsc1", "O=C1CCCN1", "CCCCCC", "CCCCCCC", "N#CC", "CS(C)=O", "c1ccc(-c2ccccc2)cc1", "C1CC1", "C1CCC1"]


@dataclass
class Molecules:
    """What a split asks of a data set of molecules, without files."""

    smiles: list[str]
    table: Table
    y: list[float]
    target_columns: tuple[str, ...] = ("y",)
    smiles_column: str = "smiles"
    kind: str = "number"

    @classmethod
    def of(cls, smiles: list[str], **columns: list[str]) -> "Molecules":
        """Molecules with further columns, of which ``y`` is the target; from line 2 on."""
        names = ("smiles", *columns)
        rows = [list(row) for row in zip(smiles, *columns.values(), strict=True)]
        y = [float(word) for word in columns.get("y", ["0"] * len(smiles))]
        return cls(list(smiles), Table(Path("t.csv"), names, rows, range(2, len(rows) + 2)), y)

    def __len__(self) -> int:
        return len(self.smiles)

    def __iter__(self):
        return (Data(y=torch.tensor([[value]])) for value in self.y)

    def __getitem__(self, rows: np.ndarray) -> "Molecules":
        chosen = [int(row) for row in rows]
        return Molecules([self.smiles[i] for i in chosen], self.table.take(chosen), [self.y[i] for i in chosen])

    @property
    def canonical_smiles(self) -> list[str]:
        """The same for the same molecule."""
        return [canonical_smiles(text) for text in self.smiles]

    @property
    def all_lines(self) -> list[int]:
        """Of all rows."""
        return list(self.table.lines)

    @property
    def whole_table(self) -> Table:
        """All rows."""
        return self.table

    @property
    def path(self) -> Path:
        """Where the rows are from."""
        return self.table.path
