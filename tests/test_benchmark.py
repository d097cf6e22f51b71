"""The benchmark: the plain loop is a fair one, parts are extrapolated right, and every round is kept."""

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from helpers.augmentation import AUGMENTATIONS
from helpers.data import Batches, Mnist
from helpers.models import build_model
from helpers.recipes import Recipe
from helpers.trained import Trained
from lab import benchmark
from lab.augmentation import AFFINE_STRENGTHS
from lab.benchmark import (
    ENTRIES,
    Entry,
    extrapolate,
    make_plain_loader,
    run_benchmark,
    tabulate_benchmark,
    train_plainly,
    train_steps,
)
from lab.recipes import ALL_RECIPES, extend

QUICK = Recipe(model="lenet5", learning_rate=0.05, momentum=0.9, batch_size=64, epochs=10)
CPU = torch.device("cpu")


def test_plain_loader_gives_the_pixels_of_the_course(mnist):
    split = mnist.train.take(100)
    slow = torch.cat([images for images, _ in make_plain_loader(QUICK, split)])
    (fast, _), *_ = Batches(split, 100)
    key = slow.sum((1, 2, 3)).argsort(), fast.sum((1, 2, 3)).argsort()
    assert torch.allclose(slow[key[0]], fast[key[1]], atol=1e-5)


@pytest.mark.parametrize("name", ["crop_and_rotate", "affine"])
def test_plain_augmentation_is_like_that_of_the_course(mnist, name):
    digit = mnist.train[torch.zeros(1_500, dtype=torch.long)]
    torch.manual_seed(0)
    (slow, _), *_ = make_plain_loader(Recipe(model="lenet5", augmentation=name, batch_size=1_500), digit)
    fast, _ = Batches(digit, 1_500).take(torch.arange(1_500), AUGMENTATIONS[name])
    original = digit.images[0] / 255
    moved = ((fast.mean(0) * 0.3081 + 0.1307) - original).abs().mean()
    gap = ((slow.mean(0) - fast.mean(0)) * 0.3081).abs().mean()
    assert gap < 0.25 * moved, f"{name}: means differ by {gap:.4f}, and from the digit by {moved:.4f}"


@pytest.mark.parametrize("loop", [train_plainly, train_steps])
def test_both_loops_train_the_network_that_the_recipe_names(stripes, loop):
    torch.manual_seed(0)
    model = loop(replace(QUICK, model="lenet5_regularised", batch_size=16), stripes, CPU).eval()
    assert model.norm1.num_batches_tracked == 25, "one epoch"
    (images, labels), *_ = Batches(stripes, 400)
    losses = [F.cross_entropy(one(images), labels).item() for one in (build_model("lenet5").eval(), model)]
    assert losses[1] < 0.9 * losses[0]


@pytest.mark.parametrize("loop", [train_plainly, train_steps])
def test_both_loops_do_some_steps_if_asked(stripes, loop):
    model = loop(replace(QUICK, model="lenet5_regularised", batch_size=16), stripes, CPU, 3)
    assert model.norm1.num_batches_tracked == 3


def test_torchvisions_changes_are_of_the_same_strength():
    for name, strength in AFFINE_STRENGTHS.items():
        (change,) = benchmark.IMAGE_BY_IMAGE[name]
        assert change.degrees == pytest.approx([-10 * strength, 10 * strength])
        assert change.translate == pytest.approx([0.08 * strength] * 2)
        assert change.scale == pytest.approx([1 - 0.1 * strength, 1 + 0.1 * strength])
        assert change.shear == pytest.approx([-5.7 * strength, 5.7 * strength])


def test_short_recipes_are_timed_whole():
    assert [entry.name for entry in ENTRIES if entry.whole] == ["sprint", "fast", "one_epoch"]


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
    monkeypatch.setitem(ALL_RECIPES, "quick", replace(extend(QUICK), focus=0.4))
    assert extrapolate(Entry("quick"), stripes, CPU, None) == pytest.approx(0.5 * (7 + 3 * 9)), (
        "later epochs are shorter"
    )


def test_rounds_are_interleaved_and_can_be_kept(stripes, monkeypatch):
    quick = replace(QUICK, epochs=1)
    for name in ("fast", "sprint", "quick"):
        monkeypatch.setitem(ALL_RECIPES, name, quick)
    entries = (Entry("fast", whole=True), Entry("sprint", whole=True), Entry("quick", plain=True))
    monkeypatch.setattr(benchmark, "ENTRIES", entries)
    seeds, honest = [], benchmark.train_whole
    monkeypatch.setattr(benchmark, "train_whole", lambda *args: (seeds.append(args[-1]), honest(*args))[1])
    mnist = Mnist(stripes, stripes.take(50), source="mnist")
    result = json.loads(json.dumps(run_benchmark(mnist, CPU, quick=True)))
    assert [row["entry"] for row in result["rounds"]] == ["fast", "sprint", "quick, plain loop"] * 3
    assert seeds == [0, 0, 1, 1, 2, 2] and result["quick"] is True and result["versions"]["torch"] == torch.__version__
    assert [row["accuracy"] is None for row in result["rounds"]] == [False, False, True] * 3
    assert list(tabulate_benchmark(result).index) == ["fast", "sprint", "quick, plain loop"]


def test_the_table_says_how_many_times_the_fast_ones_each_takes():
    measured = {
        "fast": [(1.0, 0.9), (4.0, 0.8), (2.0, 0.7)],
        "sprint": [(0.5, 0.6)],
        "slow": [(6.0, None), (3.0, None)],
    }
    rounds = [
        {"entry": name, "seconds": seconds, "accuracy": accuracy}
        for name, rows in measured.items()
        for seconds, accuracy in rows
    ]
    table = tabulate_benchmark({"rounds": rounds})
    assert table["runs"].tolist() == [3, 1, 2] and table["median"].tolist() == [2, 0.5, 4.5]
    assert table["min"].tolist() == [1, 0.5, 3] and table["max"].tolist() == [4, 0.5, 6]
    assert table["accuracy"].tolist()[:2] == pytest.approx([0.8, 0.6]) and table["accuracy"].isna()["slow"]
    assert table["times fast"].tolist() == [1, 0.25, 2.25] and table["times sprint"].tolist() == [4, 1, 9]


def test_short_entries_come_before_each_long_one(monkeypatch):
    short, slow, slower = Entry("fast", whole=True), Entry("compact"), Entry("five_conv")
    monkeypatch.setattr(benchmark, "ENTRIES", (short, slow, slower))
    assert benchmark.order_entries(quick=False) == [short, slow, short, slower]
    assert benchmark.order_entries(quick=True) == [short, slow, slower]


def test_a_whole_training_is_timed_after_a_first_touch(stripes, monkeypatch):
    monkeypatch.setitem(ALL_RECIPES, "quick", QUICK)
    clock, order = iter((10.0, 12.5)), []
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(benchmark, "time_steps", lambda *args: order.append("touch"))
    trained = Trained(build_model("lenet5"), QUICK, 7)
    monkeypatch.setattr(benchmark, "fit", lambda *args, seed, device: (order.append(seed), trained)[1])
    seconds, accuracy = benchmark.train_whole("quick", Mnist(stripes, stripes, "mnist"), CPU, 7)
    assert seconds == 2.5 and 0 <= accuracy < 0.5 and order == ["touch", 7]


def test_entries_are_recipes():
    assert {entry.recipe for entry in ENTRIES} <= ALL_RECIPES.keys()
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
