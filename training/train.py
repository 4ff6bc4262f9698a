"""Training a generator: ``python -m training.train --data FOLDER --output RUN``.

The same function serves the command line and ``imagetodem:traingenerator``. A run's folder holds its
checkpoint, pictures and logs, and in the end the model in ``model``, with a report about the run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from training.device import PRECISIONS, choose_backend
from training.recipe import DIRECTIONS, RECIPES
from training.request import (
    Cancelled,
    DataError,
    Listener,
    Progress,
    Request,
    Result,
    TrainingError,
)

__all__ = [
    "Cancelled",
    "DataError",
    "Listener",
    "Progress",
    "Request",
    "Result",
    "TrainingError",
    "train",
]


def train(request: Request, listener: Listener) -> Result:
    """Train a generator and make its model's folder.

    A run with the same request on the same machine's processor gives the same weights, whether it was
    interrupted and resumed or not; one with a budget of time does not.

    Args:
        request: what to do.
        listener: told how it goes, and asked at each step whether to stop.

    Raises:
        DataError: the data cannot be trained on; nothing was begun.
        TrainingError: the request cannot be carried out; both are ``ValueError``.
        Cancelled: the listener said so; ``resume`` goes on from there.
    """
    choose_backend()
    # Keras reads its backend when it is imported.
    from training.session import run

    return run(request, listener)


class Console:
    """Tells on the terminal."""

    def __init__(self) -> None:
        self._told: object = None

    def note(self, text: str) -> None:
        """Print."""
        print(text, flush=True)

    def warn(self, text: str) -> None:
        """Print as an error."""
        print(f"Warning: {text}", file=sys.stderr, flush=True)

    def progress(self, progress: Progress) -> None:
        """Print a line for each look at the held-out tiles; on a terminal also between them."""
        looked = progress.validation != self._told
        if not (sys.stdout.isatty() or looked):
            return
        self._told = progress.validation
        losses = [f"{name} {value:.4g}" for name, value in progress.losses.items()]
        figures = [f"held-out {name} {value:.4g}" for name, value in progress.validation.items()]
        line = ", ".join(
            [
                f"epoch {progress.epoch} of {progress.epochs}, step {progress.step} of {progress.steps}",
                *losses,
                *figures,
                *([] if progress.seconds_left is None else [f"{progress.seconds_left / 60.0:.0f} min left"]),
            ]
        )
        print(line, end="\n" if looked else "\033[K\r", flush=True)

    def cancelled(self) -> bool:
        """Never: an interrupted run goes on from its last checkpoint."""
        return False


def main() -> None:
    """Command line."""
    recipes = ", ".join(sorted(path.stem for path in RECIPES.glob("*.json")))
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        required=True,
        help="folder of pairs; may be given several times",
    )
    parser.add_argument("--output", type=Path, required=True, help="the run's folder")
    parser.add_argument("--recipe", help=f"one of {recipes}, or a JSON file")
    parser.add_argument("--start-from", type=Path, help="a model's folder to go on with")
    parser.add_argument("--direction", choices=DIRECTIONS)
    parser.add_argument("--architecture", help="name of a generator")
    parser.add_argument("--epochs", type=int, help="in all")
    parser.add_argument("--batch-size", type=int, help="tiles a step of the last stage")
    parser.add_argument("--learning-rate", type=float, help="peak of the last stage")
    parser.add_argument(
        "--lambda",
        type=float,
        dest="lambda_",
        help="weight of the reconstruction against the discriminator's",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "gpu"))
    parser.add_argument("--precision", choices=PRECISIONS)
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    parser.add_argument("--terrains", type=Path, help="folder of DEMs to render further images over")
    parser.add_argument("--rendered-share", type=float, help="share of samples that are rendered")
    parser.add_argument(
        "--budget", type=float, dest="budget_seconds", help="seconds of training, shared by stages"
    )
    parser.add_argument(
        "--keep-last",
        action="store_true",
        help="keep each stage's last weights, not those that did best on the held-out tiles; none ends early",
    )
    parser.add_argument("--name", help="of the model")
    options = vars(parser.parse_args())
    request = Request(datasets=tuple(options.pop("data")), **options)
    try:
        result = train(request, Console())
    except TrainingError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("\nInterrupted; --resume goes on from the last checkpoint.")
    print(
        f"{result.model}: weights of epoch {result.best_epoch} of {result.epochs_done}, held-out RMSE "
        f"{result.validation_rmse:.4g}\n{result.report}"
    )


if __name__ == "__main__":
    main()
