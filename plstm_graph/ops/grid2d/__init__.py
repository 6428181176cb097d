"""The operator on two-dimensional grids, in P-, D- and M-mode; :mod:`plstm_graph.ops` has its public names."""
