"""Configurations: parsers, files, and what a file may name."""
