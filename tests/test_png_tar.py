"""MNIST as a tar archive of PNG files."""

import contextlib
import gzip
import io
import random
import shutil
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.data import DataError, PngDigits, png_tar, unpack_tar


def png(image: torch.Tensor) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image.numpy()).save(stream, "png")
    return stream.getvalue()


def png_of(mode: str, shape=(28, 28), **levels) -> bytes:
    """A square of ink on the left half of a picture of some mode."""
    stream, picture = io.BytesIO(), Image.new(mode, shape, levels["paper"])
    picture.paste(levels["ink"], (0, 0, 14, 28))
    picture.save(stream, "png")
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
    assert unpack_tar(archive, tmp_path / "out") == {"another name than {ID}_{Label}.png": 1}
    dataset = PngDigits(tmp_path / "out")
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


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_refuses_links_and_special_files(tmp_path, kind):
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        add_link(tar, "1_7.png", "/etc/hosts", kind)
    with pytest.raises(DataError, match="unsafe"):
        unpack_tar(tmp_path / "bad.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_refuses_a_chain_of_links_that_gets_round_the_filter_of_tarfile(tmp_path):
    """CVE-2025-4517: a path too long for realpath is not followed by the check, but by the system."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    with tarfile.open(tmp_path / "bad.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        path, long = "", "d" * 247
        for short in "abcdefghijklmnop":
            folder = tarfile.TarInfo(f"{path}{long}")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
            add_link(tar, f"{path}{short}", long)
            path += f"{short}/"
        add_link(tar, f"{path}{'l' * 254}", "../" * 16)
        add_link(tar, "escape", f"{path}{'l' * 254}/../../victim")
        add_link(tar, "1_7.png", "escape", tarfile.LNKTYPE)
        add(tar, "1_7.png", b"overwritten")
    with pytest.raises(DataError, match="unsafe"):
        unpack_tar(tmp_path / "bad.tar", tmp_path / "out")
    assert victim.read_text() == "untouched"


def add_link(archive: tarfile.TarFile, name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> None:
    link = tarfile.TarInfo(name)
    link.type, link.linkname = kind, target
    archive.addfile(link)


@pytest.mark.parametrize("packed", [False, True])
def test_no_cut_and_no_flipped_bit_loses_a_digit(archive, tmp_path, packed):
    content = archive.read_bytes()[: 10 * 512]  # without the zeros that tar adds up to 10,240 bytes
    content = gzip.compress(content, mtime=0) if packed else content
    whole = {path.name: path.read_bytes() for path in unpacked(tmp_path, content)}
    assert len(whole) == 3
    draw = random.Random(0)
    damaged = [content[: draw.randrange(len(content))] for _ in range(40)]
    for _ in range(60):
        place = draw.randrange(len(content))
        damaged.append(content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :])
    for some in damaged:
        with contextlib.suppress(DataError):
            left = {path.name: path.read_bytes() for path in unpacked(tmp_path, some)}
            assert left.keys() == whole.keys()
        assert not [path for path in tmp_path.iterdir() if ".part" in path.name]


@pytest.mark.parametrize("blocks", [0, 2, 4, 6, 8, 9])
def test_an_archive_that_ends_between_two_members_is_cut_off(archive, tmp_path, blocks):
    archive.write_bytes(archive.read_bytes()[: 512 * blocks])
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack_tar(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def unpacked(tmp_path, content: bytes) -> list:
    """The files of an archive with that content."""
    (tmp_path / "some.tar").write_bytes(content)
    shutil.rmtree(tmp_path / "some", ignore_errors=True)
    unpack_tar(tmp_path / "some.tar", tmp_path / "some")
    return sorted((tmp_path / "some").iterdir())


def test_says_what_it_leaves_out_and_leaves_nothing_where_nothing_fits(tmp_path):
    with tarfile.open(tmp_path / "some.tar", "w") as tar:
        for name in ("1_7.PNG", "2_10.png", "3_26.png", "._1_7.png"):
            add(tar, name, png(torch.zeros(28, 28, dtype=torch.uint8)))
    left_out = unpack_tar(tmp_path / "some.tar", tmp_path / "out")
    assert left_out == {"a label that is no digit": 2, "another name than {ID}_{Label}.png": 1}
    assert PngDigits(tmp_path / "out").labels == [7]
    with tarfile.open(tmp_path / "none.tar", "w") as tar:
        add(tar, "2_10.png", b"")
    with pytest.raises(DataError, match="none.tar: holds no digit .* but 1 with a label that is no digit"):
        unpack_tar(tmp_path / "none.tar", tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"1_7.png": (28, 28), "b/1_7.png": (28, 28)}, "holds 1_7.png twice"),
        ({"1_7.png": (28, 28), "1_7.PNG": (28, 28)}, "holds 1_7.png twice"),  # one file on macOS and Windows
        ({"1_7.png": (28, 29)}, "1_7.png: it has 29 × 28 pixels, digits have 28 × 28"),
    ],
)
def test_refuses_digits_that_are_there_twice_or_of_another_size(tmp_path, members, problem):
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        for name, shape in members.items():
            add(tar, name, png(torch.zeros(shape, dtype=torch.uint8)))
    with pytest.raises(DataError, match=problem):
        unpack_tar(tmp_path / "bad.tar", tmp_path / "out")


def test_refuses_what_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(png_tar, "MOST_BYTES", 100_000)
    (tmp_path / "bomb.tar.gz").write_bytes(gzip.compress(bytes(1_000_000)))
    with pytest.raises(DataError, match="bomb.tar.gz: holds more than 100,000 bytes"):
        unpack_tar(tmp_path / "bomb.tar.gz", tmp_path / "out")
    with tarfile.open(tmp_path / "large.tar", "w") as tar:
        add(tar, "1_7.png", bytes(70_000))
    with pytest.raises(DataError, match="too many for a digit"):
        unpack_tar(tmp_path / "large.tar", tmp_path / "out")


def test_damaged_archive_leaves_no_folder(archive, tmp_path):
    archive.write_bytes(archive.read_bytes()[:700])
    with pytest.raises(DataError, match="train.tar: cannot be unpacked"):
        unpack_tar(archive, tmp_path / "out")
    with pytest.raises(DataError, match="missing.tar: does not exist"):
        unpack_tar(tmp_path / "missing.tar", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["train.tar"]


def test_digits_are_unpacked_beside_their_folder_where_a_rename_is_one_step(archive, tmp_path, monkeypatch):
    places, make = [], png_tar.tempfile.TemporaryDirectory
    spy = lambda **options: places.append(options.get("dir")) or make(**options)  # noqa: E731
    monkeypatch.setattr(png_tar.tempfile, "TemporaryDirectory", spy)
    unpack_tar(archive, tmp_path / "there" / "out")
    assert places == [tmp_path / "there"]


def test_existing_folder_is_never_overwritten(archive, tmp_path):
    unpack_tar(archive, tmp_path / "out")
    with pytest.raises(DataError, match="exists already"):
        unpack_tar(archive, tmp_path / "out")


def test_digits_become_a_split_in_the_order_of_their_ids(archive, tmp_path):
    unpack_tar(archive, tmp_path / "out")
    split = PngDigits(tmp_path / "out", transform=lambda image: image.float() / 255).to_split()
    assert split.images.shape == (3, 28, 28) and split.images[:, 5, 5].tolist() == [2, 10, 33]
    assert split.labels.tolist() == [2, 0, 3]


def test_folder_without_digits_broken_image_and_image_of_another_size(tmp_path):
    with pytest.raises(DataError, match="holds no file"):
        PngDigits(tmp_path)
    (tmp_path / "1_2.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="1_2.png: is not a readable digit"):
        PngDigits(tmp_path)[0]
    for shape, size in (((27, 28), "28 × 27"), ((56, 30), "30 × 56")):
        (tmp_path / "1_2.png").write_bytes(png(torch.zeros(shape, dtype=torch.uint8)))
        for read in (lambda digits: digits[0], PngDigits.to_split):
            with pytest.raises(DataError, match=f"1_2.png: is not a readable digit .it has {size} pixels, digits"):
                read(PngDigits(tmp_path))


@pytest.mark.parametrize(
    ("mode", "paper", "ink", "expected"),
    [
        ("L", 0, 200, (0, 200)),
        ("1", 0, 1, (0, 255)),
        ("RGB", (0, 0, 0), (200, 200, 200), (0, 200)),
        ("RGBA", (0, 0, 0, 255), (200, 200, 200, 255), (0, 200)),
        ("RGBA", (0, 0, 0, 0), (0, 0, 0, 255), (0, 255)),  # black ink on nothing
        ("RGBA", (255, 255, 255, 0), (0, 0, 0, 128), (0, 128)),
        ("RGBA", (0, 0, 0, 0), (255, 255, 255, 255), (0, 255)),  # white ink on nothing
        ("LA", (0, 0), (55, 255), (0, 200)),
        ("LA", (90, 0), (200, 255), (0, 200)),
    ],
)
def test_ink_is_light_on_dark_also_where_the_rest_is_transparent(tmp_path, mode, paper, ink, expected):
    ink_right = png_of(mode, paper=paper, ink=ink)
    narrow = Image.open(io.BytesIO(ink_right))
    narrow.paste(paper, (10, 0, 28, 28))  # less ink than paper, as in any digit
    narrow.save(tmp_path / "1_7.png")
    (image,) = PngDigits(tmp_path).to_split().images
    assert (image[5, 20].item(), image[5, 5].item()) == expected


def test_a_picture_of_a_hundred_million_pixels_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    (tmp_path / "1_7.png").write_bytes(png(torch.zeros(60, 60, dtype=torch.uint8)))
    with pytest.raises(DataError, match="1_7.png: is not a readable digit"):
        PngDigits(tmp_path)[0]


def test_every_checksum_of_an_image_is_read(tmp_path):
    """A PNG that lost its tail, of which Pillow shows what is left."""
    whole = png(torch.randint(0, 255, (28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)))
    for number in range(40, len(whole), 7):
        for damaged in (whole[:number] + bytes(len(whole) - number), whole[:number]):
            (tmp_path / "1_7.png").write_bytes(damaged)
            with pytest.raises(DataError, match="1_7.png: is not a readable digit"):
                PngDigits(tmp_path)[0]


def test_sixteen_bits_a_pixel_are_refused_rather_than_cut_off(tmp_path):
    Image.fromarray(np.arange(784, dtype=np.uint16).reshape(28, 28) * 80).save(tmp_path / "1_7.png")
    with pytest.raises(DataError, match="28 × 28 pixels of 16 bits, digits have 28 × 28 of 8 bits"):
        PngDigits(tmp_path)[0]


def test_an_archive_of_headers_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(png_tar, "MOST_MEMBERS", 3)
    for name, count in (("few.tar", 3), ("many.tar", 4)):
        with tarfile.open(tmp_path / name, "w") as tar:
            for number in range(count):
                add(tar, f"{number}_7.png", png(torch.zeros(28, 28, dtype=torch.uint8)))
    assert not unpack_tar(tmp_path / "few.tar", tmp_path / "few")
    with pytest.raises(DataError, match="many.tar: holds more than 3 members"):
        unpack_tar(tmp_path / "many.tar", tmp_path / "many")
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 0
    (tmp_path / "deep.tar").write_bytes(header.tobuf() * 3_000 + bytes(1_024))
    with pytest.raises(DataError, match="deep.tar: cannot be unpacked"):
        unpack_tar(tmp_path / "deep.tar", tmp_path / "deep")
