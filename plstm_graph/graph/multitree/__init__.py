"""Which pairs of the line graph D-mode keeps, so that at most one path leads from any edge to any other."""
