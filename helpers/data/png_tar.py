"""MNIST as some projects ship it: a tar archive of PNG files named `{ID}_{Label}.png`."""

import re
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from helpers.data.errors import DataError

NAME = re.compile(r"(?P<id>\d+)_(?P<label>\d)\.png")


def unpack_tar(archive: Path | str, folder: Path | str) -> Path:
    """Unpack an archive into a new folder, whole or not at all.

    Members that point outside the folder (absolute paths, `..`, links) are refused by tarfile's data filter.

    Returns:
        The folder.

    Raises:
        DataError: the archive is missing, damaged or unsafe, or the folder exists already.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists():
        raise DataError(folder, "exists already", "Delete it or name another folder")
    if not hasattr(tarfile, "data_filter"):
        raise DataError(archive, "cannot be unpacked safely by this Python", "Update to 3.10.12, 3.11.4 or newer")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(folder.parent, f"cannot hold a folder ({error.strerror})", "Name another folder") from error
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.part") as temporary:
        content = Path(temporary) / "content"
        content.mkdir()
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(content, filter="data")
        except tarfile.FilterError as error:
            remedy = "Do not trust this archive: get it from its source again"
            raise DataError(archive, f"has an unsafe member ({error})", remedy) from error
        except (OSError, EOFError, tarfile.TarError) as error:
            raise DataError(archive, f"cannot be unpacked ({error})", "Fetch it again") from error
        content.replace(folder)
    return folder


class PngDigits(Dataset):
    """The digits of a folder of `{ID}_{Label}.png` files, in the order of their IDs.

    Args:
        folder: the unpacked archive; sub-folders are searched as well.
        transform: applied to each image, uint8 (1, 28, 28).

    Raises:
        DataError: no such file in the folder, or (on access) one that is not an image.
    """

    def __init__(self, folder: Path | str, transform: Callable | None = None):
        named = [(NAME.fullmatch(path.name), path) for path in Path(folder).rglob("*.png")]
        files = sorted((int(match["id"]), int(match["label"]), path) for match, path in named if match)
        if not files:
            raise DataError(folder, "holds no file named {ID}_{Label}.png", "Unpack the archive there first")
        self.labels = [label for _, label, _ in files]
        self.paths = [path for _, _, path in files]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int):
        path = self.paths[index]
        try:
            with Image.open(path) as file:
                image = torch.from_numpy(np.array(file.convert("L")))[None]
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(path, "is not a readable image", "Unpack the archive again") from error
        return (self.transform(image) if self.transform else image), self.labels[index]
