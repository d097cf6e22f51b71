"""Records and the runs behind them: complete, checked, resumable, never doubled."""

import dataclasses
import json
import subprocess
import sys
import time

import pytest
import torch

from helpers import records
from helpers.augmentation import AUGMENTATIONS
from helpers.checkpoints import load_network
from helpers.data import Mnist, Split
from helpers.evaluation import predict
from helpers.experiments import ALL_RECIPES, OURS
from helpers.recipes import Recipe
from helpers.records import RecordError, find_path, make_record, read_record, read_records, write_record
from helpers.reproduction import describe_time_left, find_missing, list_runs, reproduce, reproduce_all
from helpers.training import fit

QUICK = Recipe(model="lenet5_regularised", learning_rate=0.05, momentum=0.9, batch_size=32, epochs=3, scaling="raw")


@pytest.fixture
def tiny(stripes, monkeypatch) -> Mnist:
    """270 images to learn from, 130 others to test on, of which 20 carry a wrong label, and a recipe `quick`."""
    monkeypatch.setitem(ALL_RECIPES, "quick", QUICK)
    images, labels = stripes.images.clone(), stripes.labels.clone()
    order = torch.randperm(400, generator=torch.Generator().manual_seed(1))
    images, labels = images[order], labels[order]
    labels[280:300] = (labels[280:300] + 1) % 10
    return Mnist(images[:270], labels[:270], images[270:], labels[270:], source="mnist")


@pytest.fixture
def record(tiny, tmp_path):
    return reproduce("quick", 3, tiny, folder=tmp_path / "results", unfinished=tmp_path / "runs")


def without_seconds(record) -> dict:
    content = dataclasses.asdict(record)
    return content | {"seconds": None, "history": record.history | {"seconds": None}}


def test_a_record_says_what_was_measured(record, tiny, tmp_path):
    assert (record.recipe, record.seed, record.epochs, record.parameters) == ("quick", 3, 3, 44_710)
    assert record.images == 270 and record.validation_accuracy is None
    assert record.correct.shape == (130,) and record.correct.float().mean().item() == pytest.approx(
        record.test_accuracy
    )
    assert record.test_accuracy == pytest.approx(record.history["test_accuracy"][-1])
    assert torch.tensor(record.confusion).sum(1).tolist() == tiny.test_labels.bincount().tolist()
    assert record.table().index.tolist() == [1, 2, 3] and record.seconds == pytest.approx(
        sum(record.history["seconds"])
    )
    assert read_record(tmp_path / "results" / "quick-3.json") == record
    assert not (tmp_path / "runs" / "quick-3").exists()


def test_a_record_is_of_the_last_epoch_on_the_test_images_in_their_order(record, tiny):
    train, test = Split(tiny.train_images, tiny.train_labels), Split(tiny.test_images, tiny.test_labels)
    run = fit(QUICK, train, test, seed=3, device="cpu")
    predictions = predict(run.model, test, scaling="raw")
    assert torch.equal(record.correct, predictions.correct) and 0 < record.test_accuracy < 1
    assert torch.equal(torch.tensor(record.confusion), predictions.confusion)
    assert not record.correct.equal(record.correct.flip(0)), "or the order could not be told"
    assert record.history["train_loss"] == [row["train_loss"] for row in run.history]
    assert record.device.startswith("cpu, ") and record.versions["torch"] == torch.__version__


def test_a_record_of_a_run_with_validation_says_so(tiny):
    train, test = Split(tiny.train_images, tiny.train_labels), Split(tiny.test_images, tiny.test_labels)
    run = fit(QUICK, train, test, seed=3, device="cpu")
    record = make_record("quick", run, predict(run.model, test, scaling="raw"), 270, held_out="validation")
    assert record.validation_accuracy == run.history[-1]["validation_accuracy"]
    assert "test_loss" not in record.history and "validation_loss" in record.history


