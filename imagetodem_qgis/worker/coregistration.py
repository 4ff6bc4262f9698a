"""Horizontal co-registration of two DEMs by xDEM."""

from __future__ import annotations

import sys
import warnings

import numpy as np
from numpy.typing import NDArray

_SEED = 1
_LEAST_PIXELS = 1000
_FALLBACK_CRS = 32631
"""xDEM asks for a projected CRS, and looks at no more of it than that."""


class CoregistrationError(RuntimeError):
    """The DEM could not be co-registered; the message says why."""


def coregistered(
    reference: NDArray[np.float64], surface: NDArray[np.float64], pixel_size: tuple[float, float]
) -> tuple[float, float]:
    """How far a surface must be moved to lie on a reference, by Nuth & Kääb 2011, eq. 2 and 3.

    Args:
        reference: (rows, columns) metres, NaN where unknown.
        surface: the same.
        pixel_size: metres of a column's and of a row's step.

    Returns:
        Metres to the east and to the north.

    Raises:
        CoregistrationError: xDEM is not installed, or finds no move.
    """
    known = np.isfinite(reference) & np.isfinite(surface)
    if known.sum() < _LEAST_PIXELS:
        raise CoregistrationError(f"{int(known.sum())} common pixels are too few to co-register by")
    try:
        from affine import Affine
        from rasterio.crs import CRS
        from xdem.coreg import NuthKaab
    except ImportError as error:
        raise CoregistrationError(
            f"co-registration needs xDEM, which is missing here ({error}): run 'Set up machine-learning "
            "environment' with PROFILE=train and Python 3.10 or later"
        ) from error
    method = NuthKaab()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            method.fit(
                reference_elev=reference.astype(np.float32),
                to_be_aligned_elev=surface.astype(np.float32),
                inlier_mask=known,
                transform=Affine(pixel_size[0], 0.0, 0.0, 0.0, -pixel_size[1], 0.0),
                crs=CRS.from_epsg(_FALLBACK_CRS),
                random_state=_SEED,
            )
        found = method.meta["outputs"]["affine"]
        east, north = float(found["shift_x"]), float(found["shift_y"])
    # It raises errors of many kinds where the ground is too level for slopes to tell of a move.
    except Exception as error:
        print(f"xDEM: {type(error).__name__}: {error}", file=sys.stderr)
        raise CoregistrationError(
            f"the DEM cannot be co-registered ({error}): the ground may be too level to tell"
        ) from error
    if not (np.isfinite(east) and np.isfinite(north)):
        raise CoregistrationError("the DEM cannot be co-registered: the ground may be too level to tell")
    return east, north
