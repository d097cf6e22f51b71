"""The recipes say what the published projects say, and refuse what cannot be."""

import dataclasses
import json
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.augmentation import AUGMENTATIONS, crop_and_rotate
from helpers.data.batches import SCALINGS
from helpers.errors import InputError
from helpers.models import build_model
from helpers.recipes import KINDS, RECIPES, Recipe, learning_rates, read_recipe
from lab.recipes import LabRecipe

FACTS = {
    "five_conv": ("adam", 1e-3, 0.0, 128, 13, 938, "step", True, "unit"),
    "compact": ("sgd", 0.01, 0.9, 128, 20, 15, "epoch", False, "normalised"),
    "lenet5": ("sgd", 1e-3, 0.9, 64, 20, None, "epoch", False, "normalised"),
    "mlp": ("sgd", 1e-3, 0.9, 64, 20, None, "epoch", False, "normalised"),
    "lenet5_regularised": ("sgd", 1e-3, 0.9, 64, 20, None, "epoch", False, "normalised"),
    "small_vgg": ("sgd", 0.01, 0.0, 32, 5, None, "epoch", False, "unit"),
}
QUICK = Recipe(model="lenet5", learning_rate=0.05, momentum=0.9, batch_size=32, epochs=3)


def test_the_published_recipes_are_there():
    assert list(RECIPES) == list(FACTS)


@pytest.mark.parametrize("name", FACTS)
def test_recipe_is_faithful(name):
    r = RECIPES[name]
    facts = (r.optimiser, r.learning_rate, r.momentum, r.batch_size, r.epochs, r.decay_every, r.decay_unit)
    assert (*facts, r.softmax_before_loss, r.scaling) == FACTS[name]
    build_model(r.model)
    assert r.model == name and r.scaling in SCALINGS
    assert r.augmentation == ("crop_and_rotate" if name == "compact" else None)
    assert not r.needs_tricks


def test_a_published_recipe_stays_small_enough_to_read():
    assert all(type(recipe) is Recipe for recipe in RECIPES.values()) and len(dataclasses.fields(Recipe)) <= 12


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("batch_size", value) for value in (0, -3, 1.5, True, "many", None, math.inf)],
        *[("epochs", value) for value in (0, -1, 2.0, False, None, [3])],
        *[("decay_every", value) for value in (0, 1.5, "15")],
        *[("learning_rate", value) for value in (0.0, -0.1, math.nan, math.inf, "fast", None, True)],
        *[("momentum", value) for value in (1.0, -0.1, math.nan, "much")],
        *[("optimiser", value) for value in ("lion", "muon", None)],
        *[("augmentation", value) for value in ("blur", "", 0)],
        *[("scaling", value) for value in ("half", None)],
        *[("decay_unit", value) for value in ("epochs", None)],
        *[("softmax_before_loss", value) for value in ("yes", None)],
        *[("model", value) for value in ("resnet", "lenet-5", "")],
    ],
)
def test_a_value_that_cannot_be_is_refused_and_repeated(field, value):
    with pytest.raises(ValueError) as caught:
        dataclasses.replace(QUICK, **{field: value})
    message = str(caught.value)
    assert repr(value) in message and ("network" if field == "model" else field) in message


def test_what_may_be_left_open_may_be_none():
    recipe = dataclasses.replace(QUICK, augmentation=None, decay_every=None)
    assert recipe.augmentation is None and recipe.decay_every is None


def test_steps_are_counted_to_the_last_smaller_batch():
    assert [QUICK.steps_in_epoch(epoch, 400) for epoch in (0, 1)] == [13, 13]
    assert QUICK.count_steps(400) == 39 and QUICK.count_steps(400, 2) == 26 and QUICK.count_steps(384, 1) == 12


def test_the_augmentation_is_the_one_of_that_name(monkeypatch):
    assert RECIPES["compact"].choose_augmentation(7) is crop_and_rotate and QUICK.choose_augmentation(0) is None
    monkeypatch.setitem(AUGMENTATIONS, "other", torch.zeros_like)
    assert dataclasses.replace(QUICK, augmentation="other").choose_augmentation(0) is torch.zeros_like


