"""The command line, as its user types it."""

import io
import json
import tarfile
from dataclasses import replace

import pytest
import torch
from PIL import Image

from helpers import __main__ as commands
from helpers import reproduction
from helpers.data import Mnist
from helpers.experiments import ALL_RECIPES
from helpers.models import build_model
from helpers.recipes import Recipe
from helpers.records import RecordError


@pytest.fixture(autouse=True)
def tiny(stripes, monkeypatch, tmp_path):
    """A data set that trains in a moment, a recipe for it, and a build folder of its own."""
    test = stripes.take(130)
    mnist = Mnist(stripes.images, stripes.labels, test.images, test.labels, source="mnist")
    monkeypatch.setattr(commands.data, "load_mnist", lambda: mnist)
    monkeypatch.setitem(ALL_RECIPES, "quick", Recipe(model="lenet5", momentum=0.9, batch_size=32, epochs=2))
    monkeypatch.setattr(commands, "BUILD", tmp_path)
    return mnist


def test_train_then_test(capsys, tmp_path):
    assert commands.main(["train", "quick", "--epochs", "3", "--lr", "0.05", "--seed", "1"]) == 0
    folder = tmp_path / "training" / "quick-seed1-epochs3-learning_rate0.05"
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    text = capsys.readouterr().out
    assert "validation accuracy at the last epoch: " in text and str(folder / "last.pt") in text
    assert commands.main(["test", str(folder / "last.pt")]) == 0
    text = capsys.readouterr().out
    assert "test accuracy " in text and "of 130; 95 % interval" in text and "labels (rows) by answers (columns)" in text


