"""Files that hold a trained network: written whole or not at all, read without trusting them."""

import contextlib
import dataclasses
import hashlib
import math
import os
import pickle
import re
import zipfile
import zlib
from pathlib import Path

import torch

from helpers.data import Split
from helpers.errors import CheckpointError, Interrupted
from helpers.files import hold, replace_file
from helpers.models import build_model
from helpers.recipes import Recipe, read_recipe
from helpers.trained import Trained

AGAIN = "Name another file, or train again"
ANEW = "Delete it to start anew, or name another folder"
WRAPPERS = r"^(_orig_mod\.|module\.)+"  # of torch.compile and DataParallel
PUBLISHED = "SHA256SUMS"  # of the checkpoints beside it, as `sha256sum` writes and checks it


def write_checkpoint(path: Path | str, content: dict) -> None:
    """Save a dictionary of tensors and plain values under a temporary name, then rename it.

    Raises:
        CheckpointError: the file cannot be written; an older one of that name stays as it was.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Given a path rather than a file, torch would write its name into the content.
        with replace_file(path) as temporary, temporary.open("wb") as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(path, f"cannot be written ({error})", "Free some space or name another folder") from error


def read_checkpoint(path: Path | str) -> dict:
    """A dictionary that `write_checkpoint` saved; nothing in the file is executed.

    Raises:
        CheckpointError: no such file, not a checkpoint, or not the one whose hash was published beside it.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # a pipe would never end
        raise CheckpointError(path, "is no file", "Name a checkpoint")
    published = read_published(path.parent).get(path.name)
    try:
        if published and published != hashlib.sha256(path.read_bytes()).hexdigest():
            raise CheckpointError(path, f"is not the file whose hash is in {PUBLISHED}", "Get the published one again")
        with zipfile.ZipFile(path) as archive:  # torch itself does not look at the checksums
            if damaged := archive.testzip():
                raise CheckpointError(path, f"is damaged (checksum of {damaged})", AGAIN)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except FileNotFoundError as error:
        raise CheckpointError(path, "does not exist", "Train first, or name another file") from error
    except pickle.UnpicklingError as error:  # torch's own message says how to load it all the same
        problem = "holds more than tensors and plain values, so it may run code of its own"
        raise CheckpointError(path, problem, "Do not load it, and get it from someone whom you trust") from error
    except Exception as error:  # damaged bytes make torch raise nearly any type
        summary = str(error).partition("\n")[0]
        raise CheckpointError(path, f"is not a readable checkpoint ({summary})", AGAIN) from error
    if not isinstance(content, dict):
        raise CheckpointError(path, f"holds a {type(content).__name__}, not a checkpoint", "Name another file")
    return content


def read_published(folder: Path) -> dict[str, str]:
    """The SHA-256 of each checkpoint of a folder that has a list of them, by file name."""
    if not (folder / PUBLISHED).is_file():
        return {}
    lines = (folder / PUBLISHED).read_text(encoding="utf-8", errors="replace").splitlines()
    return {name.lstrip(" *"): digest for digest, _, name in (line.partition(" ") for line in lines)}


def load_trained(path: Path | str) -> Trained:
    """What `save_trained` or a training saved: the same as `fit` returns, in eval mode, on the CPU.

    Raises:
        CheckpointError: not a checkpoint of one of the course's networks.
    """
    content = read_checkpoint(path)
    try:
        recipe = read_recipe(content["recipe"])
        _check_history(content["history"], recipe)
        trained = Trained(build_model(recipe.model), recipe, int(content["seed"]), content["history"])
        weights = {re.sub(WRAPPERS, "", name): value for name, value in content["model"].items()}
        trained.network.load_state_dict(weights)
        if not all(value.isfinite().all() for value in weights.values()):
            raise ValueError("its weights are not all numbers")
    except Exception as error:  # whatever stands where a recipe, a history or weights should be
        remedy = "Name a checkpoint that this course's training wrote"
        raise CheckpointError(path, f"does not hold a network of this course ({error})", remedy) from error
    trained.network.eval()
    return trained


def save_trained(path: Path | str, trained: Trained, *, precision: torch.dtype = torch.float32) -> None:
    """Write what others need of a finished run: recipe, seed, history without times, weights.

    Args:
        path: of the file.
        trained: the run.
        precision: of the weights in the file. With float16 it has half the size, and weights of 11 significant bits.

    Raises:
        CheckpointError: the file cannot be written.
    """
    content = _describe(trained)
    content["history"] = [{key: value for key, value in row.items() if key != "seconds"} for row in trained.history]
    content["model"] = {
        name: value.to(precision) if value.is_floating_point() else value for name, value in content["model"].items()
    }
    write_checkpoint(path, content)


