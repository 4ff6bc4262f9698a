"""Publishing a trained model: ``python -m training.package --run RUN --data DATA --output MODEL``.

A run's model gets a name, a version and a description, the calibration of its spread on the whole validation
split, and its figures on both held-out splits.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imagetodem_qgis.core.card import CARD_FILE, ONNX_FILE
from training.evaluate import calibration, evaluate, markdown
from training.finish import MODEL_FOLDER
from training.model_folder import replace_folder, write_card
from training.networks import WEIGHTS_FILE


def package(run: Path, data: Sequence[Path], output: Path, **described: str) -> None:
    """Write a model's folder from a finished run.

    Args:
        run: its folder.
        data: folders of pairs, for the figures.
        output: the model's folder; replaced when the new one is whole.
        described: ``name``, ``version``, ``description`` of the model, where they are to be other ones.
    """
    partial = output.with_name(f"{output.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in (ONNX_FILE, WEIGHTS_FILE):
        shutil.copyfile(run / MODEL_FOLDER / name, partial / name)
    card: dict[str, Any] = json.loads((run / MODEL_FOLDER / CARD_FILE).read_text(encoding="utf-8"))
    card.update(described)
    write_card(card, partial)
    if "log_scale" in card["outputs"] and not card["architecture"].get("guided"):
        card["spread_factor"] = round(calibration(partial, data[0]), 4)
        write_card(card, partial)
    for split in ("validation", "test"):
        figures: dict[str, Any] = {}
        for folder in data:
            figures.update(evaluate(partial, folder, split))
        card["metrics"][split] = figures
        print(split, markdown(figures), sep="\n", flush=True)
    write_card(card, partial)
    replace_folder(partial, output)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of training.train")
    parser.add_argument(
        "--data", type=Path, action="append", required=True, help="folder of pairs; several times"
    )
    parser.add_argument("--output", type=Path, required=True, help="the model's folder")
    parser.add_argument("--name")
    parser.add_argument("--version")
    parser.add_argument("--description")
    options = vars(parser.parse_args())
    described = {key: options[key] for key in ("name", "version", "description") if options[key] is not None}
    package(options["run"], options["data"], options["output"], **described)


if __name__ == "__main__":
    main()
