"""The framed protocol between QGIS's process and the worker, over the worker's stdin and stdout.

A message is: the magic ``I2D1``, the length of the header (uint32, little-endian), the header (a JSON object
in UTF-8), then the raw bytes of the arrays that the header's ``arrays`` lists by dtype and shape, C order, in
turn.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"I2D1"
_PREFIX = struct.Struct("<4sI")
_LARGEST_HEADER = 16 * 1024 * 1024
_DTYPES = ("float32", "float64", "int64", "uint8")


class ProtocolError(ValueError):
    """Bytes that are no message of this protocol."""


@dataclass(frozen=True)
class Message:
    """A JSON header and the arrays that go with it."""

    header: dict[str, Any]
    arrays: list[NDArray[Any]] = field(default_factory=list)


def write_message(stream: BinaryIO, message: Message) -> None:
    """Write one message and flush.

    Raises:
        ProtocolError: an array's dtype is not one that the protocol carries.
        OSError: the other side is gone.
    """
    arrays = [np.asarray(array, order="C") for array in message.arrays]
    for array in arrays:
        if array.dtype.name not in _DTYPES:
            raise ProtocolError(f"cannot send an array of {array.dtype.name}")
    described = [{"dtype": array.dtype.name, "shape": list(array.shape)} for array in arrays]
    header = json.dumps({**message.header, "arrays": described}).encode()
    stream.write(_PREFIX.pack(_MAGIC, len(header)) + header)
    for array in arrays:
        if array.size:
            stream.write(memoryview(array).cast("B"))
    stream.flush()


def read_message(stream: BinaryIO) -> Message:
    """Read one message, waiting for it.

    Raises:
        EOFError: the other side closed the stream.
        ProtocolError: what came is no message.
    """
    magic, length = _PREFIX.unpack(_read_exactly(stream, _PREFIX.size))
    if magic != _MAGIC or length > _LARGEST_HEADER:
        raise ProtocolError(f"expected a message, found {magic!r}")
    try:
        header = json.loads(_read_exactly(stream, length))
        arrays = [_read_array(stream, entry["dtype"], entry["shape"]) for entry in header.pop("arrays")]
    except (ValueError, KeyError, TypeError, AttributeError, MemoryError) as error:
        raise ProtocolError(f"a message's header is broken: {error}") from error
    return Message(header, arrays)


def _read_array(stream: BinaryIO, dtype: str, shape: list[int]) -> NDArray[Any]:
    if dtype not in _DTYPES:
        raise ProtocolError(f"cannot receive an array of {dtype}")
    array = np.empty(tuple(int(side) for side in shape), dtype)
    if array.size:
        _fill(stream, memoryview(array).cast("B"))
    return array


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    buffer = bytearray(size)
    _fill(stream, memoryview(buffer))
    return bytes(buffer)


def _fill(stream: BinaryIO, view: memoryview) -> None:
    filled = 0
    while filled < len(view):
        count = stream.readinto(view[filled:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError("the other side closed the connection")
        filled += count
