"""The loop: it learns, repeats, resumes, and measures what it says it measures."""

import dataclasses
import functools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers import augmentation, training
from helpers.augmentation import AUGMENTATIONS
from helpers.checkpoints import CheckpointError, read_checkpoint
from helpers.data import Batches, Split
from helpers.device import has_bfloat16
from helpers.focus import Chooser
from helpers.models import build_model
from helpers.muon import Muon
from helpers.recipes import RECIPES, Recipe
from helpers.training import Average, TrainingError, evaluate, fit, learning_rates

QUICK = Recipe(model="lenet5_regularised", learning_rate=0.05, momentum=0.9, batch_size=32, epochs=3)


def quick_fit(split, recipe=QUICK, **options):
    return fit(recipe, split, split.take(130), device="cpu", **options)


def same_weights(one, other) -> bool:
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values())
    return all(torch.equal(mine, theirs) for mine, theirs in pairs)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_moves_its_weights_and_lowers_its_loss(stripes, name):
    recipe = dataclasses.replace(RECIPES[name], epochs=2, batch_size=32, learning_rate=5 * RECIPES[name].learning_rate)
    torch.manual_seed(0)
    before = build_model(recipe.model).state_dict()
    run = fit(recipe, stripes, stripes.take(50), device="cpu")
    weights = {key: value for key, value in run.model.named_parameters() if value.ndim > 1}
    assert all(not torch.equal(before[key], value) for key, value in weights.items())
    assert run.history[1]["train_loss"] < run.history[0]["train_loss"]


def test_learns_what_can_be_learnt(stripes):
    run = quick_fit(stripes)
    assert run.history[-1]["validation_accuracy"] > 0.95
    assert list(run.table().columns) == [
        *("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate", "seconds"),
    ]
    assert run.table().index.tolist() == [1, 2, 3]


def test_learns_digits(mnist):
    some = Split(mnist.train_images[:2_000], mnist.train_labels[:2_000])
    other = Split(mnist.train_images[2_000:2_500], mnist.train_labels[2_000:2_500])
    recipe = Recipe(model="lenet5", learning_rate=0.05, momentum=0.9, batch_size=64, epochs=3)
    assert fit(recipe, some, other, device="cpu").history[-1]["validation_accuracy"] > 0.7


def test_same_seed_same_weights_other_seed_other_weights(stripes):
    assert same_weights(quick_fit(stripes, seed=5), quick_fit(stripes, seed=5))
    assert not same_weights(quick_fit(stripes, seed=5), quick_fit(stripes, seed=6))


class StopOnce:
    """An augmentation that presses Ctrl-C at one batch."""

    def __init__(self, at_batch):
        self.left = at_batch

    def __call__(self, images):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return images + 0.01 * torch.randn_like(images)


ADAM = dataclasses.replace(QUICK, augmentation="stop", optimiser="adam", learning_rate=1e-3, decay_every=2)
CYCLE = {"schedule": "one_cycle", "precision": "bfloat16", "focus": 0.4, "epochs": 8}
MODERN = dataclasses.replace(QUICK, augmentation="stop", optimiser="muon", **CYCLE)


@pytest.mark.parametrize("at_batch", [3, 13, 20, 38])
@pytest.mark.parametrize("recipe", [ADAM, MODERN])
def test_interrupted_and_resumed_ends_in_the_same_weights(stripes, tmp_path, monkeypatch, at_batch, recipe):
    monkeypatch.setitem(AUGMENTATIONS, "stop", StopOnce(at_batch))
    with pytest.raises(KeyboardInterrupt):
        quick_fit(stripes, recipe, folder=tmp_path)
    resumed, undisturbed = quick_fit(stripes, recipe, folder=tmp_path), quick_fit(stripes, recipe)
    assert same_weights(resumed, undisturbed)
    drop = [{key: value for key, value in row.items() if key != "seconds"} for row in resumed.history]
    assert drop == [{key: value for key, value in row.items() if key != "seconds"} for row in undisturbed.history]


def test_a_finished_run_is_not_trained_again(stripes, tmp_path, monkeypatch):
    first = quick_fit(stripes, folder=tmp_path)
    monkeypatch.setattr(training, "_train_epoch", None)
    assert same_weights(first, quick_fit(stripes, folder=tmp_path))


def test_checkpoints_hold_last_and_best(stripes, tmp_path, monkeypatch):
    accuracies = iter([0.5, 0.9, 0.9])
    monkeypatch.setattr(training, "evaluate", lambda *_: (1.0, next(accuracies)))
    run = quick_fit(stripes, folder=tmp_path)
    best, last = read_checkpoint(tmp_path / "best.pt"), read_checkpoint(tmp_path / "last.pt")
    assert len(best["history"]) == 2 and len(last["history"]) == 3
    assert torch.equal(last["model"]["conv1.weight"], run.model.conv1.weight)
    assert not torch.equal(best["model"]["conv1.weight"], run.model.conv1.weight)


