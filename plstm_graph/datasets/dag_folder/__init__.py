"""Folders of DAGs: plain tables with a small YAML that says what their columns are."""

from plstm_graph.datasets.dag_folder.problems import DAGFolderError as DAGFolderError
from plstm_graph.datasets.dag_folder.problems import Problem as Problem
