"""Cutting training samples from pairs: a window at a random place and scale, a mirror that keeps the light,
and changes of contrast.

A change of scale changes the ground sampling distance, and with it the heights in units of a pixel; see
``relief_per_pixel``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imagetodem_qgis.core.light import all_symmetries
from imagetodem_qgis.core.stretch import DEHAZED, Stretch, StretchRecipe
from training.data.appearance import other_albedo, other_colours, other_contrast, other_surroundings
from training.data.pair import Pair

REFERENCE_GSD = 100.0
"""Ground sampling distance in metres at which the plane ln(distance / reference) is zero."""

TILE_SIZE = 256
"""Side in pixels of the tiles that the generators are made for."""

_KNOWN_COLOURS = 150.0
"""Ground sampling distance in metres of pairs whose colours, one sensor's, Blue Marble's, are left alone."""
_OTHER_COLOURS = 0.6
_OTHER_ALBEDO = 0.5
_OTHER_SURROUNDINGS = 0.4
_LARGEST_ZOOM_OUT = 4.0
_LARGEST_ZOOM_IN = 0.6
_LARGEST_TURN = 20.0
"""Degrees."""
_LOOKED_AT = 51
"""Pixels along each side of a window whose values its stretch is taken from, at least every fifth."""


@dataclass(frozen=True)
class Sample:
    """One input and its target.

    Attributes:
        inputs: (size, size, 4) float32: stretched red, green, blue, and ln(gsd / 100 m).
        target: (size, size, 2) float32: height in units of a pixel around the tile's mean, and 1 where it is
            known.
        gsd: ground sampling distance in metres.
        mean_height: metres above the sea that the heights are relative to.
    """

    inputs: NDArray[np.float32]
    target: NDArray[np.float32]
    gsd: float
    mean_height: float


@dataclass(frozen=True)
class Augmentation:
    """Which ways of making one window into many are used.

    Attributes:
        scale: windows of any size, hence of any ground sampling distance; else each pair's own.
        turn: small turns.
        mirror: across the light's direction.
        contrast: other stretches, gains, offsets and noise; else the stretch of the whole pair.
        colour: bands of pairs at fine resolutions mixed with one another, as far as to grey: the colours of
            rendered images are guesses, and those of a few scenes say little of the next one.
        albedo: ground of pairs at fine resolutions made lighter or darker, as height and noise say: whether
            heights are dark wood over light fields or bare rock over dark wood is another in each region,
            shading is not.
        own_scale: windows of pairs that are larger than a tile at the pairs' own scale alone, which is what a
            region's model is asked for; a smaller pair has but one such window, and keeps ``scale``.
        any_sun: any of the eight right-angle symmetries, wherever it takes the sun: what one does who does
            not know of the light, here to show what that costs.
    """

    scale: bool = True
    turn: bool = True
    mirror: bool = True
    contrast: bool = True
    colour: bool = False
    albedo: bool = False
    own_scale: bool = False
    any_sun: bool = False


FULL_AUGMENTATION = Augmentation()
DEFAULT_STRETCH = StretchRecipe(2.0, 98.0, 1.5, DEHAZED)


def relief_per_pixel(
    dem: NDArray[np.float32], valid: NDArray[np.bool_], gsd: float
) -> tuple[NDArray[np.float32], float]:
    """Heights in units of a pixel relative to the tile's mean, 0 where unknown, and that mean in metres.

    Args:
        dem: metres, any shape.
        valid: which heights are known, same shape.
        gsd: ground sampling distance in metres.
    """
    if valid.all():
        # Picking pixels takes longer than all the rest, and mostly every one is known.
        mean = float(dem.mean(dtype=np.float64))
        return ((dem - mean) / gsd).astype(np.float32), mean
    if not valid.any():
        return np.zeros_like(dem), 0.0
    mean = float(dem[valid].mean(dtype=np.float64))
    return np.where(valid, (dem - mean) / gsd, 0.0).astype(np.float32), mean


def network_input(image: NDArray[np.generic], stretch: Stretch, gsd: float) -> NDArray[np.float32]:
    """The network's input for an image (rows, columns, 3): stretched bands and the plane of ln(gsd / 100
    m)."""
    plane = np.full(image.shape[:2] + (1,), np.log(gsd / REFERENCE_GSD), np.float32)
    return np.concatenate([stretch.apply(image), plane], axis=-1)


def plain_sample(pair: Pair, row: int, column: int, side: int, size: int, stretch: Stretch) -> Sample:
    """A window of side × side pixels brought to size × size, otherwise unchanged, for evaluation."""
    bands, dem, valid = _resized(pair, (column, row, column + side, row + side), size)
    gsd = pair.gsd * side / size
    inputs = network_input(np.moveaxis(bands, 0, -1), stretch, gsd)
    inputs[~valid, :3] = 0.0
    relief, mean = relief_per_pixel(dem, valid, gsd)
    return Sample(inputs, np.stack([relief, valid.astype(np.float32)], axis=-1), gsd, mean)


def pair_stretch(pair: Pair, recipe: StretchRecipe = DEFAULT_STRETCH) -> Stretch:
    """The stretch of the scene that a pair was cut from, or of its own image from every seventh of its valid
    pixels; by default of all bands together: white-balanced tile by tile, desert and forest would look
    alike."""
    if pair.around is not None:
        return pair.around.stretch(recipe)
    return recipe.of(pair.image[pair.valid].reshape(-1, 3)[::7])


def random_sample(
    pair: Pair,
    size: int,
    random: np.random.Generator,
    augmentation: Augmentation = FULL_AUGMENTATION,
    stretch: StretchRecipe = DEFAULT_STRETCH,
) -> Sample:
    """Cut one sample of size × size at a random place and scale, turn it a little, mirror it across the
    light's direction half of the time, and change its contrast as sensors, seasons and haze do.

    The small turns keep the light within the half right angle that the choice among eight symmetries leaves
    open anyway. The stretch is that of the window's surroundings: of the window itself in a scene that is
    hardly larger, of more than the window otherwise.
    """
    larger = min(pair.dem.shape) > TILE_SIZE
    any_scale = augmentation.scale and not (augmentation.own_scale and larger)
    side, top, left = _random_window(pair, random, any_scale)
    turned = augmentation.turn and random.random() < 0.5
    angle = float(random.uniform(-_LARGEST_TURN, _LARGEST_TURN)) if turned else 0.0
    # What a turned square needs of its surroundings.
    turned_side = side * (abs(np.cos(np.radians(angle))) + abs(np.sin(np.radians(angle))))
    if top < (turned_side - side) / 2 or left < (turned_side - side) / 2:
        angle, turned_side = 0.0, side
    margin = (turned_side - side) / 2
    if max(top, left) + side + margin > min(pair.dem.shape):
        angle, turned_side, margin = 0.0, side, 0.0
    outer = max(size, round(size * turned_side / side))
    box = _box(left - margin, top - margin, turned_side)
    bands, dem, valid = _resized(pair, box, outer)
    gsd = pair.gsd * (box[2] - box[0]) / outer
    if angle != 0.0:
        bands, dem, valid = _turned(bands, dem, valid, angle, size)
    relief, mean = relief_per_pixel(dem, valid, gsd)
    target: NDArray[np.float32] = np.empty((size, size, 2), np.float32)
    target[..., 0], target[..., 1] = relief, valid
    if augmentation.contrast:
        stretched = _stretched(bands, _surrounding_stretch(pair, box, random, stretch))
    else:
        stretched = _stretched(bands, pair_stretch(pair, stretch))
    fine = pair.gsd < _KNOWN_COLOURS
    if augmentation.albedo and fine and random.random() < _OTHER_ALBEDO:
        stretched = other_albedo(stretched, target, random)
    if augmentation.contrast:
        stretched = other_contrast(stretched, random)
        if fine and pair.around is None and random.random() < _OTHER_SURROUNDINGS:
            stretched = other_surroundings(stretched, random)
    if augmentation.colour and fine and random.random() < _OTHER_COLOURS:
        stretched = other_colours(stretched, random)
    inputs: NDArray[np.float32] = np.empty((size, size, 4), np.float32)
    # Band after band: the three at once take nine times as long.
    for band, plane in enumerate(stretched):
        np.multiply(plane, valid, out=inputs[..., band])
    inputs[..., 3] = np.log(gsd / REFERENCE_GSD)
    if augmentation.mirror and random.random() < 0.5:
        # Exchanging rows and columns mirrors across the north-west to south-east line: a south-east sun stays
        # there.
        inputs, target = inputs.swapaxes(0, 1), target.swapaxes(0, 1)
    if augmentation.any_sun:
        symmetry = all_symmetries()[random.integers(8)]
        inputs, target = symmetry.apply(inputs), symmetry.apply(target)
    return Sample(inputs, target, gsd, mean)


def _random_window(pair: Pair, random: np.random.Generator, any_scale: bool) -> tuple[float, float, float]:
    """Side, top and left of a window, in pixels: half of the time close to a tile's own scale, else any."""
    rows, columns = pair.dem.shape
    largest = min(rows, columns, _LARGEST_ZOOM_OUT * TILE_SIZE)
    smallest = min(_LARGEST_ZOOM_IN * TILE_SIZE, largest)
    if not any_scale:
        side = min(largest, float(TILE_SIZE))
    elif random.random() < 0.5:
        side = min(largest, TILE_SIZE * np.exp(random.uniform(-0.1, 0.1)))
    else:
        side = np.exp(random.uniform(np.log(smallest), np.log(largest)))
    return float(side), random.uniform(0, rows - side), random.uniform(0, columns - side)


