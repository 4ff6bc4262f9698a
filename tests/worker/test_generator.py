from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from keras import layers

from training.generator import (
    DEM_INPUTS,
    GUIDED_INPUTS,
    IMAGE_INPUTS,
    IMAGE_OUTPUTS,
    PAPER_PARAMETERS,
    build,
    coarse_unet,
    light_unet,
    paper_unet,
)
from training.muting import muting


@pytest.fixture(scope="module")
def light() -> keras.Model:
    """The light generator for tiles of any size, with normalisation that does something."""
    keras.utils.set_random_seed(3)
    model = light_unet(tile_size=None)
    random = np.random.default_rng(3)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            channels = layer.gamma.shape[0]
            layer.set_weights(
                [
                    random.uniform(low, high, channels)
                    for low, high in ((0.5, 1.5), (-1, 1), (-1, 1), (0.3, 3))
                ]
            )
    return model


def planes(count: int, rows: int, columns: int, seed: int = 0) -> np.ndarray:
    image = np.random.default_rng(seed).uniform(-1, 1, (count, rows, columns, 4)).astype(np.float32)
    image[..., 3] = np.linspace(-2.0, 2.0, count)[:, None, None]
    return image


def run(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    return np.asarray(model(inputs, training=False))


def test_the_papers_network_has_the_published_number_of_parameters():
    model = paper_unet()
    assert model.count_params() == PAPER_PARAMETERS == 54_421_761
    assert f"{model.count_params() / 1e6:.1f} M" == "54.4 M"


def test_the_papers_count_follows_from_its_table_of_layers():
    # Channels in and out of each 4 x 4 convolution, down and up; the inner ones without bias and followed by
    # normalisation (scale, shift, mean, variance), but for the first and the last.
    down = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 512), (512, 512), (512, 512), (512, 512)]
    up = [(512, 512), (1024, 512), (1024, 512), (1024, 512), (1024, 256), (512, 128), (256, 64)]
    kernels = sum(16 * before * after for before, after in down + up)
    normalisation = sum(4 * after for _, after in down[1:] + up)
    last = 16 * 128 * 1 + 1
    assert kernels + normalisation + last == PAPER_PARAMETERS


def test_the_papers_layers_are_those_of_its_table():
    model = paper_unet()
    assert model.input_shape == (None, 256, 256, 3)
    assert model.output_shape == (None, 256, 256, 1)
    down = [layer for layer in model.layers if type(layer) is layers.Conv2D]
    up = [layer for layer in model.layers if type(layer) is layers.Conv2DTranspose]
    assert [layer.filters for layer in down] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert [layer.filters for layer in up] == [512, 512, 512, 512, 256, 128, 64, 1]
    assert [layer.output.shape[1] for layer in down] == [128, 64, 32, 16, 8, 4, 2, 1]
    assert [layer.output.shape[1] for layer in up] == [2, 4, 8, 16, 32, 64, 128, 256]
    assert {layer.kernel_size for layer in down + up} == {(4, 4)}
    assert {layer.strides for layer in down + up} == {(2, 2)}
    assert [layer.use_bias for layer in down + up] == [False] * 15 + [True]
    dropouts = [layer for layer in model.layers if isinstance(layer, layers.Dropout)]
    assert [layer.rate for layer in dropouts] == [0.5] * 3
    assert up[-1].activation is keras.activations.tanh
    leaks = [layer for layer in model.layers if isinstance(layer, layers.LeakyReLU)]
    assert [layer.negative_slope for layer in leaks] == [0.3] * 8


def test_statistics_of_the_sample_keep_a_papers_answer_to_itself():
    keras.utils.set_random_seed(1)
    model = paper_unet(statistics="sample")
    tiles = np.random.default_rng(1).uniform(-1, 1, (3, 256, 256, 3)).astype(np.float32)
    together = run(model, tiles)
    alone = np.concatenate([run(model, tile[None]) for tile in tiles])
    assert np.ptp(together) > 0.01
    assert np.abs(together).max() <= 1.0
    np.testing.assert_allclose(together, alone, atol=1e-4 * np.ptp(together))


def test_the_light_network_is_light():
    model = light_unet()
    assert 1_000_000 < model.count_params() < 2_500_000
    assert model.input_shape == (None, 256, 256, 4)
    assert model.output_shape == (None, 256, 256, 2)
    assert not any(isinstance(layer, (layers.Dropout, layers.Conv2DTranspose)) for layer in model.layers)


def test_a_tiles_answer_does_not_depend_on_its_batch_nor_on_chance(light):
    tiles = planes(8, 64, 64)
    together = run(light, tiles)
    reach = np.ptp(together[..., 0])
    assert reach > 0.01
    np.testing.assert_array_equal(run(light, tiles), together)
    for index in range(8):
        np.testing.assert_allclose(
            run(light, tiles[index : index + 1])[0], together[index], atol=1e-4 * reach
        )
    shuffled = run(light, tiles[::-1])
    np.testing.assert_allclose(shuffled[::-1], together, atol=1e-4 * reach)


