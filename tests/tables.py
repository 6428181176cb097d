"""Tables that the package wrote, for tests of what stands in them."""

import csv


def rows_of(path):
    """The rows of a CSV file, by the names of their columns."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))
