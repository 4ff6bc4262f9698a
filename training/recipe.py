"""Recipes: how a generator is trained, as small JSON files with names.

A recipe says everything about a run but its data: networks, stages, losses, optimiser and augmentation. See
``training/recipes/``; a user's own file may lie anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from imagetodem_qgis.core.card import COARSE_DEM
from imagetodem_qgis.core.stretch import BANDS, EACH
from training.data.sampling import Augmentation
from training.request import Request, TrainingError

RECIPES = Path(__file__).with_name("recipes")
DIRECTIONS = ("image_to_dem", "dem_to_image")
TARGETS = ("relief_per_pixel", "relative")
SCHEDULES = ("constant", "cosine")
ORDERS = ("random", "passes")


class RecipeError(TrainingError):
    """A recipe that cannot be used; the message names file and key."""


@dataclass(frozen=True)
class Stage:
    """A part of a run.

    Attributes:
        network: name of a generator; the last stage's is the recipe's own. What an earlier stage has learned
            is taken over for the layers of the same names.
        tile_size: side of the samples in pixels.
        batch_size: samples a step.
        epochs: at most.
        steps_per_epoch: ``None``: as many as it takes to see every training pair once, but no fewer than
            ``least_steps``.
        learning_rate: peak.
        schedule: ``constant``, or ``cosine``: a short rise followed by half a cosine down to 0.
        order: ``random``, pairs as chance draws them; ``passes``, each pair once an epoch.
        share: of a run's time: what a budget of time is shared out by, and the time left is reckoned by.
        least_steps: of an epoch, where ``steps_per_epoch`` is ``None``: a small data set is seen several
            times between two looks at the held-out tiles.
    """

    network: str
    tile_size: int
    batch_size: int
    epochs: int
    steps_per_epoch: int | None
    learning_rate: float
    schedule: str = "cosine"
    order: str = "random"
    share: float = 1.0
    least_steps: int = 1


@dataclass(frozen=True)
class Recipe:
    """How a generator is trained.

    Attributes:
        name: of the recipe.
        description: what it is for, in a sentence or two.
        direction: ``image_to_dem`` or ``dem_to_image``.
        inputs: planes that the network takes, as a model's card names them.
        architecture: of the model that is made, as ``training.generator.build`` takes it. The keys
            ``mirrored`` and ``muted`` concern the answering alone: the network itself is trained.
        stages: in turn.
        losses: weights of the losses by name; see ``training.objective``.
        adversarial: weight of the discriminator's opinion; 0: there is no discriminator.
        discriminator: arguments of ``training.discriminator.patch_discriminator``.
        optimiser: ``name`` (adam, adamw) and its arguments, for both networks.
        average: momentum of the moving average of the weights; 0: none.
        augmentation: the switches of :class:`training.data.sampling.Augmentation`.
        target: ``relief_per_pixel``, or ``relative`` to the data set's least and largest height, as
            published.
        stretch: of images: ``lower`` and ``upper`` percentile, ``bands`` (each, together, dehazed), ``clip``.
        patience: epochs without a better validation after which a stage ends; 0: never.
        image_dropped: share of a guided network's samples that come without their image; 1: a network that
            never sees one.
        rendered_share: of samples, where a folder of DEMs is given.
        checkpoint_seconds: between two checkpoints within an epoch.
        picture_epochs: between two pictures of held-out tiles.
    """

    name: str
    description: str
    direction: str
    inputs: tuple[str, ...]
    architecture: Mapping[str, Any]
    stages: tuple[Stage, ...]
    losses: Mapping[str, float]
    adversarial: float = 0.0
    discriminator: Mapping[str, Any] = field(default_factory=dict)
    optimiser: Mapping[str, Any] = field(default_factory=lambda: {"name": "adam"})
    average: float = 0.0
    augmentation: Mapping[str, bool] = field(
        default_factory=lambda: dict.fromkeys(("scale", "turn", "mirror", "contrast"), True)
    )
    target: str = "relief_per_pixel"
    stretch: Mapping[str, Any] = field(
        default_factory=lambda: {"lower": 2, "upper": 98, "bands": "dehazed", "clip": 1.5}
    )
    patience: int = 0
    image_dropped: float = 0.2
    rendered_share: float = 0.5
    checkpoint_seconds: float = 60.0
    picture_epochs: int = 5

    @property
    def epochs(self) -> int:
        """Of all stages together."""
        return sum(stage.epochs for stage in self.stages)

    def as_json(self) -> dict[str, Any]:
        """The recipe as its file would hold it."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content


def read_recipe(recipe: str | Path) -> Recipe:
    """Read a recipe.

    Args:
        recipe: name of one of ``training/recipes``, or the path of a JSON file.

    Raises:
        RecipeError: there is none, or one of its keys is missing, unknown or wrong.
    """
    path = RECIPES / f"{recipe}.json"
    if not path.exists():
        path = Path(recipe)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        names = ", ".join(sorted(path.stem for path in RECIPES.glob("*.json")))
        raise RecipeError(f"no recipe {recipe}: take one of {names}, or a JSON file ({error})") from error
    except ValueError as error:
        raise RecipeError(f"{path} is not valid JSON: {error}") from error
    return parse_recipe(content, str(path))