@pytest.mark.parametrize("change", ["recipe", "seed", "data"])
def test_checkpoint_of_another_run_is_refused(stripes, tmp_path, change):
    quick_fit(stripes, dataclasses.replace(QUICK, epochs=1), folder=tmp_path)
    recipe = QUICK if change == "recipe" else dataclasses.replace(QUICK, epochs=1)
    split = Split(stripes.images, stripes.labels.roll(1)) if change == "data" else stripes
    with pytest.raises(CheckpointError, match=f"last.pt: is of another run: its {change}"):
        quick_fit(split, recipe, seed=int(change == "seed"), folder=tmp_path)


def test_damaged_checkpoint_is_refused(stripes, tmp_path):
    quick_fit(stripes, folder=tmp_path)
    content = (tmp_path / "last.pt").read_bytes()
    (tmp_path / "last.pt").write_bytes(content[:-1000])
    with pytest.raises(CheckpointError, match="last.pt: is not a readable checkpoint"):
        quick_fit(stripes, folder=tmp_path)


def test_average_counts_images_not_batches():
    average = Average()
    right = F.one_hot(torch.zeros(9, dtype=torch.long), 10).float()
    average.add(torch.tensor(1.0), right, torch.zeros(9, dtype=torch.long))
    average.add(torch.tensor(2.0), right[:1], torch.ones(1, dtype=torch.long))
    assert average.result() == pytest.approx((1.1, 0.9))


def test_measured_loss_and_accuracy_are_those_of_the_whole_split_in_eval_mode(stripes):
    torch.manual_seed(0)
    network = build_model("lenet5_regularised")
    running = network.norm1.running_mean.clone()
    measured = evaluate(network, Batches(stripes, 96), QUICK)
    assert network.training and torch.equal(running, network.norm1.running_mean)
    (images, labels), *_ = Batches(stripes, 400)
    with torch.no_grad():
        logits = network.eval()(images)
    expected = F.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).float().mean().item()
    assert measured == pytest.approx(expected, rel=1e-4)
    evaluate(network, Batches(stripes, 96), QUICK)
    assert not network.training


def test_validation_images_are_not_augmented(stripes, monkeypatch):
    monkeypatch.setitem(AUGMENTATIONS, "blank", torch.zeros_like)
    run = quick_fit(stripes, dataclasses.replace(QUICK, augmentation="blank", epochs=1))
    clean = evaluate(run.model, Batches(stripes.take(130), 50), QUICK)
    row = run.history[0]
    assert (row["validation_loss"], row["validation_accuracy"]) == pytest.approx(clean, rel=1e-4)
    blank = Batches(stripes.take(130), 50, augment=torch.zeros_like)
    assert abs(evaluate(run.model, blank, QUICK)[0] - clean[0]) > 1e-3, "blank images would have shown"


def test_training_images_are_augmented_and_shuffled(stripes, monkeypatch):
    seen = []
    monkeypatch.setitem(AUGMENTATIONS, "spy", lambda images: seen.append(images.clone()) or images)
    quick_fit(stripes, dataclasses.replace(QUICK, augmentation="spy", epochs=2))
    first, second = torch.cat(seen[:13]), torch.cat(seen[13:])
    assert len(first) == len(second) == 400 and not torch.equal(first, second)
    assert torch.allclose(first.sum((1, 2, 3)).sort().values, second.sum((1, 2, 3)).sort().values)


def test_learning_rate_falls_per_epoch_or_per_step(stripes):
    epochs = dataclasses.replace(QUICK, decay_every=1, epochs=3)
    assert [row["learning_rate"] for row in quick_fit(stripes, epochs).history] == pytest.approx([0.05, 0.005, 0.0005])
    assert learning_rates(epochs, 64) == pytest.approx([0.05, 0.05, 0.005, 0.005, 0.0005, 0.0005])
    steps = dataclasses.replace(epochs, decay_every=13, decay_unit="step", batch_size=32)
    assert [row["learning_rate"] for row in quick_fit(stripes, steps).history] == pytest.approx([0.05, 0.005, 0.0005])
    assert learning_rates(dataclasses.replace(steps, decay_every=1), 32) == pytest.approx([0.05, 0.005, 0.0005])
    assert set(learning_rates(QUICK, 400)) == {0.05}


def test_softmax_before_the_loss_has_its_floor():
    recipe = RECIPES["five_conv"]
    sure = 100 * F.one_hot(torch.tensor([3]), 10).float()
    assert training.compute_loss(recipe, sure, torch.tensor([3])).item() == pytest.approx(math.log(math.e + 9) - 1)
    assert training.compute_loss(recipe, sure, torch.tensor([4])).item() == pytest.approx(math.log(math.e + 9))
    assert training.compute_loss(QUICK, sure, torch.tensor([3])).item() == pytest.approx(0)


