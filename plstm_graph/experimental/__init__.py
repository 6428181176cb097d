"""What is right and tested, and chosen by nothing in the package. Names here may go without a word.

* :func:`gating_matrix_merged` is the paper's hierarchical scheme for any DAG; ``docs/merge.md`` says where it is faster
  than the level loop (long and narrow graphs). No model asks for a gating matrix while it trains.
"""

from plstm_graph.experimental.merge import gating_matrix_merged as gating_matrix_merged
