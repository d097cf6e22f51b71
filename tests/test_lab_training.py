"""Training by the lab's recipes: with tricks, schedules and precisions that the published ones do not have."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers import training as plain_training
from helpers.augmentation import AUGMENTATIONS
from helpers.data import Split
from helpers.errors import InputError, Interrupted
from helpers.recipes import Recipe, learning_rates
from lab.recipes import LabRecipe
from lab.training import fit
from lab.tricks import Chooser

QUICK = LabRecipe(model="lenet5_regularised", learning_rate=0.05, momentum=0.9, batch_size=32, epochs=3)


def same_weights(one, other) -> bool:
    pairs = zip(one.network.state_dict().values(), other.network.state_dict().values())
    return all(torch.equal(mine, theirs) for mine, theirs in pairs)


class Noisy(nn.Module):
    """A teacher whose answer depends on the image."""

    def __init__(self, shift: int):
        super().__init__()
        self.shift = shift

    def forward(self, images):
        columns = images.mean((1, 2))[:, 3:23].reshape(-1, 10, 2).mean(2)
        return 20 * F.one_hot((columns.argmax(1) + self.shift) % 10, 10).float()


def test_a_published_recipe_is_trained_by_the_plain_loop(stripes):
    recipe = Recipe(**{field.name: getattr(QUICK, field.name) for field in dataclasses.fields(Recipe)})
    one, other = fit(recipe, stripes, seed=2, device="cpu"), plain_training.fit(recipe, stripes, seed=2, device="cpu")
    assert same_weights(one, other) and one.recipe == recipe and type(one.recipe) is Recipe


@pytest.mark.parametrize("tricks", [{"focus": 0.4}, {"teacher": "best"}])
def test_the_plain_loop_leaves_tricks_to_the_lab(stripes, tricks):
    with pytest.raises(ValueError, match="train it by lab.training.fit"):
        plain_training.fit(dataclasses.replace(QUICK, **tricks), stripes, device="cpu")


def test_teachers_that_the_recipe_does_not_ask_for_are_refused(stripes):
    with pytest.raises(InputError, match="teacher is None, and 1 networks are given"):
        fit(QUICK, stripes, device="cpu", teachers=[Noisy(1)])


@pytest.mark.parametrize("taught", [False, True])
def test_interrupted_and_resumed_ends_in_the_same_weights(stripes, tmp_path, monkeypatch, taught):
    batches = []

    def stop(images):
        batches.append(1)
        if len(batches) == 25:  # 13 in the first epoch, then 5 in each
            raise KeyboardInterrupt
        return images + 0.01 * torch.randn_like(images)

    monkeypatch.setitem(AUGMENTATIONS, "stop", stop)
    modern = {"optimiser": "muon", "schedule": "one_cycle", "precision": "bfloat16", "focus": 0.4, "epochs": 6}
    recipe = dataclasses.replace(QUICK, augmentation="stop", teacher="best" if taught else None, **modern)
    teachers = [Noisy(shift) for shift in (1, 2, 3)] if taught else []
    with pytest.raises(Interrupted, match="3 of 6 epochs are saved"):
        fit(recipe, stripes, device="cpu", teachers=teachers, folder=tmp_path)
    resumed = fit(recipe, stripes, device="cpu", teachers=teachers, folder=tmp_path)
    assert len(batches) == 25 + 15, "three epochs more"
    undisturbed = fit(recipe, stripes, device="cpu", teachers=teachers)
    assert len(resumed.history) == 6 and same_weights(resumed, undisturbed)


def test_an_image_that_stays_hard_is_in_every_epoch_and_easy_ones_take_turns(stripes, monkeypatch):
    orders, choose = [], Chooser.choose
    monkeypatch.setattr(Chooser, "choose", lambda self, count: orders.append(choose(self, count)) or orders[-1])
    labels = stripes.labels.clone()
    labels[333] = (labels[333] + 5) % 10
    run = fit(dataclasses.replace(QUICK, epochs=6, focus=0.4), Split(stripes.images, labels), device="cpu")
    first, *others = orders
    assert len(first) == 400 and [len(order) for order in others] == [5 * 32] * 5
    assert all(333 in order and len(order.unique()) == len(order) for order in others)
    assert len(torch.cat(others).unique()) > 300, "most are seen again"
    assert run.history[-1]["train_accuracy"] < 1, "measured on what the epoch learnt from"


def test_a_student_believes_its_teacher_more_than_the_labels(stripes):
    run = fit(dataclasses.replace(QUICK, teacher="best", epochs=8), stripes, device="cpu", teachers=[Noisy(1)])
    said = run.predict(stripes, "cpu").predicted
    assert (said == (stripes.labels + 1) % 10).float().mean() > 0.8
    assert run.history[-1]["train_accuracy"] < 0.2, "accuracy is against the labels all the same"


@pytest.mark.parametrize("focus", [1.0, 0.4])
def test_the_rates_of_a_run_are_those_of_its_schedule(stripes, focus):
    recipe = dataclasses.replace(QUICK, schedule="one_cycle", epochs=4, focus=focus)
    rates, starts = learning_rates(recipe, 400), [recipe.count_steps(400, epoch) for epoch in range(4)]
    ran = [row["learning_rate"] for row in fit(recipe, stripes, device="cpu").history]
    assert ran == pytest.approx([rates[step] for step in starts]) and len(set(ran)) == 4


@pytest.mark.parametrize(("precision", "expected"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_precision_is_that_of_the_products_not_of_the_weights(stripes, precision, expected, monkeypatch):
    monkeypatch.setattr("lab.recipes.has_bfloat16", lambda device: True)
    seen, convolve = [], nn.Conv2d.forward

    def spy(layer, values):
        result = convolve(layer, values)
        if layer.training and torch.is_grad_enabled():  # not the look at whether these images can be learnt from
            seen.append(result.dtype)
        return result

    monkeypatch.setattr(nn.Conv2d, "forward", spy)
    run = fit(dataclasses.replace(QUICK, precision=precision, epochs=1), stripes.take(64), device="cpu")
    assert set(seen) == {expected} and run.network.conv2.weight.dtype == torch.float32
    assert run.history[0]["train_loss"] == pytest.approx(2.6, abs=1)


@pytest.mark.parametrize("channels_last", [True, False])
def test_layout_follows_the_recipe(stripes, channels_last):
    run = fit(dataclasses.replace(QUICK, channels_last=channels_last, epochs=1), stripes.take(64), device="cpu")
    assert run.network.conv2.weight.is_contiguous(memory_format=torch.channels_last) == channels_last


def test_the_augmentation_of_each_epoch_is_that_of_the_recipe(stripes, monkeypatch):
    strengths = []
    monkeypatch.setattr("lab.recipes.draw_affine", lambda images, strength: strengths.append(strength) or images)
    monkeypatch.setitem(AUGMENTATIONS, "affine", lambda images: strengths.append(1.0) or images)
    recipe = dataclasses.replace(QUICK, batch_size=400, epochs=4, augmentation="affine", fading=True)
    fit(recipe, stripes, device="cpu")
    assert strengths == [1.0, 1.0, 0.75, 0.25]


def test_validation_images_reach_the_loop(stripes):
    assert "validation_accuracy" in fit(dataclasses.replace(QUICK, epochs=1), stripes, stripes.take(50)).history[0]
