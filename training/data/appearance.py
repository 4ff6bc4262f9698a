"""Ways in which the same ground looks another way: contrast, surroundings, colours, albedo.

Bands are (3, size, size) float32 in the stretched range from -1.5 to 1.5, and come back so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.noise import fractal_noise

_LARGEST_ALBEDO = 0.9
"""Natural logarithm of the factor that the ground at one end of the heights becomes lighter by, and darker at
the other."""
_ALBEDO_EXPONENTS = (2.0, 2.5, 3.0)
"""Of the power spectra of the noise that breaks albedo up."""
_WHITE = 0.0
"""The same of a sensor's."""


def other_contrast(bands: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """What sensors, seasons and haze do: gains and offsets, of all bands and of each; now and then another
    gamma, paler colours, noise."""
    gain = random.uniform(0.9, 1.1) * random.uniform(0.96, 1.04, (3, 1, 1))
    offset = random.uniform(-0.08, 0.08) + random.uniform(-0.05, 0.05, (3, 1, 1))
    bands = bands * gain.astype(np.float32)
    bands += offset.astype(np.float32)
    if random.random() < 0.2:
        unit = np.clip((bands + 1.5) / 3.0, 1e-4, 1.0)
        bands = unit ** np.float32(np.exp(random.uniform(-0.35, 0.35))) * 3.0 - 1.5
    if random.random() < 0.08:
        grey = bands.mean(axis=0)
        bands = grey + (bands - grey) * np.float32(random.uniform(0.0, 0.7))
    if random.random() < 0.3:
        noise = [fractal_noise(band.shape[0], _WHITE, random) for band in bands]
        strength = np.float32(random.uniform(0.0, 0.08))
        for band, grain in zip(bands, noise):
            band += grain * strength
    return np.asarray(np.clip(bands, -1.5, 1.5, out=bands), np.float32)


def other_surroundings(bands: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """The window as the stretch of a large scene leaves one of its parts, darker or lighter than the rest and
    of less contrast: pairs are cut from scenes, and whoever asks asks for a scene."""
    gain = np.exp(random.uniform(-0.6, 0.2))
    offset = random.uniform(-0.4, 0.4)
    return np.asarray(np.clip(bands * np.float32(gain) + np.float32(offset), -1.5, 1.5), np.float32)


def other_colours(bands: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Each band mixed with a mean of all three of random weights, all by the same share: domain randomisation
    (Tobin et al. 2017) that leaves light and dark mostly where they are.

    Args:
        bands: (3, size, size).
        random: source of chance.
    """
    mixed = random.dirichlet((1.0, 1.0, 1.0), 3)
    share = random.uniform(0.0, 1.0)
    matrix = (1.0 - share) * np.eye(3) + share * mixed
    # Not @: the threads that it would start wait for each other on the processors that the step needs.
    return np.asarray(np.einsum("ij,jkl->ikl", matrix.astype(np.float32), bands), np.float32)


def other_albedo(
    bands: NDArray[np.float32], target: NDArray[np.float32], random: np.random.Generator
) -> NDArray[np.float32]:
    """The image of ground that is lighter or darker above some height than below it, here more and there less
    so: as wood, fields and rock are, that keep to heights only roughly.

    What the change follows is heights and fractal noise, each of any share and the heights either way up: a
    change that followed heights alone would give the form away.

    Args:
        bands: (3, size, size), from -1.5 to 1.5.
        target: (size, size, 2), a sample's.
        random: source of chance.
    """
    height, known = target[..., 0], target[..., 1] > 0
    if not known.any():
        return bands
    share = random.uniform(-np.pi / 2.0, np.pi / 2.0)
    noise = fractal_noise(height.shape[0], random.choice(_ALBEDO_EXPONENTS), random)
    of_height, of_noise = np.float32(np.sin(share)), np.float32(np.cos(share))
    followed = of_height * _standardised(height, known) + of_noise * _standardised(noise, known)
    limit = random.normal(0.0, 0.7)
    width = np.exp(random.uniform(np.log(0.1), np.log(2.0)))
    above = np.tanh((followed - np.float32(limit)) / np.float32(width))
    return with_albedo(bands, above, known, random.uniform(0.0, _LARGEST_ALBEDO))


def _standardised(plane: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """With mean 0 and standard deviation 1 where known; 0 where it is level."""
    inside = plane if known.all() else plane[known]
    return np.asarray((plane - inside.mean()) / (inside.std() + np.float32(1e-3)), np.float32)


def with_albedo(
    bands: NDArray[np.float32], plane: NDArray[np.float32], known: NDArray[np.bool_], change: float
) -> NDArray[np.float32]:
    """Ground made lighter where a plane is high: its shading stays as strong beside its surroundings as it
    was, mean and contrast of the whole stay as a stretch leaves them.

    Args:
        bands: (3, rows, columns), from -1.5 to 1.5.
        plane: (rows, columns), from -1 to 1.
        known: (rows, columns), the pixels that mean and contrast are those of; some are.
        change: natural logarithm of the factor where the plane is 1.
    """
    light = np.maximum((bands + 1.5) / 3.0, 1e-3) * np.exp(np.float32(change) * plane)
    # Picking pixels takes longer than all the rest, and mostly every one is known.
    before, after = (bands, light) if known.all() else (bands[:, known], light[:, known])
    gain = before.std() / (after.std() + np.float32(1e-6))
    light -= after.mean()
    light *= gain
    light += before.mean()
    return np.asarray(np.clip(light, -1.5, 1.5, out=light), np.float32)