def test_the_optimiser_follows_the_recipe():
    weights = [nn.Parameter(torch.zeros(1))]
    sgd, adam = (dataclasses.replace(QUICK, optimiser=name).make_optimiser(weights) for name in ("sgd", "adam"))
    assert type(sgd) is torch.optim.SGD and type(adam) is torch.optim.Adam
    group = sgd.param_groups[0]
    assert (group["lr"], group["momentum"], group["nesterov"]) == (0.05, 0.9, False)
    assert (adam.param_groups[0]["lr"], adam.param_groups[0]["betas"]) == (0.05, (0.9, 0.999))
    assert all(made.param_groups[0]["params"] == weights for made in (sgd, adam))


def test_the_learning_rate_falls_to_a_tenth_per_epoch_or_per_step():
    by_epoch = dataclasses.replace(QUICK, decay_every=1)
    assert learning_rates(by_epoch, 64) == pytest.approx([0.05, 0.05, 0.005, 0.005, 0.0005, 0.0005])
    later = dataclasses.replace(QUICK, decay_every=2, epochs=5)
    assert learning_rates(later, 32) == pytest.approx([0.05, 0.05, 0.005, 0.005, 0.0005])
    by_step = dataclasses.replace(QUICK, decay_every=2, decay_unit="step")
    assert learning_rates(by_step, 64) == pytest.approx([0.05, 0.05, 0.005, 0.005, 0.0005, 0.0005])
    assert by_step.rate_changes_within_epoch and not by_epoch.rate_changes_within_epoch
    assert set(learning_rates(QUICK, 400)) == {0.05} and len(learning_rates(QUICK, 400)) == 39


def test_softmax_before_the_loss_has_its_floor():
    sure = 100 * F.one_hot(torch.tensor([3]), 10).float()
    twice, once = RECIPES["five_conv"].compute_loss, QUICK.compute_loss
    assert twice(sure, torch.tensor([3])).item() == pytest.approx(math.log(math.e + 9) - 1)
    assert twice(sure, torch.tensor([4])).item() == pytest.approx(math.log(math.e + 9))
    assert once(sure, torch.tensor([3])).item() == pytest.approx(0)
    assert once(sure, torch.tensor([4])).item() == pytest.approx(100)


def test_products_are_of_the_precision_of_the_weights_and_channels_lie_side_by_side():
    with QUICK.autocast(torch.device("cpu")):
        assert nn.Linear(2, 2)(torch.zeros(1, 2)).dtype == torch.float32
    assert QUICK.layout(torch.device("cpu")) == QUICK.layout(torch.device("cuda")) == torch.channels_last
    assert QUICK.layout(torch.device("mps")) == torch.preserve_format


@pytest.mark.parametrize("kinds", [[Recipe], [Recipe, LabRecipe]])
@pytest.mark.parametrize("name", FACTS)
def test_recipes_come_back_from_a_file_whether_the_lab_is_known_or_not(name, kinds, monkeypatch):
    assert [Recipe, LabRecipe] == KINDS
    monkeypatch.setattr("helpers.recipes.KINDS", kinds)
    recipe = read_recipe(json.loads(json.dumps(dataclasses.asdict(RECIPES[name]))))
    assert type(recipe) is Recipe and recipe == RECIPES[name]


def test_a_field_that_was_given_up_is_left_out(monkeypatch):
    old = dataclasses.asdict(QUICK) | {"decay_factor": 0.1, "focus": 1.0}
    monkeypatch.setattr("helpers.recipes.KINDS", [Recipe])
    assert read_recipe(old) == QUICK
    with pytest.raises(ValueError, match="'lion'"):
        read_recipe(old | {"optimiser": "lion"})


@pytest.mark.parametrize("change", [{"epochs": 2**31}, {"batch_size": 10**5_000}, {"learning_rate": 1e39}])
def test_a_number_that_no_run_could_have_is_refused_in_a_short_line(change):
    with pytest.raises(InputError, match=f"{[*change][0]} must be") as caught:
        Recipe(model="mlp", **change)
    assert len(str(caught.value)) < 150
