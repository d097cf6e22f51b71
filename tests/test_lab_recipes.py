"""The lab's recipes: what they add to the published ones, and what they refuse."""

import dataclasses
import json
import math
import re

import pytest
import torch
from torch import nn

from helpers.augmentation import AUGMENTATIONS
from helpers.errors import InputError
from helpers.models import build_model
from helpers.recipes import RECIPES, Recipe, learning_rates, read_recipe
from lab import recipes
from lab.muon import Muon
from lab.recipes import ALL_RECIPES, EXPERIMENTS, OURS, LabRecipe, extend, has_bfloat16

CPU = torch.device("cpu")
QUICK = LabRecipe(model="lenet5_regularised", learning_rate=0.05, momentum=0.9, batch_size=32, epochs=3)


def test_all_recipes_are_the_published_ones_then_experiments_then_our_own():
    assert list(ALL_RECIPES) == [*RECIPES, *EXPERIMENTS, *OURS]
    changed = EXPERIMENTS["small_vgg_normalised"]
    assert changed == dataclasses.replace(RECIPES["small_vgg"], scaling="normalised")
    assert {recipe.model for recipe in ALL_RECIPES.values()} >= {*RECIPES, "one_epoch"}


@pytest.mark.parametrize("name", [*EXPERIMENTS, *OURS])
def test_our_recipes_can_be_built_and_come_back_from_a_file(name):
    recipe = ALL_RECIPES[name]
    weights = build_model(recipe.model).parameters()
    recipe.make_scheduler(recipe.make_optimiser(weights), 1_000)
    for epoch in (0, recipe.epochs - 1):
        recipe.choose_augmentation(epoch)
    assert recipe.augmentation is None or recipe.augmentation in AUGMENTATIONS
    assert extend(recipe).teacher in (None, *OURS)
    back = read_recipe(json.loads(json.dumps(dataclasses.asdict(recipe))))
    assert type(back) is type(recipe) and back == recipe


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("optimiser", "lion"), ("schedule", "cosine"), ("precision", "half"), ("decay_unit", "epochs")],
        *[("focus", value) for value in (0, -0.5, 1.1, math.nan)],
        *[("warm_up", value) for value in (1.0, -0.1, math.nan)],
        *[("betas", value) for value in ((0.9, 1.0), (-0.1, 0.9), (0.9,), (0.9, math.nan))],
        *[("epochs", 0), ("learning_rate", math.inf), ("augmentation", "blur"), ("model", "trimmed-x")],
    ],
)
def test_a_value_that_cannot_be_is_refused_and_repeated(field, value):
    with pytest.raises(ValueError, match=re.escape(repr(value))):
        dataclasses.replace(QUICK, **{field: value})


def test_looking_ahead_needs_a_momentum():
    with pytest.raises(ValueError, match="nesterov needs a momentum"):
        dataclasses.replace(QUICK, nesterov=True, momentum=0.0)
    dataclasses.replace(QUICK, nesterov=True, momentum=0.0, optimiser="adam")


@pytest.mark.parametrize("augmentation", [None, "crop_and_rotate"])
def test_only_an_affine_augmentation_fades(augmentation):
    with pytest.raises(ValueError, match=f"can fade, not {augmentation!r}"):
        dataclasses.replace(QUICK, augmentation=augmentation, fading=True)
    dataclasses.replace(QUICK, augmentation="mild_affine", fading=True)


def test_a_published_recipe_is_extended_by_what_changes_nothing():
    recipe = extend(RECIPES["compact"])
    assert isinstance(recipe, LabRecipe) and not recipe.needs_tricks and extend(recipe) is recipe
    assert learning_rates(recipe, 300) == learning_rates(RECIPES["compact"], 300)
    assert recipe.choose_augmentation(19) is RECIPES["compact"].choose_augmentation(19)
    assert recipe.layout(CPU) == RECIPES["compact"].layout(CPU)
    shared = {field.name: getattr(recipe, field.name) for field in dataclasses.fields(Recipe)}
    assert shared == dataclasses.asdict(RECIPES["compact"])


def test_a_recipe_needs_tricks_for_hard_images_and_for_teachers():
    needs = [dataclasses.replace(QUICK, **tricks).needs_tricks for tricks in ({"focus": 0.9}, {"teacher": "best"}, {})]
    assert needs == [True, True, False]


def test_old_files_keep_what_a_lab_recipe_still_knows():
    old = dataclasses.asdict(dataclasses.replace(QUICK, focus=0.5, schedule="one_cycle")) | {"decay_factor": 0.1}
    old.pop("teacher")
    assert read_recipe(old) == dataclasses.replace(QUICK, focus=0.5, schedule="one_cycle")


