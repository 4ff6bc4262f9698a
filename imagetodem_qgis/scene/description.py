"""What a scene's page is told: facts that ``viewer.js`` reads, and the numbers packed for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.mesh import Mesh
from imagetodem_qgis.raster.image import Image
from imagetodem_qgis.scene.packing import pack_flags, pack_integers
from imagetodem_qgis.scene.terrain import Heights, SceneDem, Terrain
from imagetodem_qgis.styling.colours import ELEVATION
from imagetodem_qgis.styling.renderers import CUT

STEP = 0.001
"""Heights are kept to a thousandth of their unit, which for metres is a millimetre."""


@dataclass(frozen=True)
class SceneRequest:
    """A scene to be made.

    Attributes:
        dem: to show.
        dem_name: what it is called.
        reference: a second surface to show beside it.
        reference_name: what that is called.
        image: to lay over them.
        exaggeration: of the heights at first; chosen by the relief if None.
        triangles: most, per surface.
        heights: most, per surface.
        crs_name: what the coordinate system is called; empty without one.
        is_geographic: whether its coordinates are angles.
        output: the page.
    """

    dem: SceneDem
    dem_name: str
    reference: SceneDem | None
    reference_name: str
    image: Image | None
    exaggeration: float | None
    triangles: int
    heights: int
    crs_name: str
    is_geographic: bool
    output: Path


@dataclass(frozen=True)
class Shown:
    """A surface of a scene.

    Attributes:
        name: what it is called.
        heights: (rows, columns) of the scene's grid, NaN where unknown.
        filled: the same without NaN.
        mesh: that draws it.
        unit: of the heights.
        metres: length of that unit in the unit of the scene's cells.
    """

    name: str
    heights: Heights
    filled: NDArray[np.float32]
    mesh: Mesh
    unit: str
    metres: float


def described(
    request: SceneRequest,
    terrain: Terrain,
    shown: list[Shown],
    picture: str | None,
    exaggeration: float,
    checkpoint: Callable[[], None],
) -> tuple[dict[str, Any], dict[str, str]]:
    """The facts of a scene and its packed parts by their ids.

    Args:
        request: that asked for it.
        terrain: the DEM as read.
        shown: the DEM's surface and perhaps the reference's.
        picture: data address of what lies over them.
        exaggeration: of the heights at first.
        checkpoint: called again and again; what it raises ends the work.
    """
    rows, columns = terrain.heights.shape
    facts = {
        "title": request.dem_name,
        "file": re.sub(r"[^\w.-]+", "_", request.dem_name) or "scene",
        "columns": columns,
        "rows": rows,
        "cell": terrain.cell(),
        "transform": terrain.grid.geotransform,
        "north": terrain.grid.sun_in_image(0.0),
        "crs": request.crs_name,
        "isGeographic": request.is_geographic,
        "step": STEP,
        "units": [surface.unit for surface in shown],
        "metres": [surface.metres for surface in shown],
        "exaggeration": exaggeration,
        "ramp": ELEVATION,
        "hasPicture": picture is not None,
        "surfaces": [_facts(surface) for surface in shown],
        "notes": _notes(request, terrain, shown),
    }
    parts = {}
    for number, surface in enumerate(shown):
        for name, text in _packed(surface, checkpoint).items():
            parts[f"surface-{number}-{name}"] = text
    if picture is not None:
        parts["picture"] = picture
    return facts, parts


def distances(mesh: Mesh, unit: str) -> str:
    """How far a mesh is from the heights that it draws, in words."""
    if mesh.largest_error == 0.0:
        return "not at all away"
    largest, mean = (f"{error:.3g} {unit}".rstrip() for error in (mesh.largest_error, mesh.rms_error))
    return f"at most {largest} and on average (root mean square) {mean}"


def _facts(surface: Shown) -> dict[str, Any]:
    known = surface.heights[np.isfinite(surface.heights)]
    low, high = (float(height) for height in np.percentile(known, CUT))
    if high <= low:
        low, high = low - 0.5, low + 0.5
    return {
        "name": surface.name,
        "lowest": float(known.min()),
        "highest": float(known.max()),
        "low": low,
        "high": high,
    }


def _packed(surface: Shown, checkpoint: Callable[[], None]) -> dict[str, str]:
    known = np.isfinite(surface.heights)
    mesh, columns = surface.mesh, known.shape[1]
    parts = {"heights": pack_integers(_steps(np.where(known, surface.heights, surface.filled)))}
    checkpoint()
    if not known.all():
        parts["known"] = pack_flags(known)
    parts["vertices"] = pack_integers((mesh.rows * columns + mesh.columns).astype(np.int32))
    parts["vertex-heights"] = pack_integers(_steps(mesh.heights.astype(np.float64)))
    checkpoint()
    parts["triangles"] = pack_integers(_in_order(mesh.triangles))
    return parts


def _steps(heights: Heights) -> NDArray[np.int32]:
    return np.rint(heights / STEP).astype(np.int32)


def _in_order(triangles: NDArray[np.int64]) -> NDArray[np.int32]:
    """The triangles by their first vertex, each from its first vertex on, for neighbours pack well."""
    first = triangles.argmin(axis=1)
    turned = np.take_along_axis(triangles, (first[:, None] + np.arange(3)) % 3, axis=1)
    return turned[np.lexsort((turned[:, 1], turned[:, 0]))].astype(np.int32)


def _notes(request: SceneRequest, terrain: Terrain, shown: list[Shown]) -> list[str]:
    rows, columns = terrain.heights.shape
    across, down = terrain.cell()
    place = request.crs_name or "no coordinate system"
    notes = [f"{columns:,} × {rows:,} heights, one every {across:.4g} m × {down:.4g} m; {place}."]
    if request.dem.note:
        notes.append(f"{request.dem_name}: {request.dem.note}.")
    if terrain.averaged > 1:
        notes.append(
            f"Each height is the mean of {terrain.averaged} × {terrain.averaged} pixels of the DEM; "
            "the read-out says that mean."
        )
    else:
        notes.append("The read-out says the DEM's own height of a pixel.")
    for surface in shown:
        mesh = surface.mesh
        notes.append(
            f"{surface.name}: drawn with {len(mesh.triangles):,} triangles, "
            f"{distances(mesh, surface.unit)} from these heights."
        )
    if len(shown) > 1:
        notes.append(
            f"{shown[1].name} is brought to the pixels of {shown[0].name} by bilinear interpolation."
        )
    notes.append("Made with Image to DEM; drawn with three.js (MIT licence).")
    return notes
