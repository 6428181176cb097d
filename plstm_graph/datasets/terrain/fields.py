"""Smooth random fields: soils, land cover and rain that vary over a landscape."""

import numpy as np

from plstm_graph.datasets.terrain.elevation import Grid


def smooth_field(shape: tuple[int, int], scale: float, seed: tuple[int, ...]) -> Grid:
    """White noise smoothed by a Gaussian, as ranks: values are spread evenly from 0 to 1.

    Args:
        shape: Rows and columns.
        scale: Standard deviation of the Gaussian, in cells; what lies further apart than a few of it is independent.
        seed: Numbers that decide the field.

    Returns:
        ``shape``, in (0, 1).
    """
    # Noise on a grid with a margin, since a Fourier transform joins opposite borders.
    margin = int(np.ceil(3 * scale))
    rows, columns = (side + margin for side in shape)
    noise = np.random.default_rng(seed).standard_normal((rows, columns))
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :])
    smoothed = np.fft.irfft2(np.fft.rfft2(noise) * np.exp(-2 * (np.pi * scale * frequency) ** 2), s=(rows, columns))
    smoothed = smoothed[: shape[0], : shape[1]]
    rank = np.empty(smoothed.size)
    rank[np.argsort(smoothed, axis=None, kind="stable")] = np.arange(smoothed.size)
    return (rank.reshape(shape) + 0.5) / smoothed.size
