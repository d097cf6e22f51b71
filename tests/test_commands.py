"""The command line of the course, as its user types it."""

import importlib
import io
import os
import re
import runpy
import subprocess
import sys
import tarfile
from types import SimpleNamespace

import pytest
import torch
from PIL import Image, ImageDraw

from helpers import commands
from helpers.augmentation import AUGMENTATIONS
from helpers.data import Mnist
from helpers.files import hold
from helpers.recipes import RECIPES, Recipe
from helpers.trained import Predictions
from tools.notebook_rules import ROOT


@pytest.fixture(autouse=True)
def tiny(stripes, monkeypatch, tmp_path):
    """A data set that trains in a moment, a recipe for it, and a build folder of its own."""
    mnist = Mnist(stripes, stripes.take(130), source="mnist")
    monkeypatch.setattr(commands.data, "load_mnist", lambda: mnist)
    monkeypatch.setitem(RECIPES, "quick", Recipe(model="lenet5", momentum=0.9, batch_size=32, epochs=2))
    monkeypatch.setattr(commands, "BUILD", tmp_path)
    return mnist


def test_train_then_test(capsys, tmp_path):
    assert commands.main(["train", "quick", "--epochs", "3", "--lr", "0.05", "--seed", "1"]) == 0
    folder = tmp_path / "training" / "quick-seed1-epochs3-learning_rate0.05"
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    text = capsys.readouterr().out
    assert "validation accuracy at the last epoch: " in text and str(folder / "last.pt") in text
    assert f"curves are in {folder / 'curves.png'}\n" in text
    assert commands.main(["test", str(folder / "last.pt")]) == 0
    text = capsys.readouterr().out
    assert "test accuracy " in text and "of 130; 95 % interval" in text and "labels (rows) by answers (columns)" in text


def test_the_matrix_has_a_row_for_each_label(capsys, monkeypatch):
    answers = Predictions(torch.eye(10)[[0, 0, 0]], torch.tensor([0, 1, 1]))
    monkeypatch.setattr(commands, "load_trained", lambda path: SimpleNamespace(predict=lambda split: answers))
    assert commands.main(["test", "last.pt"]) == 0
    assert capsys.readouterr().out.splitlines()[-9].split() == ["1", "2", *["0"] * 9], "two images of a 1, called 0"


def test_test_looks_at_grey_levels_as_training_did(capsys, tmp_path, monkeypatch):
    raw = Recipe(model="lenet5_regularised", learning_rate=0.05, momentum=0.9, batch_size=32, epochs=3, scaling="raw")
    monkeypatch.setitem(RECIPES, "raw", raw)
    assert commands.main(["train", "raw"]) == 0
    assert commands.main(["test", str(tmp_path / "training" / "raw-seed0" / "last.pt")]) == 0
    accuracy = float(capsys.readouterr().out.rpartition("test accuracy ")[2].partition("%")[0])
    assert accuracy > 90, "images in another scaling would be taken for anything"


@pytest.mark.parametrize(
    "arguments", [["train", "nobody"], ["train", "quick", "--batch-size", "many"], ["summary", "nobody"], ["fly"], []]
)
def test_what_is_no_command_is_explained(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        commands.main(arguments)
    assert stop.value.code == 2 and "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ("--epochs 0", "0"),
        ("--epochs -1", "-1"),
        ("--batch-size 0", "0"),
        ("--lr -1", "-1.0"),
        ("--lr nan", "nan"),
        ("--lr 1e999", "inf"),
        ("--seed 99999999999999999999", "99999999999999999999"),
        ("--seed -1", "-1"),
    ],
)
def test_a_value_that_cannot_be_is_one_line_that_repeats_it(options, value, capsys, tmp_path):
    assert commands.main(["train", "quick", *options.split()]) != 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and f"not {value}" in line
    assert not list(tmp_path.rglob("*.pt"))


def test_a_learning_rate_that_is_too_high_is_one_line(capsys):
    assert commands.main(["train", "quick", "--lr", "1e30"]) == 1
    assert "error: the train loss is nan after epoch 1" in capsys.readouterr().err


