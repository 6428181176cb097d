"""The molecules that come with RDKit itself: real measurements on any machine, nothing to download."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rdkit import RDConfig

from plstm_graph.datasets.molecules.smiles import SmilesDataset
from plstm_graph.datasets.storage.files import replace_text
from plstm_graph.datasets.table import TableError


class ChEMBL2321810(SmilesDataset):
    r"""Measured activity of 1,017 molecules of one medicinal-chemistry series (ChEMBL document CHEMBL2321810).

    The molecules are in the RDKit wheel (``Contrib/FreeWilson/data``), so nothing is downloaded. The target is the
    activity on a logarithmic scale, 4.27 to 9.22, presumably pIC50 (RDKit's file does not name the unit). They have
    278 scaffolds: use :func:`~plstm_graph.datasets.scaffold_split`.

    Args:
        root (str): Folder of all data sets; this one uses ``root/chembl2321810``. (default: ``"datasets"``)
        transform (callable, optional): Applied to each graph at every access.
        pre_transform (callable, optional): Applied to each graph once, before it is stored.
        **kwargs (optional): Further arguments of :class:`SmilesDataset`.

    Raises:
        FileNotFoundError: If this build of RDKit lacks the files.
    """

    def __init__(
        self,
        root: str | Path = "datasets",
        transform: Callable[..., Any] | None = None,
        pre_transform: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> None:
        folder = Path(root).expanduser() / "chembl2321810"
        path = folder / "raw" / "chembl2321810.csv"
        table = _read_table(Path(RDConfig.RDContribDir) / "FreeWilson" / "data")
        if not path.is_file() or path.read_text(encoding="utf-8") != table:
            replace_text(path, table)
        super().__init__(
            folder, path, "smiles", ["activity"], transform=transform, pre_transform=pre_transform, **kwargs
        )


def _read_table(folder: Path) -> str:
    """RDKit's two files joined by molecule name into one CSV: name, smiles, activity."""
    smiles_path, activity_path = folder / "CHEMBL2321810.smi", folder / "CHEMBL2321810_act.csv"
    for path in (smiles_path, activity_path):
        if not path.is_file():
            raise FileNotFoundError(
                f"this RDKit does not have {path}: its build leaves out Contrib. The wheel from the Python Package "
                "Index (pip install rdkit) has it"
            )
    with activity_path.open(encoding="utf-8", newline="") as file:
        activity = {row["Name"]: row["Act"] for row in csv.DictReader(file)}
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "smiles", "activity"])
    for number, line in enumerate(smiles_path.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split()
        if len(fields) != 2 or fields[1] not in activity:
            raise TableError(f"{smiles_path}, line {number}: expected a SMILES and a name of {activity_path.name}")
        writer.writerow([fields[1], fields[0], activity[fields[1]]])
    return text.getvalue()
