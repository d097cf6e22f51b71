"""What a finished run measured: one small JSON file a run, written whole or not at all."""

import dataclasses
import functools
import json
import math
import platform
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from helpers.errors import FileError
from helpers.files import HOME
from helpers.models import build_model, count_parameters
from helpers.recipes import Recipe
from helpers.trained import Predictions, Trained
from lab.recipes import ALL_RECIPES
from lab.text_files import replace_text

FOLDER = HOME / "data" / "results"
IMAGES = 60_000  # to learn from, where none is held out


class RecordError(FileError):
    """A record cannot be used or written."""


@dataclass(frozen=True)
class Record:
    """What one run measured.

    Attributes:
        recipe: its name in `recipes.ALL_RECIPES`.
        seed: of the run.
        settings: the recipe's own fields as they were.
        images: how many it learnt from.
        parameters: of the network.
        epochs: that it was trained for.
        validation_accuracy: at the last epoch; None where all training images were learnt from.
        test_accuracy: at the last epoch.
        test_wrong: which test images are wrong, their places in rising order.
        confusion: counts of test images, ten rows (labels) of ten answers.
        seconds: of all epochs together, the look at the held-out images included.
        device: what it ran on.
        versions: of Python, torch and the operating system.
        history: a list per column, a value per epoch; the held-out columns, if any, are named after their split.
    """

    recipe: str
    seed: int
    settings: dict
    images: int
    parameters: int
    epochs: int
    validation_accuracy: float | None
    test_accuracy: float
    test_wrong: list[int]
    confusion: list[list[int]]
    seconds: float
    device: str
    versions: dict[str, str]
    history: dict[str, list[float]]

    @property
    def correct(self) -> torch.Tensor:
        """Which test images are right, bool (n,)."""
        correct = torch.ones(sum(map(sum, self.confusion)), dtype=torch.bool)
        correct[torch.tensor(self.test_wrong, dtype=torch.int64)] = False
        return correct

    def table(self) -> pd.DataFrame:
        """The history, a row per epoch from 1."""
        return pd.DataFrame(self.history).rename_axis("epoch").rename(index=lambda row: row + 1)


def make_record(name: str, run: Trained, predictions: Predictions, images: int, *, held_out: str) -> Record:
    """The record of a finished run.

    Args:
        name: of the recipe.
        run: the run.
        predictions: of its network for all test images.
        images: how many it learnt from.
        held_out: the split that its history looked at, if any: "validation" or "test".
    """
    history = run.table().rename(columns=lambda column: column.replace("validation", held_out)).to_dict("list")
    history["seconds"] = [round(seconds, 2) for seconds in history["seconds"]]
    return Record(
        recipe=name,
        seed=run.seed,
        settings=_list_settings(run.recipe),
        images=images,
        parameters=count_parameters(run.network),
        epochs=len(run.history),
        validation_accuracy=history["validation_accuracy"][-1] if held_out == "validation" else None,
        test_accuracy=predictions.correct.sum().item() / len(predictions.labels),
        test_wrong=(~predictions.correct).nonzero().flatten().tolist(),
        confusion=predictions.confusion.tolist(),
        seconds=round(sum(history["seconds"]), 2),
        device=describe_device(next(run.network.parameters()).device),
        versions=list_versions(),
        history=history,
    )


def _list_settings(recipe: Recipe) -> dict:
    """A recipe's fields as a file has them, with lists for tuples."""
    return json.loads(json.dumps(dataclasses.asdict(recipe)))


def list_versions() -> dict[str, str]:
    """What a measurement may depend on besides the code."""
    return {"python": platform.python_version(), "torch": torch.__version__, "system": platform.system()}


