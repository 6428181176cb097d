"""How long to draw cases, and how many were drawn."""

import os
import random
import time
from collections.abc import Iterator

import pytest


@pytest.fixture
def seeds(record_property) -> Iterator[int]:
    """One seed after the other until the time is up; at least one."""

    def drawn() -> Iterator[int]:
        given = os.environ.get("PLSTM_FUZZ_SEED", "0")
        first = random.SystemRandom().randrange(10**9) if given == "random" else int(given)
        seed, stop = first, time.monotonic() + _seconds()
        try:
            while seed == first or time.monotonic() < stop:
                yield seed
                seed += 1
        finally:
            record_property("cases", f"{seed - first:,} cases from seed {first}")

    return drawn()


def _seconds() -> float:
    return float(os.environ.get("PLSTM_FUZZ_SECONDS", "2"))


def pytest_terminal_summary(terminalreporter) -> None:
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "cases":
                terminalreporter.write_line(f"{report.nodeid}: {value}")
