"""The C library's memory: kept by the process rather than handed back after every step."""

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees, for steps on a CPU that need the same large tensors again and again.

    By default glibc returns blocks of megabytes to the system, which clears every page before it gives it out again.
    Trainings on images take about a tenth less time without that. The peak stays as it is, but memory at rest does not
    fall below it.

    Returns:
        Whether it does: not where the C library is another one, or where ``MALLOC_TRIM_THRESHOLD_`` or
        ``MALLOC_MMAP_THRESHOLD_`` is set in the environment, which is left to decide.
    """
    decided = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & os.environ.keys()
    if decided or not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(parameter, _LARGEST) == 1 for parameter in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD))
