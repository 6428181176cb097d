"""A few rows of real tables, for tests that take the way of a user."""

from pathlib import Path

import pandas as pd


def solubility(data: Path, table: Path, rows: int = 120, skip: int = 0) -> Path:
    """Write rows of AqSolDB, with a SMILES and the logarithm of a solubility, as a table; returns its path."""
    found = pd.read_csv(
        data / "aqsoldb" / "curated-solubility-dataset.csv.gz", usecols=["Name", "SMILES", "Solubility"]
    )
    found.iloc[skip : skip + rows].to_csv(table, index=False)
    return table


#: Options of ``fit`` by which such a table is read.
SOLUBILITY = ("--task.smiles_column", "SMILES", "--task.target_columns", "[Solubility]", "--task.split", "random")
