"""Timing in turns: one repetition of every case, then the next of every case, until each has its number."""

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np


class Timer:
    """Times one callable, within a budget.

    Args:
        run (callable): What to time. If it has a method ``prepare``, that is called before each repetition, untimed.
        repeat (int): How many repetitions are wanted.
        budget (float): Seconds that all repetitions together may take; at least one is always made.
    """

    def __init__(self, run: Callable[[], object], repeat: int, budget: float) -> None:
        self._run = run
        self._prepare = getattr(run, "prepare", None)
        self.seconds: list[float] = []
        # The first call builds and compiles things that later ones find ready, so it only tells how many fit.
        first = self._time()
        second = self._time() if first <= budget else first
        self.wanted = max(1, min(repeat, int(budget / max(min(first, second), 1e-9))))

    def step(self) -> None:
        """Make one repetition, if any is still wanted."""
        if len(self.seconds) < self.wanted:
            self.seconds.append(self._time())

    def summary(self) -> dict[str, Any]:
        """Median, quartiles and minimum in seconds, and the number of repetitions."""
        low, median, high = np.percentile(self.seconds, [25, 50, 75]).tolist()
        return {"median": median, "q1": low, "q3": high, "min": min(self.seconds), "repetitions": len(self.seconds)}

    def _time(self) -> float:
        if self._prepare is not None:
            self._prepare()
        begin = time.perf_counter()
        self._run()
        return time.perf_counter() - begin


def time_in_turns(timers: Sequence[Timer]) -> None:
    """Run all timers to their end, one repetition of each after the other, without the garbage collector.

    Each round has an order of its own: what runs behind a large case finds nothing in the cache.

    Args:
        timers: The timers.
    """
    shuffled = random.Random(0)
    with _no_garbage_collection():
        for _ in range(max((timer.wanted for timer in timers), default=0)):
            for timer in shuffled.sample(timers, len(timers)):
                timer.step()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
