"""Teachers: what they answer, and that a student follows them."""

import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers import reproduction, trials
from helpers.augmentation import AUGMENTATIONS
from helpers.checkpoints import CheckpointError
from helpers.data import Batches, Mnist, split_train_validation
from helpers.distillation import TEMPERATURE, Teachers
from helpers.experiments import ALL_RECIPES
from helpers.recipes import Recipe
from helpers.reproduction import list_runs, load_teachers, reproduce
from helpers.training import Learner, fit

MASTER = Recipe(model="lenet5_regularised", learning_rate=0.05, momentum=0.9, batch_size=32, epochs=3)
STUDENT = replace(MASTER, teacher="master", augmentation="affine")


class Says(nn.Module):
    """Answers with the same logits, whatever it sees; the weight is there to have a gradient."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.as_tensor(logits))

    def forward(self, images):
        assert not self.training
        return self.logits.expand(len(images), 10)


@pytest.fixture
def master(monkeypatch):
    for name, recipe in (("master", MASTER), ("student", STUDENT)):
        monkeypatch.setitem(ALL_RECIPES, name, recipe)
        monkeypatch.setitem(reproduction.SEEDS, name, range(2))
    monkeypatch.setattr(reproduction, "KEPT", ("master",))


@pytest.fixture
def tiny(stripes):
    return Mnist(stripes.images, stripes.labels, stripes.images[:60], stripes.labels[:60], source="mnist")


def test_networks_of_the_course_that_teach_are_kept():
    assert {recipe.teacher for recipe in ALL_RECIPES.values()} - {None} <= set(reproduction.KEPT)


def test_the_loss_is_against_the_softened_answer_of_one_teacher():
    torch.manual_seed(0)
    answers, logits = torch.randn(2, 10), torch.randn(3, 10, requires_grad=True)
    teachers, images = Teachers([Says(row) for row in answers]), torch.zeros(3, 1, 28, 28)
    log = (logits / TEMPERATURE).log_softmax(1)
    expected = [-((row / TEMPERATURE).softmax(0) * log).sum(1).mean() * TEMPERATURE**2 for row in answers]
    losses = [teachers.compute_loss(images, logits) for _ in range(200)]
    drawn = [[torch.allclose(loss, one) for one in expected].index(True) for loss in losses]
    assert 60 < sum(drawn) < 140, "both teachers, equally often"
    losses[0].backward()
    assert logits.grad.abs().sum() > 0 and all(network.logits.grad is None for network in teachers.networks)


def test_the_teachers_have_their_share_of_the_loss(stripes):
    learner = Learner(STUDENT, 0, torch.device("cpu"), 400, [Says(torch.arange(10.0))])
    (images, labels), *_ = Batches(stripes, 400)
    loss, logits = learner.step(images, labels)
    taught = learner.teachers.compute_loss(images, logits)
    assert loss.item() == pytest.approx((0.1 * F.cross_entropy(logits, labels) + 0.9 * taught).item(), rel=1e-5)


def test_a_student_believes_its_teacher_more_than_the_labels(stripes):
    class NextDigit(nn.Module):
        def forward(self, images):
            columns = images.mean((1, 2))[:, 3:23].reshape(-1, 10, 2).mean(2)
            return 20 * F.one_hot((columns.argmax(1) + 1) % 10, 10).float()

    run = fit(replace(STUDENT, augmentation=None, epochs=8), stripes, None, device="cpu", teachers=[NextDigit()])
    (images, labels), *_ = Batches(stripes, 400)
    said = run.model.eval()(images).argmax(1)
    assert (said == (labels + 1) % 10).float().mean() > 0.8
    assert run.history[-1]["train_accuracy"] < 0.2, "accuracy is against the labels all the same"


def test_an_interrupted_student_ends_in_the_same_weights(stripes, tmp_path, monkeypatch):
    torch.manual_seed(0)
    teachers = [Says(row) for row in 3 * torch.randn(3, 10)]
    calls = itertools.count()
    monkeypatch.setitem(AUGMENTATIONS, "stop", lambda images: images if next(calls) != 20 else 1 / 0)
    recipe = replace(STUDENT, augmentation="stop")
    with pytest.raises(ZeroDivisionError):
        fit(recipe, stripes, None, device="cpu", folder=tmp_path, teachers=teachers)
    resumed = fit(recipe, stripes, None, device="cpu", folder=tmp_path, teachers=teachers)
    undisturbed = fit(recipe, stripes, None, device="cpu", teachers=teachers)
    assert len(resumed.history) == 3 and torch.equal(resumed.model.conv1.weight, undisturbed.model.conv1.weight)


@pytest.mark.parametrize(("recipe", "teachers"), [(STUDENT, []), (MASTER, [Says(torch.zeros(10))])])
def test_a_teacher_without_networks_and_networks_without_a_teacher_are_refused(stripes, recipe, teachers):
    with pytest.raises(ValueError, match="teacher is (None|master), and [01] networks are given"):
        fit(recipe, stripes, None, device="cpu", teachers=teachers)


def test_a_run_is_taught_by_all_kept_networks_and_says_which_is_missing(master, tiny, tmp_path, monkeypatch):
    folders = {"folder": tmp_path / "results", "unfinished": tmp_path / "runs", "networks": tmp_path / "networks"}
    reproduce("master", 0, tiny, **folders)
    with pytest.raises(CheckpointError, match="master-1.pt: does not exist"):
        reproduce("student", 0, tiny, **folders)
    reproduce("master", 1, tiny, **folders)
    given = []
    monkeypatch.setattr(reproduction, "fit", lambda *args, **options: given.append(options) or fit(*args, **options))
    assert reproduce("student", 0, tiny, **folders).settings["teacher"] == "master"
    weights = [network.conv1.weight for network in given[0]["teachers"]]
    assert len(weights) == 2 and not torch.equal(*weights)
    assert load_teachers(MASTER, tmp_path / "nowhere") == []


def test_students_come_after_their_teachers(master):
    assert list_runs(["student", "master"]) == [("master", 0), ("master", 1), ("student", 0), ("student", 1)]


def test_a_trial_has_teachers_that_have_not_seen_its_held_out_images(master, tiny, tmp_path, monkeypatch):
    learnt = []

    def spy(recipe, train, *rest, **options):
        learnt.append((recipe, train.images, len(options.get("teachers", ()))))
        return fit(recipe, train, *rest, **options)

    monkeypatch.setattr(trials, "fit", spy)
    monkeypatch.setattr(trials, "TEACHERS", 2)
    trials.run_trial(STUDENT, tiny, 0, held_out=80, unfinished=tmp_path)
    train, _ = split_train_validation(tiny.train_images, tiny.train_labels, share=80 / 400)
    assert [(recipe, taught_by) for recipe, _, taught_by in learnt] == [(MASTER, 0), (MASTER, 0), (STUDENT, 2)]
    assert all(torch.equal(images, train.images) for _, images, _ in learnt)
    trials.run_trial(STUDENT, tiny, 0, held_out=100, unfinished=tmp_path)
    monkeypatch.setattr("helpers.training._train_epoch", None)
    one, other = trials.train_teachers(STUDENT, train, tmp_path)  # taken from their checkpoints
    assert not torch.equal(one.conv1.weight, other.conv1.weight)
