"""From an undirected graph to a DAG: ranks of nodes, and edges from the lower to the higher one."""
