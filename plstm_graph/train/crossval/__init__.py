"""Cross-validation on TU sets by the paper's protocol: ``plstm-graph crossval``."""
