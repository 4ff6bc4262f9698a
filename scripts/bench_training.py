"""How much of the bare step's speed training keeps while its samples are made: part of ``make bench``.

The bare step learns from one batch that lies in memory. Training's step learns from batches that are cut,
turned, mirrored and stretched ahead of it, as in a run. Both are timed in turn, in one process, on the
networks of the default recipe; the pairs are synthetic and in memory.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

from training import steps
from training.data.batches import Batch, Batches, ahead
from training.data.pair import Pair
from training.data.sampling import Augmentation
from training.data.sources import Group
from training.data.tasks import make_task
from training.device import choose_device, choose_precision
from training.learner import make_learner
from training.loop import WORKERS
from training.material import stretch_of
from training.recipe import Recipe, Stage, read_recipe
from training.steps import Step

_PAIRS = 24
_SIDE = 512
_WARM_UP = 3


class _Printer:
    """Prints what a run would log."""

    note = warn = staticmethod(print)


def main() -> None:
    """Time every stage of a recipe and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="default", help="name of a recipe, or its file")
    parser.add_argument("--rounds", type=int, default=5, help="of bare and fed steps in turn")
    parser.add_argument("--steps", type=int, default=10, help="of a round, each way")
    options = parser.parse_args()
    recipe = read_recipe(options.recipe)
    adapter = steps.adapter()
    precision = choose_precision(None, choose_device(None, adapter, _Printer()), adapter.cards())
    keras.mixed_precision.set_global_policy(precision)
    group = Group("synthetic", [_pair(number) for number in range(_PAIRS)], 1.0)
    print(f"recipe {recipe.name}, {precision}, {options.rounds} rounds of {options.steps} steps")
    print("| network | tiles a step | bare step (ms) | step with its samples (ms) | throughput kept |")
    print("|---|---|---|---|---|")
    for stage in recipe.stages:
        bare, fed = _time(recipe, stage, group, options.rounds, options.steps)
        ratio = statistics.median(one / other for one, other in zip(bare, fed))
        print(
            f"| {stage.network} | {stage.batch_size} x {stage.tile_size}² | {statistics.median(bare):.0f} | "
            f"{statistics.median(fed):.0f} | {ratio:.2f} |",
            flush=True,
        )


def _time(
    recipe: Recipe, stage: Stage, group: Group, rounds: int, count: int
) -> tuple[list[float], list[float]]:
    """Milliseconds of a bare step and of a fed one, by round."""
    step = steps.adapter().make_step(make_learner(recipe, stage), 1)
    task = make_task(recipe.direction, recipe.inputs, 256 // stage.tile_size)
    augmentation = Augmentation(**recipe.augmentation)
    batches = Batches(
        (group,), task, stage.tile_size, stage.batch_size, (1,), augmentation, stretch_of(recipe)
    )
    one = batches(0)
    for _ in range(_WARM_UP):
        _wait(step(*one))
    bare, fed = [], []
    for number in range(rounds):
        bare.append(_timed(step, lambda _: one, range(count)))
        fed.append(_timed(step, batches, range(number * count, (number + 1) * count)))
    return bare, fed


def _timed(step: Step, make: Callable[[int], Batch], numbers: range) -> float:
    """Milliseconds of a step; the first batches are made before the clock starts, as within a run."""
    made = ahead(make, range(numbers.start, numbers.stop + 1), WORKERS)
    _, batch = next(made)
    start = time.perf_counter()
    for _ in numbers:
        losses = step(*batch)
        _, batch = next(made)
    _wait(losses)
    return 1000.0 * (time.perf_counter() - start) / len(numbers)


def _wait(losses: dict[str, object]) -> None:
    np.asarray(keras.ops.convert_to_numpy(losses["loss"]))


def _pair(number: int) -> Pair:
    """A fractal landscape under a noisy image of it."""
    random = np.random.default_rng(number)
    wave = np.hypot(*np.meshgrid(np.fft.fftfreq(_SIDE), np.fft.fftfreq(_SIDE)))
    wave[0, 0] = 1.0
    spectrum = np.fft.fft2(random.standard_normal((_SIDE, _SIDE))) / wave**2.0
    spectrum[0, 0] = 0.0
    dem = np.fft.ifft2(spectrum).real
    dem = (300.0 * dem / dem.std()).astype(np.float32)
    image = np.clip(120.0 + 0.1 * dem[..., None] + random.normal(0.0, 20.0, dem.shape + (3,)), 0, 255)
    return Pair(str(number), image.astype(np.uint8), dem, np.ones(dem.shape, bool), 30.0, "train")


if __name__ == "__main__":
    main()
