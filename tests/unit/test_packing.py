"""Packed numbers, taken apart again by a second implementation."""

from __future__ import annotations

import base64
import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from imagetodem_qgis.scene.packing import pack_flags, pack_integers


def unpacked(text: str, columns: int) -> list[int]:
    """Number by number, as the page's script does it."""
    content = zlib.decompress(base64.b64decode(text))
    count = len(content) // 4
    values: list[int] = []
    for i in range(count):
        folded = sum(content[weight * count + i] << (8 * weight) for weight in range(4))
        distance = (folded >> 1) ^ -(folded & 1)
        left = values[i - 1] if i % columns else 0
        above = values[i - columns] if i >= columns else 0
        corner = values[i - columns - 1] if i % columns and i >= columns else 0
        values.append((distance + left + above - corner + 2**31) % 2**32 - 2**31)
    return values


@given(arrays(np.int32, array_shapes(min_dims=1, max_dims=2, max_side=12)))
def test_what_is_packed_comes_back(values: NDArray[np.int32]) -> None:
    assert unpacked(pack_integers(values), values.shape[-1]) == values.ravel().tolist()


@given(arrays(bool, st.integers(1, 70)))
def test_flags_come_back(flags: NDArray[np.bool_]) -> None:
    bits = np.frombuffer(zlib.decompress(base64.b64decode(pack_flags(flags))), np.uint8)
    assert [bool(bits[i >> 3] & (128 >> (i & 7))) for i in range(len(flags))] == flags.tolist()


def test_smooth_heights_take_a_byte_or_so() -> None:
    row, column = np.mgrid[:200, :300]
    heights = (1e6 + 3e5 * np.sin(row / 40) * np.cos(column / 50)).astype(np.int32)
    assert len(pack_integers(heights)) < 1.5 * heights.size
