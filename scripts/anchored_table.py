"""How good anchored predictions of held-out scenes are, beside the reference alone:
``python3 -m scripts.anchored_table --data DATA --python ENVIRONMENT/bin/python``.

Of each scene's true DEM, references of several resolutions are made by averaging. Predict DEM is given each
of them with each model, and its answer is compared with the true DEM, as are the reference's bicubic
interpolation and the interpolation that keeps its means, to which a prediction is added. How far to trust the
predictions is told as well: which shares of the true errors lie within one and two standard deviations.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from imagetodem_qgis.anchoring.reference_heights import ReferenceHeights
from imagetodem_qgis.core.card import GUIDED, IMAGE_TO_DEM
from imagetodem_qgis.core.metrics import accuracy
from imagetodem_qgis.prediction.predict import predict_dem
from imagetodem_qgis.prediction.request import Request
from imagetodem_qgis.raster.dem import Dem
from imagetodem_qgis.raster.image import Image
from imagetodem_qgis.raster.reference import Reference
from imagetodem_qgis.runtime.models import Model, installed_models, open_installed_model, open_model_file
from training.data.scene_list import SCENES, Scene

REFERENCES = (1000.0, 250.0, 90.0)
"""Metres a pixel."""

_NODATA = -32768.0
_LOWEST, _HIGHEST = -500.0, 9000.0


class Quiet:
    """A listener that keeps the last word on the anchoring."""

    def __init__(self) -> None:
        self.said = ""
        self.progress = self.warn = self.log = lambda _: None
        self.is_cancelled = lambda: False

    def say(self, text: str) -> None:
        """Keep what is said of the anchoring."""
        if text.startswith("Anchored"):
            self.said = text


def rows_of(scene: Scene, data: Path, models: list[Model], python: Path, folder: Path) -> list[str]:
    """The table's rows of one scene."""
    rows = []
    for factor in scene.coarser or (1,):
        image, dem = (_coarser(data / f"{scene.name}_{kind}.tif", factor, folder) for kind in ("rgb", "dem"))
        truth = _heights(dem)
        side = _side(dem)
        for metres in REFERENCES:
            reference = _averaged(dem, metres, folder)
            bicubic = _bicubic(reference, dem)
            answers = {"bicubic": bicubic, "means kept": _means_kept(reference, dem, folder)}
            deviations: dict[str, NDArray[np.float64]] = {}
            for model in models:
                name = model.card.name
                answers[name], deviations[name] = _predicted(image, reference, model, scene, python, folder)
            known = np.all([np.isfinite(answer) for answer in (truth, *answers.values())], axis=0)
            for name, answer in answers.items():
                found = accuracy(
                    np.where(known, answer, np.nan), np.where(known, truth, np.nan), (side, side)
                )
                covered = (
                    _covered((answer - truth)[known], deviations[name][known]) if name in deviations else ""
                )
                rows.append(
                    f"| {scene.name}, {side:.0f} m | {metres:.0f} m | {name} | {found.rmse:.3f} | "
                    f"{found.slope_rmse:.3f} | {covered} |"
                )
                print(rows[-1], flush=True)
    return rows


def _covered(errors: NDArray[np.float64], deviations: NDArray[np.float64]) -> str:
    """Percentages of errors within one and two standard deviations."""
    ratios = np.abs(errors) / deviations
    return " / ".join(f"{100.0 * (ratios <= times).mean():.0f}" for times in (1.0, 2.0))


def _coarser(path: Path, factor: int, folder: Path) -> Path:
    """A copy at a multiple of the pixel size, with all unknown values declared."""
    source = gdal.Open(str(path))
    plain = folder / f"plain_{path.name}"
    if path.stem.endswith("_dem"):
        heights = source.ReadAsArray().astype(np.float32)
        heights[~((heights > _LOWEST) & (heights < _HIGHEST))] = _NODATA
        memory = gdal.Translate("", source, format="MEM", outputType=gdal.GDT_Float32)
        memory.GetRasterBand(1).SetNoDataValue(_NODATA)
        memory.GetRasterBand(1).WriteArray(heights)
        source = memory
    columns, rows = source.RasterXSize // factor, source.RasterYSize // factor
    window = [0, 0, columns * factor, rows * factor]
    written = gdal.Translate(
        str(plain), source, srcWin=window, width=columns, height=rows, resampleAlg="average"
    )
    written.FlushCache()
    return plain


