"""The benchmark: the plain loop is a fair one, parts are extrapolated right, and every round is kept."""

import json
from dataclasses import replace

import pytest
import torch

from helpers import benchmark
from helpers.augmentation import AUGMENTATIONS
from helpers.benchmark import (
    ENTRIES,
    Entry,
    extrapolate,
    make_plain_loader,
    run_benchmark,
    tabulate_benchmark,
    train_plainly,
    train_steps,
)
from helpers.data import Batches, Mnist, Split
from helpers.experiments import ALL_RECIPES
from helpers.models import build_model
from helpers.recipes import Recipe
from helpers.training import Run

QUICK = Recipe(model="lenet5", learning_rate=0.05, momentum=0.9, batch_size=64, epochs=10)
CPU = torch.device("cpu")


def test_plain_loader_gives_the_pixels_of_the_course(mnist):
    split = Split(mnist.train_images[:100], mnist.train_labels[:100])
    slow = torch.cat([images for images, _ in make_plain_loader(QUICK, split)])
    (fast, _), *_ = Batches(split, 100)
    key = slow.sum((1, 2, 3)).argsort(), fast.sum((1, 2, 3)).argsort()
    assert torch.allclose(slow[key[0]], fast[key[1]], atol=1e-5)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_plain_augmentation_is_like_that_of_the_course(mnist, name):
    digit = Split(mnist.train_images[:1].expand(3_000, 28, 28), mnist.train_labels[:1].expand(3_000))
    torch.manual_seed(0)
    recipe = Recipe(model="lenet5", augmentation=name, batch_size=3_000)
    (slow, _), *_ = make_plain_loader(recipe, digit)
    (fast, _), *_ = Batches(digit, 3_000, augment=AUGMENTATIONS[name])
    original = digit.images[0] / 255
    moved = ((fast.mean(0) * 0.3081 + 0.1307) - original).abs().mean()
    gap = ((slow.mean(0) - fast.mean(0)) * 0.3081).abs().mean()
    assert gap < 0.25 * moved, f"{name}: means differ by {gap:.4f}, and from the digit by {moved:.4f}"


def test_both_loops_train_the_network_that_the_recipe_names(stripes):
    recipe = replace(QUICK, model="lenet5_regularised", batch_size=16)
    for loop in (train_plainly, train_steps):
        torch.manual_seed(0)
        model = loop(recipe, stripes, CPU)
        (images, labels), *_ = Batches(stripes, 400)
        before, after = build_model("lenet5").eval(), model.eval()
        losses = [torch.nn.functional.cross_entropy(one(images), labels).item() for one in (before, after)]
        assert losses[1] < 0.9 * losses[0]


def test_a_part_is_extrapolated_to_the_whole_training(stripes, monkeypatch):
    monkeypatch.setitem(ALL_RECIPES, "quick", QUICK)
    steps = []

    def fake(some_steps, recipe, train, device, count):
        steps.append(count)
        return 9.0 + 0.5 * count  # nine seconds of preparation, which are not to count

    monkeypatch.setattr(benchmark, "time_steps", fake)
    whole = 0.5 * 7 * 10  # 400 images in batches of 64, ten epochs
    assert extrapolate(Entry("quick"), stripes, CPU, None) == pytest.approx(whole) and steps == [3, 3, 7]
    assert extrapolate(Entry("quick", plain=True), stripes, CPU, 22.0) == pytest.approx(whole) and steps[5] == 6
    assert extrapolate(Entry("quick"), stripes, CPU, 1e-9) == pytest.approx(whole) and steps[8] == 6
    monkeypatch.setitem(ALL_RECIPES, "quick", replace(QUICK, focus=0.4))
    assert extrapolate(Entry("quick"), stripes, CPU, None) == pytest.approx(0.5 * (7 + 3 * 9)), (
        "later epochs are shorter"
    )


def test_rounds_are_interleaved_and_tabulated(stripes, monkeypatch):
    monkeypatch.setitem(ALL_RECIPES, "quick", QUICK)
    entries = (Entry("fast", whole=True), Entry("sprint", whole=True), Entry("quick", plain=True))
    monkeypatch.setattr(benchmark, "ENTRIES", entries)
    for name in ("fast", "sprint"):
        monkeypatch.setitem(ALL_RECIPES, name, QUICK)
    mnist = Mnist(stripes.images, stripes.labels, stripes.images[:50], stripes.labels[:50], source="mnist")
    seeds, honest = [], benchmark.train_whole
    monkeypatch.setattr(benchmark, "train_whole", lambda *args: (seeds.append(args[-1]), honest(*args))[1])
    result = json.loads(json.dumps(run_benchmark(mnist, CPU, quick=True)))
    assert [row["entry"] for row in result["rounds"]] == ["fast", "sprint", "quick, plain loop"] * 3
    assert seeds == [0, 0, 1, 1, 2, 2]
    table = tabulate_benchmark(result)
    assert list(table.index) == ["fast", "sprint", "quick, plain loop"]
    assert (table["min"] <= table["median"]).all() and (table["median"] <= table["max"]).all()
    assert table.loc["fast", "times fast"] == 1 and table["accuracy"].isna().tolist() == [False, False, True]
    ratio = table.loc["quick, plain loop", "median"] / table.loc["sprint", "median"]
    assert table.loc["quick, plain loop", "times sprint"] == pytest.approx(ratio)


def test_short_entries_come_before_each_long_one(monkeypatch):
    short, slow, slower = Entry("fast", whole=True), Entry("compact"), Entry("five_conv")
    monkeypatch.setattr(benchmark, "ENTRIES", (short, slow, slower))
    assert benchmark.order_entries(quick=False) == [short, slow, short, slower]
    assert benchmark.order_entries(quick=True) == [short, slow, slower]


def test_a_whole_training_is_timed_after_a_first_touch(mnist, monkeypatch):
    monkeypatch.setitem(ALL_RECIPES, "quick", QUICK)
    clock, order = iter((10.0, 12.5)), []
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(benchmark, "time_steps", lambda *args: order.append("touch"))
    trained = Run(QUICK, 7, build_model("lenet5"))
    monkeypatch.setattr(benchmark, "fit", lambda *args, seed, device: (order.append(seed), trained)[1])
    seconds, accuracy = benchmark.train_whole("quick", mnist, CPU, 7)
    assert seconds == 2.5 and 0 <= accuracy < 0.5 and order == ["touch", 7]


def test_entries_are_recipes():
    assert {entry.recipe for entry in ENTRIES} <= ALL_RECIPES.keys()
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