def test_our_own_recipes_see_the_test_images_once_at_the_end(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(OURS, "quick", QUICK)
    monkeypatch.setattr("helpers.reproduction.KEPT", ("quick",))
    looks = []
    monkeypatch.setattr("helpers.training.evaluate", lambda *_: looks.append(1) or 1 / 0)
    folders = {"folder": tmp_path / "results", "unfinished": tmp_path / "runs", "networks": tmp_path / "networks"}
    record = reproduce("quick", 0, tiny, **folders)
    assert not looks and set(record.history) == {"train_loss", "train_accuracy", "learning_rate", "seconds"}
    assert read_record(tmp_path / "results" / "quick-0.json") == record
    network, _ = load_network(tmp_path / "networks" / "quick-0.pt")
    test = Split(tiny.test_images, tiny.test_labels)
    assert torch.equal(predict(network, test, scaling="raw").correct, record.correct)


def test_a_record_that_cannot_be_written_costs_nothing(tiny, tmp_path, monkeypatch):
    folders = {"folder": tmp_path / "results", "unfinished": tmp_path / "runs"}
    (tmp_path / "results").write_text("a file in the way")
    with pytest.raises(RecordError, match="quick-0.json: cannot be written"):
        reproduce("quick", 0, tiny, **folders)
    (tmp_path / "results").unlink()
    monkeypatch.setattr("helpers.training._train_epoch", None)
    assert reproduce("quick", 0, tiny, **folders).epochs == 3


def test_a_failed_run_does_not_stop_the_others(tiny, tmp_path, capsys):
    (tmp_path / "runs" / "quick-0").mkdir(parents=True)
    (tmp_path / "runs" / "quick-0" / "last.pt").write_bytes(b"damaged")
    runs = list_runs(["quick"], [0, 1, 2])
    (error,) = reproduce_all(runs, tiny, folder=tmp_path / "results", unfinished=tmp_path / "runs")
    assert "last.pt" in str(error) and "quick, seed 0 failed: " in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["quick-1.json", "quick-2.json"]


def test_what_is_recorded_is_skipped(record, tiny, tmp_path, capsys):
    runs = list_runs(["quick"], [3, 4])
    assert find_missing(runs, tmp_path / "results") == ([("quick", 4)], [])
    folders = {"folder": tmp_path / "results", "unfinished": tmp_path / "runs"}
    assert reproduce_all(runs, tiny, **folders) == []
    printed = capsys.readouterr().out
    assert "1 of 2 runs are recorded, 1 are left to do" in printed
    accuracy = read_record(tmp_path / "results" / "quick-4.json").test_accuracy
    assert f"quick, seed 4: test accuracy {accuracy:.2%}" in printed
    before = (tmp_path / "results" / "quick-4.json").read_bytes()
    reproduce_all(runs, tiny, **folders)
    assert "2 of 2 runs are recorded, 0 are left to do" in capsys.readouterr().out
    assert (tmp_path / "results" / "quick-4.json").read_bytes() == before


def test_an_interrupted_run_ends_in_the_same_record(tiny, tmp_path, monkeypatch):
    def stop(images, calls=[]):  # noqa: B006
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return images + 0.01 * torch.randn_like(images)

    monkeypatch.setitem(AUGMENTATIONS, "stop", stop)
    monkeypatch.setitem(ALL_RECIPES, "quick", dataclasses.replace(QUICK, augmentation="stop"))
    folders = {"folder": tmp_path / "results", "unfinished": tmp_path / "runs"}
    with pytest.raises(KeyboardInterrupt):
        reproduce("quick", 0, tiny, **folders)
    assert not (tmp_path / "results").exists() and (tmp_path / "runs" / "quick-0" / "last.pt").exists()
    resumed = reproduce("quick", 0, tiny, **folders)
    undisturbed = reproduce("quick", 0, tiny, folder=tmp_path / "other", unfinished=tmp_path / "runs")
    assert without_seconds(resumed) == without_seconds(undisturbed)
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["quick-0.json"]


KILLED = """
import sys, time, torch
from pathlib import Path
from helpers.augmentation import AUGMENTATIONS
from helpers.data import Mnist
from helpers.experiments import ALL_RECIPES
from helpers.recipes import Recipe
from helpers.reproduction import reproduce
folder, pause = Path(sys.argv[1]), float(sys.argv[2])
AUGMENTATIONS["slow"] = lambda images: time.sleep(pause) or images + 0.01 * torch.randn_like(images)
ALL_RECIPES["slow"] = Recipe(model="mlp", batch_size=32, epochs=3, augmentation="slow")
images = torch.arange(256, dtype=torch.uint8)[:, None, None].repeat(1, 28, 28)
labels = torch.arange(256) % 10
reproduce("slow", 0, Mnist(images, labels, images, labels, "mnist"), folder=folder / "results", unfinished=folder)
"""


def test_a_killed_run_goes_on_and_ends_in_the_same_record(tmp_path, monkeypatch):
    command = [sys.executable, "-c", KILLED]
    process = subprocess.Popen([*command, str(tmp_path), "0.5"], cwd=records.FOLDER.parents[1], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (tmp_path / "slow-0" / "last.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert (tmp_path / "slow-0" / "last.pt").exists() and not (tmp_path / "results").exists()
    for folder in (tmp_path, tmp_path / "undisturbed"):
        subprocess.run([*command, str(folder), "0"], cwd=records.FOLDER.parents[1], check=True, stderr=subprocess.PIPE)
    monkeypatch.setitem(ALL_RECIPES, "slow", Recipe(model="mlp", batch_size=32, epochs=3, augmentation="slow"))
    resumed, undisturbed = (
        read_record(tmp_path / place / "slow-0.json") for place in ("results", "undisturbed/results")
    )
    assert without_seconds(resumed) == without_seconds(undisturbed)


DAMAGES = {
    "lacks test_accuracy": lambda content: json.dumps({k: v for k, v in content.items() if k != "test_accuracy"}),
    "is not a readable record .Expecting": lambda content: "unexpected",
    "is not a readable record .(Unterminated|Expecting)": lambda content: json.dumps(content)[:-40],
    "is of an unknown recipe, 'nobody'": lambda content: json.dumps(content | {"recipe": "nobody"}),
    "is of an unknown seed, 'three'": lambda content: json.dumps(content | {"seed": "three"}),
    "is of quick with seed 5, which its name does not say": lambda content: json.dumps(content | {"seed": 5}),
    "with other settings than quick has now": lambda content: json.dumps(
        content | {"settings": content["settings"] | {"learning_rate": 0.1}}
    ),
    "does not agree with itself": lambda content: json.dumps(content | {"test_accuracy": 0.5}),
    "does not hold every epoch": lambda content: json.dumps(content | {"epochs": 1}),
    "is not a readable record .no fields": lambda content: "[]",
    "is not a readable record .cannot convert": lambda content: json.dumps(content | {"test_accuracy": float("inf")}),
    "has a history of train_loss": lambda content: json.dumps(
        content | {"history": {"train_loss": content["history"]["train_loss"]}}
    ),
    "has a history of .*seconds.*": lambda content: json.dumps(
        content | {"history": content["history"] | {"guess": [0.1] * 3}}
    ),
    "has something else where numbers": lambda content: json.dumps(content | {"seconds": None}),
    "does not say what became of each": lambda content: json.dumps(content | {"test_correct": ""}),
    "on how many test images": lambda content: json.dumps(
        content | {"history": content["history"] | {"test_accuracy": [0.1] * 3}}
    ),
}


@pytest.mark.parametrize("problem", DAMAGES)
def test_a_bad_record_is_named_and_the_rest_still_works(record, tiny, tmp_path, problem):
    folder = tmp_path / "results"
    path = find_path("quick", 4, folder)
    write_record(dataclasses.replace(record, seed=4), folder)
    path.write_text(DAMAGES[problem](json.loads(path.read_text())))
    with pytest.raises(RecordError, match=rf"quick-4.json: .*{problem}.*Delete it"):
        read_record(path)
    good, errors = read_records(folder)
    assert good == [record] and len(errors) == 1 and "quick-4.json" in str(errors[0])
    bad = path.read_bytes()
    (error,) = reproduce_all(list_runs(["quick"], [3, 4, 5]), tiny, folder=folder, unfinished=tmp_path / "runs")
    assert "quick-4.json" in str(error)
    assert path.read_bytes() == bad, "a record is only deleted by hand"
    assert find_path("quick", 5, folder).exists(), "the other runs are done"


def test_a_full_disk_leaves_no_half_record(record, tmp_path, monkeypatch):
    def fill(self, text, **_):
        self.write_bytes(text.encode()[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records.Path, "write_text", fill)
    with pytest.raises(RecordError, match="quick-9.json: cannot be written .*No space left"):
        write_record(dataclasses.replace(record, seed=9), tmp_path / "results")
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["quick-3.json"]


def test_runs_are_listed_seed_by_seed_and_once(tiny):
    assert list_runs(["mlp", "compact"], [1, 0, 1]) == [("compact", 0), ("mlp", 0), ("compact", 1), ("mlp", 1)]
    assert {seed for name, seed in list_runs(["mlp"])} == set(range(10))
    assert {seed for name, seed in list_runs(["lenet5"])} == {0, 1, 2, 3, 4}


def test_time_left_comes_from_the_records(record):
    known = [dataclasses.replace(record, seconds=60.0), dataclasses.replace(record, seconds=120.0)]
    assert describe_time_left([("quick", 5), ("quick", 6)], known) == "about 3 minutes left"
    assert describe_time_left([("quick", 5), ("mlp", 0)], known) == "about 2 minutes left, not counting mlp"


def test_all_committed_records_are_sound_and_complete():
    good, errors = read_records()
    assert not errors
    missing, _ = find_missing(list_runs())
    assert not missing, "run `make results`"
    for record in good:
        assert record.images == 60_000 and len(record.correct) == 10_000
