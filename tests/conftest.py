"""Fixtures and settings for all tests."""

import gc
import os
from pathlib import Path

import hypothesis
import pytest
import torch

# The machine may be busy: hypothesis must not call a slow example flaky.
hypothesis.settings.register_profile("plstm", deadline=None, max_examples=60, derandomize=True)
hypothesis.settings.load_profile("plstm")

# Which form runs must not depend on how busy the machine is; test_calibration.py measures.
os.environ.setdefault("PLSTM_CALIBRATE", "0")

# Modules and tests are there until the end: a million objects, which no collection of garbage need look through.
gc.disable()


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _alike():
    """Each test begins with the same random numbers and threads, which commands and trainings set for their process."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    yield
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of cases with known answers; its README says what each file holds."""
    return Path(__file__).with_name("golden")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets."""
    folder = os.environ.get("PLSTM_DATA")
    if not folder:
        pytest.skip("set PLSTM_DATA to the folder of real data sets to run this test")
    return Path(folder)
