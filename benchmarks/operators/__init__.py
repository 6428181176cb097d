"""Operators and workloads, and a runner that times them side by side (``python -m benchmarks.operators``)."""
