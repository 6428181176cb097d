"""Benchmarks with an official split and metric over seeds: ``plstm-graph leaderboard`` and ``blend``."""
