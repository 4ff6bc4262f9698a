"""Whole numbers as short text, which ``codec.js`` turns back.

Neighbouring heights are alike: what is kept of a number is how far it lies from what its neighbours to the
left, above and to the upper left promise (for a list: from its predecessor). Of these distances, whose signs
go into the lowest bit, the lowest bytes come first, then the next: bytes of one weight pack best together.
"""

from __future__ import annotations

import base64
import zlib

import numpy as np
from numpy.typing import NDArray

_LEVEL = 6


def pack_integers(values: NDArray[np.int32]) -> str:
    """Pack a list or a grid of numbers.

    Args:
        values: (n,) or (rows, columns) int32; their shape is not kept.

    Returns:
        Base 64 of a zlib stream.
    """
    distances = values.astype(np.int32, copy=True).reshape(values.shape[0] if values.ndim == 2 else 1, -1)
    # Overflow is meant: the sums that undo this are taken modulo 2³², too.
    distances[:, 1:] -= distances[:, :-1].copy()
    distances[1:] -= distances[:-1].copy()
    folded = ((distances << 1) ^ (distances >> 31)).astype("<i4")
    planes = np.ascontiguousarray(folded.reshape(-1).view(np.uint8).reshape(-1, 4).T)
    return pack_bytes(planes.tobytes())


def pack_flags(flags: NDArray[np.bool_]) -> str:
    """Pack yes and no, eight a byte, the first in the highest bit."""
    return pack_bytes(np.packbits(flags.reshape(-1)).tobytes())


def pack_bytes(content: bytes) -> str:
    """Base 64 of the zlib stream of some bytes."""
    return base64.b64encode(zlib.compress(content, _LEVEL)).decode("ascii")