def test_loss_that_is_no_number_ends_the_run_with_advice(stripes):
    with pytest.raises(TrainingError, match="after epoch 1: try a lower learning rate than 1e\\+30"):
        quick_fit(stripes, dataclasses.replace(QUICK, learning_rate=1e30))


def test_validation_loss_that_is_no_number_is_not_saved(stripes, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "evaluate", lambda *_: (math.nan, 0.1))
    with pytest.raises(TrainingError):
        quick_fit(stripes, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_seed_decides_both_the_first_weights_and_the_order(stripes, monkeypatch):
    def first_weights(seed):
        return quick_fit(stripes, dataclasses.replace(QUICK, epochs=0), seed=seed).model.conv1.weight

    assert torch.equal(first_weights(1), first_weights(1)) and not torch.equal(first_weights(1), first_weights(2))
    seen = []
    monkeypatch.setitem(AUGMENTATIONS, "spy", lambda images: seen.append(images.clone()) or images)
    for seed in (1, 2):
        quick_fit(stripes, dataclasses.replace(QUICK, augmentation="spy", epochs=1), seed=seed)
    assert not torch.equal(seen[0], seen[13]), "another seed, another order"


@pytest.mark.parametrize("scaling", ["normalised", "unit", "raw"])
def test_both_splits_reach_the_network_in_the_scaling_of_the_recipe(stripes, monkeypatch, scaling):
    made = []

    class Spy(Batches):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            made.append(next(iter(self))[0].max().item())

    monkeypatch.setattr(training, "Batches", Spy)
    quick_fit(stripes, dataclasses.replace(QUICK, scaling=scaling, epochs=0))
    white = 250 / 255
    expected = {"normalised": (white - 0.1307) / 0.3081, "unit": white, "raw": 250.0}[scaling]
    assert made == pytest.approx([expected, expected], rel=1e-4)


@pytest.mark.parametrize(("optimiser", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("muon", Muon)])
def test_optimiser_and_schedule_follow_the_recipe(optimiser, kind):
    recipe = dataclasses.replace(QUICK, optimiser=optimiser, learning_rate=0.007, decay_every=2, decay_factor=0.5)
    made = training.make_optimiser(recipe, nn.Linear(1, 1))
    assert type(made) is kind and made.param_groups[0]["lr"] == 0.007
    assert optimiser == "adam" or made.param_groups[0]["momentum"] == 0.9
    assert learning_rates(dataclasses.replace(recipe, epochs=5), 32) == [0.007, 0.007, 0.0035, 0.0035, 0.00175]


def test_cudnn_stays_on_while_training(stripes, monkeypatch):
    seen = []
    flags = torch.backends.cudnn
    monkeypatch.setitem(AUGMENTATIONS, "spy", lambda x: seen.append((flags.enabled, flags.deterministic)) or x)
    quick_fit(stripes, dataclasses.replace(QUICK, augmentation="spy", epochs=1))
    assert set(seen) == {(True, True)}


def test_numbers_from_numpy_can_be_saved_and_resumed(stripes, tmp_path):
    recipe = dataclasses.replace(QUICK, learning_rate=np.logspace(-3, -1, 3)[1], epochs=1)
    first = quick_fit(stripes, recipe, seed=np.int64(3), folder=tmp_path)
    assert same_weights(first, quick_fit(stripes, recipe, seed=3, folder=tmp_path))


def test_progress_bar_says_epoch_loss_accuracy_and_rate(stripes, capsys, monkeypatch):
    monkeypatch.setattr(training, "tqdm", functools.partial(training.tqdm, disable=False))
    monkeypatch.setattr(training, "REFRESH_SECONDS", 0.0)
    quick_fit(stripes)
    shown = capsys.readouterr().err
    assert all(word in shown for word in ("epoch 3/3", "loss=", "accuracy=", "rate=5.0e-02", "39/39"))


def test_without_validation_images_nothing_is_looked_at(stripes, tmp_path):
    run = fit(QUICK, stripes, None, device="cpu", folder=tmp_path)
    assert list(run.table().columns) == ["train_loss", "train_accuracy", "learning_rate", "seconds"]
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]
    assert same_weights(run, quick_fit(stripes)), "looking does not change what is learnt"


def test_one_cycle_rises_to_its_peak_and_falls_to_nothing(stripes):
    recipe = dataclasses.replace(QUICK, schedule="one_cycle", learning_rate=0.3, warm_up=0.25, epochs=4)
    rates = learning_rates(recipe, 25 * 32)
    assert len(rates) == 100 and max(rates) == pytest.approx(0.3) and rates.index(max(rates)) == 24
    assert rates[0] == pytest.approx(0.3 / 25) and rates[-1] < 1e-5
    ran = [row["learning_rate"] for row in quick_fit(stripes, recipe).history]
    assert ran == pytest.approx(learning_rates(recipe, 400)[::13])