def _averaged(dem: Path, metres: float, folder: Path) -> Path:
    source = gdal.Open(str(dem))
    path = folder / f"reference_{metres:.0f}_{dem.name}"
    left, width, _, top, _, height = source.GetGeoTransform()
    share = metres / _side(dem)
    gdal.Warp(
        str(path),
        source,
        xRes=abs(width) * share,
        yRes=abs(height) * share,
        outputBounds=(left, top + height * source.RasterYSize, left + width * source.RasterXSize, top),
        resampleAlg="average",
    ).FlushCache()
    return path


def _bicubic(reference: Path, dem: Path) -> NDArray[np.float64]:
    source = gdal.Open(str(dem))
    target = gdal.GetDriverByName("MEM").Create(
        "", source.RasterXSize, source.RasterYSize, 1, gdal.GDT_Float32
    )
    target.SetGeoTransform(source.GetGeoTransform())
    target.SetProjection(source.GetProjection())
    target.GetRasterBand(1).SetNoDataValue(_NODATA)
    target.GetRasterBand(1).Fill(_NODATA)
    gdal.Warp(target, str(reference), resampleAlg="cubic")
    return _known(target)


def _means_kept(reference: Path, dem: Path, folder: Path) -> NDArray[np.float64]:
    """The reference interpolated so that the means over its pixels are kept: what a prediction adds to."""
    grid = Dem(str(dem)).grid
    scratch = Path(tempfile.mkdtemp(dir=folder))
    return Reference(str(reference)).on(grid, scratch).read(grid.window()).astype(np.float64)


def _predicted(
    image: Path, reference: Path, model: Model, scene: Scene, python: Path, folder: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Heights, and one standard deviation of them."""
    opened = Image(str(image))
    output, confidence = folder / "anchored.tif", folder / "confidence.tif"
    scratch = Path(tempfile.mkdtemp(dir=folder))
    predict_dem(
        Request(
            image=opened,
            window=opened.grid.window(),
            model=model,
            interpreter=python,
            engine=model.engine("automatic"),
            device="automatic",
            overlap=0.25,
            batch_size=4,
            sun_azimuth=scene.sun_azimuth,
            output=output,
            confidence=confidence,
            scratch=scratch,
            known=ReferenceHeights(Reference(str(reference))),
        ),
        Quiet(),
    )
    return _heights(output), _heights(confidence)


def _heights(path: Path) -> NDArray[np.float64]:
    return _known(gdal.Open(str(path)))


def _known(dataset: gdal.Dataset) -> NDArray[np.float64]:
    band = dataset.GetRasterBand(1)
    heights = band.ReadAsArray().astype(np.float64)
    heights[heights == band.GetNoDataValue()] = np.nan
    return heights


def _side(path: Path) -> float:
    """Metres of a pixel's side."""
    ground = Dem(str(path)).grid.ground()
    if ground is None:
        raise ValueError(f"{path} has no place on the ground")
    return float(np.sqrt(np.prod(ground.pixel_size())))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with scenes/")
    parser.add_argument("--python", type=Path, required=True, help="of the machine-learning environment")
    parser.add_argument(
        "--model",
        type=Path,
        action="append",
        help="a model's folder, may be given several times; the installed ones if none is",
    )
    options = parser.parse_args()
    gdal.UseExceptions()
    with tempfile.TemporaryDirectory() as folder:
        if options.model:
            models = [open_model_file(path, Path(folder)) for path in options.model]
        else:
            names = [name for task in (IMAGE_TO_DEM, GUIDED) for name in installed_models(task)]
            models = [open_installed_model(name) for name in names]
        print("| scene | reference | answer | RMSE (m) | slope RMSE (°) | within σ / 2σ (%) |")
        print("|---|---|---|---|---|---|")
        for scene in SCENES:
            if scene.split == "test":
                rows_of(scene, options.data / "scenes", models, options.python, Path(folder))


if __name__ == "__main__":
    main()
