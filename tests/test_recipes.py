"""The recipes say what the published projects say."""

import pytest

from helpers.augmentation import AUGMENTATIONS
from helpers.data.batches import SCALINGS
from helpers.experiments import ALL_RECIPES, OURS
from helpers.models import MODELS, build_model
from helpers.recipes import RECIPES, Recipe

FACTS = {
    "five_conv": ("adam", 1e-3, 0.0, 128, 13, 938, "step", True, "unit"),
    "compact": ("sgd", 0.01, 0.9, 128, 20, 15, "epoch", False, "normalised"),
    "lenet5": ("sgd", 1e-3, 0.9, 64, 20, None, "epoch", False, "normalised"),
    "mlp": ("sgd", 1e-3, 0.9, 64, 20, None, "epoch", False, "normalised"),
    "lenet5_regularised": ("sgd", 1e-3, 0.9, 64, 20, None, "epoch", False, "normalised"),
    "small_vgg": ("sgd", 0.01, 0.0, 32, 5, None, "epoch", False, "unit"),
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_is_faithful(name):
    r = RECIPES[name]
    facts = (r.optimiser, r.learning_rate, r.momentum, r.batch_size, r.epochs, r.decay_every, r.decay_unit)
    assert (*facts, r.softmax_before_loss, r.scaling) == FACTS[name]
    assert r.decay_factor == 0.1
    assert r.model in MODELS and r.scaling in SCALINGS
    assert r.augmentation is None or r.augmentation in AUGMENTATIONS
    assert (r.augmentation == "crop_and_rotate") == (name == "compact")


def test_every_network_has_its_recipe():
    assert set(MODELS) <= {recipe.model for recipe in ALL_RECIPES.values()}


@pytest.mark.parametrize("name", OURS)
def test_our_recipes_can_be_built(name):
    build_model(OURS[name].model)
    assert OURS[name].augmentation is None or OURS[name].augmentation in AUGMENTATIONS


@pytest.mark.parametrize(
    "wrong", [{"optimiser": "lion"}, {"decay_unit": "epochs"}, {"schedule": "cosine"}, {"precision": "half"}]
)
def test_unknown_choices_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong.values()))):
        Recipe(model="mlp", **wrong)


@pytest.mark.parametrize("augmentation", [None, "crop_and_rotate"])
def test_only_an_affine_augmentation_fades(augmentation):
    with pytest.raises(ValueError, match=f"can fade, not {augmentation!r}"):
        Recipe(model="mlp", augmentation=augmentation, fading=True)


@pytest.mark.parametrize("focus", [0, -0.5, 1.1])
def test_focus_is_a_share(focus):
    with pytest.raises(ValueError, match="focus must be above 0"):
        Recipe(model="mlp", focus=focus)
