"""The functions of Earth Engine's interface that are evaluated, by their names in it.

Each is given the catalogue and its arguments by name, with the defaults of the interface's description.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tests.services.earthengine import images as pictures
from tests.services.earthengine.collections import Collection, in_dates, in_months, intersects
from tests.services.earthengine.grids import Grid, transformed
from tests.services.earthengine.images import Image, Pixels

Catalogue = Mapping[str, Sequence[Image]]
Arguments = dict[str, Any]


@dataclass(frozen=True)
class Region:
    """A rectangle of a CRS: least x and y, largest x and y."""

    crs: str
    box: tuple[float, float, float, float]

    @property
    def outline(self) -> Any:
        """The border in degrees."""
        return self.grid(max(self.box[2] - self.box[0], self.box[3] - self.box[1])).outline()

    def grid(self, step: float) -> Grid:
        """Pixels of a size that cover it, from its upper left corner on."""
        left, bottom, right, top = self.box
        columns, rows = (max(1, round(side / step)) for side in (right - left, top - bottom))
        return Grid(self.crs, left, top, step, -step, columns, rows)


def _rectangle(catalogue: Catalogue, given: Arguments) -> Region:
    left, bottom, right, top = given["coordinates"]
    if given["crs"] is None or given["geodesic"]:
        raise ValueError("a rectangle of degrees with geodesic edges is not evaluated")
    return Region(given["crs"], (left, bottom, right, top))


def _load(catalogue: Catalogue, given: Arguments) -> Collection:
    if given["id"] not in catalogue:
        raise ValueError(
            f"ImageCollection asset '{given['id']}' not found (does not exist or caller lacks access)."
        )
    return Collection(tuple(catalogue[given["id"]]))


def _filter_intersects(catalogue: Catalogue, given: Arguments) -> Any:
    if given["leftField"] != ".all":
        raise ValueError("of fields is not evaluated")
    return intersects(given["rightValue"].outline)


def _compared(test: Callable[[Any, Any], bool]) -> Callable[[Catalogue, Arguments], Any]:
    def made(catalogue: Catalogue, given: Arguments) -> Any:
        name, other = given["leftField"], given["rightValue"]
        return lambda image: image.properties.get(name) is not None and test(image.properties[name], other)

    return made


def _listed(catalogue: Catalogue, given: Arguments) -> Any:
    """``Filter.inList`` says: a list holds the value of a field."""
    return lambda image: image.properties.get(given["rightField"]) in given["leftValue"]


def _calendar(catalogue: Catalogue, given: Arguments) -> Any:
    if given["field"] != "month":
        raise ValueError(f"of {given['field']} is not evaluated")
    return in_months(given["start"], given["end"])


def _select(catalogue: Catalogue, given: Arguments) -> Image:
    image = given["input"]
    for name in given["bandSelectors"]:
        if name not in image.bands:
            raise ValueError(
                f"Band pattern '{name}' did not match any bands. Available bands: {list(image.bands)}"
            )
    return replace(image, bands={name: image.bands[name] for name in given["bandSelectors"]})


def _add_bands(catalogue: Catalogue, given: Arguments) -> Image:
    return replace(given["dstImg"], bands={**given["dstImg"].bands, **given["srcImg"].bands})


def _rename(catalogue: Catalogue, given: Arguments) -> Image:
    image = given["input"]
    if len(given["names"]) != len(image.bands):
        raise ValueError(f"{len(given['names'])} names for {len(image.bands)} bands")
    return replace(image, bands=dict(zip(given["names"], image.bands.values())))


def _to_type(dtype: str) -> Callable[[Catalogue, Arguments], Image]:
    limits = np.iinfo(dtype) if dtype.startswith("int") else None

    def cast(pixels: Pixels) -> Pixels:
        values, mask = pixels
        if limits is None:
            return values.astype(dtype).astype(np.float64), mask
        return np.clip(np.trunc(values), limits.min, limits.max), mask

    return lambda catalogue, given: given["value"].mapped(
        lambda band: pictures.combined([band], cast, dtype=dtype)
    )


def _update_mask(catalogue: Catalogue, given: Arguments) -> Image:
    mask = given["mask"].first()

    def work(pixels: Pixels, masking: Pixels) -> Pixels:
        return pixels[0], pixels[1] * np.where(masking[0] != 0.0, masking[1], 0.0)

    return given["image"].mapped(lambda band: pictures.combined([band, mask], work))


def _unmask(catalogue: Catalogue, given: Arguments) -> Image:
    image, filling = given["input"], given["value"].first()
    if given["sameFootprint"] and image.footprint is not None:
        raise ValueError("within a footprint is not evaluated")

    def work(pixels: Pixels, fill: Pixels) -> Pixels:
        known = pixels[1] > 0.0
        return np.where(known, pixels[0], fill[0]), np.where(known, pixels[1], fill[1])

    return image.mapped(lambda band: pictures.combined([band, filling], work))


def _at_least(catalogue: Catalogue, given: Arguments) -> Image:
    other = given["image2"].first()

    def work(one: Pixels, two: Pixels) -> Pixels:
        return (one[0] >= two[0]).astype(np.float64), np.minimum(one[1], two[1])

    return given["image1"].mapped(lambda band: pictures.combined([band, other], work, dtype="int8"))


def _remap(catalogue: Catalogue, given: Arguments) -> Image:
    pairs, rest = dict(zip(given["from"], given["to"])), given["defaultValue"]

    def work(pixels: Pixels) -> Pixels:
        values, mask = pixels
        made = np.full(values.shape, 0.0 if rest is None else float(rest))
        known = np.zeros(values.shape, bool)
        for old, new in pairs.items():
            made[values == old] = new
            known |= values == old
        return made, mask if rest is not None else np.where(known, mask, 0.0)

    band = pictures.combined([given["image"].first()], work, dtype="int32")
    return replace(given["image"], bands={"remapped": band})


def _resample(catalogue: Catalogue, given: Arguments) -> Image:
    if given["mode"] != "bilinear":
        raise ValueError(f"the mode {given['mode']} is not evaluated")
    return given["image"].mapped(pictures.interpolated)


def _reduce_resolution(catalogue: Catalogue, given: Arguments) -> Image:
    _expect_mean(given["reducer"])
    return given["image"].mapped(
        lambda band: pictures.averaged(band, int(given["maxPixels"]), bool(given["bestEffort"]))
    )


def _reduce_region(catalogue: Catalogue, given: Arguments) -> dict[str, float | None]:
    _expect_mean(given["reducer"])
    region: Region = given["geometry"]
    if given["crs"] != region.crs:
        raise ValueError("of another CRS than the region's is not evaluated")
    grid = region.grid(given["scale"])
    found = {}
    for name, band in given["image"].bands.items():
        values, mask = band.known(grid)
        found[name] = float((values * mask).sum() / mask.sum()) if mask.any() else None
    return found


def _expect_mean(reducer: str) -> None:
    if reducer != "mean":
        raise ValueError(f"the reducer {reducer} is not evaluated")


def _set_projection(catalogue: Catalogue, given: Arguments) -> Image:
    if given["crsTransform"] is not None or given["scale"] is not None:
        raise ValueError("with a transform or a scale is not evaluated")
    return given["image"].mapped(lambda band: replace(band, grid=given["crs"]))


def _link(catalogue: Catalogue, given: Arguments) -> Image:
    image, name = given["input"], given["matchPropertyName"]
    wanted = given["linkedBands"] or []
    others = given["imageCollection"].images
    match = next((one for one in others if one.properties.get(name) == image.properties.get(name)), None)
    nothing = pictures.masked_band(image.first().grid)
    linked = {band: nothing if match is None else match.bands[band] for band in wanted}
    return replace(image, bands={**image.bands, **linked})


def _projection(catalogue: Catalogue, given: Arguments) -> str:
    x, y = transformed("EPSG:4326", given["crs"], np.zeros(1), np.zeros(1))
    if not (math.isfinite(x[0]) or math.isfinite(y[0])):
        raise ValueError(f"The CRS '{given['crs']}' could not be recognized.")
    return str(given["crs"])


def _limit(catalogue: Catalogue, given: Arguments) -> Collection:
    limited: Collection = given["collection"].limited(given["limit"], given["key"], given["ascending"])
    return limited


def _map_collection(catalogue: Catalogue, given: Arguments) -> Collection:
    return Collection(tuple(given["baseAlgorithm"](image) for image in given["collection"].images))


FUNCTIONS: dict[str, Callable[[Catalogue, Arguments], Any]] = {
    "AggregateFeatureCollection.array": lambda _, a: a["collection"].values(a["property"]),
    "Collection.filter": lambda _, a: a["collection"].filtered(a["filter"]),
    "Collection.first": lambda _, a: next(iter(a["collection"].images), None),
    "Collection.limit": _limit,
    "Collection.map": _map_collection,
    "Collection.size": lambda _, a: len(a["collection"].images),
    "Collection.toList": lambda _, a: list(a["collection"].images[: a["count"]]),
    "DateRange": lambda _, a: (a["start"], a["end"]),
    "Dictionary.get": lambda _, a: a["dictionary"][a["key"]],
    "Element.get": lambda _, a: a["object"].properties.get(a["property"]),
    "Feature": lambda _, a: a["geometry"],
    "Filter.calendarRange": _calendar,
    "Filter.dateRangeContains": lambda _, a: in_dates(*a["leftValue"], a["rightField"]),
    "Filter.equals": _compared(lambda one, other: one == other),
    "Filter.greaterThan": _compared(lambda one, other: one > other),
    "Filter.intersects": _filter_intersects,
    "Filter.listContains": _listed,
    "Filter.not": lambda _, a: lambda image: not a["filter"](image),
    "Filter.or": lambda _, a: lambda image: any(keeps(image) for keeps in a["filters"]),
    "GeometryConstructors.Rectangle": _rectangle,
    "Image.addBands": _add_bands,
    "Image.constant": lambda _, a: Image({"constant": pictures.constant_band(a["value"])}),
    "Image.gte": _at_least,
    "Image.linkCollection": _link,
    "Image.projection": lambda _, a: a["image"].first().grid,
    "Image.reduceRegion": _reduce_region,
    "Image.reduceResolution": _reduce_resolution,
    "Image.remap": _remap,
    "Image.rename": _rename,
    "Image.resample": _resample,
    "Image.select": _select,
    "Image.setDefaultProjection": _set_projection,
    "Image.toFloat": _to_type("float32"),
    "Image.toInt16": _to_type("int16"),
    "Image.unmask": _unmask,
    "Image.updateMask": _update_mask,
    "ImageCollection.load": _load,
    "ImageCollection.mosaic": lambda _, a: a["collection"].mosaic(),
    "List.distinct": lambda _, a: list(dict.fromkeys(a["list"])),
    "List.map": lambda _, a: [a["baseAlgorithm"](item) for item in a["list"]],
    "Projection": _projection,
    "Reducer.mean": lambda _, a: "mean",
    "reduce.median": lambda _, a: a["collection"].median(),
}
