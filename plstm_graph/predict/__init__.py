"""What trained models are for: ``plstm-graph predict``, ``explain`` and ``test``."""
