"""What a training run is asked to do, what it tells while it works, and what comes of it.

Nothing here needs a machine-learning library: the faces of training, a command line and an algorithm, load
it before the library has been chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


class TrainingError(ValueError):
    """Training cannot go on; the message says why and what to do."""


class DataError(TrainingError):
    """The data cannot be learned from; the message names the files and a way out."""


class Cancelled(Exception):
    """The listener asked to stop; a checkpoint lies where ``resume`` finds it."""


@dataclass(frozen=True)
class Request:
    """A training run. Where a field is ``None`` the recipe's own value holds.

    Attributes:
        datasets: folders of pairs; see ``training.data.sources``.
        output: the run's folder: checkpoint, log and pictures, and, once it is whole, the model in ``model``.
        recipe: name of one of ``training/recipes`` or a file; ``None``: ``default``, or ``fine_tune`` where a
            model is started from.
        start_from: a model's folder to begin with.
        direction: ``image_to_dem`` or ``dem_to_image``.
        architecture: name of a generator of ``training.generator``.
        epochs: in all; a recipe's stages share them as its own.
        batch_size: samples a step of the last stage; earlier stages change in proportion.
        learning_rate: peak of the last stage; earlier stages change in proportion.
        lambda_: weight of the reconstruction losses where the adversarial loss weighs 1.
        seed: of weights, samples and dropout.
        device: ``cpu``, ``gpu``, or ``None`` for the best there is.
        precision: ``float32``, ``mixed_bfloat16``, ``mixed_float16``, or ``None`` for the device's best.
        resume: go on from the run's last checkpoint where there is one.
        terrains: folder of DEMs to render further training images over.
        rendered_share: share of samples that are rendered, in [0, 1].
        budget_seconds: seconds of training after which the run ends; the stages share them, and learning
            rates follow the time instead of the steps.
        keep_last: each stage keeps its last weights, not those that did best on the held-out tiles: for what
            these tiles do not tell, such as light and colours that they do not have. None ends early.
        name: of the model; ``None``: the output folder's name.
    """

    datasets: tuple[Path, ...]
    output: Path
    recipe: str | Path | None = None
    start_from: Path | None = None
    direction: str | None = None
    architecture: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    lambda_: float | None = None
    seed: int = 1
    device: str | None = None
    precision: str | None = None
    resume: bool = False
    terrains: Path | None = None
    rendered_share: float | None = None
    budget_seconds: float | None = None
    keep_last: bool = False
    name: str | None = None


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        epoch: the one under way, from 1, counted over all stages.
        epochs: how many there are at most.
        step: of the epoch, the last one taken; 0 before the first.
        steps: of the epoch.
        losses: by name, the mean since the epoch began.
        validation: by name, figures on the held-out tiles at the last look; empty before the first.
        seconds_left: estimate for the whole run, validation included; ``None`` while nothing tells it.
        fraction: of the whole run that is done, in [0, 1].
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    losses: Mapping[str, float] = field(default_factory=dict)
    validation: Mapping[str, float] = field(default_factory=dict)
    seconds_left: float | None = None
    fraction: float = 0.0


class Listener(Protocol):
    """Who is told how a run goes, and who may end it."""

    def note(self, text: str) -> None:
        """A sentence for the log."""

    def warn(self, text: str) -> None:
        """A sentence that the user should not miss."""

    def progress(self, progress: Progress) -> None:
        """How far the run is; about once a second."""

    def cancelled(self) -> bool:
        """Whether to stop; asked at every step."""


@dataclass(frozen=True)
class Result:
    """What came of a run.

    Attributes:
        model: the model's folder.
        report: an html page about the run, inside that folder.
        epochs_done: over all stages.
        best_epoch: whose weights the model has.
        validation_rmse: on the held-out tiles, median over tiles, each after a shift of its own: metres; for
            DEM to image, units of the stretched range [-1, 1] and without a shift.
        history: a row for each epoch: ``epoch``, ``stage``, ``step``, ``seconds``, ``learning_rate``,
            ``batch_size``, the losses by name, and the validation's figures as ``validation_<name>``.
    """

    model: Path
    report: Path
    epochs_done: int
    best_epoch: int
    validation_rmse: float
    history: tuple[Mapping[str, Any], ...]
