"""Heights and differences as pictures that a page carries inside it."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.styling.colours import DIFFERENCE, ELEVATION

FloatArray = NDArray[np.float64]
Pixels = NDArray[np.uint8]

_AZIMUTH, _ALTITUDE = 315.0, 45.0
"""Of the light, in degrees: from the north-west, as on any map."""
_VISIBLE_SLOPE = 0.7
"""Gradient that the steeper tenth of the ground is exaggerated or flattened to."""


def relief(heights: FloatArray, limits: tuple[float, float]) -> Pixels:
    """Heights in the colours of the plugin's DEM layers, (rows, columns, 4); clear where unknown.

    Args:
        heights: (rows, columns) metres, NaN where unknown.
        limits: heights of the first and the last colour.
    """
    return _coloured(heights, limits, ELEVATION)


def difference(errors: FloatArray, reach: float) -> Pixels:
    """Differences in colours that part at zero, from ``-reach`` to ``reach``."""
    return _coloured(errors, (-reach, reach), DIFFERENCE)


def exaggeration_for(heights: FloatArray, steps: tuple[float, float]) -> float:
    """The factor that makes the steeper tenth of the ground visibly shaded; 1 where it is level.

    Args:
        heights: (rows, columns) metres, NaN where unknown.
        steps: metres of a column's and of a row's step.
    """
    slopes = np.hypot(*_gradient(heights, steps))
    slopes = slopes[np.isfinite(slopes)]
    steep = float(np.percentile(slopes, 90)) if slopes.size else 0.0
    return _VISIBLE_SLOPE / steep if steep > 1e-9 else 1.0


def hillshade(heights: FloatArray, steps: tuple[float, float], exaggeration: float) -> Pixels:
    """Shaded ground in grey, (rows, columns, 4); clear where unknown.

    The brightness is the cosine of the angle between the ground's normal and the light (Horn 1981, eq. 2).
    """
    right, down = (part * exaggeration for part in _gradient(heights, steps))
    azimuth, altitude = np.radians(_AZIMUTH), np.radians(_ALTITUDE)
    # Downslope of the light lies what faces it.
    towards = -right * np.sin(azimuth) + down * np.cos(azimuth)
    shade = (np.sin(altitude) + np.cos(altitude) * towards) / np.sqrt(1.0 + right**2 + down**2)
    grey = np.nan_to_num(255.0 * np.clip(shade, 0.0, 1.0)).round().astype(np.uint8)
    return _with_clear(np.repeat(grey[..., None], 3, axis=-1), np.isfinite(heights))


def data_address(pixels: Pixels) -> str:
    """A picture (rows, columns, 4) as the address of a PNG that holds it (ISO 15948)."""
    rows, columns, _ = pixels.shape
    # Each row as its difference from the one above (filter 2), which packs far better.
    lines = np.diff(pixels.reshape(rows, -1), axis=0, prepend=np.uint8(0))
    filtered = np.concatenate([np.full((rows, 1), 2, np.uint8), lines], axis=1)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 6, 0, 0, 0)),
        (b"IDAT", zlib.compress(filtered.tobytes(), 9)),
        (b"IEND", b""),
    )
    file = b"\x89PNG\r\n\x1a\n"
    for kind, content in parts:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        file += struct.pack(">I", len(content)) + kind + content + checksum
    return "data:image/png;base64," + base64.b64encode(file).decode()


def _coloured(values: FloatArray, limits: tuple[float, float], colours: tuple[str, ...]) -> Pixels:
    low, high = limits
    places = np.clip((np.nan_to_num(values) - low) / max(high - low, 1e-12), 0.0, 1.0) * (len(colours) - 1)
    stops = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in colours], np.float64)
    bands = [np.interp(places, np.arange(len(colours)), stops[:, band]) for band in range(3)]
    return _with_clear(np.stack(bands, axis=-1).round().astype(np.uint8), np.isfinite(values))


def _with_clear(colours: Pixels, known: NDArray[np.bool_]) -> Pixels:
    pixels: Pixels = np.dstack([colours, np.where(known, 255, 0).astype(np.uint8)])
    pixels[~known] = 0
    return pixels


def _gradient(heights: FloatArray, steps: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
    """Rise to the right and down; 0 where a side has too few pixels to tell."""
    down = np.gradient(heights, steps[1], axis=0) if heights.shape[0] > 1 else np.zeros_like(heights)
    right = np.gradient(heights, steps[0], axis=1) if heights.shape[1] > 1 else np.zeros_like(heights)
    return right, down
