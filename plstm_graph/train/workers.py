"""Processes that train side by side, and end with the one that started them, however that ends."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from plstm_graph.config.names import allowed_names, set_allowed_names

Key = TypeVar("Key", bound=Hashable)
_PATIENCE = 10.0  # seconds that a process has to end when it is asked to


@contextmanager
def worker_pool(jobs: int, threads: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of fresh processes, as forks are unsafe once threads run.

    If the block ends by an error or a signal, work that waits is dropped and processes that still work are ended: they
    would only keep the user waiting.

    Args:
        jobs: Number of processes.
        threads: CPU threads of torch in each.

    Yields:
        The pool; give it work by :func:`submit_all`.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context, initializer=_start_worker, initargs=(threads, allowed_names()))
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        children = multiprocessing.active_children()
        for process in children:
            process.terminate()
        for process in children:
            process.join(_PATIENCE)
            if process.is_alive():
                process.kill()
        raise
    finally:
        pool.shutdown(wait=True)


def submit_all(
    pool: ProcessPoolExecutor, work: Callable[..., Any], arguments: Mapping[Key, tuple[Any, ...]]
) -> dict[Future[Any], Key]:
    """Give a pool all its work.

    Its processes are started without Ctrl-C, which a terminal sends to them too: the one that started them ends them.

    Args:
        pool: The pool.
        work: A function of a module.
        arguments: Of each call, by a key.

    Returns:
        The key of each future.
    """
    blocked = {signal.SIGINT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked) if hasattr(signal, "pthread_sigmask") else None
    try:
        return {pool.submit(work, *values): key for key, values in arguments.items()}
    finally:
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(threads: int, allowed: Sequence[str]) -> None:
    """Take over threads and allowed names; end with the process that started this one, as nobody would take results."""
    torch.set_num_threads(threads)
    set_allowed_names(allowed)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
