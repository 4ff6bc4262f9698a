"""A scene, from its rasters to a page on disk."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imagetodem_qgis.core.mesh import simplify
from imagetodem_qgis.core.voids import fill_voids
from imagetodem_qgis.prediction.request import Cancelled, Listener
from imagetodem_qgis.scene.description import CUT, SceneRequest, Shown, described, distances
from imagetodem_qgis.scene.page import scene_page
from imagetodem_qgis.scene.picture import picture_over
from imagetodem_qgis.scene.terrain import Heights, Terrain

_EXAGGERATIONS = (1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)
_VISIBLE = 0.06
"""Relief in parts of a scene's width from which it is seen without exaggeration."""


@dataclass(frozen=True)
class SceneResult:
    """What was made.

    Attributes:
        triangles: that draw the DEM.
        largest_error: of these triangles, in the DEM's unit.
        minimum: least height.
        maximum: largest height.
        exaggeration: of the heights at first.
    """

    triangles: int
    largest_error: float
    minimum: float
    maximum: float
    exaggeration: float


def export_scene(request: SceneRequest, listener: Listener) -> SceneResult:
    """Read, simplify, pack, and write ``request.output`` under its name only when it is whole.

    Raises:
        Cancelled: the user cancelled.
        OSError: the page cannot be written.
        RasterError: a raster cannot be read, holds nothing, or cannot be brought to the DEM's grid.
    """
    terrain = request.dem.read(
        request.heights, lambda share: listener.progress(30.0 * share), listener.is_cancelled
    )
    if terrain.averaged > 1:
        rows, columns = terrain.heights.shape
        listener.warn(
            f"The DEM has {request.dem.grid.columns:,} × {request.dem.grid.rows:,} pixels. The page holds "
            f"{columns:,} × {rows:,} heights, each the mean of {terrain.averaged} × {terrain.averaged} "
            "pixels; clip the DEM or raise HEIGHTS to keep its own."
        )
    if not terrain.grid.crs:
        listener.warn("The DEM has no coordinate reference system: its map units are taken for metres.")
    shown = [_shown(request.dem_name, terrain, terrain.heights, request.triangles, listener)]
    listener.progress(55.0)
    if request.reference is not None:
        other = Terrain(
            request.reference.on_grid_of(terrain, listener.is_cancelled),
            terrain.grid,
            request.reference.unit,
            1,
        )
        if np.isfinite(other.heights).any():
            shown.append(_shown(request.reference_name, other, other.heights, request.triangles, listener))
        else:
            listener.warn(f"{request.reference.path} holds no height over the DEM: it is left out.")
    listener.progress(75.0)
    picture = picture_over(request.image, terrain.grid, listener.is_cancelled) if request.image else None
    listener.progress(90.0)
    exaggeration = request.exaggeration or _exaggeration(terrain, shown)
    facts, parts = described(request, terrain, shown, picture, exaggeration, _checkpoint(listener))
    page = scene_page(request.dem_name, facts, parts)
    _write(request.output, page)
    listener.progress(100.0)
    mesh = shown[0].mesh
    listener.say(
        f"{len(mesh.triangles):,} triangles, {distances(mesh, terrain.unit)} from the DEM; "
        f"{len(page) / 1e6:.1f} MB."
    )
    return SceneResult(
        len(mesh.triangles),
        mesh.largest_error,
        float(np.nanmin(terrain.heights)),
        float(np.nanmax(terrain.heights)),
        exaggeration,
    )


def _checkpoint(listener: Listener) -> Callable[[], None]:
    def check() -> None:
        if listener.is_cancelled():
            raise Cancelled()

    return check


def _shown(name: str, terrain: Terrain, heights: Heights, triangles: int, listener: Listener) -> Shown:
    known = np.isfinite(heights)
    filled = fill_voids(np.where(known, heights, 0.0).astype(np.float32), known)
    mesh = simplify(filled, known, triangles, _checkpoint(listener))
    return Shown(name, heights, filled, mesh, terrain.unit, terrain.metres())


def _exaggeration(terrain: Terrain, shown: list[Shown]) -> float:
    """The least round factor with which the largest relief is seen across the scene's width."""
    rows, columns = terrain.heights.shape
    across, down = terrain.cell()
    width = math.sqrt(columns * across * rows * down)
    reliefs = [float(np.ptp(np.nanpercentile(surface.heights, CUT))) * surface.metres for surface in shown]
    enough = (factor for factor in _EXAGGERATIONS if factor * max(reliefs) / width >= _VISIBLE)
    return next(enough, _EXAGGERATIONS[-1])


def _write(path: Path, page: str) -> None:
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial.html")
    try:
        partial.write_text(page, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
