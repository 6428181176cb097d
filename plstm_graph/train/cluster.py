"""Trials on other machines, by joblib's backend for Dask."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from joblib import parallel_config

_SCHEME = "dask://"
_SECONDS = 20  # for a scheduler to answer


@contextlib.contextmanager
def on_cluster(address: str | None) -> Iterator[None]:
    """Within this context, joblib gives its calls to the workers of a Dask cluster.

    Args:
        address: ``"dask://HOST:PORT"`` of a scheduler, or ``"dask://FILE"`` that it wrote (``dask scheduler
            --scheduler-file FILE``). None for no cluster: calls run on this machine.

    Raises:
        ValueError: If the address is none, or Dask is not installed.
        OSError: If no scheduler answers there.
    """
    if address is None:
        yield
        return
    where = address.removeprefix(_SCHEME)
    if where == address or not where:
        raise ValueError(f"--cluster must be {_SCHEME}HOST:PORT, or {_SCHEME}FILE of a scheduler, got {address!r}")
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError("--cluster needs Dask: pip install 'plstm_graph[cluster]'") from error
    is_file = Path(where).is_file()
    try:
        client = Client(scheduler_file=where, timeout=_SECONDS) if is_file else Client(where, timeout=_SECONDS)
    except (OSError, ValueError) as error:
        raise OSError(f"no scheduler of Dask answers at {where}: {error}") from error
    with client, parallel_config("dask"):
        yield


def worker_was_killed(error: BaseException) -> bool:
    """Whether an error says that a process that worked was killed, again and again."""
    return type(error).__name__ in ("KilledWorker", "TerminatedWorkerError")
