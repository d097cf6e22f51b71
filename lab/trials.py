"""How the course's own recipes were chosen: trainings judged on images held out of them, a row of a table each."""

import csv
import dataclasses
import io
import time
import typing
from pathlib import Path

import pandas as pd
from torch import nn

from helpers.data import VALIDATION_SHARE, Mnist, Split, split_train_validation
from helpers.errors import FileError, InputError
from helpers.files import HOME, hold
from helpers.models import build_model, count_parameters
from lab.recipes import ALL_RECIPES, LabRecipe
from lab.reproduction import KEPT, UNFINISHED
from lab.text_files import replace_text
from lab.training import fit

HELD_OUT = round(60_000 * VALIDATION_SHARE)
TABLE = HOME / "data" / "trials.csv"
LOCK_SECONDS = 60  # writing takes a moment
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


def read_trials(path: Path) -> pd.DataFrame:
    """The table of all trials; an empty one where there is no file yet.

    Raises:
        FileError: it cannot be read, or has a row that no trial has written.
    """
    if not path.exists():
        return pd.DataFrame()
    if not path.is_file():
        raise FileError(path, "is no file", "Take it away")
    remedy = "Mend it, or put the last good one in its place: git checkout data/trials.csv"
    try:
        text = path.read_text(encoding="utf-8")
        names, *rows = csv.reader(io.StringIO(text), strict=True)
        for number, row in enumerate(rows, start=2):
            if len(row) != len(names) or not 0 <= float(row[0]) <= 1:
                raise FileError(path, f"row {number} is no trial: {','.join(row)[:60]!r}", remedy)
        if names[0] != "validation_accuracy":
            raise FileError(path, f"begins with {names[0]!r}, not with validation_accuracy", remedy)
        return pd.read_csv(io.StringIO(text))
    except (OSError, ValueError, LookupError, csv.Error) as error:
        raise FileError(path, f"is not a readable table of trials ({error})", remedy) from error


def add_trial(trial: dict, path: Path) -> None:
    """Add a row to the table, by the names of its columns, while no other process does.

    Raises:
        FileError: it cannot be read or written, or another process does not let it go; it stays as it was.
    """
    with hold(path, LOCK_SECONDS):
        table = pd.concat([read_trials(path), pd.DataFrame([trial])])
        try:
            replace_text(path, table.to_csv(index=False, lineterminator="\n"))
        except OSError as error:
            raise FileError(path, f"cannot be written ({error})", "Free some space, or allow writing there") from error
