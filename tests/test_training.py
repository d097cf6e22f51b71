"""The loop: it learns, repeats, resumes, and measures what it says it measures."""

import dataclasses
import math
import os
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers import checkpoints, training
from helpers.augmentation import AUGMENTATIONS
from helpers.checkpoints import read_checkpoint
from helpers.data import Batches, Split
from helpers.errors import CheckpointError, FileError, InputError, Interrupted, TrainingError
from helpers.files import hold
from helpers.models import build_model
from helpers.recipes import RECIPES, Recipe
from helpers.trained import Trained
from helpers.training import Average, Plain, evaluate, fit, record_epoch, seed_epoch

QUICK = Recipe(model="lenet5_regularised", learning_rate=0.05, momentum=0.9, batch_size=32, epochs=3)
ONE = dataclasses.replace(QUICK, epochs=1)


def quick_fit(split, recipe=QUICK, **options):
    return fit(recipe, split, split.take(130), device="cpu", **options)


def same_weights(one, other) -> bool:
    pairs = zip(one.network.state_dict().values(), other.network.state_dict().values())
    return all(torch.equal(mine, theirs) for mine, theirs in pairs)


def without_seconds(run) -> list[dict]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in run.history]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_moves_its_weights_and_lowers_its_loss(stripes, name):
    quicker = {"epochs": 2, "batch_size": 16, "learning_rate": 5 * RECIPES[name].learning_rate, "momentum": 0.9}
    recipe = dataclasses.replace(RECIPES[name], **quicker)
    torch.manual_seed(0)
    before = build_model(recipe.model).state_dict()
    run = fit(recipe, stripes.take(160), stripes.take(50), device="cpu")
    weights = {key: value for key, value in run.network.named_parameters() if value.ndim > 1}
    assert all(not torch.equal(before[key], value) for key, value in weights.items())
    assert run.history[1]["train_loss"] < run.history[0]["train_loss"]


def test_learns_what_can_be_learnt(stripes):
    run = quick_fit(stripes)
    assert run.history[-1]["validation_accuracy"] > 0.95
    assert list(run.table().columns) == [
        *("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate", "seconds"),
    ]
    assert run.table().index.tolist() == [1, 2, 3] and (run.recipe, run.seed) == (QUICK, 0)


def test_learns_digits(mnist):
    recipe = Recipe(model="lenet5", learning_rate=0.05, momentum=0.9, batch_size=64, epochs=3)
    run = fit(recipe, mnist.train[:2_000], mnist.train[2_000:2_500], device="cpu")
    assert run.history[-1]["validation_accuracy"] > 0.7


