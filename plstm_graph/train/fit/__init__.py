"""Training on a table of molecules or a folder of DAGs: ``plstm-graph fit``."""
