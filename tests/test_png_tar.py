"""MNIST as a tar archive of PNG files."""

import io
import tarfile

import pytest
import torch
from PIL import Image

from helpers.data import DataError, PngDigits, unpack_tar


def png(image: torch.Tensor) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image.numpy()).save(stream, "png")
    return stream.getvalue()


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def digits():
    return [(number, number % 10, torch.full((28, 28), number, dtype=torch.uint8)) for number in (10, 2, 33)]


@pytest.fixture
def archive(tmp_path, digits):
    path = tmp_path / "train.tar"
    with tarfile.open(path, "w") as tar:
        for number, label, image in digits:
            add(tar, f"train/{number}_{label}.png", png(image))
        add(tar, "train/readme.txt", b"not a digit")
    return path


def test_reads_digits_in_order_of_their_ids(archive, tmp_path):
    dataset = PngDigits(unpack_tar(archive, tmp_path / "out"))
    assert len(dataset) == 3 and dataset.labels == [2, 0, 3]
    assert [int(image[0, 0, 0]) for image, _ in dataset] == [2, 10, 33]
    image, label = PngDigits(tmp_path / "out", transform=lambda image: image.float() / 255)[2]
    assert image.shape == (1, 28, 28) and image.dtype == torch.float32 and label == 3


@pytest.mark.parametrize("name", ["../evil_1.png", "/tmp/evil_1.png", "a/../../evil_1.png"])
def test_refuses_members_outside_the_folder(tmp_path, name):
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        add(tar, name, b"evil")
    try:
        unpack_tar(tmp_path / "bad.tar", tmp_path / "deep" / "out")
    except DataError as error:
        assert "unsafe" in str(error) and "bad.tar" in str(error)
        assert not (tmp_path / "deep" / "out").exists()
    assert not list(tmp_path.rglob("../evil*")) and not list((tmp_path / "deep").glob("*evil*"))


def test_refuses_links_out_of_the_folder(tmp_path):
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
    with pytest.raises(DataError, match="unsafe"):
        unpack_tar(tmp_path / "bad.tar", tmp_path / "out")


def test_damaged_archive_leaves_no_folder(archive, tmp_path):
    archive.write_bytes(archive.read_bytes()[:700])
    with pytest.raises(DataError, match="train.tar: cannot be unpacked"):
        unpack_tar(archive, tmp_path / "out")
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack_tar(tmp_path / "missing.tar", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["train.tar"]


def test_existing_folder_is_never_overwritten(archive, tmp_path):
    unpack_tar(archive, tmp_path / "out")
    with pytest.raises(DataError, match="exists already"):
        unpack_tar(archive, tmp_path / "out")


def test_folder_without_digits_and_broken_image(archive, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no file"):
        PngDigits(tmp_path / "empty")
    (tmp_path / "empty" / "1_2.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="1_2.png: is not a readable image"):
        PngDigits(tmp_path / "empty")[0]
