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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rdkit import Chem, rdBase
from tqdm import tqdm

from plstm_graph.cores import usable_cores
from plstm_graph.datasets.molecules.features import MoleculeArrays, MoleculeRows
from plstm_graph.datasets.molecules.parse import InvalidSmilesError, parse_smiles
from plstm_graph.text import visible

#: Molecules that are read, and made graphs of, at a time.
CHUNK = 512
#: From so many on, other processes are worth the second that they take to start.
MANY = 4000


@dataclass
class Reading:
    """Some molecules.

    Attributes:
        rows (list[int]): Numbers of those that could be read.
        canonical (list[str]): RDKit's canonical SMILES of each of these.
        arrays (MoleculeArrays): Their atoms and bonds.
        errors (dict[int, str]): What is wrong with each of the others, by their numbers.
    """

    rows: list[int]
    canonical: list[str]
    arrays: MoleculeArrays
    errors: dict[int, str] = field(default_factory=dict)


def read_chunk(first: int, texts: Sequence[str]) -> Reading:
    """Read some SMILES.

    Args:
        first: Number of the first one.
        texts: One molecule each.
    """
    rows: list[int] = []
    canonical: list[str] = []
    errors: dict[int, str] = {}
    collected = MoleculeRows()
    with rdBase.BlockLogs():
        for row, text in enumerate(texts, start=first):
            try:
                molecule = parse_smiles(text)
                collected.add(text, molecule)
            except InvalidSmilesError as error:
                errors[row] = str(error)
                continue
            rows.append(row)
            canonical.append(Chem.MolToSmiles(molecule))
    return Reading(rows, canonical, collected.arrays(), errors)


def read_smiles(texts: Sequence[str], title: str, log: bool) -> Iterator[Reading]:
    """Read SMILES, :data:`CHUNK` at a time, in their order, with a bar where it takes longer.

    Args:
        texts: One molecule each.
        title: What the bar says.
        log: Whether there is a bar.
    """
    starts = range(0, len(texts), CHUNK)
    chunks = [texts[start : start + CHUNK] for start in starts]
    processes = min(usable_cores(), len(chunks)) if len(texts) >= MANY and _may_start_processes() else 1
    read = _read_elsewhere(starts, chunks, processes) if processes > 1 else map(read_chunk, starts, chunks)
    with tqdm(total=len(texts), desc=visible(title), unit=" molecules", delay=1, disable=not log) as bar:
        for reading, chunk in zip(read, chunks, strict=True):
            yield reading
            bar.update(len(chunk))


def _may_start_processes() -> bool:
    """Whether this process is one that the user started: those of a pool leave the cores to each other."""
    return multiprocessing.parent_process() is None


def _read_elsewhere(starts: Sequence[int], chunks: Sequence[Sequence[str]], processes: int) -> Iterator[Reading]:
    """:func:`read_chunk` in other processes; should they be killed, this one reads the rest."""
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    pool = Parallel(n_jobs=processes, backend="loky", batch_size=1, return_as="generator")
    calls = (delayed(_work)(os.getpid(), *each) for each in zip(starts, chunks, strict=True))
    done = 0
    try:
        for reading in pool(calls):
            yield reading
            done += 1
    except TerminatedWorkerError:
        yield from itertools.starmap(read_chunk, list(zip(starts, chunks, strict=True))[done:])
    finally:
        get_reusable_executor().shutdown(wait=True, kill_workers=True)


_SECONDS = 1.0  # between two looks at whether the process that started this one lives


def _work(parent: int, first: int, texts: Sequence[str]) -> Reading:
    """:func:`read_chunk` in a process that was made for it, and ends with the one that made it."""
    _belong_to(parent)
    return read_chunk(first, texts)


@functools.cache
def _belong_to(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which a terminal sends here too; whoever is asked ends all
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process once its parent is gone."""
    while os.getppid() == parent:
        time.sleep(_SECONDS)
    os._exit(1)