def test_test_looks_at_grey_levels_as_training_did(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(ALL_RECIPES, "raw", Recipe(model="lenet5", learning_rate=0.001, epochs=1, scaling="raw"))
    seen = []
    monkeypatch.setattr(commands, "predict", lambda *_, scaling, **__: seen.append(scaling) or 1 / 0)
    assert commands.main(["train", "raw"]) == 0
    with pytest.raises(ZeroDivisionError):
        commands.main(["test", str(tmp_path / "training" / "raw-seed0" / "last.pt")])
    assert seen == ["raw"]


def test_a_student_is_taught_and_its_validation_accuracy_comes_with_a_warning(capsys, monkeypatch):
    monkeypatch.setitem(ALL_RECIPES, "student", replace(ALL_RECIPES["quick"], teacher="best", epochs=1))
    monkeypatch.setattr(commands, "load_teachers", lambda recipe: [build_model("lenet5")] if recipe.teacher else [])
    for name, warned in (("student", True), ("quick", False)):
        assert commands.main(["train", name]) == 0
        assert ("too high" in capsys.readouterr().out) is warned


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "nobody"],
        ["train", "quick", "--epochs", "0"],
        ["train", "quick", "--lr", "-1"],
        ["train", "quick", "--lr", "nan"],
        ["train", "quick", "--lr", "1e308"],
        ["train", "quick", "--seed", "99999999999999999999"],
        ["train", "quick", "--seed", "-1"],
        ["train", "quick", "--batch-size", "many"],
        ["summary", "nobody"],
        ["fly"],
        [],
    ],
)
def test_bad_arguments_are_explained(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        commands.main(arguments)
    assert stop.value.code == 2 and "error: " in capsys.readouterr().err


def test_what_cannot_be_done_is_one_line_without_a_traceback(capsys, tmp_path):
    assert commands.main(["test", str(tmp_path / "nothing.pt")]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'nothing.pt'}: does not exist")
    assert commands.main(["unpack", str(tmp_path / "nothing.tar")]) == 1
    assert "nothing.tar" in capsys.readouterr().err
    assert commands.main(["unpack", ""]) == 1
    assert "the archive: is no file. Name a .tar" in capsys.readouterr().err
    assert commands.main(["reproduce", "nobody"]) == 2
    assert "no recipe is called nobody; there are five_conv" in capsys.readouterr().err


def test_an_interrupt_says_how_to_go_on(capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "fit", interrupt)
    assert commands.main(["train", "quick"]) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_reproduce_records_and_refuses_the_sample(tiny, capsys, tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(commands, "reproduce_all", lambda runs, mnist: done.extend(runs) or [])
    assert commands.main(["reproduce", "quick", "--seeds", "0", "2"]) == 0
    assert done == [("quick", 0), ("quick", 2)]
    sample = Mnist(tiny.train_images, tiny.train_labels, tiny.test_images, tiny.test_labels, source="sample")
    monkeypatch.setattr(commands.data, "load_mnist", lambda: sample)
    assert commands.main(["reproduce", "quick", "--seeds", "0"]) == 1
    assert "SAMPLE MODE" in (output := capsys.readouterr()).out and "Point MNIST_ROOT at it" in output.err


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


def test_defaults_come_from_the_recipe(monkeypatch):
    seen = {}
    monkeypatch.setattr(commands, "fit", lambda recipe, *_, **options: seen.update(recipe=recipe, **options) or 1 / 0)
    for arguments, expected in (([], ALL_RECIPES["compact"].epochs), (["--epochs", "7"], 7)):
        with pytest.raises(ZeroDivisionError):
            commands.main(["train", "compact", *arguments])
        assert seen["recipe"].epochs == expected and seen["recipe"].augmentation == "crop_and_rotate"
        assert seen["recipe"].learning_rate == 0.01 and seen["seed"] == 0


def test_options_reach_the_run(monkeypatch, tmp_path):
    seen = {}
    monkeypatch.setattr(commands, "fit", lambda recipe, *_, **options: seen.update(recipe=recipe, **options) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        commands.main(["train", "compact", "--batch-size", "9", "--seed", "7", "--folder", str(tmp_path / "here")])
    assert seen["recipe"].batch_size == 9 and seen["seed"] == 7 and seen["folder"] == tmp_path / "here"


def test_what_goes_wrong_shows_in_the_exit_status(monkeypatch, capsys, tmp_path):
    for command, function in (("reproduce quick --seeds 0", "reproduce_all"), ("table", "update_readme")):
        monkeypatch.setattr(commands, function, lambda *_: [RecordError("x.json", "is bad", "Delete it")])
        assert commands.main(command.split()) == 1
        assert "error: x.json: is bad. Delete it." in capsys.readouterr().err
        monkeypatch.setattr(commands, function, lambda *_: [])
        assert commands.main(command.split()) == 0

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(commands, "save_curves", fail)
    assert commands.main(["train", "quick"]) == 1
    assert "No space left" in capsys.readouterr().err


def test_bench_prints_its_table_and_keeps_a_record(tiny, capsys, tmp_path, monkeypatch):
    rounds = [{"entry": name, "seconds": 2.0, "accuracy": None} for name in ("fast", "sprint")]
    asked = []
    monkeypatch.setattr(commands, "run_benchmark", lambda *_, quick: asked.append(quick) or {"rounds": rounds})
    monkeypatch.setattr(commands.benchmark, "RECORD", tmp_path / "kept" / "benchmark.json")
    assert commands.main(["bench", "--quick"]) == 0
    assert "times fast" in capsys.readouterr().out and not (tmp_path / "kept").exists()
    assert commands.main(["bench"]) == 0 and asked == [True, False]
    kept, quick = tmp_path / "kept" / "benchmark.json", tmp_path / "benchmark.json"
    assert json.loads(kept.read_text()) == json.loads(quick.read_text()) == {"rounds": rounds}
    kept.unlink()
    sample = Mnist(tiny.train_images, tiny.train_labels, tiny.test_images, tiny.test_labels, source="sample")
    monkeypatch.setattr(commands.data, "load_mnist", lambda: sample)
    assert commands.main(["bench"]) == 0 and not kept.exists(), "the sample's seconds are of no use to others"


def test_every_recipe_has_seeds():
    assert reproduction.SEEDS.keys() == ALL_RECIPES.keys() - {"quick"}
