"""Files that hold a network's weights: written whole or not at all, read without trusting them."""

import zipfile
from pathlib import Path

import torch
from torch import nn

from helpers.files import FileError, replace_file
from helpers.models import build_model


class CheckpointError(FileError):
    """A checkpoint cannot be used or written."""


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
        CheckpointError: no such file, or not a checkpoint.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch itself does not look at the checksums
        content = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(path, "does not exist", "Train first, or name another file") from error
    except Exception as error:  # damaged bytes make torch raise nearly any type
        summary = str(error).partition("\n")[0]
        raise CheckpointError(path, f"is not a readable checkpoint ({summary})", "Delete it and train again") from error
    if damaged:
        raise CheckpointError(path, f"is damaged (checksum of {damaged})", "Delete it and train again")
    if not isinstance(content, dict):
        raise CheckpointError(path, f"holds a {type(content).__name__}, not a checkpoint", "Name another file")
    return content


def load_network(path: Path | str) -> tuple[nn.Module, dict]:
    """The trained network of a checkpoint, in eval mode, and what else the checkpoint says.

    Raises:
        CheckpointError: not a checkpoint of one of the course's networks.
    """
    content = read_checkpoint(path)
    try:
        network = build_model(content["recipe"]["model"])
        network.load_state_dict(content.pop("model"))
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        remedy = "Name a checkpoint that this course's training wrote"
        raise CheckpointError(path, f"does not hold a network of this course ({error})", remedy) from error
    return network.eval(), content