def describe_device(device: torch.device) -> str:
    """A device in words: the name of the GPU, or how many threads of which kind of processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads, {platform.machine()}"


def find_path(name: str, seed: int, folder: Path = FOLDER) -> Path:
    """Where the record of a run is kept."""
    return folder / f"{name}-{seed}.json"


def write_record(record: Record, folder: Path = FOLDER) -> Path:
    """Save a record, a line per field, whole or not at all.

    Raises:
        RecordError: the file cannot be written.
    """
    path = find_path(record.recipe, record.seed, folder)
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in dataclasses.asdict(record).items()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_text(path, "{\n" + ",\n".join(lines) + "\n}\n")
    except OSError as error:
        raise RecordError(path, f"cannot be written ({error})", "Free some space and run the command again") from error
    return path


def read_record(path: Path | str) -> Record:
    """A record that `write_record` saved.

    Raises:
        RecordError: it cannot be read, is incomplete, contradicts itself or is of another recipe than today's.
    """
    path, remedy = Path(path), "Delete it and run `make results`"
    if path.exists() and not path.is_file():
        raise RecordError(path, "is no file", "Take it away")
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        problem = _find_gap(content)
        record = Record(**content) if problem is None else None
        problem = problem or _find_wrong_run(path, record) or _find_wrong_history(record)
        problem = problem or _find_wrong_numbers(record) or _find_wrong_counts(record)
    except FileNotFoundError as error:
        raise RecordError(path, "does not exist", "Run `make results`") from error
    except (OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError) as error:
        raise RecordError(path, f"is not a readable record ({error})", remedy) from error
    if problem:
        raise RecordError(path, problem, remedy)
    return record


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no figure")


def _find_gap(content: object) -> str | None:
    """What is missing in the content of a file, in words."""
    if not isinstance(content, dict):
        return "is not a readable record (no fields)"
    missing = [field.name for field in dataclasses.fields(Record) if field.name not in content]
    return f"lacks {', '.join(missing)}" if missing else None


def _find_wrong_run(path: Path, record: Record) -> str | None:
    if record.recipe not in ALL_RECIPES:
        return f"is of an unknown recipe, {record.recipe!r}"
    if type(record.seed) is not int or record.seed < 0:
        return f"is of an unknown seed, {record.seed!r}"
    if path.name != find_path(record.recipe, record.seed).name:
        return f"is of {record.recipe} with seed {record.seed}, which its name does not say"
    if record.settings != _list_settings(ALL_RECIPES[record.recipe]):
        return f"was measured with other settings than {record.recipe} has now"
    return None


def _find_wrong_history(record: Record) -> str | None:
    split = "test" if record.validation_accuracy is None else "validation"
    learnt = {"train_loss", "train_accuracy", "learning_rate", "seconds"}
    looked = {f"{split}_loss", f"{split}_accuracy"}
    if set(record.history) != learnt | looked and (split == "validation" or set(record.history) != learnt):
        return f"has a history of {', '.join(record.history)}"
    if {*map(len, record.history.values()), record.settings["epochs"]} != {record.epochs}:
        return "does not hold every epoch of its run"
    return None


def _find_wrong_numbers(record: Record) -> str | None:
    last, held_out = record.history.get("validation_accuracy", [None])[-1], record.validation_accuracy is not None
    numbers = [record.images, record.parameters, record.epochs, record.seconds, *sum(record.history.values(), [])]
    if not all(type(number) in (int, float) and 0 <= number < math.inf for number in numbers):
        return "has something else where numbers should be"
    shares = [share for name, values in record.history.items() if name.endswith("accuracy") for share in values]
    if max(shares) > 1:
        return "has an accuracy above 1"
    if record.parameters != _count_parameters(record.settings["model"]):
        return f"is of a network with {record.parameters} parameters, which {record.settings['model']} has not"
    if (not 0 < record.images < IMAGES) if held_out else (record.images != IMAGES):
        return f"is of a run on {record.images} images"
    if record.validation_accuracy != last:
        return "does not agree with itself on the validation accuracy"
    return None


@functools.cache
def _count_parameters(model: str) -> int:
    with torch.device("meta"):  # no memory, no random numbers
        return count_parameters(build_model(model))


def _find_wrong_counts(record: Record) -> str | None:
    total = sum(map(sum, record.confusion))
    right = sum(row[digit] for digit, row in enumerate(record.confusion))
    wrong = record.test_wrong
    last = record.history.get("test_accuracy", [record.test_accuracy])[-1]
    counts = sum(record.confusion, [])
    if [len(row) for row in record.confusion] != [10] * 10 or total < 1 or not all(map(_is_count, counts)):
        return "does not say what became of each test image"
    if wrong != sorted({place for place in wrong if _is_count(place) and place < total}):
        return "does not list its wrong test images in rising order"
    same = math.isclose(record.test_accuracy, right / total) and math.isclose(last, right / total)
    if right != total - len(wrong) or not same:
        return "does not agree with itself on how many test images are right"
    return None


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def read_records(folder: Path = FOLDER) -> tuple[list[Record], list[RecordError]]:
    """All records of a folder by name and seed, and what is wrong with those that cannot be used."""
    records, errors = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            records.append(read_record(path))
        except RecordError as error:
            errors.append(error)
    order = list(ALL_RECIPES)
    return sorted(records, key=lambda record: (order.index(record.recipe), record.seed)), errors
