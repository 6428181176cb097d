"""Benchmarks: operators, workloads, and a runner that times them side by side (``plstm-graph bench``)."""
