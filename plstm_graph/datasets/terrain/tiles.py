"""Where the parts of the map lie that train, validate and test."""

import numpy as np

from plstm_graph.datasets.terrain.terrain import Window


def windows_of_parts(
    shape: tuple[int, int],
    train: int,
    valid: int,
    test_tiles: int,
    side: int,
    large: int,
    large_side: int,
    seed: int,
) -> dict[str, list[Window]]:
    """Tiles of the left half, of a strip between the halves and of the right half, that half and the whole.

    Args:
        shape: Rows and columns of the map.
        train: Number of tiles for training, at random places.
        valid: Number of tiles in the strip.
        test_tiles: Number of tiles of the right half.
        side: Rows and columns of a tile.
        large: Number of larger tiles for training.
        large_side: Rows and columns of these.
        seed: Of the places.

    Raises:
        ValueError: If numbers are not positive, or the map has no room for the tiles.
    """
    if min(train, valid, test_tiles) < 1 or side < 3:
        raise ValueError(
            f"train, valid and test_tiles must be at least 1 and side at least 3, got {train}, {valid}, {test_tiles} "
            f"and {side}"
        )
    if min(large, seed) < 0 or large_side < 3:
        raise ValueError(
            f"large and seed must be at least 0 and large_side at least 3, got {large}, {seed} and {large_side}"
        )
    rows, columns = shape
    half = columns // 2
    strip = half - side  # its first column
    if rows < side or strip < side or columns - half < side:
        raise ValueError(
            f"a map of {rows} x {columns} cells has no room for tiles of {side} x {side}: it takes {side} rows and "
            f"{4 * side} columns"
        )
    if large and (rows < large_side or strip < large_side):
        raise ValueError(
            f"the training part of {rows} x {strip} cells has no room for tiles of {large_side} x {large_side}"
        )
    return {
        "train": _places(train, rows - side, 0, strip - side, side, seed)
        + _places(large, rows - large_side, 0, strip - large_side, large_side, seed + 2),
        # From top to bottom, so that they cover the strip.
        "valid": [(int(row), strip, side, side) for row in np.linspace(0, rows - side, valid)],
        "test_tiles": _places(test_tiles, rows - side, half, columns - side, side, seed + 1),
        "test_half": [(0, half, rows, columns - half)],
        "test_whole": [(0, 0, rows, columns)],
    }


def _places(count: int, last_row: int, first_column: int, last_column: int, side: int, seed: int) -> list[Window]:
    """Windows of random tiles."""
    random = np.random.default_rng((seed, 4))
    rows = random.integers(0, last_row + 1, count)
    columns = random.integers(first_column, last_column + 1, count)
    return [(int(row), int(column), side, side) for row, column in zip(rows, columns, strict=True)]