def test_one_cycle_rises_to_its_peak_and_falls_to_nothing():
    recipe = dataclasses.replace(QUICK, schedule="one_cycle", learning_rate=0.3, warm_up=0.25, epochs=4)
    rates = learning_rates(recipe, 25 * 32)
    assert len(rates) == 100 and max(rates) == pytest.approx(0.3) and rates.index(max(rates)) == 24
    assert rates[0] == pytest.approx(0.3 / 25) and rates[-1] < 1e-5
    assert recipe.rate_changes_within_epoch


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "muon"])
def test_one_cycle_moves_the_learning_rate_and_nothing_else(optimiser):
    recipe = dataclasses.replace(QUICK, schedule="one_cycle", optimiser=optimiser)
    made = recipe.make_optimiser(nn.Linear(1, 1).parameters())
    kept = [{key: made.param_groups[0].get(key) for key in ("momentum", "betas")}]
    scheduler = recipe.make_scheduler(made, 400)
    for _ in range(38):
        made.step()
        scheduler.step()
        kept.append({key: made.param_groups[0].get(key) for key in ("momentum", "betas")})
    assert all(row == kept[0] for row in kept) and (optimiser == "adam" or kept[0]["momentum"] == 0.9)


def test_focus_leaves_its_share_of_the_steps_after_a_first_whole_epoch():
    recipe = dataclasses.replace(QUICK, epochs=4, focus=0.4)
    assert [recipe.steps_in_epoch(epoch, 400) for epoch in range(4)] == [13, 5, 5, 5]
    assert recipe.count_steps(400) == 28 and recipe.count_steps(400, 2) == 18
    assert [dataclasses.replace(recipe, focus=focus).steps_in_epoch(1, 400) for focus in (0.01, 0.36)] == [1, 5]
    by_epoch = dataclasses.replace(recipe, decay_every=2)
    assert learning_rates(by_epoch, 320) == pytest.approx([0.05] * 14 + [0.005] * 8)
    rates = learning_rates(dataclasses.replace(recipe, schedule="one_cycle"), 400)
    assert len(rates) == 28 and rates[-1] < 1e-5


@pytest.mark.parametrize(("optimiser", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("muon", Muon)])
def test_the_optimiser_follows_the_recipe(optimiser, kind):
    recipe = dataclasses.replace(QUICK, optimiser=optimiser, nesterov=True, betas=(0.7, 0.9))
    made = recipe.make_optimiser(nn.Linear(1, 1).parameters())
    group = made.param_groups[0]
    assert type(made) is kind and group["lr"] == 0.05
    wanted = {"sgd": {"momentum": 0.9, "nesterov": True}, "adam": {"betas": (0.7, 0.9)}, "muon": {"momentum": 0.9}}
    assert {key: group[key] for key in wanted[optimiser]} == wanted[optimiser]


def test_a_fading_augmentation_weakens_in_the_second_half(monkeypatch):
    strengths = []
    monkeypatch.setattr(recipes, "draw_affine", lambda images, strength: strengths.append(round(strength, 4)))
    monkeypatch.setitem(AUGMENTATIONS, "strong_affine", lambda images: strengths.append(1.4))
    for fading, expected in ((True, [1.4, 1.4, 1.05, 0.35]), (False, [1.4] * 4)):
        strengths.clear()
        recipe = dataclasses.replace(QUICK, epochs=4, augmentation="strong_affine", fading=fading)
        for epoch in range(4):
            recipe.choose_augmentation(epoch)(None)
        assert strengths == expected


def test_layout_follows_the_recipe():
    assert QUICK.layout(CPU) == torch.channels_last and QUICK.layout(torch.device("mps")) == torch.preserve_format
    assert dataclasses.replace(QUICK, channels_last=False).layout(CPU) == torch.preserve_format


def test_bfloat16_is_left_where_the_device_is_slow_at_it(monkeypatch):
    half = dataclasses.replace(QUICK, precision="bfloat16")
    for capability, expected in (("AVX2", torch.float32), ("DEFAULT", torch.float32), ("AVX512", torch.bfloat16)):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda answer=capability: answer)
        for recipe, precision in ((half, expected), (QUICK, torch.float32)):
            with recipe.autocast(CPU):
                assert nn.Linear(2, 2)(torch.zeros(1, 2)).dtype == precision
    for generation in (7, 8):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, answer=generation: (answer, 0))
        assert has_bfloat16(torch.device("cuda")) == (generation >= 8)
    assert not has_bfloat16(torch.device("mps"))


@pytest.mark.parametrize(
    "change",
    [{"focus": "x"}, {"warm_up": None}, {"augmentation": []}, {"optimiser": ["sgd"]}, {"model": 3}, {"momentum": "x"}],
)
def test_a_value_of_another_type_is_refused_by_name(change):
    (name,) = change
    with pytest.raises(InputError, match="no network" if name == "model" else name):
        LabRecipe(**{"model": "mlp"} | change)


def test_a_warm_up_of_a_single_step_is_refused():
    recipe = LabRecipe(model="mlp", schedule="one_cycle", warm_up=0.25, batch_size=32, epochs=1)
    with pytest.raises(InputError, match="a warm_up of one step, 0.25 of 4, has no length"):
        learning_rates(recipe, 128)
    assert len(learning_rates(recipe, 160)) == 5
