from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from imagetodem_qgis.core.card import CardError, parse_card
from imagetodem_qgis.core.stretch import EACH, StretchRecipe

CARD: dict[str, Any] = {
    "name": "hills",
    "version": "1.2",
    "licence": "CC-BY-4.0",
    "architecture": {"name": "light_unet", "tile_size": 256},
    "direction": "image_to_dem",
    "inputs": ["red", "green", "blue", "log_ground_sampling_distance"],
    "outputs": ["height", "log_scale"],
    "stretch": {"method": "percentile", "lower": 2, "upper": 98.5, "clip": 1.5},
    "target": "relief_per_pixel",
    "sun_azimuth": 135,
    "ground_sampling_distance": {"minimum": 10, "maximum": 1000},
    "tile_size": 256,
    "spread_factor": 1.25,
    "training_data": {"pairs": 10},
    "seed": 3,
    "libraries": {"keras": "3"},
    "metrics": {"test": {"rmse": 1.0}},
    "files": {"generator.onnx": "ab" * 32},
    "a key of tomorrow": {"kept": [1, 2, 3]},
}


def changed(path: str, value: Any) -> str:
    """The card's text with another value; ``path`` names a key, or one inside another after a dot."""
    card = copy.deepcopy(CARD)
    *outer, last = path.split(".", 1) if path not in card else [path]
    inside = card[outer[0]] if outer else card
    inside[last] = value
    return json.dumps(card)


def without(path: str) -> str:
    card = copy.deepcopy(CARD)
    *outer, last = path.split(".", 1)
    del (card[outer[0]] if outer else card)[last]
    return json.dumps(card)


def test_a_whole_card_is_read():
    card = parse_card(json.dumps(CARD))
    assert (card.name, card.version, card.licence) == ("hills", "1.2", "CC-BY-4.0")
    assert card.architecture == {"name": "light_unet", "tile_size": 256}
    assert card.direction == "image_to_dem"
    assert card.inputs == ("red", "green", "blue", "log_ground_sampling_distance")
    assert card.outputs == ("height", "log_scale")
    assert card.stretch == StretchRecipe(2.0, 98.5, 1.5, EACH)
    assert card.target == "relief_per_pixel"
    assert card.sun_azimuth == 135.0
    assert card.gsd_range == (10.0, 1000.0)
    assert card.typical_gsd() == pytest.approx(100.0)
    assert card.tile_size == 256
    assert card.spread_factor == 1.25
    assert card.files == {"generator.onnx": "ab" * 32}


def test_unknown_keys_are_kept():
    assert parse_card(json.dumps(CARD)).content == CARD


def test_what_may_be_left_out_has_a_default():
    assert parse_card(without("spread_factor")).spread_factor == 1.0
    assert parse_card(changed("sun_azimuth", None)).sun_azimuth is None


@pytest.mark.parametrize(("given", "read"), [(0, 0.0), (360, 0.0), (-45.5, 314.5), (495, 135.0)])
def test_azimuths_are_brought_into_one_turn(given, read):
    assert parse_card(changed("sun_azimuth", given)).sun_azimuth == read


REQUIRED = [key for key in CARD if key not in ("spread_factor", "a key of tomorrow")] + [
    "architecture.name",
    "stretch.method",
    "stretch.lower",
    "stretch.upper",
    "stretch.clip",
    "ground_sampling_distance.minimum",
    "ground_sampling_distance.maximum",
]


@pytest.mark.parametrize("key", REQUIRED)
def test_a_missing_key_is_named(key):
    with pytest.raises(CardError, match=f"lacks the key '{key}'"):
        parse_card(without(key))


def kind_of(key: str) -> type:
    """Of a required key's value in the card above; whole and broken numbers are one kind but for counts."""
    value: Any = CARD
    for part in key.split("."):
        value = value[part]
    return float if isinstance(value, int) and key not in ("tile_size", "seed") else type(value)


