"""Arrow pointing and other images over seeds: ``plstm-graph images``."""
