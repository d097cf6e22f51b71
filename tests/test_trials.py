"""Trials: how recipes are chosen."""

import pandas as pd
import pytest
import torch

from helpers import __main__ as commands
from helpers import trials
from helpers.data import Mnist, split_train_validation
from helpers.experiments import ALL_RECIPES
from helpers.recipes import Recipe
from helpers.trials import add_trial, change_recipe, run_trial

SMALL = Recipe(model="lenet5", momentum=0.9, batch_size=32, epochs=1)


@pytest.fixture
def mnist(stripes):
    return Mnist(stripes.images, stripes.labels, stripes.images[:0], stripes.labels[:0], source="mnist")


def test_changes_keep_the_type_of_each_field():
    changes = ["epochs=6", "learning_rate=1", "nesterov=true", "betas=0.7,0.9", "augmentation=affine"]
    changed = change_recipe(SMALL, [*changes, "model=separable-6-8-12-12"])
    assert (changed.epochs, changed.learning_rate, changed.nesterov) == (6, 1.0, True)
    assert (changed.betas, changed.augmentation, changed.model) == ((0.7, 0.9), "affine", "separable-6-8-12-12")
    assert change_recipe(changed, ["augmentation=none", "nesterov=false"]).augmentation is None
    assert change_recipe(SMALL, []) == SMALL
    assert change_recipe(SMALL, ["decay_every=5"]).decay_every == 5


@pytest.mark.parametrize(
    "change",
    [
        "nobody=1",
        "epochs=many",
        "nesterov=1",
        "optimiser=lion",
        "model=none-1",
        "epochs",
        "epochs=0",
        "epochs=none",
        "augmentation=x",
        "scaling=x",
        "teacher=fast",
        "betas=1",
    ],
)
def test_changes_that_cannot_be_are_refused(change):
    with pytest.raises(ValueError):
        change_recipe(SMALL, [change])


def test_a_trial_learns_from_some_images_and_looks_at_the_others_once(mnist, monkeypatch):
    seen = []
    fit = trials.fit
    monkeypatch.setattr(
        trials, "fit", lambda recipe, *splits, **options: seen.append(splits) or fit(recipe, *splits, **options)
    )
    looked = []
    predict = trials.predict
    monkeypatch.setattr(
        trials, "predict", lambda model, split, **options: looked.append(split) or predict(model, split, **options)
    )
    result = run_trial(SMALL, mnist, seed=3, held_out=80)
    images, labels = mnist.train_images, mnist.train_labels
    train, validation = split_train_validation(images, labels, share=80 / len(labels))
    ((learnt, watched),) = seen
    assert watched is None and learnt.images.equal(train.images) and len(validation) == 80
    assert len(looked) == 1 and looked[0].images.equal(validation.images)
    assert result["seed"] == 3 and result["held_out"] == 80
    assert result["parameters"] == 44_426 and result["model"] == "lenet5"
    assert result["validation_loss"] > 0 and result["seconds"] >= 0


def test_the_validation_images_of_the_course_judge_unless_told():
    labels = torch.arange(60_000) % 10
    assert len(split_train_validation(labels, labels)[1]) == trials.HELD_OUT


def test_rows_add_up_and_a_failed_one_leaves_the_table(tmp_path, monkeypatch):
    path = tmp_path / "trials.csv"
    for seed in (0, 1):
        add_trial({"validation_accuracy": 0.99, "seed": seed, "model": "a"}, path)
    assert pd.read_csv(path)["seed"].tolist() == [0, 1]
    add_trial({"seed": 3, "model": "b", "validation_accuracy": 0.5, "later": 1}, path)
    assert pd.read_csv(path)["validation_accuracy"].tolist() == [0.99, 0.99, 0.5]
    before = path.read_bytes()
    monkeypatch.setattr(type(path), "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "no space left")))
    with pytest.raises(OSError):
        add_trial({"validation_accuracy": 0.98, "seed": 2, "model": "a"}, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_command(mnist, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(trials, "TABLE", tmp_path / "trials.csv")
    monkeypatch.setattr(commands.data, "load_mnist", lambda: mnist)
    monkeypatch.setitem(ALL_RECIPES, "quick", SMALL)
    assert commands.main(["trial", "quick", "batch_size=64", "--seeds", "0", "1", "--held-out", "40"]) == 0
    table = pd.read_csv(tmp_path / "trials.csv")
    assert table["seed"].tolist() == [0, 1] and table["batch_size"].tolist() == [64, 64]
    assert table["held_out"].tolist() == [40, 40]
    assert "seed 1: " in capsys.readouterr().out
    assert commands.main(["trial", "quick", "epochs=x"]) == 2 and "epochs" in capsys.readouterr().err
    assert commands.main(["trial", "quick", "--held-out", "60000"]) == 2 and "50,000" in capsys.readouterr().err
