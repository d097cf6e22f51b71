"""Trials: how recipes are chosen."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
import torch

from helpers.data import Mnist, Split, split_train_validation
from helpers.errors import FileError, InputError
from helpers.models import build_model
from helpers.trained import Trained
from lab import trials
from lab.recipes import ALL_RECIPES, LabRecipe, extend
from lab.trials import add_trial, change_recipe, read_trials, run_trial, train_teachers

SMALL = LabRecipe(model="lenet5", momentum=0.9, batch_size=32, epochs=1)


@pytest.fixture
def mnist(stripes) -> Mnist:
    return Mnist(stripes, stripes.take(0), source="mnist")


@pytest.fixture
def asked(monkeypatch) -> list[dict]:
    """What `fit` was asked for; it gives back an untrained network."""

    def fake(recipe, train, validation, *, seed, **options):
        calls.append({"recipe": recipe, "train": train, "validation": validation, "seed": seed} | options)
        return Trained(build_model(recipe.model), recipe, seed)

    calls = []
    monkeypatch.setattr(trials, "fit", fake)
    return calls


def test_changes_keep_the_type_of_each_field():
    changes = ["epochs=6", "learning_rate=1", "nesterov=true", "betas=0.7,0.9", "augmentation=affine"]
    changed = change_recipe(SMALL, [*changes, "model=separable-6-8-12-12"])
    assert (changed.epochs, changed.learning_rate, changed.nesterov) == (6, 1.0, True)
    assert (changed.betas, changed.augmentation, changed.model) == ((0.7, 0.9), "affine", "separable-6-8-12-12")
    assert change_recipe(changed, ["augmentation=none", "nesterov=false"]).augmentation is None
    assert change_recipe(SMALL, []) == SMALL
    assert change_recipe(SMALL, ["decay_every=5"]).decay_every == 5
    assert change_recipe(SMALL, ["teacher=best"]).teacher == "best"
    assert change_recipe(SMALL, ["focus=0.5", "channels_last=false"]).focus == 0.5
    assert change_recipe(extend(ALL_RECIPES["compact"]), ["focus=0.5"]).model == "compact", "a published one"


@pytest.mark.parametrize(
    "change",
    [
        *("nobody=1", "=1", "", "epochs", "CHOICES=1"),
        *("epochs=many", "epochs=0", "epochs=-1", "epochs=none", "epochs=1.5", "batch_size=0", "decay_every=0"),
        *("learning_rate=nan", "learning_rate=0", "learning_rate=inf", "momentum=1", "focus=0", "focus=nan"),
        *("nesterov=1", "nesterov=True", "softmax_before_loss=yes"),
        *("optimiser=lion", "augmentation=x", "scaling=x", "schedule=x", "precision=x", "teacher=fast", "teacher="),
        *("model=none-1", "model=quick-8", "model=trimmed-1-2", "model=lenet5-3"),
        *("betas=1", "betas=0.7,0.8,0.9", "betas=0.7,1", "betas=-0.1,0.9", "warm_up=7", "warm_up=1", "warm_up=nan"),
    ],
)
def test_changes_that_cannot_be_are_refused(change):
    with pytest.raises(InputError) as caught:
        change_recipe(SMALL, [change])
    assert "\n" not in str(caught.value)


def test_no_looking_ahead_without_momentum():
    with pytest.raises(InputError, match="momentum"):
        change_recipe(SMALL, ["momentum=0", "nesterov=true"])
    assert change_recipe(SMALL, ["momentum=0", "nesterov=true", "optimiser=muon"]).momentum == 0


def test_a_trial_learns_from_some_images_and_looks_at_the_others_once(mnist, asked, monkeypatch):
    looked, predict = [], Trained.predict
    monkeypatch.setattr(Trained, "predict", lambda run, split: looked.append(split) or predict(run, split))
    result = run_trial(SMALL, mnist, seed=3, held_out=80)
    train, validation = split_train_validation(mnist.train, share=80 / len(mnist.train))
    (call,) = asked
    assert call["validation"] is None and call["train"].images.equal(train.images) and len(call["train"]) == 320
    assert call["recipe"] is SMALL and call["seed"] == 3 and not call["teachers"]
    assert len(looked) == 1 and looked[0].images.equal(validation.images) and len(validation) == 80
    assert result["seed"] == 3 and result["held_out"] == 80
    assert result["parameters"] == 44_426 and dataclasses.asdict(SMALL).items() <= result.items()
    assert 0 <= result["validation_accuracy"] < 1 and "seconds" in result
    assert result["validation_loss"] == pytest.approx(2.3, abs=0.5), "an image, of a network that knows nothing"


def test_a_trial_of_a_student_trains_its_teachers_on_its_own_images(mnist, asked, tmp_path, monkeypatch):
    monkeypatch.setitem(ALL_RECIPES, "best", SMALL)
    student = dataclasses.replace(SMALL, teacher="best")
    assert train_teachers(SMALL, mnist.train, tmp_path) == [] and not asked
    run_trial(student, mnist, 7, held_out=80, unfinished=tmp_path)
    *teachers, last = asked
    assert [call["seed"] for call in teachers] == [0, 1, 2, 3] and last["seed"] == 7
    assert all(call["recipe"] is SMALL and call["train"] is last["train"] for call in teachers)
    assert [call["folder"] for call in teachers] == [tmp_path / f"best-{seed}-of-320" for seed in range(4)]
    assert last["recipe"] is student and len(last["teachers"]) == 4


def test_the_validation_images_of_the_course_judge_unless_told():
    labels = torch.arange(60_000) % 10
    digits = Split(torch.zeros(60_000, 1, 1, dtype=torch.uint8), labels)
    assert len(split_train_validation(digits)[1]) == trials.HELD_OUT


def test_rows_add_up_and_a_failed_one_leaves_the_table(tmp_path, monkeypatch):
    path = tmp_path / "trials.csv"
    for seed in (0, 1):
        add_trial({"validation_accuracy": 0.99, "seed": seed, "model": "a"}, path)
    assert pd.read_csv(path)["seed"].tolist() == [0, 1]
    add_trial({"seed": 3, "model": "b", "validation_accuracy": 0.5, "later": 1}, path)
    assert pd.read_csv(path)["validation_accuracy"].tolist() == [0.99, 0.99, 0.5]
    before = path.read_bytes()
    monkeypatch.setattr(type(path), "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "no space left")))
    with pytest.raises(FileError, match="trials.csv: cannot be written .*no space left"):
        add_trial({"validation_accuracy": 0.98, "seed": 2, "model": "a"}, path)
    assert path.read_bytes() == before and list(tmp_path.glob("[!.]*")) == [path]


def test_no_row_is_lost_where_four_add_some_at_once(tmp_path):
    """Each call takes the lock by itself, so that threads are to each other what processes are."""
    path = tmp_path / "trials.csv"

    def add(name):
        for seed in range(10):
            add_trial({"validation_accuracy": 0.5, "seed": seed, "model": name}, path)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, "abcd"))
    table = read_trials(path)
    assert sorted(zip(table["model"], table["seed"])) == [(name, seed) for name in "abcd" for seed in range(10)]


ROWS = "validation_accuracy,seed,model\n0.99,0,a\n0.98,1,b\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (ROWS.replace("0.98,1,b", "<<<<<<< HEAD\n0.98,1,b"), "row 3 is no trial: '<<<<<<< HEAD'"),
        (ROWS + "0.97,2", "row 4 is no trial: '0.97,2'"),
        (ROWS + "0.97,2,c,d\n", "row 4 is no trial"),
        (ROWS + "97,2,c\n", "row 4 is no trial"),
        (ROWS + "nan,2,c\n", "row 4 is no trial"),
        (ROWS + "a,2,c\n", "is not a readable table"),
        (ROWS.partition("\n")[2], "begins with '0.99', not with validation_accuracy"),
        (ROWS + '"0.97,2,c\n', "is not a readable table"),
        (ROWS.encode() + b"\xff\xfe", "is not a readable table"),
        ("", "is not a readable table"),
    ],
)
def test_a_damaged_table_is_named_and_left_alone(tmp_path, content, problem):
    path = tmp_path / "trials.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = path.read_bytes()
    for use in (read_trials, lambda path: add_trial({"validation_accuracy": 0.5, "seed": 0, "model": "a"}, path)):
        with pytest.raises(FileError, match=f"trials.csv: {problem}.*git checkout"):
            use(path)
    assert path.read_bytes() == before


def test_the_committed_table_is_whole():
    assert len(read_trials(trials.TABLE)) > 100


def test_a_trial_s_seconds_are_the_student_s(mnist, asked, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(trials.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(trials, "train_teachers", lambda *_: clock.__setitem__(0, 100.0) or [])
    assert run_trial(SMALL, mnist, 0, held_out=80)["seconds"] == 0