def test_the_mirrored_network_answers_a_mirrored_tile_with_the_mirrored_answer():
    keras.utils.set_random_seed(6)
    mirrored = light_unet(tile_size=64, mirrored=True)
    tiles = planes(2, 64, 64)
    answer = run(mirrored, tiles)
    np.testing.assert_allclose(
        run(mirrored, tiles.swapaxes(1, 2)), answer.swapaxes(1, 2), atol=1e-4 * np.ptp(answer)
    )
    plain = mirrored.get_layer("light_unet")
    mean = (run(plain, tiles) + run(plain, tiles.swapaxes(1, 2)).swapaxes(1, 2)) / 2
    np.testing.assert_allclose(answer, mean, atol=1e-4 * np.ptp(answer))
    assert np.abs(run(plain, tiles) - answer).max() > 1e-2 * np.ptp(answer)


def test_heights_and_their_spread_scale_with_the_ground_sampling_distance():
    keras.utils.set_random_seed(5)
    model = light_unet(tile_size=64)
    for layer in model.layers:
        # The image is seen alike, so that the heads' scale alone tells the distances apart.
        if isinstance(layer, layers.Conv2D) and layer.kernel.shape[:3] == (3, 3, 4):
            kernel, *bias = layer.get_weights()
            kernel[:, :, 3] = 0.0
            layer.set_weights([kernel, *bias])
    image = planes(1, 64, 64)
    coarse, fine = image.copy(), image.copy()
    coarse[..., 3], fine[..., 3] = math.log(500 / 100), math.log(10 / 100)
    at_coarse, at_fine = run(model, coarse), run(model, fine)
    factor = 50.0**-0.6
    np.testing.assert_allclose(at_coarse[..., 0], factor * at_fine[..., 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(at_coarse[..., 1], math.log(factor) + at_fine[..., 1], atol=1e-4)


def test_the_trunk_alone_answers_as_the_whole_does_without_detail():
    keras.utils.set_random_seed(6)
    trunk, whole = coarse_unet(tile_size=16), light_unet(tile_size=64)
    for layer in trunk.layers:
        if layer.weights:
            whole.get_layer(layer.name).set_weights(layer.get_weights())
    head = whole.get_layer("detail_head")
    head.set_weights([np.zeros_like(value) for value in head.get_weights()])
    tile = planes(1, 64, 64)
    tile[..., 3] = math.log(0.3)
    reduced = tile.reshape(1, 16, 4, 16, 4, 4).mean((2, 4))
    reduced[..., 3] = math.log(1.2)
    shape = run(trunk, reduced)[0, ..., 0]
    # A height of one reduced pixel is four of the tile's. Where four of them meet, linear interpolation is
    # exact: the mean of the four pixels around that place is the mean of the four reduced ones.
    answer = run(whole, tile)[0, ..., 0]
    between = 4 * (shape[:-1, :-1] + shape[1:, :-1] + shape[:-1, 1:] + shape[1:, 1:]) / 4
    around = (
        answer[3:-2:4, 3:-2:4] + answer[4:-1:4, 3:-2:4] + answer[3:-2:4, 4:-1:4] + answer[4:-1:4, 4:-1:4]
    ) / 4
    assert np.ptp(between) > 1e-3
    np.testing.assert_allclose(around, between, atol=1e-4 * np.ptp(between))


def test_heights_stay_in_single_precision_when_the_rest_is_not():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = light_unet(tile_size=64)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert model.output.dtype == "float32"
    assert model.get_layer("enter_conv").compute_dtype == "bfloat16"
    assert model.get_layer("detail_head").compute_dtype == "float32"


def test_fine_images_are_seen_in_muted_colours():
    tiles = planes(2, 64, 64)
    red, green, blue = np.moveaxis(tiles[..., :3], -1, 0)
    mean = (red + green + blue) / 3.0
    # Nothing of green over red is left, and half of blue over the mean.
    muted = np.stack([mean - (blue - mean) / 4.0, mean - (blue - mean) / 4.0, mean + (blue - mean) / 2.0], -1)
    full = tiles[..., :3].copy()
    for gsd, expected, tolerance in (
        (10.0, muted, 1e-4),
        (30.0, muted, 0.02),
        (90.0, (muted + full) / 2.0, 1e-5),
        (500.0, full, 1e-3),
    ):
        tiles[..., 3] = math.log(gsd / 100.0)
        answer = run(muting(IMAGE_INPUTS, 64), tiles)
        np.testing.assert_allclose(answer[..., :3], expected, atol=tolerance)
        np.testing.assert_array_equal(answer[..., 3], tiles[..., 3])


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_network_that_answers_to_muted_colours_has_the_weights_of_the_plain_one(mirrored):
    keras.utils.set_random_seed(6)
    plain, muted = (
        light_unet(tile_size=64, mirrored=mirrored),
        light_unet(tile_size=64, mirrored=mirrored, muted=True),
    )
    muted.set_weights(plain.get_weights())
    tiles = planes(2, 64, 64)
    tiles[..., 3] = math.log(0.3)
    expected = run(plain, run(muting(IMAGE_INPUTS, 64), tiles))
    reach = np.ptp(expected)
    np.testing.assert_allclose(run(muted, tiles), expected, atol=1e-4 * reach)
    assert np.abs(run(plain, tiles) - expected).max() > 1e-3 * reach
    with pytest.raises(ValueError, match="colours"):
        light_unet(DEM_INPUTS, IMAGE_OUTPUTS, tile_size=64, muted=True)


def test_build_follows_the_card():
    model = build({"name": "light_unet", "tile_size": 64})
    assert model.input_shape == (None, 64, 64, 4)
    assert build({"name": "paper_unet", "input_bands": 1, "output_bands": 3}).output_shape == (
        None,
        256,
        256,
        3,
    )


def test_a_guided_network_adds_to_the_coarse_dem_what_the_unguided_one_answers():
    keras.utils.set_random_seed(8)
    lacking = light_unet(GUIDED_INPUTS, tile_size=64)
    whole = light_unet(GUIDED_INPUTS, tile_size=64, guided=True)
    whole.set_weights(lacking.get_weights())
    tile = np.random.default_rng(8).normal(0, 3, (2, 64, 64, 6)).astype(np.float32)
    tile[..., 4:] = -1.0
    apart = run(whole, tile) - run(lacking, tile)
    np.testing.assert_allclose(apart[..., 0], tile[..., 3], atol=1e-4)
    np.testing.assert_array_equal(apart[..., 1], 0.0)


def test_heights_are_given_to_the_network_in_the_order_of_the_image_at_every_distance():
    # Relief per pixel grows as the ground sampling distance falls; what the layers see is 0.2 of it at 100 m.
    model = light_unet(GUIDED_INPUTS, tile_size=64)
    seen = keras.Model(model.input, [model.get_layer(f"{part}_input").output for part in ("trunk", "fine")])
    tile = np.ones((1, 64, 64, 6), np.float32) * 2.0
    for gsd in (10.0, 100.0, 500.0):
        tile[..., 5] = math.log(gsd / 100.0)
        trunk, fine = (np.asarray(planes) for planes in seen(tile))
        np.testing.assert_allclose(fine[..., 3], 2.0 * 0.2 * (gsd / 100.0) ** 0.6, rtol=1e-5)
        # A pixel of the trunk stands for four: the same height is a quarter of it.
        np.testing.assert_allclose(trunk[..., 3], 0.5 * 0.2 * (4.0 * gsd / 100.0) ** 0.6, rtol=1e-5)
        np.testing.assert_array_equal(fine[..., :3], 2.0)


def test_a_network_from_the_dem_answers_three_bands():
    model = light_unet(DEM_INPUTS, IMAGE_OUTPUTS, tile_size=64)
    trunk = coarse_unet(DEM_INPUTS, IMAGE_OUTPUTS, tile_size=16)
    assert (model.input_shape, model.output_shape) == ((None, 64, 64, 7), (None, 64, 64, 3))
    shared = {layer.name for layer in trunk.layers if layer.weights}
    assert shared <= {layer.name for layer in model.layers}
    for name in shared:
        model.get_layer(name).set_weights(trunk.get_layer(name).get_weights())


def test_a_wider_branch_has_its_blocks_below_full_resolution():
    plain = light_unet(GUIDED_INPUTS, tile_size=64)
    wide = light_unet(GUIDED_INPUTS, tile_size=64, detail_filters=(16, 40, 64), detail_blocks=1)
    filters = {name: wide.get_layer(f"{name}_conv").filters for name in ("detail0", "detail1", "detail2")}
    assert filters == {"detail0": 16, "detail1": 40, "detail2": 64}
    added = {layer.name for layer in wide.layers} - {layer.name for layer in plain.layers}
    blocks = {name.partition("_block")[0] for name in added}
    assert blocks == {"detail1", "detail2", "merge2", "merge1"}
    mirrored = light_unet(
        GUIDED_INPUTS, tile_size=64, mirrored=True, detail_filters=(16, 40, 64), detail_blocks=1
    )
    assert mirrored.count_params() == wide.count_params() > plain.count_params()


@pytest.mark.parametrize(
    "architecture",
    [
        {},
        {"name": "light_unet", "inputs": ["red", "green", "blue"]},
        {"name": "light_unet", "guided": True},
        {"name": "light_unet", "outputs": ["height"]},
        {"name": "resnet"},
        {"name": ["light_unet"]},
        {"name": "light_unet", "layers": 3},
        {"name": "paper_unet", "statistics": "none"},
    ],
    ids=str,
)
def test_architectures_that_are_not_known_are_refused(architecture):
    with pytest.raises(ValueError, match="architecture"):
        build(architecture)
