"""The operator on chains, in P-, D- and M-mode; :mod:`plstm_graph.ops` has its public names."""