def train_as_any_tutorial_does(split: Split, seed: int, epochs: int, batch_size: int):
    """SGD over shuffled batches, seeded as the course does, in the layout that it uses."""
    torch.manual_seed(seed)
    network = build_model("lenet5_regularised").to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(epochs):
        torch.manual_seed(seed * 1_000_003 + epoch + 1)
        order = torch.randperm(len(split))
        for start in range(0, len(split), batch_size):
            index = order[start : start + batch_size]
            images = (split.images[index, None] / 255 - 0.1307) / 0.3081
            loss = F.cross_entropy(network(images), split.labels[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return network


def test_the_loop_is_that_of_any_tutorial(stripes):
    expected = train_as_any_tutorial_does(stripes, seed=4, epochs=2, batch_size=32)
    run = quick_fit(stripes, dataclasses.replace(QUICK, epochs=2), seed=4)
    assert same_weights(run, Trained(expected, QUICK))


def test_an_epoch_is_seeded_by_the_run_s_seed_and_its_own_number():
    seed_epoch(3, 4)
    assert torch.initial_seed() == 3 * 1_000_003 + 5


def test_same_seed_same_weights_other_seed_other_weights(stripes):
    assert same_weights(quick_fit(stripes, ONE, seed=5), quick_fit(stripes, ONE, seed=5))
    assert not same_weights(quick_fit(stripes, ONE, seed=5), quick_fit(stripes, ONE, seed=6))


def test_seed_decides_both_the_first_weights_and_the_order(stripes, monkeypatch):
    seen = []
    monkeypatch.setitem(AUGMENTATIONS, "spy", lambda images: seen.append(images.clone()) or images)
    still = dataclasses.replace(ONE, augmentation="spy", learning_rate=1e-30)  # the weights stay as they are
    weights = [quick_fit(stripes, still, seed=seed).network.conv1.weight for seed in (1, 1, 2)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert torch.equal(seen[0], seen[13]) and not torch.equal(seen[0], seen[26]), "another seed, another order"


@pytest.mark.parametrize("seed", [-1, 1_000_001, 10**30, 1.5, "3", None])
def test_a_seed_that_cannot_be_is_refused_and_repeated(stripes, seed):
    with pytest.raises(ValueError, match=f"from 0 to 1,000,000, not {seed!r}"):
        quick_fit(stripes, ONE, seed=seed)


class StopOnce:
    """An augmentation that presses Ctrl-C at one batch, and draws random numbers at each."""

    def __init__(self, at_batch: int):
        self.left = at_batch

    def __call__(self, images):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return images + 0.01 * torch.randn_like(images)


SGD = {"decay_every": 2}
ADAM = {"optimiser": "adam", "learning_rate": 1e-3, "decay_every": 20, "decay_unit": "step"}


@pytest.mark.parametrize(("changes", "at_batch", "saved"), [(SGD, 3, 0), (SGD, 20, 1), (ADAM, 38, 2)])
def test_interrupted_and_resumed_ends_in_the_same_weights(stripes, tmp_path, monkeypatch, changes, at_batch, saved):
    monkeypatch.setitem(AUGMENTATIONS, "stop", StopOnce(at_batch))
    recipe = dataclasses.replace(QUICK, augmentation="stop", **changes)
    with pytest.raises(
        Interrupted, match=f"{saved} of 3 epochs are saved in {re.escape(str(tmp_path))}; run this again to go on"
    ):
        quick_fit(stripes, recipe, folder=tmp_path)
    resumed, undisturbed = quick_fit(stripes, recipe, folder=tmp_path), quick_fit(stripes, recipe)
    assert same_weights(resumed, undisturbed) and without_seconds(resumed) == without_seconds(undisturbed)


def test_an_interrupted_run_without_a_folder_says_that_nothing_is_saved(stripes, monkeypatch):
    monkeypatch.setitem(AUGMENTATIONS, "stop", StopOnce(38))
    with pytest.raises(Interrupted, match="2 of 3 epochs .*none.* saved") as caught:
        quick_fit(stripes, dataclasses.replace(QUICK, augmentation="stop"))
    (line,) = caught.value._render_traceback_()
    assert line == str(caught.value) and "\n" not in line
    assert caught.value.__suppress_context__, "no second traceback above the line"


def test_another_error_is_not_taken_for_an_interrupt(stripes, tmp_path, monkeypatch):
    monkeypatch.setitem(AUGMENTATIONS, "stop", lambda images: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        quick_fit(stripes, dataclasses.replace(QUICK, augmentation="stop"), folder=tmp_path)


def test_a_finished_run_is_not_trained_again(stripes, tmp_path, monkeypatch):
    first = quick_fit(stripes, ONE, folder=tmp_path)
    monkeypatch.setattr(training, "seed_epoch", None)
    again = quick_fit(stripes, ONE, folder=tmp_path)
    assert same_weights(first, again) and again.history == first.history


def test_checkpoints_hold_last_and_best(stripes, tmp_path, monkeypatch):
    accuracies = iter([0.5, 0.9, 0.9])
    monkeypatch.setattr(training, "evaluate", lambda *_: (1.0, next(accuracies)))
    run = quick_fit(stripes, folder=tmp_path)
    best, last = read_checkpoint(tmp_path / "best.pt"), read_checkpoint(tmp_path / "last.pt")
    assert len(best["history"]) == 2 and len(last["history"]) == 3
    assert torch.equal(last["model"]["conv1.weight"], run.network.conv1.weight)
    assert not torch.equal(best["model"]["conv1.weight"], run.network.conv1.weight)


def test_checkpoint_of_another_run_is_refused_and_says_what_differs(stripes, tmp_path):
    quick_fit(stripes, ONE, folder=tmp_path)
    relabelled, flipped = Split(stripes.images, stripes.labels.roll(1)), Split(stripes.images.flip(2), stripes.labels)
    for split, recipe, seed, difference in (
        (stripes, dataclasses.replace(ONE, epochs=3, momentum=0.8), 0, "recipe's momentum, epochs is .0.9, 1., not "),
        (stripes, ONE, 1, "seed is 0, not 1"),
        (stripes[:399], ONE, 0, "data is 400 images with checksum [0-9a-f]{8}, not 399 images"),
        (relabelled, ONE, 0, "data is 400 images with checksum [0-9a-f]{8}, not 400 images"),
        (flipped, ONE, 0, "data is 400 images with checksum [0-9a-f]{8}, not 400 images"),
    ):
        with pytest.raises(CheckpointError, match=f"last.pt: is of another run: its {difference}.*Delete it"):
            quick_fit(split, recipe, seed=seed, folder=tmp_path)


@pytest.mark.parametrize("part", ["model", "parts", "history"])
def test_damaged_or_incomplete_checkpoint_is_refused(stripes, tmp_path, part):
    quick_fit(stripes, ONE, folder=tmp_path)
    whole, content = (tmp_path / "last.pt").read_bytes(), read_checkpoint(tmp_path / "last.pt")
    (tmp_path / "last.pt").write_bytes(whole[:-1000])
    with pytest.raises(CheckpointError, match="last.pt: is not a readable checkpoint"):
        quick_fit(stripes, ONE, folder=tmp_path)
    content.pop(part)
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match="last.pt: does not fit this run"):
        quick_fit(stripes, ONE, folder=tmp_path)


@pytest.mark.parametrize(
    "place, value",
    [
        (("optimiser", "param_groups", 0, "lr"), "0.05"),
        (("optimiser", "param_groups", 0, "lr"), -0.05),
        (("optimiser", "param_groups", 0, "momentum"), math.nan),
        (("optimiser", "param_groups"), []),
        (("optimiser", "state", 0, "exp_avg"), 1.0),
        (("optimiser", "state", 0, "exp_avg"), torch.zeros(3)),
        (("optimiser", "state", 0, "step"), torch.tensor(-1.0)),
        (("optimiser", "state", 1, "exp_avg_sq"), torch.full((6,), math.inf)),
        (("scheduler", "last_epoch"), None),
        (("scheduler",), {}),
    ],
)
def test_an_optimiser_or_schedule_edited_by_hand_is_refused_before_the_first_step(stripes, tmp_path, place, value):
    recipe = dataclasses.replace(ONE, model="lenet5", optimiser="adam", momentum=0.0, learning_rate=0.001)
    quick_fit(stripes, recipe, folder=tmp_path)
    content = read_checkpoint(tmp_path / "last.pt")
    inner = content["parts"]
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    content["recipe"]["epochs"] = 2
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match="last.pt: does not fit this run .*Delete it to start anew"):
        quick_fit(stripes, dataclasses.replace(recipe, epochs=2), folder=tmp_path)


@pytest.mark.parametrize("given", ["mnist", torch.zeros(3, 28, 28)])
def test_what_is_no_split_is_refused_with_a_word_on_how_to_make_one(stripes, given):
    with pytest.raises(InputError, match="a Split is needed, such as mnist.train"):
        fit(ONE, given)
    with pytest.raises(InputError, match="a Split is needed, such as mnist.train"):
        fit(ONE, stripes, given)
    with pytest.raises(InputError, match="a Split is needed, such as mnist.train"):
        Trained(build_model("lenet5"), ONE).predict(given)


def test_average_counts_images_not_batches():
    average = Average()
    right = F.one_hot(torch.zeros(9, dtype=torch.long), 10).float()
    average.add(torch.tensor(1.0), right, torch.zeros(9, dtype=torch.long))
    average.add(torch.tensor(2.0), right[:1], torch.ones(1, dtype=torch.long))
    assert average.result() == pytest.approx((1.1, 0.9))


@pytest.mark.parametrize("softmax", [False, True])
def test_measured_loss_and_accuracy_are_those_of_the_whole_split_in_eval_mode(stripes, softmax):
    torch.manual_seed(0)
    network, recipe = build_model("lenet5_regularised"), dataclasses.replace(QUICK, softmax_before_loss=softmax)
    running = network.norm1.running_mean.clone()
    measured = evaluate(network, Batches(stripes, 96), recipe)
    assert network.training and torch.equal(running, network.norm1.running_mean)
    (images, labels), *_ = Batches(stripes, 400)
    with torch.no_grad():
        logits = network.eval()(images)
    loss = F.cross_entropy(logits.softmax(1) if softmax else logits, labels).item()
    assert measured == pytest.approx((loss, (logits.argmax(1) == labels).float().mean().item()), rel=1e-4)
    evaluate(network, Batches(stripes, 96), recipe)
    assert not network.training


def test_training_figures_are_of_each_step_before_it_is_taken(stripes):
    run = quick_fit(stripes, dataclasses.replace(ONE, model="lenet5", batch_size=400))
    torch.manual_seed(0)
    measured = evaluate(build_model("lenet5"), Batches(stripes, 400), QUICK)
    row = run.history[0]
    assert (row["train_loss"], row["train_accuracy"]) == pytest.approx(measured, rel=1e-4)


def test_validation_images_are_not_augmented(stripes, monkeypatch):
    monkeypatch.setitem(AUGMENTATIONS, "blank", torch.zeros_like)
    run = quick_fit(stripes, dataclasses.replace(ONE, augmentation="blank"))
    clean = evaluate(run.network, Batches(stripes.take(130), 50), QUICK)
    row = run.history[0]
    assert (row["validation_loss"], row["validation_accuracy"]) == pytest.approx(clean, rel=1e-4)
    blank = Split(torch.zeros_like(stripes.images[:130]), stripes.labels[:130])
    assert abs(evaluate(run.network, Batches(blank, 50), QUICK)[0] - clean[0]) > 1e-3, "blank images would have shown"


def test_training_images_are_augmented_and_shuffled(stripes, monkeypatch):
    seen = []
    monkeypatch.setitem(AUGMENTATIONS, "spy", lambda images: seen.append(images.clone()) or images)
    quick_fit(stripes, dataclasses.replace(QUICK, augmentation="spy", epochs=2))
    first, second = torch.cat(seen[:13]), torch.cat(seen[13:])
    assert len(first) == len(second) == 400 and not torch.equal(first, second)
    assert torch.allclose(first.sum((1, 2, 3)).sort().values, second.sum((1, 2, 3)).sort().values)


@pytest.mark.parametrize("decay", [{"decay_every": 1}, {"decay_every": 13, "decay_unit": "step"}])
def test_learning_rate_falls_per_epoch_or_per_step(stripes, decay):
    run = quick_fit(stripes, dataclasses.replace(QUICK, **decay))
    assert [row["learning_rate"] for row in run.history] == pytest.approx([0.05, 0.005, 0.0005])


def test_loss_that_is_no_number_ends_the_run_with_advice(stripes, tmp_path):
    with pytest.raises(TrainingError, match="train loss is (nan|inf) after epoch 1: try a lower learning.* than 1e.30"):
        quick_fit(stripes, dataclasses.replace(QUICK, learning_rate=1e30), folder=tmp_path)
    assert not list(tmp_path.glob("*.pt"))


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_validation_loss_that_is_no_number_is_neither_kept_nor_saved(stripes, tmp_path, monkeypatch, loss):
    monkeypatch.setattr(training, "evaluate", lambda *_: (loss, 0.1))
    with pytest.raises(TrainingError, match="the validation loss is"):
        quick_fit(stripes, folder=tmp_path)
    assert not list(tmp_path.glob("*.pt"))
    run = Trained(build_model("mlp"), QUICK)
    with pytest.raises(TrainingError):
        record_epoch(run, {"train": (loss, 0.5)}, 0.1, 1.0)
    assert run.history == []


@pytest.mark.parametrize("scaling", ["normalised", "unit", "raw"])
def test_both_splits_reach_the_network_in_the_scaling_of_the_recipe(stripes, monkeypatch, scaling):
    made = []

    class Spy(Batches):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            made.append(next(iter(self))[0].max().item())

    monkeypatch.setattr(training, "Batches", Spy)
    quick_fit(stripes, dataclasses.replace(ONE, scaling=scaling))
    white = 250 / 255
    expected = {"normalised": (white - 0.1307) / 0.3081, "unit": white, "raw": 250.0}[scaling]
    assert made == pytest.approx([expected, expected], rel=1e-4)


def test_cudnn_stays_on_and_repeats_its_sums_while_training(stripes, monkeypatch):
    seen = []
    flags = torch.backends.cudnn
    monkeypatch.setitem(AUGMENTATIONS, "spy", lambda x: seen.append((flags.enabled, flags.deterministic)) or x)
    before = flags.deterministic
    quick_fit(stripes, dataclasses.replace(ONE, augmentation="spy"))
    assert set(seen) == {(True, True)} and flags.deterministic == before


def test_numbers_from_numpy_can_be_saved_and_resumed(stripes, tmp_path):
    recipe = dataclasses.replace(ONE, learning_rate=np.logspace(-3, -1, 3)[1], batch_size=np.int64(32))
    first = quick_fit(stripes, recipe, seed=np.int64(3), folder=tmp_path)
    assert same_weights(first, quick_fit(stripes, recipe, seed=3, folder=tmp_path))


def test_without_validation_images_nothing_is_looked_at(stripes, tmp_path):
    run = fit(ONE, stripes, device="cpu", folder=tmp_path)
    assert list(run.table().columns) == ["train_loss", "train_accuracy", "learning_rate", "seconds"]
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["last.pt"]
    assert same_weights(run, quick_fit(stripes, ONE)), "looking does not change what is learnt"


class Half(Plain):
    """Learns from the first half of the images, in their order, with twice the loss, and notes what it has seen."""

    def __init__(self, *given):
        super().__init__(*given)
        self.places, self.losses = [], []

    def order(self, epoch):
        return torch.arange(self.count // 2)

    def loss(self, images, logits, labels):
        assert images.shape[1:] == (1, 28, 28) and len(images) == len(labels)
        self.losses.append(2 * super().loss(images, logits, labels))
        return self.losses[-1]

    def seen(self, index, logits, labels):
        assert len(index) == len(logits) == len(labels)
        self.places += index.tolist()


def test_tricks_choose_images_change_the_loss_and_see_what_was_learnt(stripes):
    made = []
    run = quick_fit(stripes, ONE, tricks=lambda *given: made.append(Half(*given)) or made[0])
    assert made[0].places == list(range(200)) and len(made[0].losses) == 7
    losses = torch.stack(made[0].losses)
    assert run.history[0]["train_loss"] == pytest.approx(((losses[:6].sum() * 32 + losses[6] * 8) / 200).item())
    assert not same_weights(run, quick_fit(stripes.take(200), ONE))


def test_what_cannot_work_is_refused_before_the_first_step(stripes, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "seed_epoch", None)
    unlabelled, empty = Split(stripes.images), stripes.take(0)
    large = Split(torch.zeros(40, 32, 32, dtype=torch.uint8), stripes.labels[:40])
    lonely = dataclasses.replace(QUICK, batch_size=133)  # 400 = 3 · 133 + 1
    for recipe, train, validation, problem in (
        (QUICK, unlabelled, None, "training needs images, one at least, and their labels"),
        (QUICK, empty, None, "training needs images, one at least"),
        (QUICK, stripes, unlabelled, "training needs images, one at least, and their labels"),
        (QUICK, stripes, empty, "training needs images, one at least"),
        (lonely, stripes, None, "a batch of 1 images of 28 × 28 pixels: .*so choose another batch size"),
        (dataclasses.replace(QUICK, batch_size=1), stripes, None, "batch of 1 images .*so choose another batch size"),
        (dataclasses.replace(QUICK, model="compact"), large, None, r"of 32 × 32 .*\(2, 40\), not ten logits"),
        (QUICK, large, None, "does not take a batch of 2 images of 32 × 32 pixels: "),
        (QUICK, stripes, large, "does not take a batch of 1 images of 32 × 32 pixels: "),
    ):
        with pytest.raises(InputError, match=problem):
            fit(recipe, train, validation, device="cpu", folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_one_image_in_the_last_batch_is_no_trouble_where_nothing_averages_over_a_batch(stripes):
    run = fit(dataclasses.replace(ONE, model="lenet5", batch_size=133), stripes, device="cpu")
    assert len(run.history) == 1


def test_a_look_at_the_network_draws_no_random_number(stripes):
    """Dropout and batch norm are in this network: its first weights, order and masks stay those of the seed."""
    torch.manual_seed(3)
    network = build_model("lenet5_regularised")
    before, state = [value.clone() for value in network.state_dict().values()], torch.get_rng_state()
    training.check_splits(network, QUICK, stripes, stripes)
    assert torch.equal(torch.get_rng_state(), state) and network.training
    assert all(torch.equal(one, other) for one, other in zip(before, network.state_dict().values()))


def test_a_folder_that_is_a_file_or_in_use_is_refused_before_the_first_step(stripes, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "seed_epoch", None)
    (tmp_path / "file").write_text("precious")
    with pytest.raises(FileError, match="cannot be written"):
        quick_fit(stripes, folder=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "precious"
    with hold(tmp_path / "run"), pytest.raises(FileError, match=f"in use by process {os.getpid()} .*Wait until"):
        quick_fit(stripes, folder=tmp_path)


def test_a_folder_is_let_go_of_however_a_run_ends(stripes, tmp_path, monkeypatch):
    quick_fit(stripes, ONE, folder=tmp_path)
    with pytest.raises(CheckpointError, match="another run"):
        quick_fit(stripes, ONE, seed=1, folder=tmp_path)
    monkeypatch.setattr(training, "record_epoch", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        quick_fit(stripes, folder=tmp_path / "new")
    for folder in (tmp_path, tmp_path / "new"):
        with hold(folder / "run"):
            pass


def test_a_folder_whose_run_was_refused_is_free_while_the_error_is_kept(stripes, tmp_path):
    """As a notebook keeps the last one, and with it all that the run had in its hands."""
    quick_fit(stripes, ONE, folder=tmp_path)
    with pytest.raises(CheckpointError, match="another run") as caught:
        quick_fit(stripes, ONE, seed=1, folder=tmp_path)
    with hold(tmp_path / "run"):
        assert caught.tb


@pytest.mark.parametrize("asked", [None, "1"])
def test_a_resumed_run_keeps_its_number_of_threads_unless_told(stripes, tmp_path, monkeypatch, asked):
    monkeypatch.delenv("OMP_NUM_THREADS")
    seen = []
    monkeypatch.setitem(AUGMENTATIONS, "spy", lambda images: seen.append(torch.get_num_threads()) or images)
    recipe = dataclasses.replace(QUICK, epochs=2, augmentation="spy")
    torch.set_num_threads(3)
    try:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(training, "seed_epoch", lambda seed, epoch: interrupt() if epoch else None)
            quick_fit(stripes, recipe, folder=tmp_path)
        torch.set_num_threads(1)
        if asked:
            monkeypatch.setenv("OMP_NUM_THREADS", asked)
        quick_fit(stripes, recipe, folder=tmp_path)
        assert read_checkpoint(tmp_path / "last.pt")["threads"] == (1 if asked else 3)
        assert set(seen[:13]) == {3} and set(seen[13:]) == {1 if asked else 3}
        assert torch.get_num_threads() == 1, "afterwards as it was"
    finally:
        torch.set_num_threads(1)


def interrupt():
    raise KeyboardInterrupt


def test_a_run_that_is_stopped_again_counts_what_was_saved_before(stripes, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "seed_epoch", lambda seed, epoch: interrupt() if epoch else None)
    for _ in range(2):
        with pytest.raises(Interrupted, match="interrupted: 1 of 3 epochs are saved in"):
            quick_fit(stripes, folder=tmp_path)


def test_an_epoch_counts_as_saved_once_it_is(stripes, tmp_path, monkeypatch):
    write = checkpoints.write_checkpoint

    def stop_at_second(path, content):
        if path.name == "last.pt" and len(content["history"]) == 2:
            interrupt()
        write(path, content)

    monkeypatch.setattr(checkpoints, "write_checkpoint", stop_at_second)
    with pytest.raises(Interrupted, match="interrupted: 1 of 3 epochs are saved in"):
        quick_fit(stripes, folder=tmp_path)
