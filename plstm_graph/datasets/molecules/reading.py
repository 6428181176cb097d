"""Reading many molecules: in this process, or in several where there are enough of them and of cores.

Worker processes import RDKit and numpy, and no torch, which would take them longer than what they are for.
"""

import functools
import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from rdkit import Chem, rdBase
from tqdm import tqdm

from plstm_graph.cores import usable_cores
from plstm_graph.datasets.molecules.descriptors import RDKIT, DescriptorSet
from plstm_graph.datasets.molecules.features import MoleculeArrays, MoleculeRows
from plstm_graph.datasets.molecules.parse import InvalidSmilesError, parse_smiles
from plstm_graph.text import visible

#: Molecules that are read, and made graphs of, at a time.
CHUNK = 512
#: From so many on, other processes are worth the second that they take to start.
MANY = 4000
_SLOW = 16  # times as long a row takes with RDKit's descriptors


@dataclass
class Reading:
    """Some molecules.

    Attributes:
        rows (list[int]): Numbers of those that could be read.
        canonical (list[str]): RDKit's canonical SMILES of each of these; of several molecules in a row, with a blank
            between them.
        arrays (MoleculeArrays): Their atoms and bonds.
        descriptors (numpy.ndarray): What was computed of each of these, ``[n, D]``, float32.
        errors (dict[int, str]): What is wrong with each of the others, by their numbers.
    """

    rows: list[int]
    canonical: list[str]
    arrays: MoleculeArrays
    descriptors: np.ndarray
    errors: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Columns:
    """What a row is read for.

    Attributes:
        names (tuple[str, ...]): Names of the columns of SMILES, for messages.
        descriptors (DescriptorSet): What is computed of each molecule.
    """

    names: tuple[str, ...] = ("smiles",)
    descriptors: DescriptorSet = field(default_factory=DescriptorSet)


def read_chunk(columns: Columns, first: int, texts: Sequence[Sequence[str]]) -> Reading:
    """Read some rows.

    Args:
        columns: What they are read for.
        first: Number of the first one.
        texts: The SMILES of each.
    """
    rows: list[int] = []
    canonical: list[str] = []
    errors: dict[int, str] = {}
    computed: list[np.ndarray] = []
    collected = MoleculeRows()
    with rdBase.BlockLogs():
        for row, text in enumerate(texts, start=first):
            try:
                molecules = _parse(columns.names, text)
                collected.add(text, molecules)
            except InvalidSmilesError as error:
                errors[row] = str(error)
                continue
            rows.append(row)
            canonical.append(" ".join(map(Chem.MolToSmiles, molecules)))
            computed.append(np.concatenate([columns.descriptors.of_molecule(molecule) for molecule in molecules]))
    descriptors = np.stack(computed) if computed else np.zeros((0, 0), dtype=np.float32)
    return Reading(rows, canonical, collected.arrays(), descriptors, errors)


def _parse(names: Sequence[str], texts: Sequence[str]) -> list[Chem.Mol]:
    """The molecules of a row; of several, the error names the column."""
    if len(texts) == 1:
        return [parse_smiles(texts[0])]
    molecules = []
    for name, text in zip(names, texts, strict=True):
        try:
            molecules.append(parse_smiles(text))
        except InvalidSmilesError as error:
            raise InvalidSmilesError(text, f"{error.reason} (column {name!r})") from error
    return molecules


def read_rows(
    texts: Sequence[Sequence[str]], title: str, log: bool | None, columns: Columns | None = None
) -> Iterator[Reading]:
    """Read rows of SMILES, some at a time, in their order, with a bar where it takes longer.

    Args:
        texts: The SMILES of each row.
        title: What the bar says.
        log: Whether there is a bar; None for one on a terminal.
        columns: What rows are read for. (default: one molecule each)
    """
    columns = Columns() if columns is None else columns
    slow = len(columns.names) * (_SLOW if RDKIT in columns.descriptors.kinds else 1)
    chunk = max(CHUNK // slow, 1)
    starts = range(0, len(texts), chunk)
    chunks = [texts[start : start + chunk] for start in starts]
    processes = min(usable_cores(), len(chunks)) if len(texts) * slow >= MANY and _may_start_processes() else 1
    own = functools.partial(read_chunk, columns)
    read = _read_elsewhere(own, starts, chunks, processes) if processes > 1 else map(own, starts, chunks)
    disable = None if log is None else not log
    with tqdm(total=len(texts), desc=visible(title), unit=" molecules", delay=1, disable=disable) as bar:
        for reading, part in zip(read, chunks, strict=True):
            yield reading
            bar.update(len(part))


def _may_start_processes() -> bool:
    """Whether this process is one that the user started: those of a pool leave the cores to each other."""
    return multiprocessing.parent_process() is None


_Read = Callable[[int, Sequence[Sequence[str]]], Reading]


def _read_elsewhere(
    read: _Read, starts: Sequence[int], chunks: Sequence[Sequence[Sequence[str]]], processes: int
) -> Iterator[Reading]:
    """:func:`read_chunk` in other processes; should they be killed, this one reads the rest."""
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    pool = Parallel(n_jobs=processes, backend="loky", batch_size=1, return_as="generator")
    calls = (delayed(_work)(os.getpid(), read, *each) for each in zip(starts, chunks, strict=True))
    done = 0
    try:
        for reading in pool(calls):
            yield reading
            done += 1
    except TerminatedWorkerError:
        yield from itertools.starmap(read, list(zip(starts, chunks, strict=True))[done:])
    finally:
        get_reusable_executor().shutdown(wait=True, kill_workers=True)


_SECONDS = 1.0  # between two looks at whether the process that started this one lives


def _work(parent: int, read: _Read, first: int, texts: Sequence[Sequence[str]]) -> Reading:
    """:func:`read_chunk` in a process that was made for it, and ends with the one that made it."""
    _belong_to(parent)
    return read(first, texts)


@functools.cache
def _belong_to(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which a terminal sends here too; whoever is asked ends all
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process once its parent is gone."""
    while os.getppid() == parent:
        time.sleep(_SECONDS)
    os._exit(1)
