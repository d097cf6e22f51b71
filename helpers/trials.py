"""How the course's own recipes were chosen: short trainings, judged on the validation images, a row of a table each."""

import dataclasses
import time
from pathlib import Path

import pandas as pd

from helpers.data import Mnist, split_train_validation
from helpers.device import device
from helpers.evaluation import predict
from helpers.models import build_model, count_parameters
from helpers.recipes import Recipe
from helpers.records import replace_text
from helpers.training import fit

TABLE = Path(__file__).resolve().parents[1] / "data" / "trials.csv"
SWITCHES = {"true": True, "false": False}


def change_recipe(recipe: Recipe, changes: list[str]) -> Recipe:
    """A recipe with some fields changed, each given as text such as `epochs=6` or `augmentation=none`.

    Raises:
        ValueError: no such field, a value that it cannot have, or no network of that name.
    """
    values = {}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in {field.name for field in dataclasses.fields(Recipe)}:
            raise ValueError(f"a recipe has no field {name!r}")
        try:
            values[name] = _read_value(text, getattr(recipe, name))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    changed = dataclasses.replace(recipe, **values)
    build_model(changed.model)
    return changed


def _read_value(text: str, old: object) -> object:
    if isinstance(old, bool):
        if text not in SWITCHES:
            raise ValueError(f"{text!r} is neither true nor false")
        return SWITCHES[text]
    if isinstance(old, tuple):
        return tuple(float(part) for part in text.split(","))
    if text == "none":
        return None
    return type(old)(text) if isinstance(old, (int, float)) else text


def run_trial(recipe: Recipe, mnist: Mnist, seed: int) -> dict:
    """Train on the 55,000 images and look at the 5,000 others once, at the end; the test images stay away.

    Returns:
        `validation_accuracy`, `validation_loss` (nats an image), `seconds`, `parameters`, `seed`, and every field of
        the recipe.
    """
    train, validation = split_train_validation(mnist.train_images, mnist.train_labels)
    started = time.perf_counter()
    run = fit(recipe, train, None, seed=seed)
    seconds = time.perf_counter() - started
    predictions = predict(run.model, validation, device=device(), scaling=recipe.scaling)
    result = {
        "validation_accuracy": round(predictions.accuracy, 4),
        "validation_loss": round(predictions.losses.mean().item(), 5),
        "seconds": round(seconds, 1),
        "parameters": count_parameters(run.model),
        "seed": seed,
    }
    return result | dataclasses.asdict(recipe)


def add_trial(trial: dict, path: Path = TABLE) -> None:
    """Add a row to the table, which is written anew under another name first.

    Raises:
        OSError: the table cannot be written; it stays as it was.
    """
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    replace_text(path, old + pd.DataFrame([trial]).to_csv(index=False, header=not old, lineterminator="\n"))
