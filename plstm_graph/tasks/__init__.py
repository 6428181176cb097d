"""What is to be learnt: data in parts, sizes of models, losses, metrics."""
