"""Supervised training of the light generator: ``python -m training.supervised --data DATA --output FOLDER``.

One pass needs nothing but the pairs and a processor. It writes checkpoints and a log as it goes and goes on
from them when it is started again.
"""

from __future__ import annotations

import argparse
import csv
import json
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from training.data.bluemarble import Mosaics, read_bluemarble, read_tiles
from training.data.pair import Pair
from training.data.sampling import TILE_SIZE, Sample, pair_stretch, plain_sample, random_sample
from training.data.scenes import SCENES, read_scene
from training.generator import ARCHITECTURES, TRUNK_STRIDE
from training.losses import relief_loss

_SCENE_SHARE = 0.12
"""Share of samples cut from the few 10-38 m scenes; the rest comes from Blue Marble."""
_VALIDATION_TILES = 96
_ROUND_STEPS = 100
"""Steps between two looks at the validation tiles, each with a checkpoint."""


@dataclass(frozen=True)
class Phase:
    """A part of a training run.

    Attributes:
        network: ``coarse_unet``, the trunk on reduced tiles, or ``light_unet``, the whole on full ones.
        size: side of the tiles in pixels.
        batch_size: samples a step.
        steps: of the optimiser.
        learning_rate: peak of a warm-up followed by half a cosine.
    """

    network: str
    size: int
    batch_size: int
    steps: int
    learning_rate: float


_REDUCED = TILE_SIZE // TRUNK_STRIDE

PHASES = (
    Phase("coarse_unet", _REDUCED, 32, 1800, 2e-3),
    Phase("coarse_unet", _REDUCED, 32, 1200, 1.2e-3),
    Phase("coarse_unet", _REDUCED, 32, 3600, 1.6e-3),
    Phase("light_unet", TILE_SIZE, 8, 700, 6e-4),
)
"""The trunk first, on tiles of a quarter of the resolution: what it learns there, most of the error, costs a
sixteenth of the work."""


def training_pairs(data: Path) -> tuple[Sequence[Pair], Sequence[Pair]]:
    """All pairs of the train split: squares of Blue Marble tiles, and scenes."""
    tiles = Mosaics(list(read_tiles(data / "bluemarble", "train")))
    scenes = [read_scene(data / "scenes", scene) for scene in SCENES if scene.split == "train"]
    return tiles, scenes


