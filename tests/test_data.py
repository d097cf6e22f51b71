"""Finding, checking, downloading, splitting and batching."""

import errno
import gzip
import hashlib
import os
import struct
from pathlib import Path

import pytest
import torch

from helpers.data import (
    CLOTHES,
    MEAN,
    STD,
    Batches,
    DataError,
    Mnist,
    Split,
    describe_source,
    load_fashion_mnist,
    load_mnist,
    normalise,
    parse_idx,
    split_train_validation,
)
from helpers.data import mnist as mnist_module
from helpers.data.idx import read_bytes
from helpers.data.mnist import DISPUTED, FILES, MnistFile


def idx_bytes(values: torch.Tensor) -> bytes:
    return struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.numpy().tobytes()


@pytest.fixture
def contents(monkeypatch, tmp_path) -> dict[str, bytes]:
    """A data set of 40 + 20 images with the real file names, which the loader takes for MNIST; no network."""
    generator = torch.Generator().manual_seed(0)
    made = {}
    for half, count in (("train", 40), ("test", 20)):
        images = torch.randint(0, 256, (count, 28, 28), dtype=torch.uint8, generator=generator)
        labels = torch.randint(0, 10, (count,), dtype=torch.uint8, generator=generator)
        made |= {f"{half}_images": idx_bytes(images), f"{half}_labels": idx_bytes(labels)}
    for part, content in made.items():
        file = MnistFile(FILES[part].name, len(content), hashlib.md5(content).hexdigest())
        monkeypatch.setitem(FILES, part, file)
    monkeypatch.delenv("MNIST_ROOT", raising=False)
    monkeypatch.delenv("COURSE_OFFLINE", raising=False)
    monkeypatch.setattr(mnist_module, "DATA_FOLDER", tmp_path / "own")
    monkeypatch.setattr(mnist_module.MNIST, "mirrors", ("file:///nowhere/",))
    digit = Split(torch.zeros(1, 28, 28, dtype=torch.uint8), torch.zeros(1, dtype=torch.long))
    monkeypatch.setattr(mnist_module, "_load_sample", lambda: Mnist(digit, digit, source="sample"))
    return made


def write_folder(folder, contents, *, packed=False):
    folder.mkdir(parents=True, exist_ok=True)
    for part, content in contents.items():
        name = FILES[part].name + (".gz" if packed else "")
        (folder / name).write_bytes(gzip.compress(content) if packed else content)
    return folder


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("below", ["", "raw", "MNIST/raw"])
def test_reads_raw_and_packed_files_in_both_layouts(contents, tmp_path, packed, below):
    write_folder(tmp_path / "root" / below, contents, packed=packed)
    mnist = load_mnist(tmp_path / "root", download=False)
    assert mnist.source == "mnist"
    assert len(mnist.train) == 40 and len(mnist.test) == 20
    for half in ("train", "test"):
        assert torch.equal(getattr(mnist, half).images, parse_idx(contents[f"{half}_images"]))
        assert torch.equal(getattr(mnist, half).labels, parse_idx(contents[f"{half}_labels"]).long())


def test_root_comes_before_environment_before_own_folder(contents, tmp_path, monkeypatch):
    write_folder(tmp_path / "own" / "MNIST" / "raw", contents)
    assert load_mnist(download=False).source == "mnist"
    broken = write_folder(tmp_path / "env", contents)
    (broken / FILES["train_labels"].name).write_bytes(b"")
    monkeypatch.setenv("MNIST_ROOT", str(broken))
    with pytest.raises(DataError, match="env"):
        load_mnist(download=False)
    good = write_folder(tmp_path / "root", contents)
    assert load_mnist(good, download=False).source == "mnist"


def test_a_folder_without_mnist_is_passed_over_with_a_warning(contents, tmp_path):
    with pytest.warns(UserWarning, match="holds no MNIST file"):
        assert load_mnist(tmp_path / "nothing", download=False).source == "sample"


