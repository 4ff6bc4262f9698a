"""The graphical models that come with the plugin: they fit its algorithms, and they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from osgeo import gdal
from qgis.core import (
    QgsApplication,
    QgsProcessingFeedback,
    QgsProcessingParameterDefinition,
)

from imagetodem_qgis.algorithms.readymodels import MODELS_FOLDER, ReadyModel, ready_models
from tests.rasters import colours, relief, write_image

MODELS = {
    "virtuallandscape": ("imagetodem:perlindem", "imagetodem:predictimage", "imagetodem:exportscene"),
    "predictandevaluate": ("imagetodem:predictdem", "imagetodem:evaluatedem", "imagetodem:exportscene"),
    "fetchtrainpredict": ("imagetodem:fetchpairs", "imagetodem:traingenerator", "imagetodem:predictdem"),
}
PLACE = "480000,483000,5199000,5202000 [EPSG:32633]"
Run = Callable[..., "dict[str, Any]"]


@pytest.fixture
def run(qgis_app: object) -> Run:
    import processing

    def run_model(name: str, **parameters: Any) -> dict[str, Any]:
        given = {key: str(value) if isinstance(value, Path) else value for key, value in parameters.items()}
        feedback = QgsProcessingFeedback(False)
        return processing.run(f"imagetodem:{name}", given, feedback=feedback)

    return run_model


def test_they_are_in_the_toolbox_under_their_own_ids(qgis_app: object) -> None:
    provider = QgsApplication.processingRegistry().providerById("imagetodem")
    found = {algorithm.name(): algorithm for algorithm in provider.algorithms() if algorithm.name() in MODELS}
    assert set(found) == set(MODELS) == {path.stem for path in MODELS_FOLDER.glob("*.model3")}
    for name, algorithm in found.items():
        assert algorithm.id() == f"imagetodem:{name}"
        assert algorithm.group() == "Ready models"
        assert algorithm.displayName() != name
        assert not algorithm.icon().isNull()
        assert len(algorithm.shortHelpString()) > 300
        assert len(algorithm.shortDescription()) > 100
        made = algorithm.create()
        assert isinstance(made, ReadyModel)
        assert made.id() == f"imagetodem:{name}"
        for parameter in made.parameterDefinitions():
            assert parameter.description()
            if not parameter.isDestination():
                assert parameter.help()


@pytest.mark.parametrize("name", MODELS)
def test_every_value_of_a_model_is_one_that_its_algorithm_takes(qgis_app: object, name: str) -> None:
    """What QGIS's model designer would complain of, and values that an algorithm no longer knows."""
    model = ReadyModel(MODELS_FOLDER / f"{name}.model3")
    assert model.is_whole
    assert model.validate() == (True, [])
    children = model.childAlgorithms()
    assert sorted(child.algorithmId() for child in children.values()) == sorted(MODELS[name])
    optional = QgsProcessingParameterDefinition.FlagOptional
    for child in children.values():
        definitions = {d.name(): d for d in child.algorithm().parameterDefinitions()}
        given = child.parameterSources()
        assert set(given) <= set(definitions), child.algorithmId()
        for key, definition in definitions.items():
            sources = given.get(key, [])
            if not sources:
                assert definition.isDestination() or definition.flags() & optional, key
            for source in sources:
                if "static_value" in source.toVariant():
                    assert definition.checkValueIsAcceptable(source.staticValue()), (
                        key,
                        source.staticValue(),
                    )
    for parameter in model.parameterDefinitions():
        default = parameter.defaultValue()
        assert default is None or parameter.checkValueIsAcceptable(default), parameter.name()


def test_each_step_works_on_what_the_step_before_it_made(qgis_app: object) -> None:
    links = {
        "virtuallandscape": {
            ("image", "INPUT", "terrain", "OUTPUT"),
            ("scene", "DEM", "terrain", "OUTPUT"),
            ("scene", "IMAGE", "image", "OUTPUT"),
        },
        "predictandevaluate": {
            ("evaluate", "DEM", "predict", "OUTPUT"),
            ("scene", "DEM", "predict", "OUTPUT"),
        },
        "fetchtrainpredict": {
            ("train", "DATASET", "fetch", "OUTPUT"),
            ("predict", "MODEL_FILE", "train", "OUTPUT"),
        },
    }
    for model in ready_models():
        found = {
            (child_id, key, source.outputChildId(), source.outputName())
            for child_id, child in model.childAlgorithms().items()
            for key, sources in child.parameterSources().items()
            for source in sources
            if source.outputChildId()
        }
        assert found == links[model.name()]


def test_the_model_to_start_from_is_one_that_comes_with_the_plugin(shipped_model: str) -> None:
    model = ReadyModel(MODELS_FOLDER / "fetchtrainpredict.model3")
    assert model.parameterDefinition("START_FROM").defaultValue() == shipped_model
    assert model.parameterDefinition("EXTENT").defaultValue() is None


def test_a_virtual_landscape_is_made(run: Run, tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    inverse = tiny_model(
        "second_plane_thrice",
        direction="dem_to_image",
        inputs=["relief", "elevation"],
        outputs=["red", "green", "blue"],
    )
    outputs = {"terrain:DEM": "dem.tif", "image:IMAGE": "image.tif", "scene:SCENE": "scene.html"}
    given = {key: tmp_path / name for key, name in outputs.items()}
    results = run("virtuallandscape", EXTENT=PLACE, SEED=3, EROSION=0.0, MODEL_FILE=inverse, **given)
    assert {key: results[key] for key in outputs} == {key: str(path) for key, path in given.items()}
    dem, image = gdal.Open(str(given["terrain:DEM"])), gdal.Open(str(given["image:IMAGE"]))
    assert (dem.RasterXSize, dem.RasterYSize) == (100, 100) == (image.RasterXSize, image.RasterYSize)
    assert dem.GetGeoTransform() == image.GetGeoTransform()
    heights, brightness = dem.ReadAsArray(), image.ReadAsArray()[0]
    expected = np.clip((heights / 1000.0 + 1.0) * 127.5, 1, 255)
    assert np.abs(brightness - expected).max() <= 0.6
    page = given["scene:SCENE"].read_text(encoding="utf-8")
    assert '"hasPicture": true' in page
    assert '"columns": 100' in page


def test_a_prediction_is_evaluated_and_shown_beside_the_truth(
    run: Run, tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    picture = colours(128, 160)
    image = write_image(tmp_path / "image.tif", picture)
    # What the tiny model answers, half as high and 500 m higher up.
    truth = (0.5 * 30.0 * relief(picture) + 500.0).astype(np.float32)
    reference = write_image(tmp_path / "truth.tif", truth[..., None])
    outputs = {
        "predict:DEM": "dem.tif",
        "evaluate:DIFFERENCE": "difference.tif",
        "evaluate:REPORT": "report.html",
        "scene:SCENE": "scene.html",
    }
    given = {key: tmp_path / name for key, name in outputs.items()}
    results = run(
        "predictandevaluate", INPUT=image, REFERENCE=reference, MODEL_FILE=tiny_model("red"), **given
    )
    assert {key: results[key] for key in outputs} == {key: str(path) for key, path in given.items()}
    difference = gdal.Open(str(given["evaluate:DIFFERENCE"])).ReadAsArray()
    assert np.abs(difference).max() < 0.5
    assert "<html" in given["evaluate:REPORT"].read_text(encoding="utf-8").lower()
    page = given["scene:SCENE"].read_text(encoding="utf-8")
    assert "surface-1-heights" in page
    assert '"hasPicture": true' in page
