"""Molecular property tables: any CSV with a SMILES column and targets."""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import rdkit
import torch
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.datasets.molecules.descriptors import DescriptorError, DescriptorSet
from plstm_graph.datasets.molecules.molecule import molecule_graphs
from plstm_graph.datasets.molecules.reading import Columns, Reading, read_rows
from plstm_graph.datasets.molecules.smiles_column import parse_molecule_tables
from plstm_graph.datasets.molecules.smiles_targets import TargetCoding, TargetKind, row_weight
from plstm_graph.datasets.storage.graph_cache import DIGITS, CachedGraphs, GraphCache
from plstm_graph.datasets.storage.tensor_files import PlainGraphs, TensorFileError, make_anew
from plstm_graph.datasets.table import BadRow, Table, TableError
from plstm_graph.transforms import ToDAG

# Part of the cache key; raise it when process() changes what it stores.
_FORMAT = 4


class BadRowsWarning(UserWarning):
    """Some rows of a table were left out of a data set."""


class SmilesDataset(CachedGraphs, PlainGraphs):
    r"""Molecules of a table with a SMILES column and any number of target columns.

    Each row is a graph of :func:`~plstm_graph.datasets.smiles_to_data` (``x``, ``edge_index``, ``edge_attr``,
    ``canonical_rank``, ``smiles``) with ``y`` ``[1, T]``, one column for each target, and ``row``, the number of its
    row in the table (from 0, without the header, rows of a wrong length not counted). ``y`` is float32, or float64 for
    numbers whose differences float32 would lose, such as 1e8 + 1, 1e8 + 2. Of labels and classes it has the number.

    Rows that cannot be used (a SMILES that RDKit cannot read, a missing or non-finite target, a wrong number of
    fields) are left out with a warning that counts them; :attr:`bad_rows` lists each with its line and reason.
    The graphs are stored under ``root/processed``, or in the user's cache if nobody may write there, in a folder of
    their own for each content of the file, choice of columns, pre-transform and version of RDKit: a change of any of
    these processes the table anew. What was made of an earlier content of the file is removed.

    Args:
        root (str): Folder for the processed graphs.
        path (str): The table: UTF-8, separated by commas, semicolons, tabs or bars, or by blanks (``.smi``), with a
            header or without; may be gzipped (``.csv.gz``).
        smiles_column (str or int, optional): Name of the column of SMILES, or its place, from 0; of several in a list,
            as solute and solvent, the molecules of a row are one graph, with ``component`` ``[N]``, the number of the
            column that each atom is of. (default: found by
            :func:`~plstm_graph.datasets.molecules.smiles_column.find_smiles_column`)
        target_columns (list[str or int], optional): Names or places of the target columns; ``[]`` for none, as for
            prediction. (default: the other column that has a name, if there is only one)
        kind (str): What targets are: ``"number"``, ``"label"`` (0 and 1, or two words), or ``"class"`` (words, or whole
            numbers). (default: ``"number"``)
        classes (list[list[str]], optional): Names of the classes of each target, such as those of a trained model.
            (default: those that occur, sorted)
        allow_missing (bool): Whether an empty cell is a missing label, NaN in ``y``, rather than a bad row.
            (default: ``False``)
        censored (bool): Whether cells of numbers may be bounds, such as ``>10``, ``<=0.5``: graphs then have
            ``censor``, ``[1, T]`` int8, 1 where the true value is above ``y``, -1 where it is below. (default:
            ``False``)
        weight_column (str, optional): Column of the weights of rows, numbers from 0: graphs then have ``weight``,
            ``[1, T]``.
        descriptors (DescriptorSet, optional): Which columns are descriptors, and what is computed of each molecule;
            see :attr:`descriptors`. A cell that is no number, or missing where it may not be, makes a bad row.
        on_error (str): ``"skip"`` leaves bad rows out; ``"raise"`` raises, naming the first ten. (default: ``"skip"``)
        transform (callable, optional): Applied to each graph at every access.
        pre_transform (callable, optional): Applied to each graph once, before it is stored, for example
            :class:`~plstm_graph.transforms.ToDAG`.
        pre_filter (callable, optional): Which graphs to keep.
        log (bool): Whether to show progress. (default: ``True``)
        force_reload (bool): Whether to process the table anew. (default: ``False``)
        more_paths (list[str]): Further tables with the same columns, whose rows follow those of the first;
            ``table.files`` says of each row where it is from.
        no_targets (list[str]): Columns that are no targets unless they are named, such as the group of a split.

    Attributes:
        bad_rows (list[BadRow]): Line and reason of each row left out.
        target_columns (list[str]): Names of the columns of ``y``.
        classes (list[list[str]]): Names of the classes of each target; empty for numbers.

    Raises:
        FileNotFoundError: If there is no such file.
        TableError: If the table is empty or no text, lacks a column, has targets of another kind, or no usable row.
    """

    def __init__(
        self,
        root: str | Path,
        path: str | Path,
        smiles_column: str | int | Sequence[str | int] | None = None,
        target_columns: Sequence[str | int] | None = None,
        *,
        kind: TargetKind = "number",
        classes: Sequence[Sequence[str]] | None = None,
        allow_missing: bool = False,
        censored: bool = False,
        weight_column: str | None = None,
        descriptors: DescriptorSet | None = None,
        on_error: Literal["skip", "raise"] = "skip",
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        log: bool = True,
        force_reload: bool = False,
        more_paths: Sequence[str | Path] = (),
        no_targets: Sequence[str] = (),
    ) -> None:
        if on_error not in ("skip", "raise"):
            raise ValueError(f"on_error must be 'skip' or 'raise', got {on_error!r}")
        if isinstance(target_columns, str | int):
            target_columns = [target_columns]
        self.path = Path(path).expanduser()
        self.allow_missing = allow_missing
        paths = [self.path, *(Path(each).expanduser() for each in more_paths)]
        contents = [each.read_bytes() for each in paths]
        self._digest = hashlib.sha256(b"".join(contents)).hexdigest()
        named = [smiles_column] if isinstance(smiles_column, str | int) else [*(smiles_column or ())]
        self.descriptor_set = DescriptorSet() if descriptors is None else descriptors
        weights = () if weight_column is None else (weight_column,)
        besides = [*no_targets, *(name for name in named[1:] if isinstance(name, str)), *self.descriptor_set.columns]
        first = named[0] if named else None
        found = parse_molecule_tables(contents, paths, first, target_columns, weights, besides)
        self._table, self._ragged_rows, self.smiles_column, self.target_columns = found
        self.smiles_columns = [self.smiles_column, *(self._table.columns[self._table.position(n)] for n in named[1:])]
        for name in self.descriptor_set.columns:
            self._table.position(name)
        _check_roles(self._table, self.smiles_columns, self.descriptor_set.columns, self.target_columns)
        self.kind: TargetKind = kind
        self._coding = TargetCoding.of(self._table, self.target_columns, kind, classes, censored)
        self.weight_column = weight_column
        if weight_column is not None:
            self._table.position(weight_column)
        self.pre_transform, self.pre_filter = pre_transform, pre_filter
        self._cache = GraphCache(
            root,
            [self.smiles_column, self.target_columns, kind, classes, allow_missing, pre_transform, pre_filter]
            + ([] if weight_column is None else [weight_column])
            + ([self.smiles_columns[1:], self.descriptor_set] if named[1:] or self.descriptor_set else []),
            [_FORMAT, rdkit.__version__, self._coding],
            label=self.path.name.split(".")[0],
            source=self.path,
        )
        super().__init__(str(root), transform, pre_transform, pre_filter, log, force_reload)
        self._load()
        if self.bad_rows:
            summary = _summary(self.bad_rows)
            if on_error == "raise":
                raise TableError(f"{self.path} has {summary}")
            warnings.warn(f"{self.path}: left out {summary}; see dataset.bad_rows", BadRowsWarning, stacklevel=2)

    @property
    def classes(self) -> list[list[str]]:
        """Names of the classes of each target; empty for numbers."""
        return self._coding.classes

    @property
    def processed_file_names(self) -> list[str]:
        """The graphs, the list of bad rows, the canonical SMILES, and descriptors if any are computed."""
        names = ["data.pt", "bad_rows.json", "canonical.json"]
        return [*names, "descriptors.npy"] if self.descriptor_set.kinds else names

    @property
    def table(self) -> Table:
        """The rows that became graphs, in the order of the graphs, with all columns of the file."""
        return self._table.take(self._data.row[list(self.indices())].tolist())

    @property
    def canonical_smiles(self) -> list[str]:
        """RDKit's SMILES of each molecule, the same however it is written; of several in a row, with blanks between."""
        return [self._canonical[index] for index in self.indices()]

    @property
    def whole_table(self) -> Table:
        """The rows of the file, usable or not, but for those of a wrong length."""
        return self._table

    @property
    def all_lines(self) -> list[int]:
        """Lines of all rows of the table, usable or not, in order."""
        return sorted([*self._table.lines, *(row.line for row in self._ragged_rows)])

    @property
    def descriptors(self) -> np.ndarray:
        """Raw descriptors of each row, ``[n, D]``, float64: those of columns first, NaN where missing."""
        columns, table = self.descriptor_set.columns, self.table
        cells = zip(*(table.column(name) for name in columns), strict=True) if columns else [()] * len(table)
        known = [self.descriptor_set.of_cells(dict(zip(columns, row, strict=True))) for row in cells]
        numbers = np.array(known, dtype=np.float64).reshape(len(table), -1)
        return np.hstack([numbers, self._computed[list(self.indices())]])

    def attach(self, descriptors: Tensor) -> None:
        """Give each graph its descriptors, ``[1, D]``.

        Args:
            descriptors: Of each graph of the whole set, ``[n, D]``, float32, as a model takes them.
        """
        assert self.slices is not None
        self._data.descriptors = descriptors
        self.slices["descriptors"] = torch.arange(len(descriptors) + 1)
        self._data_list = None

    def process(self) -> None:
        """Turn the table into graphs. PyG calls this if the processed files are not there."""
        graphs: list[Data] = []
        canonical: list[str] = []
        computed: list[np.ndarray] = []
        bad_rows = list(self._ragged_rows)
        texts = list(zip(*map(self._table.column, self.smiles_columns), strict=True))
        columns = Columns(tuple(self.smiles_columns), self.descriptor_set)
        for reading in read_rows(texts, self.path.name, self.log, columns):
            made, kept, bad = self._graphs(reading, texts)
            graphs += made
            canonical += [reading.canonical[number] for number in kept]
            computed.append(reading.descriptors[kept])
            bad_rows += bad
        bad_rows.sort()
        if not graphs:
            reason = _summary(bad_rows) if bad_rows else "pre_filter keeps none"
            raise TableError(f"no row of {self.path} is usable: {reason}")
        data_path, bad_rows_path, canonical_path, *descriptors_path = map(Path, self.processed_paths)
        bad_rows_path.write_text(json.dumps(bad_rows), encoding="utf-8")
        canonical_path.write_text(json.dumps(canonical), encoding="utf-8")
        for path in descriptors_path:
            np.save(path, np.concatenate([part for part in computed if len(part)]), allow_pickle=False)
        self.save(graphs, str(data_path))

    def _graphs(self, reading: Reading, texts: Sequence[Sequence[str]]) -> tuple[list[Data], list[int], list[BadRow]]:
        """Graphs of some rows with their targets, which of those that were read they are, and rows without use."""
        bad_rows = [self._bad_row(row, reason) for row, reason in reading.errors.items()]
        positions = [*map(self._table.position, self.target_columns)]
        graphs, kept = [], []
        read = molecule_graphs(reading.arrays, [texts[row][0] for row in reading.rows], len(self.smiles_columns) > 1)
        for number, (row, data) in enumerate(zip(reading.rows, read, strict=True)):
            try:
                data.y = self._coding.encode([self._table.rows[row][at] for at in positions], self.allow_missing)
                self._add_weight(data, row)
                if self.descriptor_set.columns:
                    self.descriptor_set.of_cells(dict(zip(self._table.columns, self._table.rows[row], strict=True)))
            except (TableError, DescriptorError) as error:
                bad_rows.append(self._bad_row(row, str(error)))
                continue
            data.row = torch.tensor([row])
            if self.pre_filter is None or self.pre_filter(data):
                graphs.append(data)
                kept.append(number)
        if type(self.pre_transform) is ToDAG:
            graphs = self.pre_transform.many(graphs)
        elif self.pre_transform is not None:
            graphs = [self.pre_transform(data) for data in graphs]
        return graphs, kept, bad_rows

    def _add_weight(self, data: Data, row: int) -> None:
        """Say how much the targets of a row count, and which of them are bounds."""
        cells = self._table.rows[row]
        if self._coding.censored:
            data.censor = self._coding.sides([cells[self._table.position(name)] for name in self.target_columns])
        if self.weight_column is not None:
            weight = row_weight(self.weight_column, cells[self._table.position(self.weight_column)])
            data.weight = torch.full(data.y.shape, weight)

    def _bad_row(self, row: int, reason: str) -> BadRow:
        file = self._table.file(row)
        return BadRow(self._table.lines[row], reason if file == self.path else f"of {file}: {reason}")

    def _content(self) -> str:
        return self._digest[:DIGITS]  # of what was read, whatever the file has become since

    def _load(self) -> None:
        data_path, bad_rows_path, canonical_path, *descriptors_path = self.processed_paths
        self.load(data_path)
        row = self._data.get("row")
        if not isinstance(row, Tensor) or row.shape != (len(self),) or row.dtype != torch.long:
            raise TensorFileError(f"{data_path} does not say the rows of its graphs; {make_anew(self.processed_dir)}")
        if bool(((row < 0) | (row >= len(self._table))).any()):
            raise TensorFileError(f"{data_path} has graphs of another table; {make_anew(self.processed_dir)}")
        try:
            rows = json.loads(Path(bad_rows_path).read_text(encoding="utf-8"))
            self.bad_rows = [BadRow(int(line), str(reason)) for line, reason in rows]
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError(f"{bad_rows_path} is damaged: {error}; {make_anew(self.processed_dir)}") from error
        try:
            names = json.loads(Path(canonical_path).read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{canonical_path} is damaged: {error}; {make_anew(self.processed_dir)}") from error
        if not isinstance(names, list) or len(names) != len(row) or not all(isinstance(each, str) for each in names):
            raise ValueError(f"{canonical_path} is of other graphs; {make_anew(self.processed_dir)}")
        self._canonical: list[str] = names
        self._computed = np.zeros((len(row), 0), dtype=np.float32)
        for path in descriptors_path:
            self._computed = _load_descriptors(path)
            width = self.descriptor_set.size(len(self.smiles_columns)) - len(self.descriptor_set.columns)
            if self._computed.shape != (len(row), width) or self._computed.dtype != np.float32:
                raise ValueError(f"{path} is of other graphs; {make_anew(self.processed_dir)}")


def _load_descriptors(path: str) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is damaged: {error}; {make_anew(Path(path).parent)}") from error


def _check_roles(table: Table, smiles: Sequence[str], descriptors: Sequence[str], targets: Sequence[str]) -> None:
    """Check that no column has two roles."""
    for names, role in ((smiles, "of SMILES"), (descriptors, "a descriptor"), (targets, "a target")):
        for name in names:
            if list(names).count(name) > 1:
                raise TableError(f"{table.path}: column {name!r} is named more than once as {role}")
    for name in descriptors:
        if name in smiles or name in targets:
            raise TableError(
                f"{table.path}: column {name!r} is a descriptor and {'a target' if name in targets else 'of SMILES'}"
            )
    for name in smiles[1:]:
        if name in targets:
            raise TableError(f"{table.path}: column {name!r} is of SMILES, and target_columns names it as a target")


def _summary(bad_rows: Sequence[BadRow], shown: int = 10) -> str:
    listed = "; ".join(f"line {row.line}: {row.reason}" for row in bad_rows[:shown])
    more = f"; and {len(bad_rows) - shown} more" if len(bad_rows) > shown else ""
    return f"{len(bad_rows)} bad row{'s' if len(bad_rows) > 1 else ''} ({listed}{more})"


def check_finite(dataset: Sequence[Data]) -> None:
    """Check that features are finite and targets are finite or missing.

    Raises:
        ValueError: If a value is infinite, or a feature is NaN; it names the graph and the value's place.
    """
    stored = getattr(dataset, "_data", None)  # all graphs in one
    if stored is not None and not any(bool(bad.any()) for _, bad in _unusable(stored)):
        return
    for number, data in enumerate(dataset):
        for name, bad in _unusable(data):
            if bad.any():
                place = bad.nonzero()[0].tolist()
                smiles = f" ({data.smiles})" if "smiles" in data else ""
                raise ValueError(f"graph {number}{smiles} has {name}{place} = {float(data[name][tuple(place)])}")


def _unusable(data: Data) -> Iterator[tuple[str, Tensor]]:
    """Which values of each attribute may not be."""
    for name in ("x", "edge_attr", "y"):
        values = data.get(name)
        if values is not None and values.is_floating_point():
            yield name, values.isinf() if name == "y" else ~values.isfinite()
