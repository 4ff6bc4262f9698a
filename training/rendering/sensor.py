"""What air and camera make of the light: haze, blur, noise, gains, counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.noise import fractal_noise

Plane = NDArray[np.float32]

_SCATTERING = np.array([0.35, 0.6, 1.0])
"""Light that clear air adds, red, green, blue: short waves are scattered most."""


def take_picture(radiance: list[Plane], height: Plane, random: np.random.Generator) -> NDArray[np.uint8]:
    """The counts that a satellite sends down, or that a user has after a stretch.

    Args:
        radiance: red, green and blue, each (size, size): reflectance times light.
        height: (size, size), 0 low and 1 high ground; haze lies low.
        random: source of chance.

    Returns:
        (size, size, 3) uint8.
    """
    bands = _through_air(radiance, height, random)
    if random.random() < 0.75:
        # Modulation transfer of optics and resampling.
        blur = random.uniform(0.3, 0.75)
        bands = [ndimage.gaussian_filter(band, blur, truncate=2.5) for band in bands]
    bands = _balanced(bands, random)
    return _counts(np.stack(bands, axis=-1), random)


def _through_air(bands: list[Plane], height: Plane, random: np.random.Generator) -> list[Plane]:
    thickness = float(random.choice([0.0, 0.03, 0.06, 0.12], p=[0.3, 0.35, 0.25, 0.1]))
    thickness *= float(random.uniform(0.5, 1.3))
    if thickness == 0.0:
        return bands
    colour = _SCATTERING ** random.uniform(0.4, 1.2)
    lies_low = np.float32(random.uniform(0.0, 0.6))
    air = np.float32(thickness) * (1.0 - lies_low * np.clip(height, 0.0, 1.0))
    return [band * (1.0 - air) + air * np.float32(share) for band, share in zip(bands, colour)]


def _balanced(bands: list[Plane], random: np.random.Generator) -> list[Plane]:
    """True colours mostly; sometimes off, faded, or with the near infrared's part in a band."""
    gains = np.exp(random.normal(0.0, float(random.choice([0.03, 0.06, 0.2], p=[0.7, 0.25, 0.05])), 3))
    bands = [band * np.float32(gain) for band, gain in zip(bands, gains)]
    colourful = float(random.choice([1.0, random.uniform(0.3, 1.3)], p=[0.6, 0.4]))
    if colourful != 1.0:
        grey = (bands[0] + bands[1] + bands[2]) / np.float32(3.0)
        bands = [np.maximum(grey + (band - grey) * np.float32(colourful), 0.0) for band in bands]
    if random.random() < 0.03:
        order = random.permutation(3)
        bands = [bands[number] for number in order]
    return bands


def _counts(image: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.uint8]:
    sample = image[::6, ::6]
    if random.random() < 0.35:
        # Raw counts of one calibration for all scenes: forests come out dark and of few counts.
        white = random.uniform(0.35, 0.9)
        low, high = 0.0, max(white, float(np.percentile(sample, 50.0)) * 1.2)
        gamma = 1.0
    else:
        low = float(np.percentile(sample, random.uniform(0.0, 2.0))) * random.uniform(0.3, 1.0)
        high = float(np.percentile(sample, random.uniform(97.0, 99.9)))
        gamma = float(random.choice([1.0, random.uniform(0.6, 1.1)]))
    scaled = np.clip((image - np.float32(low)) / np.float32(max(high - low, 1e-3)), 0.0, 1.0)
    if gamma != 1.0:
        scaled **= np.float32(gamma)
    scaled *= np.float32(255.0)
    strength = np.float32(np.exp(random.uniform(np.log(0.3), np.log(3.5))))
    for band in range(3):
        scaled[..., band] += fractal_noise(len(image), 0.0, random) * strength
    return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)
