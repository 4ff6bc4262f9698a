from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from tests.conftest import ROOT
from tests.one_step import RATE, SIZE, objective, take_step
from tests.tiny_dataset import RECIPE
from tests.tiny_generator import TINY
from training import steps
from training.learner import make_learner
from training.objective import Objective
from training.recipe import parse_recipe


def batch(count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    inputs = random.normal(size=(count, SIZE, SIZE, 4)).astype(np.float32)
    inputs[..., 3] = -1.0
    height = np.cumsum(random.normal(size=(count, SIZE, SIZE)), axis=1) / 4.0
    known = np.ones((count, SIZE, SIZE))
    known[0, :8] = 0.0
    height = np.where(known > 0, height - height.mean(axis=(1, 2), keepdims=True), 0.0)
    return inputs, np.stack([height, known], axis=-1).astype(np.float32)


def tensors() -> list[object]:
    return [ops.convert_to_tensor(array) for array in batch()]


WITH_PACKAGES = "; ".join(
    [
        "import runpy, sys",
        "sys.path.append(sys.argv.pop(1))",
        "runpy.run_module('tests.one_step', run_name='__main__')",
    ]
)
"""Runs a step where the other backend may lie in a folder of its own, behind the environment's libraries."""


def write_start(path: Path, count: int = 3) -> dict[str, np.ndarray]:
    keras.utils.set_random_seed(3)
    made = objective()
    given = {}
    for name, model in (("generator", made.generator), ("discriminator", made.discriminator)):
        given.update({f"{name}{n}": weight for n, weight in enumerate(model.get_weights())})
    given["inputs"], given["target"] = batch(count)
    np.savez(path, **given)
    return given


def result(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


def test_both_backends_take_the_same_step(tmp_path):
    others = {"tensorflow": "torch", "torch": "tensorflow"}
    other = others[keras.backend.backend()]
    found = importlib.util.find_spec(other)
    if found is None or found.origin is None:
        pytest.skip(f"needs both backends to compare them; {other} is not installed here")
    start = tmp_path / "start.npz"
    given = write_start(start)
    take_step(start, tmp_path / "here.npz")
    subprocess.run(
        [sys.executable, "-c", WITH_PACKAGES, str(Path(found.origin).parents[1])]
        + [str(start), str(tmp_path / "there.npz")],
        check=True,
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": other, "OMP_NUM_THREADS": "1"},
    )
    here, there = result(tmp_path / "here.npz"), result(tmp_path / "there.npz")
    assert set(here) == set(there)
    losses = [name for name in here if name.startswith("loss ")]
    parts = ("loss", "relief", "l1", "adversarial", "discriminator")
    assert sorted(losses) == sorted(f"loss {part}" for part in parts)
    for name in losses:
        assert here[name] == pytest.approx(there[name], rel=2e-5)
    moved = 0
    for name, weight in here.items():
        if name not in losses:
            np.testing.assert_allclose(weight, there[name], atol=1e-4, err_msg=name)
            moved += name in given and bool(np.abs(weight - given[name]).max() > 1e-3)
    assert moved >= 10


def test_several_devices_take_the_step_of_one(tmp_path):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras shares the work between devices on TensorFlow only")
    start = tmp_path / "start.npz"
    write_start(start, count=4)
    take_step(start, tmp_path / "one.npz")
    subprocess.run(
        [sys.executable, "-m", "tests.one_step", str(start), str(tmp_path / "two.npz"), "2"],
        check=True,
        cwd=ROOT,
    )
    one, two = result(tmp_path / "one.npz"), result(tmp_path / "two.npz")
    assert set(one) == set(two)
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, atol=2e-6, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_takes_nearly_the_same_step(policy):
    losses = {}
    for name in ("float32", policy):
        keras.utils.set_random_seed(3)
        keras.mixed_precision.set_global_policy(name)
        try:
            recipe = parse_recipe(RECIPE, "tiny")
            learner = make_learner(recipe, recipe.stages[0])
            assert learner.objective.generator.name == TINY
            step = steps.adapter().make_step(learner, 1)
            losses[name] = [float(step(*batch())["loss"]) for _ in range(3)]
        finally:
            keras.mixed_precision.set_global_policy("float32")
        scaled = isinstance(learner.optimiser, keras.optimizers.LossScaleOptimizer)
        assert scaled == (name == "mixed_float16")
        assert {str(weight.dtype) for weight in learner.objective.generator.get_weights()} == {"float32"}
    assert losses["float32"][2] < losses["float32"][0]
    np.testing.assert_allclose(losses[policy], losses["float32"], rtol=0.03)


def test_a_step_goes_down_the_gradient_of_each_networks_own_loss(tmp_path):
    """A second way: the slope of each loss along a direction, by differences, against what the step did."""
    start = tmp_path / "start.npz"
    given = write_start(start)
    take_step(start, tmp_path / "end.npz")
    end = result(tmp_path / "end.npz")
    made = objective()
    opponent = made.discriminator
    assert opponent is not None
    models = {"generator": (made.generator, "loss"), "discriminator": (opponent, "discriminator")}
    for name, (model, _) in models.items():
        model.set_weights([given[f"{name}{n}"] for n in range(len(model.get_weights()))])
    inputs, target = ops.convert_to_tensor(given["inputs"]), ops.convert_to_tensor(given["target"])
    for name, (model, loss) in models.items():
        before = model.get_weights()
        gradient = [(given[f"{name}{n}"] - end[f"{name}{n}"]) / RATE for n in range(len(before))]
        length = np.sqrt(sum(float((part.astype(np.float64) ** 2).sum()) for part in gradient))
        values = []
        for reach in (-1e-3, 1e-3):
            model.set_weights([w + reach * part / length for w, part in zip(before, gradient)])
            values.append(float(made.losses(inputs, target)[loss]))
        model.set_weights(before)
        # Along its own gradient of unit length a loss rises as steeply as the gradient is long.
        assert (values[1] - values[0]) / 2e-3 == pytest.approx(length, rel=0.03)


def test_the_generators_loss_is_the_weighted_sum_of_its_parts():
    keras.utils.set_random_seed(0)
    losses = {name: float(loss) for name, loss in objective().losses(*tensors()).items()}
    whole = losses["relief"] + 0.3 * losses["l1"] + 0.7 * losses["adversarial"]
    assert losses["loss"] == pytest.approx(whole, rel=1e-6)


def test_the_discriminator_sees_neither_the_zero_nor_the_unit_of_heights_nor_what_is_unknown():
    made = objective()
    _, target = batch()
    answer = np.concatenate([target[..., :1] * 0.5 + 3.0, target[..., :1]], axis=-1)
    truth, shown = (np.asarray(array) for array in made._shown(ops.convert_to_tensor(target), answer))
    known = target[..., 1] > 0
    assert not truth[..., 0][~known].any()
    assert not shown[..., 0][~known].any()
    # A unit is the tile's relief, slightly enlarged so that flat ground does not become all noise.
    relief = np.array([tile[mask].std() for tile, mask in zip(truth[..., 0], known)])
    assert ((relief > 0.93) & (relief < 1.0)).all()
    np.testing.assert_allclose(shown, truth * 0.5, atol=0.02)
    # The published target is bounded by itself, and shown as it is.
    plain = replace(made, relative_to_relief=False)
    truth, shown = (np.asarray(array) for array in plain._shown(ops.convert_to_tensor(target), answer))
    np.testing.assert_array_equal(truth, target[..., :1])
    np.testing.assert_allclose(shown, answer[..., :1] * target[..., 1:])


def test_memory_errors_are_known_and_others_are_not():
    adapter = steps.adapter()
    assert adapter.is_out_of_memory(MemoryError())
    assert not adapter.is_out_of_memory(ValueError("shapes"))
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        assert adapter.is_out_of_memory(tf.errors.ResourceExhaustedError(None, None, "OOM"))
        assert not adapter.is_out_of_memory(tf.errors.InvalidArgumentError(None, None, "shape"))


def test_all_that_a_step_changes_is_in_the_checkpoint():
    made: Objective = objective()
    models = (made.generator, made.discriminator)
    optimisers = [keras.optimizers.Adam() for _ in models]
    for optimiser, model in zip(optimisers, models):
        optimiser.build(model.trainable_variables)
    learner = steps.Learner(made, *optimisers)
    steps.adapter().make_step(learner, 1)(*batch())
    before = {
        (owner, n): np.array(ops.convert_to_numpy(variable))
        for owner, group in learner.variables().items()
        for n, variable in enumerate(group)
    }
    steps.adapter().make_step(learner, 1)(*batch())
    for owner, group in learner.variables().items():
        changed = [n for n, v in enumerate(group) if (ops.convert_to_numpy(v) != before[owner, n]).any()]
        # All but learning rates and a normalisation's shift that a later one undoes.
        assert len(changed) > 0.8 * len(group), owner
