"""Scenes put together by the satellite's passes, and their sun."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from imagetodem_qgis.pairs.stac_items import Scene

_ONE_PASS = timedelta(minutes=2)
"""Neighbouring granules of one pass are seconds apart, two passes over a place at least days."""


def passes(scenes: Iterable[Scene]) -> list[tuple[Scene, ...]]:
    """Scenes put together by the satellite's passes: granules of one pass are one picture.

    Returns:
        For each pass its granules, later versions of a granule before earlier ones; the passes with the
        least cloud first, of equals the earlier.
    """
    groups: list[list[Scene]] = []
    last: dict[str, tuple[datetime, list[Scene]]] = {}
    for scene in sorted(scenes, key=lambda scene: (scene.time, scene.id)):
        time, group = last.get(scene.platform, (scene.time, None))
        if group is None or scene.time - time > _ONE_PASS:
            group = []
            groups.append(group)
        group.append(scene)
        last[scene.platform] = (scene.time, group)
    ordered = [tuple(sorted(group, key=lambda scene: (-scene.baseline, scene.id))) for group in groups]
    return sorted(ordered, key=lambda group: (_mean(s.cloud for s in group), group[0].time, group[0].id))


def mean_sun(scenes: Sequence[Scene]) -> tuple[float | None, float | None]:
    """Mean azimuth (of directions: that of 350° and 10° is 0°) and zenith of the scenes that tell them."""
    azimuths = [math.radians(scene.sun_azimuth) for scene in scenes if scene.sun_azimuth is not None]
    zeniths = [scene.sun_zenith for scene in scenes if scene.sun_zenith is not None]
    east, north = sum(map(math.sin, azimuths)), sum(map(math.cos, azimuths))
    known = math.hypot(east, north) > 1e-6 * max(1, len(azimuths))
    return (
        math.degrees(math.atan2(east, north)) % 360.0 if known else None,
        _mean(zeniths) if zeniths else None,
    )


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)