def batches(
    tiles: Sequence[Pair], scenes: Sequence[Pair], size: int, batch_size: int, seed: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Endless batches of random samples, the same for the same seed."""
    random = np.random.default_rng(seed)
    area = np.sqrt([float(pair.valid.sum()) for pair in scenes])
    while True:
        samples: list[Sample] = []
        while len(samples) < batch_size:
            if random.random() < _SCENE_SHARE:
                pair = scenes[int(random.choice(len(scenes), p=area / area.sum()))]
            else:
                pair = tiles[int(random.integers(len(tiles)))]
            sample = random_sample(pair, size, random)
            if sample.target[..., 1].mean() > 0.3:
                samples.append(sample)
        yield np.stack([s.inputs for s in samples]), np.stack([s.target for s in samples])


def prefetched(source: Iterator[Any], depth: int = 6) -> Iterator[Any]:
    """The same items, made ahead in a thread."""
    items: queue.Queue[Any] = queue.Queue(depth)

    def fill() -> None:
        for item in source:
            items.put(item)

    threading.Thread(target=fill, daemon=True).start()
    while True:
        yield items.get()


def validation_arrays(data: Path, count: int, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Evenly spread held-out Blue Marble tiles."""
    pairs = list(read_bluemarble(data / "bluemarble", "validation"))
    chosen = pairs[:: max(1, len(pairs) // count)][:count]
    samples = [plain_sample(pair, 0, 0, TILE_SIZE, size, pair_stretch(pair)) for pair in chosen]
    return np.stack([s.inputs for s in samples]), np.stack([s.target for s in samples])


def relative_error(answer: NDArray[np.float32], target: NDArray[np.float32]) -> float:
    """Median over tiles of RMSE/σ after the best shift and scale: sqrt(1 - r²) of heights with σ above 0.02
    pixel."""
    ratios = []
    for predicted, truth in zip(answer[..., 0], target[..., 0]):
        if truth.std() > 0.02:
            correlation = np.corrcoef(predicted.ravel(), truth.ravel())[0, 1]
            ratios.append(np.sqrt(max(0.0, 1.0 - correlation**2)))
    return float(np.median(ratios))


class _Log(keras.callbacks.Callback):
    """Writes a row a round, keeps the weights' average on disk, and says how long it will take."""

    def __init__(self, folder: Path, phase: int, validation: tuple[Any, Any], rounds: int) -> None:
        super().__init__()
        self._folder, self._phase, self._validation, self._rounds = folder, phase, validation, rounds
        self._start = time.monotonic()
        self._first: int | None = None
        self._before = 0.0

    @property
    def has_run(self) -> bool:
        """Whether a round was begun."""
        return self._first is not None

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self._first is None:
            self._first = epoch
            self._before = _seconds_so_far(self._folder / "log.csv", self._phase)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        parts = np.split(self._validation[0], 12)
        answer = np.concatenate([self.model.predict_on_batch(part) for part in parts])
        error = relative_error(np.asarray(answer, np.float32), self._validation[1])
        seconds = time.monotonic() - self._start
        left = seconds / (epoch + 1 - (self._first or 0)) * (self._rounds - epoch - 1)
        row = {"phase": self._phase, "round": epoch + 1, "loss": (logs or {})["loss"], "validation": error}
        log = self._folder / "log.csv"
        new = not log.exists()
        row["seconds"] = round(seconds + self._before)
        with open(log, "a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)
        self.model.save_weights(average_file(self._folder, self._phase))
        print(json.dumps(row), f"{left / 60:.0f} min left", flush=True)


def _seconds_so_far(log: Path, phase: int) -> float:
    """What a phase that goes on had taken before it was interrupted."""
    if not log.exists():
        return 0.0
    with open(log, newline="") as table:
        return max(
            (float(row["seconds"]) for row in csv.DictReader(table) if int(row["phase"]) == phase),
            default=0.0,
        )


def average_file(folder: Path, phase: int) -> Path:
    """Where the averaged weights of a phase are kept."""
    return folder / f"phase{phase}.weights.h5"


def train(data: Path, folder: Path, phases: tuple[Phase, ...], seed: int, precision: str) -> None:
    """Train the light generator; the last phase's averaged weights are the result.

    A phase that was interrupted goes on from its last round, a finished one is not repeated.

    Args:
        data: folder with ``bluemarble`` and ``scenes``.
        folder: where log and checkpoints go.
        phases: in turn; each begins with the averaged weights of the one before.
        seed: of the samples and the first weights.
        precision: Keras dtype policy, ``float32`` or ``mixed_bfloat16``.
    """
    keras.utils.set_random_seed(seed)
    keras.mixed_precision.set_global_policy(precision)
    folder.mkdir(parents=True, exist_ok=True)
    tiles, scenes = training_pairs(data)
    print(f"{len(tiles)} tiles, {len(scenes)} scenes", flush=True)
    for number, phase in enumerate(phases):
        finished = folder / f"phase{number}.finished"
        if finished.exists():
            continue
        model = ARCHITECTURES[phase.network](tile_size=phase.size)
        if number > 0:
            _take_over(model, phases[number - 1], average_file(folder, number - 1))
        _fit(
            model,
            data,
            folder,
            number,
            phase,
            batches(tiles, scenes, phase.size, phase.batch_size, seed + number),
        )
        finished.touch()


def _take_over(model: keras.Model, phase: Phase, weights: Path) -> None:
    """Give a network the weights that an earlier phase made for its layers of the same names."""
    earlier = ARCHITECTURES[phase.network](tile_size=phase.size)
    earlier.load_weights(weights)
    names = {layer.name for layer in model.layers}
    for layer in earlier.layers:
        if layer.name in names:
            model.get_layer(layer.name).set_weights(layer.get_weights())


def _fit(
    model: keras.Model, data: Path, folder: Path, number: int, phase: Phase, samples: Iterator[Any]
) -> None:
    warm_up = min(200, phase.steps // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        phase.learning_rate / 20,
        phase.steps - warm_up,
        alpha=0.02,
        warmup_target=phase.learning_rate,
        warmup_steps=warm_up,
    )
    model.compile(
        keras.optimizers.AdamW(
            schedule,
            weight_decay=2e-2,
            clipnorm=1.0,
            use_ema=True,
            ema_momentum=0.99,
            ema_overwrite_frequency=None,
        ),
        loss=relief_loss,
        jit_compile=False,
    )
    round_steps = min(_ROUND_STEPS, phase.steps)
    rounds = -(-phase.steps // round_steps)
    validation = validation_arrays(data, _VALIDATION_TILES, phase.size)
    log = _Log(folder, number, validation, rounds)
    model.fit(
        prefetched(samples),
        steps_per_epoch=round_steps,
        epochs=rounds,
        verbose=0,
        callbacks=[
            keras.callbacks.BackupAndRestore(folder / f"phase{number}.checkpoint"),
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            log,
        ],
    )
    if not log.has_run:
        # Interrupted between the last round's checkpoint and its average: the checkpoint holds what makes it.
        model.optimizer.finalize_variable_values(model.trainable_variables)
        model.save_weights(average_file(folder, number))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with bluemarble/ and scenes/")
    parser.add_argument("--output", type=Path, required=True, help="folder for log and weights")
    parser.add_argument("--share", type=float, default=1.0, help="share of the full number of steps to train")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--precision", default="mixed_bfloat16", choices=("float32", "mixed_bfloat16"))
    options = parser.parse_args()
    phases = tuple(replace(phase, steps=max(10, round(phase.steps * options.share))) for phase in PHASES)
    train(options.data, options.output, phases, options.seed, options.precision)


if __name__ == "__main__":
    main()