def test_a_schedule_counts_the_steps_that_focus_leaves(stripes):
    by_epoch = dataclasses.replace(QUICK, epochs=4, focus=0.4, decay_every=2)
    assert learning_rates(by_epoch, 320) == pytest.approx([0.05] * 14 + [0.005] * 8)
    cycle = dataclasses.replace(QUICK, epochs=4, focus=0.4, schedule="one_cycle")
    rates = learning_rates(cycle, 400)
    assert len(rates) == 13 + 3 * 5 and rates[-1] < 1e-5
    ran = [row["learning_rate"] for row in quick_fit(stripes, cycle).history]
    assert ran == pytest.approx([rates[step] for step in (0, 13, 18, 23)])


def test_an_image_that_stays_hard_is_in_every_epoch_and_easy_ones_take_turns(stripes, monkeypatch):
    orders, choose = [], Chooser.choose
    monkeypatch.setattr(Chooser, "choose", lambda self, count: orders.append(choose(self, count)) or orders[-1])
    labels = stripes.labels.clone()
    labels[333] = (labels[333] + 5) % 10
    run = quick_fit(Split(stripes.images, labels), dataclasses.replace(QUICK, epochs=6, focus=0.4))
    first, *others = orders
    assert len(first) == 400 and [len(order) for order in others] == [5 * 32] * 5
    assert all(333 in order and len(order.unique()) == len(order) for order in others)
    assert len(torch.cat(others).unique()) > 300, "most are seen again"
    assert run.history[-1]["train_accuracy"] < 1, "measured on what the epoch learnt from"


def test_momentum_and_betas_reach_the_optimiser():
    sgd = dataclasses.replace(QUICK, nesterov=True)
    group = training.make_optimiser(sgd, nn.Linear(1, 1)).param_groups[0]
    assert (group["momentum"], group["nesterov"]) == (0.9, True)
    adam = dataclasses.replace(QUICK, optimiser="adam", betas=(0.7, 0.9))
    assert training.make_optimiser(adam, nn.Linear(1, 1)).param_groups[0]["betas"] == (0.7, 0.9)


@pytest.mark.parametrize(("precision", "expected"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_precision_is_that_of_the_products_not_of_the_weights(stripes, precision, expected, monkeypatch):
    monkeypatch.setattr(training, "has_bfloat16", lambda device: True)
    learner = training.Learner(dataclasses.replace(QUICK, precision=precision), 0, torch.device("cpu"), 400)
    seen = []
    learner.model.conv2.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    loss, _ = learner.step(stripes.images[:32, None] / 255, stripes.labels[:32])
    assert seen == [expected] and loss.dtype == learner.model.conv2.weight.dtype == torch.float32


@pytest.mark.parametrize("channels_last", [True, False])
def test_layout_follows_the_recipe(channels_last):
    learner = training.Learner(dataclasses.replace(QUICK, channels_last=channels_last), 0, torch.device("cpu"), 400)
    assert learner.model.conv2.weight.is_contiguous(memory_format=torch.channels_last) == channels_last


def test_bfloat16_is_left_where_the_device_is_slow_at_it(stripes, monkeypatch):
    for capability, expected in (("AVX2", torch.float32), ("DEFAULT", torch.float32), ("AVX512", torch.bfloat16)):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda answer=capability: answer)
        learner = training.Learner(dataclasses.replace(QUICK, precision="bfloat16"), 0, torch.device("cpu"), 400)
        assert learner.step(stripes.images[:32, None] / 255, stripes.labels[:32])[1].dtype == expected
    for generation in (7, 8):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, answer=generation: (answer, 0))
        assert has_bfloat16(torch.device("cuda")) == (generation >= 8)
    assert not has_bfloat16(torch.device("mps"))


def test_a_fading_augmentation_weakens_in_the_second_half(stripes, monkeypatch):
    strengths = []

    def spy(images, strength):
        strengths.append(round(strength, 4))
        return images

    monkeypatch.setattr(augmentation, "draw_affine", spy)
    monkeypatch.setitem(AUGMENTATIONS, "strong_affine", functools.partial(spy, strength=1.4))
    recipe = dataclasses.replace(QUICK, batch_size=400, epochs=4, augmentation="strong_affine")
    fit(dataclasses.replace(recipe, fading=True), stripes, None)
    assert strengths == [1.4, 1.4, 1.05, 0.35]
    strengths.clear()
    fit(recipe, stripes, None)
    assert strengths == [1.4] * 4
