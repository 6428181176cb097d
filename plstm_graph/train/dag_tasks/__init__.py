"""Models side by side on tasks of DAGs: ``plstm-graph dags``."""