@pytest.mark.parametrize("key", REQUIRED)
def test_values_of_other_kinds_are_named(key):
    samples = {list: ["x"], bool: True, dict: {"x": 1}, str: "x", float: 1.5, type(None): None}
    for kind, value in samples.items():
        if kind is kind_of(key) or (key == "sun_azimuth" and value is None):
            continue
        with pytest.raises(CardError, match=f"wrong value for '{key}'"):
            parse_card(changed(key, value))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("direction", "dem_to_dem"),
        ("target", "metres"),
        ("inputs", ["green", "red", "blue"]),
        ("inputs", ["red", "green"]),
        ("inputs", ["red", "green", "blue", "infrared"]),
        ("inputs", ["red", "green", "blue", "blue"]),
        ("inputs", ["red", "green", "blue", {}]),
        ("inputs", ["red", "green", "blue", []]),
        ("inputs", ["red", "green", "blue", "elevation"]),
        ("outputs", ["red", "green", "blue"]),
        ("outputs", []),
        ("outputs", ["log_scale", "height"]),
        ("outputs", ["height", ["log_scale"]]),
        ("stretch.method", "minmax"),
        ("stretch.lower", -1),
        ("stretch.lower", 98.5),
        ("stretch.upper", 101),
        ("stretch.clip", 0.5),
        ("stretch.clip", float("nan")),
        ("stretch.upper", float("inf")),
        ("sun_azimuth", float("inf")),
        ("sun_azimuth", float("nan")),
        ("ground_sampling_distance.minimum", 0),
        ("ground_sampling_distance.minimum", 2000),
        ("ground_sampling_distance.maximum", float("inf")),
        ("tile_size", 0),
        ("tile_size", -256),
        ("spread_factor", "1"),
        ("spread_factor", 0),
        ("spread_factor", -2.0),
        ("spread_factor", float("nan")),
        ("files", {"generator.onnx": 5}),
        ("files", {"generator.onnx": "abc"}),
        ("files", {"../generator.onnx": "ab" * 32}),
        ("files", {"sub/generator.onnx": "ab" * 32}),
        ("files", {"sub\\generator.onnx": "ab" * 32}),
        ("files", {"C:generator.onnx": "ab" * 32}),
        ("files", {"..": "ab" * 32}),
    ],
)
def test_a_wrong_value_is_named(key, value):
    with pytest.raises(CardError, match=key.split(".")[0]):
        parse_card(changed(key, value))


@pytest.mark.parametrize("text", ["", "not json", "[1, 2]", '"name"', "null", '{"name": '])
def test_what_is_no_object_is_refused(text):
    with pytest.raises(CardError, match="model.json"):
        parse_card(text)


def test_a_guided_model_and_one_from_the_dem_name_their_own_planes():
    assert parse_card(json.dumps(CARD)).task == "image_to_dem"
    guided = parse_card(changed("inputs", ["red", "green", "blue", "coarse_dem"]))
    assert guided.task == "guided"
    content = copy.deepcopy(CARD)
    content.update(
        direction="dem_to_image",
        inputs=["relief", "elevation", "log_ground_sampling_distance"],
        outputs=["red", "green", "blue"],
    )
    inverse = parse_card(json.dumps(content))
    assert (inverse.task, inverse.outputs) == ("dem_to_image", ("red", "green", "blue"))
    content["inputs"] = ["relief", "palette_red", "palette_green", "palette_blue"]
    content["sea_colour"] = [-1, 0, 0.5]
    content["palettes"] = [[0.5, -0.25, 0], [1, 0, -1]]
    assert parse_card(json.dumps(content)).sea_colour == (-1.0, 0.0, 0.5)
    assert parse_card(json.dumps(content)).palettes == ((0.5, -0.25, 0.0), (1.0, 0.0, -1.0))
    with pytest.raises(CardError, match="wrong value for 'sea_colour'"):
        parse_card(json.dumps({**content, "sea_colour": [0, 0, 2]}))
    for wrong in ([], [[0.5, 0.5]], [[0.5, 0.5, 1.5]], [[0.5, 0.5, True]], "red"):
        content["palettes"] = wrong
        with pytest.raises(CardError, match="wrong value for 'palettes'"):
            parse_card(json.dumps(content))
    content["inputs"] = ["relief", "palette_red"]
    with pytest.raises(CardError, match="wrong value for 'inputs'"):
        parse_card(json.dumps(content))
    content["inputs"] = ["red", "green", "blue"]
    with pytest.raises(CardError, match="wrong value for 'inputs'"):
        parse_card(json.dumps(content))