def test_what_cannot_be_done_is_one_line_without_a_traceback(capsys, tmp_path):
    assert commands.main(["test", str(tmp_path / "nothing.pt")]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'nothing.pt'}: does not exist")
    assert commands.main(["unpack", str(tmp_path / "nothing.tar")]) == 1
    assert "nothing.tar" in capsys.readouterr().err
    assert commands.main(["unpack", ""]) == 1
    assert "the archive: is no file. Name a .tar" in capsys.readouterr().err
    (tmp_path / "digits").write_bytes(b"")
    assert commands.main(["unpack", str(tmp_path / "digits")]) == 1
    assert "digits: does not end in .tar" in capsys.readouterr().err


def test_an_interrupt_says_what_is_saved_and_how_to_go_on(capsys, monkeypatch, tmp_path):
    batches = []

    def stop(images):
        batches.append(1)
        if len(batches) == 14:
            raise KeyboardInterrupt
        return images

    monkeypatch.setitem(AUGMENTATIONS, "stop", stop)
    monkeypatch.setitem(RECIPES, "slow", Recipe(model="mlp", batch_size=32, epochs=2, augmentation="stop"))
    assert commands.main(["train", "slow"]) == 130
    folder = tmp_path / "training" / "slow-seed0"
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"1 of 2 epochs are saved in {folder}; run this again to go on" in said
    assert commands.main(["train", "slow"]) == 0 and len(batches) == 12 + 2 + 12


def test_an_interrupt_of_anything_else_is_one_word(capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands.data, "load_mnist", interrupt)
    assert commands.main(["download"]) == 130
    assert capsys.readouterr().err == "\ninterrupted\n"


def test_download_is_done_when_mnist_is_there_and_fails_when_it_is_not(tiny, capsys, monkeypatch):
    assert commands.main(["download"]) == 0
    assert "MNIST, every file's MD5 checked: 400 images for training, 130 for testing" in capsys.readouterr().out
    sample = Mnist(tiny.train, tiny.test, source="sample")
    monkeypatch.setattr(commands.data, "load_mnist", lambda: sample)
    assert commands.main(["download"]) == 1
    assert "SAMPLE MODE" in capsys.readouterr().out


def test_summary_shows_parameters_cost_and_what_a_layer_sees(capsys):
    assert commands.main(["summary", "lenet5"]) == 0
    text = capsys.readouterr().out
    assert "Total params: 44,426" in text and "281,640" in text and "receptive_field" in text


def test_unpack_counts_the_digits(capsys, tmp_path):
    with tarfile.open(tmp_path / "train.tar", "w") as archive:
        for name in ("0_5.png", "1_0.png"):
            buffer = io.BytesIO()
            Image.fromarray(torch.zeros(28, 28, dtype=torch.uint8).numpy()).save(buffer, "PNG")
            member = tarfile.TarInfo(name)
            member.size = len(buffer.getvalue())
            archive.addfile(member, io.BytesIO(buffer.getvalue()))
    assert commands.main(["unpack", str(tmp_path / "train.tar")]) == 0
    assert f"2 digits are in {tmp_path / 'train'}" in capsys.readouterr().out
    assert commands.main(["unpack", str(tmp_path / "train.tar")]) == 1, "the folder is there already"


def test_unpack_says_what_it_left_out(capsys, tmp_path):
    png = io.BytesIO()
    Image.fromarray(torch.zeros(28, 28, dtype=torch.uint8).numpy()).save(png, "PNG")
    with tarfile.open(tmp_path / "some.tar", "w") as archive:
        for name in ("0_5.png", "1_10.png", "2_11.png"):
            member = tarfile.TarInfo(name)
            member.size = len(png.getvalue())
            archive.addfile(member, io.BytesIO(png.getvalue()))
    assert commands.main(["unpack", str(tmp_path / "some.tar"), str(tmp_path / "here")]) == 0
    text = capsys.readouterr().out
    assert f"1 digits are in {tmp_path / 'here'}" in text and "left out: 2 with a label that is no digit" in text


@pytest.fixture
def asked(monkeypatch) -> dict:
    """What `fit` is asked for, instead of training."""
    seen = {}
    monkeypatch.setattr(commands, "fit", lambda recipe, *_, **options: seen.update(recipe=recipe, **options) or 1 / 0)
    return seen


@pytest.mark.parametrize(("arguments", "epochs"), [([], 20), (["--epochs", "7"], 7)])
def test_defaults_come_from_the_recipe(asked, arguments, epochs, tmp_path):
    with pytest.raises(ZeroDivisionError):
        commands.main(["train", "compact", *arguments])
    assert asked["recipe"].epochs == epochs and asked["recipe"].augmentation == "crop_and_rotate"
    assert asked["recipe"].learning_rate == 0.01 and asked["seed"] == 0
    assert asked["folder"].parent == tmp_path / "training"