class RunFolder:
    """The checkpoints of a run: `with` takes up what is there, `save` keeps what has been reached.

    Args:
        folder: keeps `last.pt` and, with validation images, `best.pt` (highest validation accuracy, the earliest of
            equals); None keeps nothing.
        trained: the run; its network and history go on from the last finished epoch.
        train: the images that it learns from.
        parts: what else moves during training, by name; each has `state_dict` and `load_state_dict`.
    """

    def __init__(self, folder: Path | str | None, trained: Trained, train: Split, **parts):
        self.folder, self.trained, self.parts = folder and Path(folder), trained, parts
        self.data, self.threads, self.done = folder and _describe_data(train), torch.get_num_threads(), 0
        self.held = hold(self.folder / "run") if folder else contextlib.nullcontext()

    def __enter__(self) -> "RunFolder":
        """Keep the folder for this run, and take up what it holds of it.

        Raises:
            FileError: another process has it, or nothing can be written there.
            CheckpointError: its checkpoint is damaged, or of another recipe, seed or training set.
        """
        with contextlib.ExitStack() as opened:
            opened.enter_context(self.held)
            if self.folder and (self.folder / "last.pt").exists():
                self._resume(self.folder / "last.pt")
            opened.pop_all()
        return self

    def __exit__(self, kind: type | None, *others) -> None:
        self.held.__exit__(kind, *others)
        torch.set_num_threads(self.threads)
        if kind is KeyboardInterrupt:
            where = f"saved in {self.folder}; run this again to go on from there" if self.folder else "done, none saved"
            raise Interrupted(f"interrupted: {self.done} of {self.trained.recipe.epochs} epochs are {where}") from None

    def save(self) -> None:
        """Write `last.pt`, and `best.pt` where this epoch is the best so far."""
        history = self.trained.history
        if self.folder is None:
            self.done = len(history)
            return
        content = _describe(self.trained) | {"data": self.data, "threads": torch.get_num_threads()}
        accuracies = [row["validation_accuracy"] for row in history if "validation_accuracy" in row]
        if accuracies and accuracies.index(max(accuracies)) == len(history) - 1:
            write_checkpoint(self.folder / "best.pt", content)
        states = {name: part.state_dict() for name, part in self.parts.items()}
        write_checkpoint(self.folder / "last.pt", content | {"parts": states})
        self.done = len(history)

    def _resume(self, path: Path) -> None:
        content, trained = read_checkpoint(path), self.trained
        wanted = {"recipe": dataclasses.asdict(trained.recipe), "seed": trained.seed, "data": self.data}
        for part, value in wanted.items():
            if content.get(part) != value:
                difference = _name_difference(part, content.get(part), value)
                raise CheckpointError(path, f"is of another run: {difference}", ANEW)
        try:
            _check_history(content["history"], trained.recipe)
            trained.network.load_state_dict(content["model"])
            for name, part in self.parts.items():
                _check_state(name, content["parts"][name], part.state_dict())
                part.load_state_dict(content["parts"][name])
            _check_memory(self.parts.get("optimiser"))
            trained.history.extend(content["history"])
            self.done = len(trained.history)
            if not os.environ.get("OMP_NUM_THREADS"):  # other numbers of threads add up in another order
                torch.set_num_threads(content.get("threads", self.threads))
        except Exception as error:  # as in `load_trained`
            raise CheckpointError(path, f"does not fit this run ({error})", ANEW) from error


def _check_history(history: object, recipe: Recipe) -> None:
    """Raise ValueError unless it is a list of a recipe's first epochs, with the same finite numbers for each."""
    rows = [{name: float(value) for name, value in row.items()} for row in history]
    if not all(math.isfinite(value) for row in rows for value in row.values()):
        raise ValueError("its history has something else where numbers should be")
    if [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)) or len(rows) > recipe.epochs:
        raise ValueError("its history is not that of its epochs")
    if any(row.keys() != rows[0].keys() or "train_loss" not in row for row in rows):
        raise ValueError("its history has other columns")


def _check_state(name: str, found: object, fresh: object) -> None:
    """Raise ValueError unless a part's state has the form of one that has just begun; what was empty may be filled."""
    alike = type(found) is type(fresh)
    if alike and isinstance(fresh, (dict, list)) and fresh:
        alike = len(found) == len(fresh)
        for key in fresh if isinstance(fresh, dict) else range(len(found)):
            _check_state(name, found[key], fresh[key])
    elif alike and isinstance(fresh, torch.Tensor):
        alike = found.shape == fresh.shape
    elif alike and isinstance(fresh, (int, float)):
        alike = 0 <= found < 1e30
    if not alike:
        raise ValueError(f"the state of its {name} has another form")


def _check_memory(optimiser: torch.optim.Optimizer | None) -> None:
    """Raise ValueError unless what an optimiser remembers of its weights has their shapes and finite numbers."""
    for group in optimiser.param_groups if optimiser else ():
        for weight in group["params"]:
            for value in optimiser.state[weight].values():
                negative = value.ndim == 0 and value < 0  # a number of steps
                if value.shape not in ((), weight.shape) or not value.isfinite().all() or negative:
                    raise ValueError("what its optimiser remembers does not fit the weights")


def _describe(trained: Trained) -> dict:
    weights = {name: value.cpu().contiguous() for name, value in trained.network.state_dict().items()}
    recipe = dataclasses.asdict(trained.recipe)
    return {"recipe": recipe, "seed": trained.seed, "history": trained.history, "model": weights}


def _describe_data(train: Split) -> str:
    """Enough of a training set to tell it from another."""
    checksum = zlib.crc32(train.labels.numpy(force=True), zlib.crc32(train.images.contiguous().numpy(force=True)))
    return f"{len(train):,} images with checksum {checksum:08x}"


def _name_difference(part: str, found: object, wanted: object) -> str:
    """What differs, in words; of two recipes, only the fields that do."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        names = [name for name in found | wanted if found.get(name) != wanted.get(name)]
        part = f"{part}'s {', '.join(names)}"
        found, wanted = ([values.get(name) for name in names] for values in (found, wanted))
    return f"its {part} is {found}, not {wanted}"
