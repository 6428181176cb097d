"""Circuits: the EPFL benchmarks, their signal probabilities, and when each signal arrives."""