def test_options_reach_the_run(asked, tmp_path):
    with pytest.raises(ZeroDivisionError):
        commands.main(["train", "compact", "--batch-size", "9", "--seed", "7", "--folder", str(tmp_path / "here")])
    assert asked["recipe"].batch_size == 9 and asked["seed"] == 7 and asked["folder"] == tmp_path / "here"


def test_what_goes_wrong_shows_in_the_exit_status(monkeypatch, capsys):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(commands, "save_curves", fail)
    assert commands.main(["train", "quick"]) == 1
    assert "No space left" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["helpers", "lab"])
def test_an_interrupt_while_the_packages_load_is_one_word(package, monkeypatch, capsys):
    entry = importlib.import_module(f"{package}.__main__")
    monkeypatch.setenv("MPLBACKEND", "module://nothing")
    monkeypatch.setitem(sys.modules, f"{package}.commands", None)
    with pytest.raises(ImportError):
        entry.main()
    assert os.environ["MPLBACKEND"] == "Agg", "figures are saved whatever a machine can show"

    class Slow:
        def __getattr__(self, name):
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, f"{package}.commands", Slow())
    assert entry.main() == 130 and capsys.readouterr().err == "\ninterrupted\n"
    monkeypatch.delitem(sys.modules, f"{package}.__main__")
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(package, run_name="__main__")
    assert ended.value.code == 130, "a shell is told, too"


@pytest.mark.parametrize("package", ["helpers", "lab"])
def test_a_python_without_the_packages_is_one_line_that_says_which_one_has_them(package):
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, '.'); import {package}.__main__ as m"]
    command[-1] += "; sys.exit(m.main())"
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 1 and ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert re.fullmatch(r"error: .*python.* has no \w+: use .*\.venv.* or install .*", line)


