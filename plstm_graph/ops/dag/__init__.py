"""The operator on DAGs, one file per form; :mod:`plstm_graph.ops` has its public names."""
