"""How the course's own recipes were chosen: trainings judged on images held out of them, a row of a table each."""

import dataclasses
import time
import typing
from pathlib import Path

import pandas as pd
from torch import nn

from helpers.augmentation import AUGMENTATIONS
from helpers.data import Mnist, Split, split_train_validation
from helpers.data.batches import SCALINGS
from helpers.data.splits import VALIDATION_SHARE
from helpers.device import device
from helpers.evaluation import predict
from helpers.experiments import ALL_RECIPES
from helpers.files import replace_text
from helpers.models import build_model, count_parameters
from helpers.recipes import Recipe
from helpers.reproduction import KEPT, UNFINISHED
from helpers.training import fit

HELD_OUT = round(60_000 * VALIDATION_SHARE)
TABLE = Path(__file__).resolve().parents[1] / "data" / "trials.csv"
TEACHERS = 4  # of a trial, which trains them itself
SWITCHES = {"true": True, "false": False}
NAMES = {"augmentation": [None, *AUGMENTATIONS], "scaling": list(SCALINGS), "teacher": [None, *KEPT]}


def change_recipe(recipe: Recipe, changes: list[str]) -> Recipe:
    """A recipe with some fields changed, each given as text such as `epochs=6` or `augmentation=none`.

    Raises:
        ValueError: no such field, a value that it cannot have, or no network of that name.
    """
    hints, values = typing.get_type_hints(Recipe), {}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in hints:
            raise ValueError(f"a recipe has no field {name!r}")
        try:
            values[name] = _read_value(text, hints[name])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    changed = dataclasses.replace(recipe, **values)
    build_model(changed.model)
    for name, known in NAMES.items():
        if getattr(changed, name) not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(str, known))}, not {getattr(changed, name)!r}")
    if min(changed.epochs, changed.batch_size) < 1:
        raise ValueError("epochs and batch_size must be at least 1")
    return changed


def _read_value(text: str, hint: type) -> object:
    """The value that a text stands for, by the type of its field."""
    kinds = typing.get_args(hint)
    if type(None) in kinds:
        return None if text == "none" else kinds[0](text)
    if kinds:
        return tuple(kind(part) for kind, part in zip(kinds, text.split(","), strict=True))
    if hint is bool and text not in SWITCHES:
        raise ValueError(f"{text!r} is neither true nor false")
    return SWITCHES[text] if hint is bool else hint(text)


def run_trial(recipe: Recipe, mnist: Mnist, seed: int, held_out: int, unfinished: Path = UNFINISHED) -> dict:
    """Train on all images but those held out, and look at these once, at the end; the test images stay away.

    Args:
        recipe: what to try.
        mnist: whose training half is divided.
        seed: of the run; the division is always the same.
        held_out: images to judge by. More of them tell smaller differences apart.
        unfinished: keeps the teachers that `train_teachers` trains.

    Returns:
        `validation_accuracy`, `validation_loss` (nats an image), `seconds`, `parameters`, `seed`, `held_out`, and
        every field of the recipe.
    """
    share = held_out / len(mnist.train_labels)
    train, validation = split_train_validation(mnist.train_images, mnist.train_labels, share=share)
    teachers = train_teachers(recipe, train, unfinished)
    started = time.perf_counter()
    run = fit(recipe, train, None, seed=seed, teachers=teachers)
    seconds = time.perf_counter() - started
    predictions = predict(run.model, validation, device=device(), scaling=recipe.scaling)
    result = {
        "validation_accuracy": round(predictions.accuracy, 4),
        "validation_loss": round(predictions.losses.mean().item(), 5),
        "seconds": round(seconds, 1),
        "parameters": count_parameters(run.model),
        "seed": seed,
        "held_out": held_out,
    }
    return result | dataclasses.asdict(recipe)


def train_teachers(recipe: Recipe, train: Split, unfinished: Path) -> list[nn.Module]:
    """Teachers for a trial, if its recipe has one: those of the course have seen the held-out images.

    Args:
        recipe: of the student.
        train: the images of the trial.
        unfinished: keeps their checkpoints, so that they are trained once for all trials on these images.
    """
    if recipe.teacher is None:
        return []
    folders = [unfinished / f"{recipe.teacher}-{seed}-of-{len(train)}" for seed in range(TEACHERS)]
    teacher = ALL_RECIPES[recipe.teacher]
    return [fit(teacher, train, None, seed=seed, folder=folder).model for seed, folder in enumerate(folders)]


def add_trial(trial: dict, path: Path) -> None:
    """Add a row to the table, by the names of its columns; it is written anew under another name first.

    Raises:
        OSError: the table cannot be written; it stays as it was.
    """
    row = pd.DataFrame([trial])
    table = pd.concat([pd.read_csv(path), row]) if path.exists() else row
    replace_text(path, table.to_csv(index=False, lineterminator="\n"))