BAD_CONTENT = {
    "truncated": (lambda content, _: content[:-5], "bytes where the original has"),
    "empty": (lambda content, _: b"", "is empty"),
    "web page": (lambda content, _: b"\r\n <!DOCTYPE html><html>log in</html>", "web page"),
    "overwritten": (lambda content, _: content[:20] + bytes(10) + content[30:], "was altered"),
    "swapped": (lambda _, contents: contents["test_labels"], "holds the content of t10k-labels"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", BAD_CONTENT)
def test_damaged_file_is_refused_with_name_cause_and_remedy(contents, tmp_path, kind, packed):
    spoil, cause = BAD_CONTENT[kind]
    spoilt = contents | {"train_labels": spoil(contents["train_labels"], contents)}
    write_folder(tmp_path / "root", spoilt, packed=packed)
    with pytest.raises(DataError, match=cause) as caught:
        load_mnist(tmp_path / "root")
    assert "train-labels-idx1-ubyte" in str(caught.value) and "point MNIST_ROOT at a good copy" in str(caught.value)
    assert "Delete" not in str(caught.value), "what is not the course's own is not its to throw away"


def test_of_two_damaged_copies_the_raw_one_is_named(contents, tmp_path):
    root = write_folder(tmp_path / "root", contents)
    name = FILES["train_labels"].name
    (root / name).write_bytes(b"")
    (root / f"{name}.gz").write_bytes(b"<html>")
    with pytest.raises(DataError, match=f"{name}: is empty"):
        load_mnist(root)


def test_a_damaged_copy_beside_a_good_one_does_no_harm(contents, tmp_path):
    root = write_folder(tmp_path / "root", contents)
    write_folder(root, contents, packed=True)
    (root / FILES["train_labels"].name).write_bytes(b"")
    (root / f"{FILES['test_labels'].name}.gz").write_bytes(b"<html>")
    assert load_mnist(root).source == "mnist"


def test_cut_archive_missing_file_and_folder_in_place_of_a_file_are_refused(contents, tmp_path):
    root = write_folder(tmp_path / "root", contents, packed=True)
    archive = root / f"{FILES['test_images'].name}.gz"
    archive.write_bytes(archive.read_bytes()[:-20])
    with pytest.raises(DataError, match="not a complete gzip archive"):
        load_mnist(root)
    archive.unlink()
    with pytest.raises(DataError, match="is missing"):
        load_mnist(root)
    archive.mkdir()
    with pytest.raises(DataError, match="is no file"):
        load_mnist(root)


def test_unreadable_folder_is_refused(contents, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match="cannot be looked into"):
        load_mnist(tmp_path / "file")
    root = write_folder(tmp_path / "root", contents)

    def forbidden(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(type(root), "exists", forbidden)
        with pytest.raises(DataError, match="root: cannot be looked into .*Permission denied.*Name a folder"):
            load_mnist(root)
    monkeypatch.setattr(type(root), "open", forbidden)
    with pytest.raises(DataError, match="ubyte: cannot be read .Permission denied"):
        load_mnist(root)


def test_own_folder_is_filled_and_repaired_by_download(contents, tmp_path, monkeypatch):
    mirror = write_folder(tmp_path / "mirror", contents, packed=True)
    monkeypatch.setattr(mnist_module.MNIST, "mirrors", ("file:///nowhere/", mirror.as_uri() + "/"))
    assert load_mnist().source == "mnist"
    raw = tmp_path / "own" / "MNIST" / "raw"
    assert len(list(raw.iterdir())) == 4
    for ending in ("", ".gz"):
        (raw / f"{FILES['train_images'].name}{ending}").write_bytes(b"<html>")
    assert len(load_mnist().train) == 40 and len(list(raw.iterdir())) == 4, "no damaged copy is left"
    (raw / FILES["test_labels"].name).write_bytes(b"raw and damaged, beside a good archive")
    assert len(load_mnist().test) == 20


@pytest.mark.parametrize("mode", ["cut", "html", "wrong", "flipped"])
def test_bad_download_leaves_nothing_behind(contents, tmp_path, monkeypatch, mode):
    mirror = write_folder(tmp_path / "mirror", contents, packed=True)
    for archive in mirror.iterdir():
        whole = archive.read_bytes()
        flipped = whole[:10] + bytes([whole[10] ^ 255]) + whole[11:]
        bad = {"cut": whole[:-30], "html": b"<html>", "wrong": gzip.compress(b"other"), "flipped": flipped}
        archive.write_bytes(bad[mode])
    monkeypatch.setattr(mnist_module.MNIST, "mirrors", (mirror.as_uri() + "/",))
    sample = load_mnist()
    assert sample.source == "sample" and str(tmp_path / "own") not in sample.reason, "the cause, and no temporary file"
    assert list((tmp_path / "own").rglob("*ubyte*")) == []


def test_damaged_own_file_without_a_network_is_an_error(contents, tmp_path):
    raw = write_folder(tmp_path / "own" / "MNIST" / "raw", contents)
    (raw / FILES["train_images"].name).write_bytes(contents["train_images"][:50])
    with pytest.raises(DataError, match="train-images"):
        load_mnist()


def test_interrupt_and_full_disk_during_download(contents, tmp_path, monkeypatch):
    def interrupted(url, path):
        path.write_bytes(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(mnist_module, "_fetch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_mnist()
    assert list((tmp_path / "own").rglob("*ubyte*")) == []

    def disk_full(url, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(mnist_module, "_fetch", disk_full)
    with pytest.raises(DataError, match="No space left on device.*Free"):
        load_mnist()


def test_environment_may_hold_a_tilde_and_spaces(contents, tmp_path, monkeypatch):
    write_folder(tmp_path / "data", contents)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("MNIST_ROOT", "~/data ")
    assert load_mnist(download=False).source == "mnist"


def test_offline_switch_forbids_the_download(contents, tmp_path, monkeypatch):
    mirror = write_folder(tmp_path / "mirror", contents, packed=True)
    monkeypatch.setattr(mnist_module.MNIST, "mirrors", (mirror.as_uri() + "/",))
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    assert load_mnist().source == "sample"
    monkeypatch.delenv("COURSE_OFFLINE")
    assert load_mnist(download=False).source == "sample"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not an IDX file"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\0\1\x08\x01\0\0\0\x01a", "not an IDX file"),
        (b"\0\0\x09\x01\0\0\0\x01a", "not an IDX file"),
        (b"\0\0\x08\x03\0\0", "ends inside its header"),
        (b"\0\0\x08\x01\0\0\0\x05abcd", "holds 4 values where its header says .5,."),
        (b"\0\0\x08\x01\0\0\0\x05abcdef", "holds 6 values where its header says .5,."),
    ],
)
def test_idx_reader_refuses_what_is_not_idx(content, problem):
    with pytest.raises(DataError, match=f"some-file: {problem}"):
        parse_idx(content, "some-file")


def test_idx_reader_gives_the_shape_of_the_header():
    assert parse_idx(idx_bytes(torch.zeros(0, 28, 28, dtype=torch.uint8))).shape == (0, 28, 28)
    values = torch.arange(24, dtype=torch.uint8).reshape(2, 3, 4)
    read = parse_idx(idx_bytes(values))
    assert torch.equal(read, values)
    read += 1  # the content it came from cannot be written to, this can


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_files_are_read_packed_or_not_up_to_a_limit(tmp_path, pack):
    (tmp_path / "file").write_bytes(pack(bytes(100)))
    assert read_bytes(tmp_path / "file", 100) == bytes(100)
    with pytest.raises(DataError, match="file: holds more than 99 bytes"):
        read_bytes(tmp_path / "file", 99)
    with pytest.raises(DataError, match="none: does not exist"):
        read_bytes(tmp_path / "none", 99)


def test_only_files_are_read():
    """A device or a pipe might never end."""
    with pytest.raises(DataError, match="is no file"):
        read_bytes(Path(os.devnull), 99)


def test_the_data_set_is_what_it_says(mnist):
    sizes = {"mnist": (60_000, 10_000), "sample": (4_000, 1_000)}[mnist.source]
    assert (len(mnist.train), len(mnist.test)) == sizes
    assert mnist.train.images.shape[1:] == (28, 28) and mnist.train.images.max() == 255
    grey = mnist.train.images.double() / 255
    tolerance = 1e-4 if mnist.source == "mnist" else 0.004
    assert abs(grey.mean() - MEAN) < tolerance and abs(grey.std() - STD) < tolerance


def pairs_belong_together(split: Split) -> bool:
    """Whether most images are nearest to the mean of those with the same label."""
    images, labels = split.images.float().flatten(1), split.labels
    means = torch.stack([images[labels == digit].mean(0) for digit in range(10)])
    return (torch.cdist(images[:300], means).argmin(1) == labels[:300]).float().mean().item() > 0.7


def test_images_and_labels_belong_together(mnist):
    splits = [mnist.train.take(5_000), mnist.test, *split_train_validation(mnist.train, share=0.1)]
    assert all(map(pairs_belong_together, splits))
    assert not pairs_belong_together(Split(mnist.test.images, mnist.test.labels.roll(1))), "or nothing was shown"


def numbered(count: int) -> Split:
    """Images of two pixels that say their place, with labels 0 to 9 in turn."""
    places = torch.arange(count)
    return Split(torch.stack([places // 256, places % 256], 1).to(torch.uint8)[:, None], places % 10)


def places(split: Split) -> torch.Tensor:
    return split.images[:, 0, 0].long() * 256 + split.images[:, 0, 1]


def test_division_is_stratified_disjoint_and_the_same_everywhere():
    train, validation = split_train_validation(numbered(12_000))
    assert len(train) == 11_000 and len(validation) == 1_000
    assert torch.equal(validation.labels.bincount(), torch.full((10,), 100))
    assert torch.equal(torch.cat([places(train), places(validation)]).sort().values, torch.arange(12_000))
    assert torch.equal(places(train) % 10, train.labels) and torch.equal(places(validation) % 10, validation.labels)
    assert places(validation)[:5].tolist() == [4469, 11650, 3166, 6588, 7367]


def test_another_seed_or_share_gives_another_division():
    validations = [places(split_train_validation(numbered(1_200), seed=seed)[1]) for seed in (0, 0, 1)]
    assert torch.equal(validations[0], validations[1]) and not torch.equal(validations[0], validations[2])
    for count, share, sizes in ((1_200, 0.25, [900, 300]), (100, 0.29, [71, 29])):  # 0.29 · 100 falls short of 29
        assert [len(part) for part in split_train_validation(numbered(count), share=share)] == sizes


def test_sample_pairs_belong_together_and_are_divided_evenly():
    sample = mnist_module._load_sample()
    for half, count in ((sample.train, 400), (sample.test, 100)):
        assert torch.equal(half.labels.bincount(), torch.full((10,), count)) and pairs_belong_together(half)


IMAGES = torch.zeros(3, 28, 28, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "problem"),
    [
        (IMAGES, torch.zeros(2, dtype=torch.long), "3 images but 2 labels"),
        (IMAGES, torch.tensor([0, 10, -1]), r"labels must be from 0 to 9; there are \[-1, 10\]"),
        (IMAGES, torch.zeros(3), r"labels must be a tensor torch.int64 .* not torch.float32 \(3,\)"),
        (IMAGES, torch.zeros(3, 1, dtype=torch.long), r"labels must be .* not torch.int64 \(3, 1\)"),
        (IMAGES, [0, 1, 2], "labels must be .* not a list"),
        (IMAGES.float() / 255, None, r"images must be a tensor torch.uint8 .* not torch.float32 \(3, 28, 28\)"),
        (IMAGES[:, None], None, r"images must be .* not torch.uint8 \(3, 1, 28, 28\)"),
        (IMAGES.numpy(), None, "images must be .* not a ndarray"),
    ],
)
def test_a_split_refuses_what_is_no_digits(images, labels, problem):
    with pytest.raises(ValueError, match=problem):
        Split(images, labels)


def test_a_part_of_a_split_keeps_pairs():
    split = numbered(100)
    for part in (split[20:40], split[torch.arange(20, 40)], split[torch.arange(100) // 20 == 1]):
        assert places(part).tolist() == list(range(20, 40)) and torch.equal(part.labels, split.labels[20:40])
    assert places(split.take(7)).tolist() == list(range(7)) and len(split.take(7).labels) == 7
    unlabelled = Split(split.images)
    assert len(unlabelled) == 100 and unlabelled[20:40].labels is None and len(unlabelled.take(7)) == 7


def test_batches_scale_bytes_to_the_published_normalisation():
    images = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None].repeat(1, 28, 28)
    split = Split(images, torch.tensor([0, 1]))
    (batch, _), *_ = Batches(split, 2)
    assert batch.shape == (2, 1, 28, 28)
    assert batch[0, 0, 0, 0].item() == pytest.approx((0 - 0.1307) / 0.3081, abs=1e-5)
    assert batch[1, 0, 0, 0].item() == pytest.approx((1 - 0.1307) / 0.3081, abs=1e-5)
    for scaling, white in (("unit", 1), ("raw", 255)):
        (batch, _), *_ = Batches(split, 2, scaling=scaling)
        assert batch.max().item() == pytest.approx(white)


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_keep_pairs_and_visit_every_image_once(marked, shuffle):
    torch.manual_seed(0)
    batches = Batches(marked, 128, shuffle=shuffle, scaling="raw")
    seen = [(images[:, 0, 0, 0], labels) for images, labels in batches]
    assert len(batches) == len(seen) == 24 and len(seen[-1][1]) == 3_000 % 128
    levels, labels = torch.cat([level for level, _ in seen]), torch.cat([label for _, label in seen])
    assert torch.equal(levels.round().long(), 10 * labels + 5)
    assert torch.equal(labels.bincount(), torch.full((10,), 300))
    assert torch.equal(labels, marked.labels) != shuffle


def test_a_batch_can_be_taken_by_its_places_and_is_augmented_before_it_is_normalised(marked):
    index, seen = torch.tensor([7, 3, 2_999]), []
    images, labels = Batches(marked, 10, scaling="raw").take(index)
    assert images[:, 0, 0, 0].round().tolist() == [75, 35, 95] and labels.tolist() == [7, 3, 9]
    images, _ = Batches(marked, 10).take(index, lambda images: seen.append(images) or torch.zeros_like(images))
    assert torch.allclose(images, torch.tensor(-MEAN / STD))
    assert torch.allclose(seen[0][:, 0, 0, 0], torch.tensor([75, 35, 95]) / 255)
    assert torch.allclose(normalise(seen[0]), (seen[0] - MEAN) / STD)


def test_batches_of_images_without_labels(marked):
    batches = list(Batches(Split(marked.images), 1_000))
    assert [(len(images), labels) for images, labels in batches] == [(1_000, None)] * 3


def test_disputed_images_are_the_fifteen_of_the_source():
    assert len(set(DISPUTED)) == 15 and sum(DISPUTED) == 68_696, "a wrong digit in one of them"


def dress_up(contents, monkeypatch) -> dict[str, bytes]:
    """Contents of another set with the same file names, which the loader takes for Fashion-MNIST."""
    clothes = {part: content[:-1] + bytes([content[-1] ^ 1]) for part, content in contents.items()}
    for part, content in clothes.items():
        file = FILES[part]._replace(md5=hashlib.md5(content).hexdigest())
        monkeypatch.setitem(mnist_module.FASHION_MNIST.files, part, file)
    return clothes


def test_a_folder_of_one_set_is_never_taken_for_the_other(contents, tmp_path, monkeypatch):
    clothes = write_folder(tmp_path / "clothes", dress_up(contents, monkeypatch))
    digits = write_folder(tmp_path / "digits", contents)
    assert load_fashion_mnist(clothes).source == "fashion-mnist" and load_mnist(digits).source == "mnist"
    problem = "train-images-idx3-ubyte: is of Fashion-MNIST, another set with the same file names. .*point MNIST_ROOT"
    monkeypatch.setenv("MNIST_ROOT", str(clothes))
    with pytest.raises(DataError, match=problem):
        load_mnist()
    problem = "train-images-idx3-ubyte: is of MNIST, another set .*Put Fashion-MNIST's own.*point FASHION_MNIST_ROOT"
    monkeypatch.setenv("FASHION_MNIST_ROOT", str(digits))
    with pytest.raises(DataError, match=problem):
        load_fashion_mnist()


def test_fashion_mnist_is_looked_for_and_kept_beside_mnist(contents, tmp_path, monkeypatch):
    monkeypatch.delenv("FASHION_MNIST_ROOT", raising=False)
    clothes = dress_up(contents, monkeypatch)
    monkeypatch.setattr(mnist_module.FASHION_MNIST, "mirrors", ("file:///nowhere/",))
    write_folder(tmp_path / "own" / "MNIST" / "raw", contents)
    with pytest.raises(DataError, match="FashionMNIST.raw: train-images-idx3-ubyte could not be fetched"):
        load_fashion_mnist()
    mirror = write_folder(tmp_path / "mirror", clothes, packed=True)
    monkeypatch.setattr(mnist_module.FASHION_MNIST, "mirrors", (mirror.as_uri() + "/",))
    with pytest.raises(DataError, match="no download is allowed"):
        load_fashion_mnist(download=False)
    found = load_fashion_mnist()
    assert describe_source(found).startswith("Fashion-MNIST, every file's MD5 checked: 40 images")
    assert not torch.equal(found.test.labels, load_mnist().test.labels) and len(found.test) == 20
    assert len(list((tmp_path / "own" / "FashionMNIST" / "raw").iterdir())) == 4
    assert load_fashion_mnist(download=False).source == "fashion-mnist"


def test_the_four_files_of_either_set_are_known():
    sets = [mnist_module.MNIST.files, mnist_module.FASHION_MNIST.files]
    assert len({file.md5 for files in sets for file in files.values()}) == 8 and len(CLOTHES) == 10
    assert [file[:2] for file in sets[0].values()] == [file[:2] for file in sets[1].values()], "names and sizes"


class Dripping:
    """A server that gives a few bytes at a time, a second apart, for ever."""

    headers = {}

    def __init__(self, clock):
        self.clock = clock

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def read1(self, most):
        self.clock[0] += 1
        return b"abc"


def test_a_server_that_drips_is_given_up_for_the_next_and_named(contents, tmp_path, monkeypatch):
    clock = [0]
    mirror = write_folder(tmp_path / "mirror", contents, packed=True)
    monkeypatch.setattr(mnist_module.MNIST, "mirrors", ("https://dripping.example/", mirror.as_uri() + "/"))
    monkeypatch.setattr(mnist_module.time, "monotonic", lambda: clock[0])
    open_url = mnist_module.urllib.request.urlopen
    drip = lambda url, **options: Dripping(clock) if "dripping" in url else open_url(url, **options)  # noqa: E731
    monkeypatch.setattr(mnist_module.urllib.request, "urlopen", drip)
    assert load_mnist().source == "mnist" and clock[0] == 4 * 16, "seconds, for four files"
    monkeypatch.setattr(mnist_module.MNIST, "mirrors", ("https://dripping.example/",))
    for path in (tmp_path / "own").rglob("*ubyte*"):
        path.unlink()
    sample = load_mnist()
    assert sample.source == "sample"
    problem = "dripping.example: slower than 10 kB a second"
    assert sample.reason == f"train-images-idx3-ubyte could not be fetched ({problem})"
    assert f"Why: {sample.reason}." in describe_source(sample)
    assert not list((tmp_path / "own").rglob("*ubyte*")), "nothing is left of it"


class Stalling(Dripping):
    """One that begins well."""

    def read1(self, most):
        piece = super().read1(most)
        return bytes(most) if self.clock[0] == 1 else piece * (self.clock[0] < 100)


def test_a_server_that_begins_well_and_then_drips_is_given_up_as_well(contents, monkeypatch):
    clock = [0]
    monkeypatch.setattr(mnist_module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(mnist_module.urllib.request, "urlopen", lambda url, **_: Stalling(clock))
    assert "slower than 10 kB a second" in load_mnist().reason and clock == [16]


def test_the_banner_says_why_nothing_was_downloaded(contents, tmp_path, monkeypatch):
    assert "Why: no download is allowed." in describe_source(load_mnist(download=False))
    monkeypatch.setattr(mnist_module, "HOME", tmp_path)  # where an installed package lies
    monkeypatch.setattr(mnist_module, "_download", lambda *_: pytest.fail("beside an installed package"))
    assert load_mnist().source == "sample"


def test_a_file_that_another_process_fetched_meanwhile_is_used(contents, tmp_path, monkeypatch):
    raw = tmp_path / "own" / "MNIST" / "raw"
    monkeypatch.setattr(mnist_module, "_download", lambda *_: write_folder(raw, contents) and "the disk was locked")
    assert load_mnist().source == "mnist"


def test_an_own_folder_that_is_a_file_is_one_line(contents, tmp_path):
    (tmp_path / "own").write_text("in the way")
    with pytest.raises(DataError, match="own: cannot be looked into"):
        load_mnist()


def test_what_was_read_may_be_written_to(recwarn):
    values = parse_idx(idx_bytes(torch.zeros(3, dtype=torch.uint8)))
    values += 1
    assert values.tolist() == [1, 1, 1] and not [w for w in recwarn if "writable" in str(w.message)]
