"""How many processor cores this process may use."""


def usable_cores() -> int:
    """Cores that this process may use: within its affinity, limits of its container, and ``LOKY_MAX_CPU_COUNT``."""
    from joblib import cpu_count  # takes a moment, and few commands ask

    return int(cpu_count())
