"""pLSTM for PyTorch Geometric."""
