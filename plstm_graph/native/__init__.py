"""Everything in C: the sources, what compiles and loads them, and the one place that decides whether they run."""
