"""Blocks of a DAG: of edges by levels, for the chunkwise form, and of nodes, for the merged ones."""
