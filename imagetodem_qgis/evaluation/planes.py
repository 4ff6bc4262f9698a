"""What is compared, on disk: memory does not grow with the raster, and statistics can pass over it again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_STRIP_PIXELS = 1_000_000
OUTSIDE = 65535
"""Number of the zone of pixels that the mask leaves out."""


class Plane:
    """Rows of numbers in a file. Plain reads and writes: mapped pages would count as this process's memory.

    Args:
        path: of the file, which is made anew.
        columns: of a row.
        dtype: of a number.
    """

    def __init__(self, path: Path, columns: int, dtype: Any) -> None:
        self._columns, self._dtype = columns, np.dtype(dtype)
        self._file = open(path, "w+b")  # noqa: SIM115 (closed by close)

    def write(self, row: int, values: NDArray[Any]) -> None:
        """Write whole rows, the first of which is ``row``.

        Raises:
            OSError: the disk is full.
        """
        self._file.seek(row * self._columns * self._dtype.itemsize)
        self._file.write(np.ascontiguousarray(values, self._dtype).data)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """The rows from ``start`` up to ``stop``."""
        size = self._columns * self._dtype.itemsize
        self._file.seek(start * size)
        values = np.frombuffer(self._file.read((stop - start) * size), self._dtype)
        return values.reshape(stop - start, self._columns)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Planes:
    """Heights of a DEM and of its reference on one grid, the zone of each pixel, and its class of slope.

    Args:
        folder: an existing one for the files.
        rows: of the grid.
        columns: of the grid.
        units: metres of the DEM's and of the reference's heights.
        wide: whether heights are kept as float64.
        zoned: whether pixels have zones.

    Attributes:
        rows: as above.
        columns: as above.
        slope_class: (rows, columns) uint8.
    """

    def __init__(
        self, folder: Path, rows: int, columns: int, units: tuple[float, float], wide: bool, zoned: bool
    ) -> None:
        self.rows, self.columns = rows, columns
        self._units = units
        dtype = np.float64 if wide else np.float32
        size = rows * columns * (2 * np.dtype(dtype).itemsize + 1 + 2 * zoned)
        free = shutil.disk_usage(folder).free
        if free < size:
            raise OSError(
                f"comparing {columns} × {rows} pixels needs {size / 1e9:.1f} GB in {folder}, where "
                f"{free / 1e9:.1f} GB are free: make room, or cut the DEM to a smaller area"
            )
        self._heights = [Plane(folder / f"{name}.dat", columns, dtype) for name in ("dem", "reference")]
        self.slope_class = Plane(folder / "slope.dat", columns, np.uint8)
        self._zones = Plane(folder / "zones.dat", columns, np.uint16) if zoned else None

    def __enter__(self) -> Planes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for plane in (*self._heights, self.slope_class, self._zones):
            if plane is not None:
                plane.close()

    def write(
        self,
        row: int,
        dem: NDArray[np.floating],
        reference: NDArray[np.floating],
        zones: NDArray[np.uint16],
    ) -> None:
        """Write whole rows; heights in their own units, NaN where unknown; zones where there are any.

        Raises:
            OSError: the disk is full.
        """
        for plane, heights in zip(self._heights, (dem, reference)):
            plane.write(row, heights)
        if self._zones is not None:
            self._zones.write(row, zones)

    def heights(self, start: int, stop: int, halo: int = 0) -> tuple[FloatArray, FloatArray]:
        """Metres of the DEM and of the reference in rows and those around them, NaN beyond the grid."""
        top, bottom = max(0, start - halo), min(self.rows, stop + halo)
        around = ((top - start + halo, stop + halo - bottom), (0, 0))
        dem, reference = (
            np.pad(plane.read(top, bottom).astype(np.float64) * unit, around, constant_values=np.nan)
            for plane, unit in zip(self._heights, self._units)
        )
        return dem, reference

    def zones(self, start: int, stop: int) -> NDArray[np.uint16]:
        """The zone of each pixel: 0 for none, :data:`OUTSIDE` where the mask leaves it out."""
        if self._zones is None:
            return np.zeros((stop - start, self.columns), np.uint16)
        return self._zones.read(start, stop)

    def compared(self, start: int, dem: FloatArray, reference: FloatArray) -> NDArray[np.bool_]:
        """Which pixels of some rows, the first of which is ``start``, count."""
        return np.isfinite(dem - reference) & (self.zones(start, start + len(dem)) != OUTSIDE)

    def strips(self, multiple: int = 1) -> Iterator[tuple[int, int]]:
        """Rows to take at once, from and up to, all but the last as many as a multiple of a number."""
        count = max(1, _STRIP_PIXELS // self.columns)
        count = max(multiple, count // multiple * multiple)
        for start in range(0, self.rows, count):
            yield start, min(self.rows, start + count)
