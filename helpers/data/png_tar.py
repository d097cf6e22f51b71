"""MNIST as some projects ship it: a tar archive of PNG files named `{ID}_{Label}.png`."""

import io
import re
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from helpers.data.idx import read_bytes
from helpers.data.splits import Split
from helpers.errors import DataError

NAME = re.compile(r"(?P<id>[0-9]{1,12})_(?P<label>[0-9])\.png", re.IGNORECASE)
SIDE = 28
# Generous for 70,000 digits of at most 2 KB each; an archive that unpacks to more is no archive of digits.
MOST_BYTES_A_DIGIT, MOST_BYTES = 65_536, 1_000_000_000
MOST_MEMBERS = 200_000
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
NEW_COPY = "Get it from its source again"


def unpack_tar(archive: Path | str, folder: Path | str) -> Counter[str]:
    """Unpack the digits of a `.tar` or `.tar.gz` into a new folder, all of them or none.

    Only regular files named `{ID}_{Label}.png` are written, under that name and right into the folder, so that no
    member can choose another place. tarfile's own `extractall` is not used: its filter has been got round
    (CVE-2025-4517). Each image is decoded, which checks it, and the archive is read to its end.

    Returns:
        What was left out, and how often: members that are no digits, by reason.

    Raises:
        DataError: the archive is missing, damaged or unsafe, holds no digit or one twice, or the folder exists already.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists():
        raise DataError(folder, "exists already", "Name a folder that does not")
    digits, left_out = _read_digits(archive)
    if not digits:
        others = ", ".join(f"{count} with {reason}" for reason, count in left_out.items()) or "nothing at all"
        raise DataError(archive, f"holds no digit named {{ID}}_{{Label}}.png, but {others}", "Name another one")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.part") as temporary:
            content = Path(temporary) / "content"
            content.mkdir()
            for name, digit in digits.items():
                (content / name).write_bytes(digit)
            content.replace(folder)
    except OSError as error:
        raise DataError(folder, f"cannot be written ({error.strerror})", "Name another folder") from error
    return left_out


def _read_digits(archive: Path) -> tuple[dict[str, bytes], Counter[str]]:
    """File names and contents of an archive's digits; and how many members are none, by reason."""
    digits, left_out, name = {}, Counter(), None
    stream = io.BytesIO(read_bytes(archive, MOST_BYTES))
    try:
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for number, member in enumerate(tar):
                if number == MOST_MEMBERS:
                    raise DataError(archive, f"holds more than {MOST_MEMBERS:,} members", "Name another one")
                name = _name_digit(archive, member, left_out)
                if name in digits:
                    raise DataError(archive, f"holds {name} twice", NEW_COPY)
                if name is not None:
                    digits[name] = tar.extractfile(member).read()
                    _decode(digits[name])
            end = tar.offset
    except (tarfile.TarError, EOFError, OSError, ValueError, RecursionError) as error:
        raise DataError(archive, f"cannot be unpacked ({name}: {error})", NEW_COPY) from error
    # tarfile takes a damaged header, or none, for the end. The true end is two blocks of zeros, then only zeros.
    stream.seek(end)
    rest = stream.read()
    if len(rest) < 2 * tarfile.BLOCKSIZE or any(rest):
        raise DataError(archive, f"cannot be unpacked (damaged or cut off at byte {end:,})", NEW_COPY)
    return digits, left_out


def _name_digit(archive: Path, member: tarfile.TarInfo, left_out: Counter[str]) -> str | None:
    """The file name of a digit; None for a folder, and for what is counted in `left_out`.

    Raises:
        DataError: an honest program would not make such a member.
    """
    *parents, name = member.name.replace("\\", "/").split("/")
    problem = None
    if not (member.isdir() or member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)) or member.issparse():
        problem = "is a link or another special file"
    elif ".." in [*parents, name] or (parents and (parents[0] == "" or ":" in parents[0])):
        problem = "points outside the folder"
    elif NAME.fullmatch(name) and member.size > MOST_BYTES_A_DIGIT:
        problem = f"has {member.size:,} bytes, too many for a digit"
    if problem:
        remedy = "Do not trust this archive: get it from its source again"
        raise DataError(archive, f"has an unsafe member ({ascii(member.name[:80])} {problem})", remedy)
    if member.isdir() or NAME.fullmatch(name):
        return None if member.isdir() else name.lower()
    other_label = re.fullmatch(r"[0-9]+_.*\.png", name, re.IGNORECASE)
    left_out["a label that is no digit" if other_label else "another name than {ID}_{Label}.png"] += 1
    return None


def _decode(content: bytes) -> torch.Tensor:
    """A digit uint8 (1, 28, 28) from a PNG, with all of its checksums read; ink is light, what is transparent is 0.

    Raises:
        ValueError: Pillow cannot read it, or it has another size or depth.
    """
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            if image.size != (SIDE, SIDE) or image.mode.startswith("I"):
                size = f"{image.width} × {image.height} pixels{' of 16 bits' * image.mode.startswith('I')}"
                raise ValueError(f"it has {size}, digits have {SIDE} × {SIDE} of 8 bits")
            image.verify()  # reads all checksums, and leaves an image that cannot be used
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            grey, alpha = np.moveaxis(np.array(image.convert("RGBA").convert("LA"), dtype=np.float32), 2, 0)
        if not content.endswith(PNG_END):
            raise ValueError("it is cut off")
    except Exception as error:  # over damaged bytes, Pillow raises nearly any type
        raise ValueError(str(error)) from error
    if (alpha < 128).mean() > 0.5 and (grey * alpha).sum() < 128 * alpha.sum():
        grey = 255 - grey  # dark ink on nothing
    return torch.from_numpy((grey * alpha / 255).round().astype(np.uint8))[None]


class PngDigits(Dataset):
    """The digits of a folder of `{ID}_{Label}.png` files, in the order of their IDs.

    Args:
        folder: the unpacked archive; sub-folders are searched as well.
        transform: applied to each image, uint8 (1, 28, 28).

    Raises:
        DataError: no such file in the folder, or (on access) one that is not an image.
    """

    def __init__(self, folder: Path | str, transform: Callable | None = None):
        named = [(NAME.fullmatch(path.name), path) for path in Path(folder).rglob("*.[pP][nN][gG]")]
        files = sorted((int(match["id"]), int(match["label"]), path) for match, path in named if match)
        if not files:
            raise DataError(folder, "holds no file named {ID}_{Label}.png", "Unpack the archive there first")
        self.labels = [label for _, label, _ in files]
        self.paths = [path for _, _, path in files]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int):
        image = self._read(self.paths[index])
        return (self.transform(image) if self.transform else image), self.labels[index]

    def to_split(self) -> Split:
        """All of them in memory, as training wants them; without the transform."""
        return Split(torch.cat([self._read(path) for path in self.paths]), torch.tensor(self.labels))

    def _read(self, path: Path) -> torch.Tensor:
        try:
            return _decode(read_bytes(path, MOST_BYTES_A_DIGIT))
        except ValueError as error:
            raise DataError(path, f"is not a readable digit ({error})", "Unpack the archive again") from error
