"""Planes of heights on disk, for what is worked out in several passes: memory does not grow with the
raster."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.membrane import REACH, bridged, halved
from imagetodem_qgis.core.tiling import Window, blocks

FloatArray = NDArray[np.float32]

_IN_MEMORY = 1 << 20
"""Pixels of a plane, or of what stands for it, that are bridged at once."""
_BLOCK = 1024


class PlaneFile:
    """Float32 planes, NaN where unknown, in a file that is gone with this object.

    Args:
        folder: of the file.
        rows: of a plane.
        columns: of a plane.
        planes: how many.

    Raises:
        OSError: the disk is full.
    """

    def __init__(self, folder: Path, rows: int, columns: int, planes: int = 1) -> None:
        self._rows, self._columns = rows, columns
        self._folder = folder
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - it lives as long as this
        line = np.full(columns, np.nan, np.float32)
        for plane in range(planes):
            for row in range(rows):
                self._write(plane, row, 0, line)

    def __del__(self) -> None:
        file = getattr(self, "_file", None)
        if file is not None:
            file.close()

    def put(self, plane: int, window: Window, values: NDArray[np.floating]) -> None:
        """Write a window of a plane.

        Raises:
            OSError: the disk is full.
        """
        written = np.where(np.isfinite(values), values, np.nan).astype(np.float32)
        for number, line in enumerate(written):
            self._write(plane, window.row + number, window.column, line)

    def get(self, plane: int, window: Window) -> FloatArray:
        """A window of a plane."""
        values = np.empty((window.rows, window.columns), np.float32)
        for number, line in enumerate(values):
            self._file.seek(self._place(plane, window.row + number, window.column))
            self._file.readinto(memoryview(line).cast("B"))  # type: ignore[attr-defined]
        return values

    def bridge(self, plane: int, go_on: Callable[[], None] = lambda: None) -> bool:
        """Bridge what is unknown in a plane by a smooth surface.

        Args:
            plane: its number.
            go_on: called again and again; what it raises ends this.

        Returns:
            Whether anything is known.
        """
        levels = 0
        while (-(-self._rows >> levels)) * (-(-self._columns >> levels)) > _IN_MEMORY:
            levels += 1
        step = 1 << levels
        coarse = np.full((-(-self._rows // step), -(-self._columns // step)), np.nan, np.float32)
        for window in self._blocks(step):
            go_on()
            values = self.get(plane, window)
            for _ in range(levels):
                values = halved(values)
            top, left = window.row // step, window.column // step
            coarse[top : top + values.shape[0], left : left + values.shape[1]] = values
        if not np.isfinite(coarse).any():
            return False
        whole = bridged(coarse)
        if levels == 0:
            self.put(plane, Window(0, 0, self._rows, self._columns), whole)
            return True
        for window in self._blocks(step):
            go_on()
            if not np.isfinite(self.get(plane, window)).all():
                # What is around a window may be bridged already: it goes on from there.
                wide = window.widened(REACH * step).intersection(Window(0, 0, self._rows, self._columns))
                around = Window(
                    wide.row // step, wide.column // step, -(-wide.rows // step), -(-wide.columns // step)
                )
                part = whole[around.within(Window(0, 0, *whole.shape))]
                answer = bridged(self.get(plane, wide), levels, part)
                self.put(plane, window, answer[window.within(wide)])
        return True

    def _blocks(self, step: int) -> Iterator[Window]:
        return blocks(self._rows, self._columns, max(_BLOCK, step))

    def _place(self, plane: int, row: int, column: int) -> int:
        return 4 * ((plane * self._rows + row) * self._columns + column)

    def _write(self, plane: int, row: int, column: int, line: FloatArray) -> None:
        self._file.seek(self._place(plane, row, column))
        if self._file.write(memoryview(np.ascontiguousarray(line)).cast("B")) != line.nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder))
