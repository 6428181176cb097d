"""Training: the engine, trials, studies, and the command that runs them."""
