"""A virtual landscape and its image, timed, with the figure of its seams: ``python -m scripts.landscape``.

Makes a DEM by Generate Perlin DEM and its image by Predict image from DEM, in a QGIS process of its own; the
machine-learning environment must be set up. It prints the seconds of each, the peak memory of QGIS's
process, and the image's mean absolute second difference across the borders of the model's tiles over that
elsewhere: 1 where no border shows.
"""

from __future__ import annotations

import argparse
import re
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal
from qgis.core import QgsApplication

from imagetodem_qgis.core.tiling import plan_tiles

_PIXEL = 30.0
_STRIP = 512


def main() -> None:
    """Make, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="folder for dem.tif and image.tif")
    parser.add_argument("--side", type=int, default=4096, help="of the raster in pixels")
    parser.add_argument("--model", default="", help="file or folder of a model (default: the installed one)")
    parser.add_argument("--seed", type=int, default=0, help="of the terrain and of the image")
    parser.add_argument("--erosion", type=float, default=0.4, help="of the terrain, 0 to 1")
    parser.add_argument("--mask", default="none", help="of the terrain; a coast is a step of its own")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    dem, image = options.output / "dem.tif", options.output / "image.tif"
    application = QgsApplication([], False)
    application.initQgis()
    sys.path.append(str(Path(QgsApplication.pkgDataPath()) / "python" / "plugins"))
    from processing.core.Processing import Processing

    from imagetodem_qgis.provider import ImageToDemProvider

    Processing.initialize()
    provider = ImageToDemProvider()
    QgsApplication.processingRegistry().addProvider(provider)
    metres = options.side * _PIXEL
    terrain = {"EROSION": options.erosion, "MASK": options.mask, "SEED": options.seed, "RELIEF": 2000}
    extent = f"300000,{300000 + metres},5000000,{5000000 + metres} [EPSG:32633]"
    if not dem.exists():
        _run("perlindem", EXTENT=extent, RESOLUTION=_PIXEL, OUTPUT=str(dem), **terrain)
    model = {"MODEL_FILE": options.model} if options.model else {}
    _run("predictimage", INPUT=str(dem), OUTPUT=str(image), SEED=options.seed, **model)
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    for name, figure in zip(("rows", "columns"), seams(image)):
        print(f"seams across {name} of tiles: {figure:.3f}")


def seams(image: Path) -> tuple[float, float]:
    """Second difference across the borders of tiles' rows and columns, over that elsewhere.

    Args:
        image: made by Predict image from DEM.
    """
    dataset = gdal.Open(str(image))
    _, size, overlap, *margins = map(int, re.findall(r"\d+", dataset.GetMetadataItem("IMAGETODEM_TILES")))
    rows, columns = (length + 2 * margin for length, margin in zip(_size(dataset), margins))
    plan = plan_tiles(rows, columns, size, overlap)
    return (
        _seam(dataset, plan.row_starts, size, margins[0], 0),
        _seam(dataset, plan.column_starts, size, margins[1], 1),
    )


def _size(dataset: gdal.Dataset) -> tuple[int, int]:
    return dataset.RasterYSize, dataset.RasterXSize


def _seam(dataset: gdal.Dataset, starts: Sequence[int], side: int, margin: int, axis: int) -> float:
    length, other = _size(dataset)[axis], _size(dataset)[1 - axis]
    sums: NDArray[np.float64] = np.zeros(length - 2)
    for start in range(0, other, _STRIP):
        width = min(_STRIP, other - start)
        place = (start, 0, width, length) if axis == 0 else (0, start, length, width)
        strip = dataset.ReadAsArray(*place).astype(np.float64)
        sums += np.abs(np.diff(strip, 2, axis=axis + 1)).sum(axis=(0, 2 - axis))
    at_border = np.zeros(length - 2, bool)
    for border in [*starts[1:], *(start + side for start in starts[:-1])]:
        at_border[max(0, border - margin - 2) : border - margin] = True
    return float(sums[at_border].mean() / sums[~at_border].mean())


def _run(name: str, **parameters: Any) -> None:
    import processing

    start = time.perf_counter()
    results = processing.run(f"imagetodem:{name}", parameters)
    told = {key: value for key, value in results.items() if key != "OUTPUT"}
    print(f"{name}: {time.perf_counter() - start:.1f} s, {told}", flush=True)


if __name__ == "__main__":
    main()
