"""Random cases for as long as one likes: seconds in the ordinary suite, twenty in CI, ten minutes with ``make fuzz``.

``PLSTM_FUZZ_SECONDS`` is how long each test draws, ``PLSTM_FUZZ_SEED`` the first seed, ``random`` for any. A failure
names its seed: ``PLSTM_FUZZ_SEED=<that seed> PLSTM_FUZZ_SECONDS=0 pytest tests/fuzz`` repeats that one case.
"""