@pytest.mark.parametrize("command", [["download"], ["train", "quick"]])
def test_an_installed_package_alone_writes_nothing_beside_itself(command, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(commands, "HOME", tmp_path / "site-packages")
    assert commands.main(command) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "is not the course's folder: run this in a clone" in line
    assert commands.main(["train", "quick", "--folder", str(tmp_path / "here")]) == 0
    assert commands.main(["test", str(tmp_path / "here" / "last.pt")]) == 0
    assert not (tmp_path / "site-packages").exists()


def test_an_installed_package_alone_reads_digits_with_a_network_that_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(commands, "HOME", tmp_path / "site-packages")
    picture = str(ROOT / "images" / "digits_on_paper.jpg")
    assert commands.main(["predict", picture]) == 1
    assert "is not the course's folder: run this in a clone" in capsys.readouterr().err
    assert commands.main(["predict", picture, "--network", str(commands.COMPACT)]) == 0
    assert "digits_on_paper.jpg: " in capsys.readouterr().out


def test_a_wheel_holds_every_module_and_the_style_of_the_figures():
    packages = pytest.importorskip("setuptools").find_packages(ROOT, include=["helpers*", "lab*"])
    folders = {path.parent for package in ("helpers", "lab") for path in (ROOT / package).rglob("*.py")}
    assert {ROOT.joinpath(*package.split(".")) for package in packages} == folders
    listed = re.search(r"^helpers = (\[.+\])$", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)[1]
    others = {
        path.name for path in (ROOT / "helpers").rglob("*.*") if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert others == {"course.mplstyle"} and listed == '["*.mplstyle"]'


def test_a_second_run_in_a_folder_is_told_who_is_there(capsys, tmp_path):
    with hold(tmp_path / "here" / "run"):
        assert commands.main(["train", "quick", "--folder", str(tmp_path / "here")]) == 1
    assert f"is in use by process {os.getpid()} " in capsys.readouterr().err


def test_train_says_how_many_threads_compute(capsys, monkeypatch):
    monkeypatch.setattr(commands, "choose_threads", lambda: "threads: 7, the fastest")
    assert commands.main(["train", "quick"]) == 0
    assert "\nthreads: 7, the fastest\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", [".tar", "..tar", ".gz", ".tar.gz"])
def test_a_name_that_is_all_ending_is_no_archive(name, capsys, tmp_path):
    (tmp_path / name).write_bytes(b"")
    assert commands.main(["unpack", str(tmp_path / name)]) == 1
    assert "does not end in .tar or .tar.gz. Name a folder" in capsys.readouterr().err


def test_a_default_that_is_asked_for_is_the_same_run(asked):
    folders = []
    for arguments in ([], ["--epochs", "20", "--lr", "0.01", "--batch-size", "128"]):
        with pytest.raises(ZeroDivisionError):
            commands.main(["train", "compact", *arguments])
        folders.append(asked["folder"])
    assert folders[0] == folders[1]


@pytest.fixture
def row(tmp_path):
    """A picture of a 1 and a 0."""
    picture = Image.new("L", (120, 60), 240)
    draw = ImageDraw.Draw(picture)
    draw.line([30, 10, 30, 50], fill=20, width=5)
    draw.ellipse([60, 10, 90, 50], outline=20, width=5)
    picture.save(tmp_path / "row.png")
    return tmp_path / "row.png"


def test_predict_says_for_each_digit_the_answer_how_sure_and_the_second_choice(row, capsys, tmp_path):
    assert commands.main(["predict", str(row), str(row)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and lines[:3] == lines[3:] and lines[0] == f"{row}: 1 0"
    for digit, line in zip("10", lines[1:]):
        first, sure, second, rest = re.fullmatch(r" +(\d) \((.+)% sure\), else (\d) \((.+)%\)", line).groups()
        assert first == digit != second and float(sure) > 50 > float(rest)


def test_predict_asks_the_network_that_is_named(row, capsys, tmp_path):
    assert commands.main(["train", "quick"]) == 0
    path = tmp_path / "training" / "quick-seed0" / "last.pt"
    asked = commands.load_trained(path).predict(commands.prepare_picture(row).digits).predicted.tolist()
    capsys.readouterr()
    assert commands.main(["predict", str(row), "--network", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{row}: {asked[0]} {asked[1]}" != f"{row}: 1 0"
    assert commands.main(["predict", str(row), "--network", str(row)]) == 1
    assert "row.png: is not a readable checkpoint" in capsys.readouterr().err


def test_predict_saves_what_the_network_saw(row, capsys, tmp_path):
    target = tmp_path / "new" / "seen.png"
    assert commands.main(["predict", str(row), "--save", str(target)]) == 0
    assert capsys.readouterr().out.endswith(f"what the network saw is in {target}\n")
    with Image.open(target) as figure:
        assert figure.format == "PNG" and figure.width > 800
    assert [path.name for path in target.parent.iterdir()] == ["seen.png"]


@pytest.mark.parametrize(("name", "problem"), [("row.png", "one of the pictures"), ("a.jpg", "end in .png")])
def test_predict_saves_over_no_picture_and_under_no_other_ending(name, problem, row, capsys, tmp_path):
    before = row.read_bytes()
    assert commands.main(["predict", str(row), "--save", str(tmp_path / name)]) == 1
    assert problem in capsys.readouterr().err and row.read_bytes() == before and not (tmp_path / "a.jpg").exists()


def test_a_figure_that_cannot_be_written_leaves_the_older_one(row, capsys, monkeypatch, tmp_path):
    (tmp_path / "seen.png").write_bytes(b"older")

    def fail(figure, path, **_):
        path.write_bytes(b"half")
        raise ValueError("Image size of 1100x900000 pixels is too large")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    assert commands.main(["predict", str(row), "--save", str(tmp_path / "seen.png")]) == 1
    assert "is too large). Give fewer pictures." in capsys.readouterr().err
    assert (tmp_path / "seen.png").read_bytes() == b"older" and not list(tmp_path.glob("*.part"))


def test_predict_says_in_one_line_what_is_no_picture(capsys, tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    assert commands.main(["predict", str(tmp_path / "empty.png")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "empty.png: is no picture" in line


def test_forget_clears_the_answers_and_nothing_else(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(commands.notebook, "RUNS", tmp_path / "runs")
    assert commands.main(["forget"]) == 0 and "the answers of 0 notebooks are" in capsys.readouterr().out
    (tmp_path / "runs").mkdir()
    for name in ("answers-01_x.json", "answers-02_x.json", "last.pt"):
        (tmp_path / "runs" / name).touch()
    assert commands.main(["forget"]) == 0 and "the answers of 2 notebooks are" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["last.pt"]