def parse_recipe(content: Any, source: str) -> Recipe:
    """A recipe from the content of its file.

    Args:
        content: what the JSON holds.
        source: the file's name, for messages.

    Raises:
        RecipeError: as :func:`read_recipe`.
    """
    if not isinstance(content, dict):
        raise RecipeError(f"{source} must hold a JSON object")
    stages = content.get("stages")
    if not isinstance(stages, list) or not stages:
        raise RecipeError(f"{source}: 'stages' must be a list of at least one stage")
    parsed = tuple(_make(Stage, stage, f"{source}: stage {n}") for n, stage in enumerate(stages, 1))
    inputs = content.get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(plane, str) for plane in inputs):
        raise RecipeError(f"{source}: 'inputs' must be a list of planes' names")
    recipe: Recipe = _make(Recipe, {**content, "stages": parsed, "inputs": tuple(inputs)}, source)
    _check(recipe, source)
    return recipe


def _make(kind: Any, content: Any, source: str) -> Any:
    if not isinstance(content, dict):
        raise RecipeError(f"{source} must be a JSON object")
    unknown = set(content) - {field.name for field in fields(kind)}
    if unknown:
        raise RecipeError(f"{source}: unknown key {', '.join(sorted(map(repr, unknown)))}")
    try:
        return kind(**content)
    except TypeError as error:
        raise RecipeError(f"{source}: {str(error).partition('__init__() ')[2]}") from error


def _check(recipe: Recipe, source: str) -> None:
    choices = [
        ("direction", recipe.direction, DIRECTIONS),
        ("target", recipe.target, TARGETS),
        ("stretch.bands", recipe.stretch.get("bands", EACH), BANDS),
        *((f"stages[{n}].schedule", stage.schedule, SCHEDULES) for n, stage in enumerate(recipe.stages)),
        *((f"stages[{n}].order", stage.order, ORDERS) for n, stage in enumerate(recipe.stages)),
        ("stages[-1].network", recipe.stages[-1].network, (recipe.architecture.get("name"),)),
        *(
            ("augmentation", switch, tuple(field.name for field in fields(Augmentation)))
            for switch in recipe.augmentation
        ),
    ]
    for key, value, known in choices:
        if value not in known:
            raise RecipeError(f"{source}: '{key}' is {value!r}, not one of {', '.join(map(repr, known))}")
    guided = COARSE_DEM in recipe.inputs
    # What a guided network is shown as its target has one plane more, which no other loss knows of.
    if guided != ("detail" in recipe.losses) or (guided and len(recipe.losses) > 1):
        raise RecipeError(
            f"{source}: 'losses' must be 'detail' alone where 'inputs' hold '{COARSE_DEM}', and "
            f"others elsewhere, not {', '.join(map(repr, recipe.losses))}"
        )
    amounts: list[tuple[str, Any]] = [("losses", sum(recipe.losses.values()))]
    for number, stage in enumerate(recipe.stages):
        for key in ("tile_size", "batch_size", "epochs", "learning_rate", "share"):
            amounts.append((f"stages[{number}].{key}", getattr(stage, key)))
        if stage.steps_per_epoch is not None:
            amounts.append((f"stages[{number}].steps_per_epoch", stage.steps_per_epoch))
    for key, value in amounts:
        if not _is_number(value) or not value > 0:
            raise RecipeError(f"{source}: '{key}' must be a positive number, not {value!r}")
    if not _is_number(recipe.adversarial) or not recipe.adversarial >= 0:
        raise RecipeError(
            f"{source}: 'adversarial' must be 0 or a positive number, not {recipe.adversarial!r}"
        )
    if guided and recipe.adversarial:
        raise RecipeError(
            f"{source}: 'adversarial' must be 0 where 'inputs' hold '{COARSE_DEM}': no discriminator judges "
            "what a coarse DEM lacks; take the recipe guided or fine_tune"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def adapted(recipe: Recipe, request: Request) -> Recipe:
    """The recipe with the numbers that a request asks for in place of its own.

    Raises:
        RecipeError: the request asks for what the recipe cannot give.
    """
    last = recipe.stages[-1]
    stages = list(recipe.stages)
    if request.batch_size is not None:
        share = request.batch_size / last.batch_size
        stages = [replace(s, batch_size=max(1, round(s.batch_size * share))) for s in stages]
    if request.learning_rate is not None:
        share = request.learning_rate / last.learning_rate
        stages = [replace(stage, learning_rate=stage.learning_rate * share) for stage in stages]
    if request.epochs is not None:
        stages = _with_epochs(stages, request.epochs)
    losses = recipe.losses
    if request.lambda_ is not None and recipe.adversarial > 0:
        total = sum(losses.values())
        losses = {name: request.lambda_ * weight / total for name, weight in losses.items()}
    changed = replace(
        recipe,
        stages=tuple(stages),
        losses=losses,
        adversarial=1.0 if request.lambda_ is not None and recipe.adversarial > 0 else recipe.adversarial,
        rendered_share=recipe.rendered_share if request.rendered_share is None else request.rendered_share,
    )
    _check(changed, recipe.name)
    return changed


def _with_epochs(stages: list[Stage], epochs: int) -> list[Stage]:
    """Share out a number of epochs as the stages' own are; too few are all for the last stages."""
    stages = stages[-max(1, epochs) :]
    total = sum(stage.epochs for stage in stages)
    shares = [max(1, round(stage.epochs * epochs / total)) for stage in stages]
    # Rounding must not change the sum, nor take a stage's only epoch.
    while sum(shares) != epochs and epochs >= len(shares):
        widest = max(range(len(shares)), key=lambda n: shares[n])
        shares[widest] += 1 if sum(shares) < epochs else -1
    return [replace(stage, epochs=share) for stage, share in zip(stages, shares)]
