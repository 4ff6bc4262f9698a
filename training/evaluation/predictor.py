"""A model folder's network, asked for areas of held-out ground as the plugin asks it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from imagetodem_qgis.core.card import (
    CARD_FILE,
    COARSE_DEM,
    ELEVATION,
    LOG_CELL,
    LOG_GSD,
    ONNX_FILE,
    PALETTE,
    RELIEF,
    SEA,
    parse_card,
)
from imagetodem_qgis.core.network_grid import filling_factor
from imagetodem_qgis.core.observations import OverlapObservation, observation_arrays
from imagetodem_qgis.core.sea import is_sea
from imagetodem_qgis.core.surface import GAINS, Levels, PlacedTile, blend, observe_overlap
from imagetodem_qgis.core.tiling import Window, blending_weights, pad_to_tile, plan_tiles
from imagetodem_qgis.worker.solve import solve_levels
from training.data.sampling import REFERENCE_GSD, relief_per_pixel
from training.data.tasks import REFERENCE_CELL, mean_colour, resampled
from training.evaluation.area import Area

FloatArray = NDArray[np.float32]

_OVERLAP = 0.25
"""Share of a tile that neighbours in a mosaic share."""
_NO_LAND = (0.0, 0.0, 0.0)
"""Palette asked for where there is no land to take one from."""
_LAPLACE_DEVIATION = float(np.sqrt(2.0))
"""Standard deviation of a Laplace distribution of scale 1."""
HEIGHTS = "heights"
"""A card's key for the least and largest height in metres that a relative model's -1 and 1 stand for."""


@dataclass(frozen=True)
class Answer:
    """What a model says of a tile's heights.

    Attributes:
        surface: (rows, columns) float32 metres, NaN where the area is unknown: around 0, or around the coarse
            DEM's mean. A relative model whose card does not tell its heights answers in its own unit.
        deviation: (rows, columns) float32, one standard deviation of the heights in metres, if the model
            tells it.
    """

    surface: FloatArray
    deviation: FloatArray | None


class Predictor:
    """A model that is asked through ONNX Runtime.

    Args:
        folder: of the model.

    Attributes:
        card: the model's.
    """

    def __init__(self, folder: Path) -> None:
        self.card = parse_card((folder / CARD_FILE).read_text(encoding="utf-8"))
        self._session = onnxruntime.InferenceSession(str(folder / ONNX_FILE))

    def answer(
        self,
        area: Area,
        coarse: FloatArray | None = None,
        blind: bool = False,
        cell: float = REFERENCE_CELL,
        bands: FloatArray | None = None,
    ) -> Answer:
        """Heights of an area that is no larger than a tile.

        Args:
            area: the ground.
            coarse: (rows, columns) coarse DEM in metres, for a guided model.
            blind: leave the image out.
            cell: side of the coarse DEM's cells in pixels.
            bands: (rows, columns, 3) to show in place of the area's own, see :meth:`stretched`.
        """
        seen, shown = self._filling_a_tile(area, bands)
        planes = self._ask(seen, coarse, blind, cell, shown)
        if seen is not area:
            planes = _resized(planes, *area.dem.shape)
        heights = planes[..., 0]
        if self.card.target == "relative":
            known = self.card.content.get(HEIGHTS)
            if known is not None:
                heights = known["minimum"] + (heights + 1.0) / 2.0 * (known["maximum"] - known["minimum"])
        else:
            base = 0.0 if coarse is None else float(coarse.mean(where=area.valid))
            heights = (heights - heights.mean(where=area.valid)) * seen.gsd + base
        surface = np.where(area.valid, heights, np.nan).astype(np.float32)
        if "log_scale" not in self.card.outputs:
            return Answer(surface, None)
        scale = np.exp(planes[..., self.card.outputs.index("log_scale")]) * seen.gsd
        return Answer(surface, np.asarray(scale * _LAPLACE_DEVIATION * self.card.spread_factor, np.float32))

    def _filling_a_tile(self, area: Area, bands: FloatArray | None) -> tuple[Area, FloatArray | None]:
        """An area and its bands as the plugin shows them, which enlarges those smaller than a tile."""
        rows, columns = area.dem.shape
        if not self.card.fills_tiles:
            return area, bands
        factor = filling_factor(rows, columns, area.gsd, self.card.gsd_range[0], self.card.tile_size)
        if factor == 1.0:
            return area, bands
        size = round(rows * factor), round(columns * factor)
        valid = _resized(area.valid[..., None].astype(np.float32), *size)[..., 0] > 0.5
        # Such a model does not see heights.
        seen = replace(area, dem=np.zeros(size, np.float32), valid=valid, gsd=area.gsd / factor)
        return seen, _resized(self.stretched(area) if bands is None else bands, *size) * valid[..., None]

    def mosaic(self, area: Area) -> FloatArray:
        """Heights of an area of any size: overlapping tiles, their levels solved together, blended.

        Returns:
            (rows, columns) float32, in the unit of an :class:`Answer`'s, NaN where the area is unknown.
        """
        rows, columns = area.dem.shape
        size = self.card.tile_size
        plan = plan_tiles(rows, columns, size, round(size * _OVERLAP))
        weights = blending_weights(size, plan.overlap)
        placed: dict[int, PlacedTile] = {}
        observed: list[OverlapObservation] = []
        for index in range(len(plan)):
            window = plan.window(index)
            tile = area.part(window)
            if not tile.valid.any():
                continue
            heights = np.nan_to_num(self.answer(tile).surface)
            known = weights[: window.rows, : window.columns] * tile.valid
            placed[index] = PlacedTile(window, heights, known)
            for other in plan.earlier_neighbours(index):
                seen = (
                    observe_overlap(index, placed[index], other, placed[other]) if other in placed else None
                )
                if seen is not None:
                    observed.append(seen)
        areas = np.array(
            [float((placed[i].weights > 0).sum()) if i in placed else 0.0 for i in range(len(plan))]
        )
        with_gains = bool(self.card.content.get(GAINS, False))
        levels = Levels(*solve_levels(*observation_arrays(observed, []), areas, with_gains))
        whole = blend(Window(0, 0, rows, columns), list(placed.values()), levels.of(list(placed)))
        return np.where(area.valid, whole.heights, np.nan).astype(np.float32)

    def image(self, area: Area) -> FloatArray:
        """The image of an area that is no larger than a tile, from its heights and, where the model asks for
        a palette, from its true mean colour.

        Returns:
            (rows, columns, 3) float32 in the stretched range from -1 to 1.
        """
        return self._ask(area)[..., :3]

    def stretched(self, area: Area) -> FloatArray:
        """An area's image as the model's card stretches it, 0 where unknown: (rows, columns, 3) float32."""
        image = self.card.stretch.of(area.samples).apply(area.image)
        image[~area.valid] = 0.0
        return image

    def _ask(
        self,
        area: Area,
        coarse: FloatArray | None = None,
        blind: bool = False,
        cell: float = REFERENCE_CELL,
        shown: FloatArray | None = None,
    ) -> FloatArray:
        relief, mean = relief_per_pixel(np.nan_to_num(area.dem), area.valid, area.gsd)
        bands = (self.stretched(area) if shown is None else shown) * np.float32(0.0 if blind else 1.0)
        planes = {name: bands[..., number] for number, name in enumerate(("red", "green", "blue"))}
        planes[RELIEF] = relief
        elevation = mean + relief * area.gsd
        planes[ELEVATION] = elevation / 1000.0
        planes[SEA] = is_sea(elevation).astype(np.float32)
        palette = mean_colour(bands, elevation, area.valid)
        for name, value in zip(PALETTE, _NO_LAND if palette is None else palette):
            planes[name] = np.full(area.dem.shape, value, np.float32)
        planes[LOG_GSD] = np.full(area.dem.shape, np.log(area.gsd / REFERENCE_GSD), np.float32)
        planes[LOG_CELL] = np.full(area.dem.shape, np.log(cell / REFERENCE_CELL), np.float32)
        if coarse is not None:
            planes[COARSE_DEM] = (coarse - coarse.mean(where=area.valid)) / area.gsd
        stacked = np.stack([planes[name] for name in self.card.inputs], axis=-1).astype(np.float32)
        tile = pad_to_tile(stacked, self.card.tile_size)[None]
        answer = self._session.run(None, {self._session.get_inputs()[0].name: tile})[0][0]
        return np.asarray(answer[: area.dem.shape[0], : area.dem.shape[1]], np.float32)


def _resized(planes: FloatArray, rows: int, columns: int) -> FloatArray:
    """Planes (rows, columns, n) at another size."""
    split = np.ascontiguousarray(np.moveaxis(planes, -1, 0))
    return np.stack([resampled(plane, columns, rows, Image.Resampling.BICUBIC) for plane in split], axis=-1)
