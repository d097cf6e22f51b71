"""How the course's own recipes were chosen: trainings judged on images held out of them, a row of a table each."""

import dataclasses
import time
import typing
from pathlib import Path

import pandas as pd
from torch import nn

from helpers.data import VALIDATION_SHARE, Mnist, Split, split_train_validation
from helpers.errors import InputError
from helpers.models import build_model, count_parameters
from lab.recipes import ALL_RECIPES, LabRecipe
from lab.reproduction import KEPT, UNFINISHED
from lab.text_files import replace_text
from lab.training import fit

HELD_OUT = round(60_000 * VALIDATION_SHARE)
TABLE = Path(__file__).resolve().parents[1] / "data" / "trials.csv"
TEACHERS = 4  # of a trial, which trains them itself
SWITCHES = {"true": True, "false": False}


def change_recipe(recipe: LabRecipe, changes: list[str]) -> LabRecipe:
    """A recipe with some fields changed, each given as text such as `epochs=6` or `augmentation=none`.

    Raises:
        InputError: no such field, a value that it cannot have, or no network of that name.
    """
    hints, values = {field.name: field.type for field in dataclasses.fields(LabRecipe)}, {}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in hints:
            raise InputError(f"a recipe has no field {name!r}")
        try:
            values[name] = _read_value(text, hints[name])
        except ValueError as error:
            raise InputError(f"{name}: {error}") from error
    changed = dataclasses.replace(recipe, **values)
    build_model(changed.model)
    if changed.teacher not in (None, *KEPT):
        raise InputError(f"teacher must be none or one of {', '.join(KEPT)}, not {changed.teacher!r}")
    return changed


def _read_value(text: str, hint: type) -> object:
    """The value that a text stands for, by the type of its field."""
    kinds = typing.get_args(hint)
    if type(None) in kinds:
        return None if text == "none" else kinds[0](text)
    if kinds:
        if text.count(",") != len(kinds) - 1:
            raise InputError(f"{text!r} is not {len(kinds)} values with commas between")
        return tuple(kind(part) for kind, part in zip(kinds, text.split(",")))
    if hint is bool and text not in SWITCHES:
        raise InputError(f"{text!r} is neither true nor false")
    return SWITCHES[text] if hint is bool else hint(text)


def run_trial(recipe: LabRecipe, mnist: Mnist, seed: int, held_out: int, unfinished: Path = UNFINISHED) -> dict:
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
    train, validation = split_train_validation(mnist.train, share=held_out / len(mnist.train))
    teachers = train_teachers(recipe, train, unfinished)
    started = time.perf_counter()
    run = fit(recipe, train, None, seed=seed, teachers=teachers)
    seconds = time.perf_counter() - started
    predictions = run.predict(validation)
    result = {
        "validation_accuracy": round(predictions.accuracy, 4),
        "validation_loss": round(predictions.losses.mean().item(), 5),
        "seconds": round(seconds, 1),
        "parameters": count_parameters(run.network),
        "seed": seed,
        "held_out": held_out,
    }
    return result | dataclasses.asdict(recipe)


def train_teachers(recipe: LabRecipe, train: Split, unfinished: Path) -> list[nn.Module]:
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
    return [fit(teacher, train, None, seed=seed, folder=folder).network for seed, folder in enumerate(folders)]


def add_trial(trial: dict, path: Path) -> None:
    """Add a row to the table, by the names of its columns; it is written anew under another name first.

    Raises:
        OSError: the table cannot be written; it stays as it was.
    """
    row = pd.DataFrame([trial])
    table = pd.concat([pd.read_csv(path), row]) if path.exists() else row
    replace_text(path, table.to_csv(index=False, lineterminator="\n"))
