"""Pictures of fixed held-out tiles over the epochs of a training run, and their animation."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from training.report.relief import exaggeration_for, shaded_relief

MOST_TILES = 6
"""Tiles of a picture."""

ANIMATION_FILE = "epochs.webp"

_PANEL = 208
_GAP = 8
_TITLE = 34
_CAPTION = 24
_BACKGROUND = (27, 31, 36)
_INK = (240, 243, 246)
_MOST_FRAMES = 48
_FRAME_MILLISECONDS = 350
_LAST_MILLISECONDS = 2500
_TITLES = {
    "image_to_dem": ("image", "predicted relief", "true relief"),
    "dem_to_image": ("relief", "predicted image", "true image"),
}

_Array = NDArray[np.floating]
_Pixels = NDArray[np.uint8]


class TilePictures:
    """A folder of pictures, ``epoch_0012.png``: a row for each tile of input, prediction and truth.

    Args:
        folder: made where it is missing; pictures of earlier epochs in it are kept.
        direction: ``image_to_dem`` or ``dem_to_image``.
    """

    def __init__(self, folder: Path, direction: str = "image_to_dem") -> None:
        self.folder = folder
        self._titles = _TITLES[direction]
        self._of_heights = direction == "image_to_dem"
        folder.mkdir(parents=True, exist_ok=True)

    def add(
        self, epoch: int, inputs: _Array, predicted: _Array, truth: _Array, known: NDArray[np.bool_]
    ) -> Path:
        """Draw an epoch's tiles, at most :data:`MOST_TILES`, and write the picture.

        Heights are in any unit that grows with a pixel's side. A prediction is shifted to its tile's true
        mean, for heights have no zero of their own; its colours and shading are the true tile's, so that too
        little relief looks flat.

        Args:
            epoch: counted from 1.
            inputs: (n, s, s, 3) stretched image in [-1, 1], or (n, s, s) heights for ``dem_to_image``.
            predicted: (n, s, s) heights, or (n, s, s, 3) image.
            truth: as ``predicted``.
            known: (n, s, s), where the truth is known.

        Returns:
            The picture's path.
        """
        count = min(MOST_TILES, len(inputs))
        wide = 3 * _PANEL + 4 * _GAP
        high = _TITLE + count * (_PANEL + _CAPTION) + _GAP
        sheet = Image.new("RGB", (wide, high), _BACKGROUND)
        pen = ImageDraw.Draw(sheet)
        for column, title in enumerate(self._titles):
            words = f"{title}, epoch {epoch}" if column == 1 else title
            _write(pen, words, _left(column), 10, 15)
        for number in range(count):
            top = _TITLE + number * (_PANEL + _CAPTION)
            panels, caption = self._row(inputs[number], predicted[number], truth[number], known[number])
            for column, pixels in enumerate(panels):
                sheet.paste(_panel(pixels), (_left(column), top))
            _write(pen, caption, _left(1), top + _PANEL + 4, 13)
        path = self.folder / f"epoch_{epoch:04d}.png"
        partial = path.with_suffix(".partial")
        sheet.save(partial, "PNG", compress_level=6)
        partial.replace(path)
        return path

    def paths(self) -> list[Path]:
        """The pictures there are, by epoch."""
        return [
            path for _, path in sorted((epoch_of(path), path) for path in self.folder.glob("epoch_*.png"))
        ]

    def nearest(self, epoch: int) -> Path | None:
        """The picture of an epoch, or of the one closest to it; ``None`` where there is no picture."""
        return min(self.paths(), key=lambda path: abs(epoch_of(path) - epoch), default=None)

    def animation(self) -> Path | None:
        """Write the pictures as frames of an endless animation, the last one shown longest.

        Long runs are thinned to evenly spread frames, the first and the last always among them.

        Returns:
            The animation's path, ``None`` where there is no picture.
        """
        paths = self.paths()
        if not paths:
            return None
        chosen = np.unique(np.round(np.linspace(0, len(paths) - 1, min(len(paths), _MOST_FRAMES)))).astype(
            int
        )
        frames = []
        for index in chosen:
            with Image.open(paths[index]) as picture:
                frames.append(picture.convert("RGB"))
        times = [_FRAME_MILLISECONDS] * (len(frames) - 1) + [_LAST_MILLISECONDS]
        path = self.folder / ANIMATION_FILE
        partial = path.with_suffix(".partial")
        frames[0].save(
            partial,
            "WEBP",
            save_all=True,
            append_images=frames[1:],
            duration=times,
            loop=0,
            quality=72,
            method=3,
        )
        partial.replace(path)
        return path

    def _row(
        self, inputs: _Array, predicted: _Array, truth: _Array, known: NDArray[np.bool_]
    ) -> tuple[tuple[_Pixels, _Pixels, _Pixels], str]:
        if not self._of_heights:
            return (_relief(inputs, inputs, known), _colours(predicted), _colours(truth)), ""
        image = _colours(inputs)
        if not known.any():
            return (image, _relief(predicted, truth, known), _relief(truth, truth, known)), "truth unknown"
        shifted = predicted + (truth[known].mean() - predicted[known].mean())
        panels = (image, _relief(shifted, truth, known), _relief(truth, truth, known))
        spread = float(truth[known].std())
        if spread == 0.0:
            return panels, "level ground"
        error = float(np.sqrt(np.mean((shifted - truth)[known] ** 2))) / spread
        return panels, f"error {error:.2f} of the relief"


def _relief(heights: _Array, reference: _Array, known: NDArray[np.bool_]) -> _Pixels:
    """Heights in the colours and the shading that suit a reference."""
    low, high = np.percentile(reference[known], (2, 98)) if known.any() else (0.0, 1.0)
    return shaded_relief(heights, known, (float(low), float(high)), exaggeration_for(reference, known))


def _colours(image: _Array) -> _Pixels:
    return np.round((np.clip(image, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8)


def _panel(pixels: _Pixels) -> Image.Image:
    return Image.fromarray(pixels).resize((_PANEL, _PANEL), Image.Resampling.LANCZOS)


def _left(column: int) -> int:
    return _GAP + column * (_PANEL + _GAP)


def _write(pen: ImageDraw.ImageDraw, words: str, left: int, top: int, size: int) -> None:
    pen.text((left, top), words, fill=_INK, font=ImageFont.load_default(size))


def epoch_of(path: Path) -> int:
    """The epoch in a picture's name, 0 where there is none."""
    digits = re.search(r"\d+", path.stem)
    return int(digits.group()) if digits else 0