def _box(left: float, top: float, side: float) -> tuple[int, int, int, int]:
    return int(left), int(top), int(left) + int(side), int(top) + int(side)


def _surrounding_stretch(
    pair: Pair, box: tuple[int, int, int, int], random: np.random.Generator, recipe: StretchRecipe
) -> Stretch:
    """The stretch of a window and of as much around it, up to twice its side, as chance says; of the scene
    where it is known."""
    if pair.around is not None:
        return pair_stretch(pair, recipe)
    left, top, right, bottom = box
    around = int((right - left) * random.uniform(0.0, 0.5))
    step = max(5, (right - left + 2 * around) // _LOOKED_AT)
    window = (
        slice(max(0, top - around), bottom + around, step),
        slice(max(0, left - around), right + around, step),
    )
    samples = pair.image[window][pair.valid[window]]
    if samples.size == 0:
        return pair_stretch(pair, recipe)
    return recipe.of(samples)


def _stretched(bands: NDArray[np.float32], stretch: Stretch) -> NDArray[np.float32]:
    """What :meth:`Stretch.apply` does, band after band: several times as fast as pixel after pixel."""
    planes = [
        Stretch((low,), (high,), stretch.clip).apply(band[..., None])[..., 0]
        for band, low, high in zip(bands, stretch.low, stretch.high)
    ]
    return np.stack(planes)


def _resized(
    pair: Pair, box: tuple[int, int, int, int], size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Bands (3, size, size), DEM and what is known of a window."""
    left, top, right, bottom = box
    window = (slice(top, bottom), slice(left, right))
    valid = pair.valid[window]
    everywhere = bool(valid.all())
    dem = pair.dem[window].astype(np.float32, order="C")
    if not everywhere:
        dem[~valid] = 0.0
    bands = np.moveaxis(pair.image[window], -1, 0).astype(np.float32, order="C")
    if right - left == size:
        return bands, dem, valid
    bands = np.stack([_resize(band, size) for band in bands])
    if everywhere:
        return bands, _resize(dem, size), np.ones((size, size), bool)
    share = _resize(valid.astype(np.float32), size)
    known = share > 0.99
    return bands, np.where(known, _resize(dem, size) / np.maximum(share, 0.5), 0.0).astype(np.float32), known


def _turned(
    bands: NDArray[np.float32], dem: NDArray[np.float32], valid: NDArray[np.bool_], angle: float, size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """The middle size × size pixels after a turn by an angle in degrees."""
    centre = (valid.shape[0] - 1) / 2, (size - 1) / 2
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    # Pillow wants the place in the source of each pixel of the answer, counted from pixels' corners.
    offset = centre[0] + 0.5 - (centre[1] + 0.5) * np.array([cosine + sine, cosine - sine])
    coefficients = (cosine, sine, offset[0], -sine, cosine, offset[1])

    def turn(band: NDArray[np.float32]) -> NDArray[np.float32]:
        whole = Image.fromarray(np.ascontiguousarray(band))
        done = whole.transform((size, size), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
        return np.asarray(done, np.float32)

    bands = np.stack([turn(band) for band in bands])
    if valid.all():
        return bands, turn(dem), np.ones((size, size), bool)
    share = turn(valid.astype(np.float32))
    known = share > 0.99
    return bands, np.where(known, turn(np.where(valid, dem, 0.0).astype(np.float32)), 0.0), known


def _resize(band: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    # Large windows are averaged over whole pixels first, for speed; not so far that the rest would shrink by
    # less than two, where a sampled triangle's weights no longer keep a plane a plane.
    resized = Image.fromarray(band).resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(resized, np.float32)
