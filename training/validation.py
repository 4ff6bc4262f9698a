"""The held-out tiles that a run is judged by while it goes on: always the same, never changed in contrast or
scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.card import COARSE_DEM, DEM_TO_IMAGE
from imagetodem_qgis.core.stretch import StretchRecipe
from training.data.pair import Pair
from training.data.sampling import TILE_SIZE, pair_stretch, plain_sample
from training.data.tasks import Task
from training.recipe import Recipe
from training.request import DataError

FloatArray = NDArray[np.float32]

TILES = 96
_LEAST_KNOWN = 0.5
_LEAST_SPREAD = 0.02
"""Standard deviation in units of the target below which a tile's ratio to it says nothing."""
_BATCH = 8


@dataclass(frozen=True)
class HeldOut:
    """Held-out tiles as a network takes them.

    Attributes:
        inputs: (n, size, size, planes) float32.
        target: (n, size, size, planes) float32: the height, or the bands of an image, first; the last plane
            is 1 where the rest is known.
        metres: (n,) metres that one unit of a height stands for; 1 for images.
        images: (n, size, size, 3) stretched image, for pictures.
        relief: (n, size, size) height around the tile's mean in units of a pixel, for pictures.
        gsd: (n,) metres a pixel.
        shifted: whether answers are compared after a shift of each tile's own: heights have no zero.
        scaled: whether the ratio is that after a scale of each tile's own as well.
    """

    inputs: FloatArray
    target: FloatArray
    metres: FloatArray
    images: FloatArray
    relief: FloatArray
    gsd: FloatArray
    shifted: bool
    scaled: bool

    def answers(self, ask: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """A network's answers, (n, size, size, planes) float32, asked for in batches."""
        parts = [self.inputs[start : start + _BATCH] for start in range(0, len(self.inputs), _BATCH)]
        return np.concatenate([ask(part) for part in parts])

    def figures(self, answers: FloatArray) -> dict[str, float]:
        """How far answers are from the truth, medians over tiles.

        Returns:
            ``rmse`` in metres (of images: in units of the stretched range); ``rmse_by_sigma``, RMSE divided
            by the standard deviation of the truth, after the best shift and scale sqrt(1 - r²);
            ``correlation``.
        """
        rows = [self._row(*tile) for tile in zip(answers, self.target, self.metres)]
        rows = [row for row in rows if row]
        medians = np.median(np.array(rows, np.float64), axis=0)
        return dict(zip(("rmse", "rmse_by_sigma", "correlation"), (float(value) for value in medians)))

    def _row(
        self, answer: FloatArray, target: FloatArray, metres: float
    ) -> tuple[float, float, float] | None:
        bands = 1 if self.shifted else 3
        known = target[..., -1] > 0
        truth = target[..., :bands][known].astype(np.float64).ravel()
        predicted = answer[..., :bands][known].astype(np.float64).ravel()
        spread = truth.std()
        if spread < _LEAST_SPREAD:
            return None
        error = predicted - truth
        moving = predicted.std() > 0.0
        correlation = float(np.corrcoef(predicted, truth)[0, 1]) if moving else 0.0
        rmse = float(error.std() if self.shifted else np.sqrt(np.mean(error**2)))
        ratio = float(np.sqrt(max(0.0, 1.0 - correlation**2))) if self.scaled else rmse / float(spread)
        return rmse * float(metres), ratio, correlation

    def spread_factor(self, answers: FloatArray) -> float:
        """What the predicted deviations must be multiplied by so that 68.3 % of the errors, after a shift of
        each tile, lie within one of them; 1 where no spread is predicted."""
        if not self.shifted or answers.shape[-1] < 2:
            return 1.0
        ratios = []
        for answer, target in zip(answers, self.target):
            known = target[..., -1] > 0
            error = (answer[..., 0] - target[..., 0])[known]
            ratios.append(np.abs(error - error.mean()) / (np.exp(answer[..., 1][known]) * np.sqrt(2.0)))
        return float(max(1e-3, np.percentile(np.concatenate(ratios)[::17], 68.27)))


def held_out(
    pairs: Sequence[Pair],
    recipe: Recipe,
    task: Task,
    size: int,
    stretch: StretchRecipe,
    metres: float | None = None,
    count: int = TILES,
) -> HeldOut:
    """Evenly chosen held-out tiles.

    Args:
        pairs: of the validation split.
        recipe: whose direction and planes count.
        task: turns a sample into input and target.
        size: side of the tiles in the network's pixels.
        stretch: of the images.
        metres: that one unit of height stands for; ``None``: a tile's pixel.
        count: of tiles, at most.

    Raises:
        DataError: there is no tile with relief.
    """
    chosen = np.unique(np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int))
    each = -(-count // max(1, len(chosen)))
    samples = []
    for number in chosen:
        pair = pairs[int(number)]
        side = min(TILE_SIZE, *pair.dem.shape)
        pair_limits = pair_stretch(pair, stretch) if pair.valid.any() else None
        for row, column in _places(pair, side, each):
            if pair_limits is not None:
                samples.append(plain_sample(pair, row, column, side, size, pair_limits))
    samples = [sample for sample in samples if sample.target[..., 1].mean() >= _LEAST_KNOWN][:count]
    if not any(sample.target[..., 0].std() >= _LEAST_SPREAD for sample in samples):
        raise DataError(
            "the validation split has no tile with relief to judge the training by: put pairs of hilly "
            "ground, of an area that is not trained on, into the split 'validation' of dataset.json"
        )
    made = [task(sample, np.random.default_rng((7, n))) for n, sample in enumerate(samples)]
    image = recipe.direction == DEM_TO_IMAGE
    units = [1.0 if image else sample.gsd if metres is None else metres for sample in samples]
    return HeldOut(
        np.stack([inputs for inputs, _ in made]),
        np.stack([target for _, target in made]),
        np.asarray(units, np.float32),
        np.stack([sample.inputs[..., :3] for sample in samples]),
        np.stack([sample.target[..., 0] for sample in samples]),
        np.array([sample.gsd for sample in samples], np.float32),
        shifted=not image,
        scaled=not image and COARSE_DEM not in recipe.inputs,
    )


def _places(pair: Pair, side: int, count: int) -> list[tuple[int, int]]:
    """Upper left corners of at most ``count`` windows side by side, evenly chosen."""
    rows, columns = pair.dem.shape
    places = [(r, c) for r in range(0, rows - side + 1, side) for c in range(0, columns - side + 1, side)]
    places = [
        (row, column)
        for row, column in places
        if pair.valid[row : row + side, column : column + side].mean() >= _LEAST_KNOWN
    ]
    if len(places) <= count:
        return places
    return [places[int(n)] for n in np.unique(np.linspace(0, len(places) - 1, count).round().astype(int))]
