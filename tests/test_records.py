"""Records and the runs behind them: complete, checked, resumable, never doubled."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from helpers.augmentation import AUGMENTATIONS
from helpers.checkpoints import load_trained, save_trained
from helpers.data import Mnist, Split
from helpers.errors import CheckpointError, InUseError
from helpers.files import hold
from helpers.models import build_model, count_parameters
from helpers.recipes import Recipe
from helpers.trained import Trained
from helpers.training import fit
from lab import records, reproduction
from lab.recipes import ALL_RECIPES, OURS, LabRecipe
from lab.records import Record, RecordError, find_path, make_record, read_record, read_records, write_record
from lab.reproduction import describe_time_left, find_missing, list_runs, load_teachers, reproduce, reproduce_all

QUICK = Recipe(model="lenet5_regularised", learning_rate=0.05, momentum=0.9, batch_size=32, epochs=2, scaling="raw")
# Of 100 test images, ten of each digit, three are wrong: a 0 taken for a 1, and two 9s taken for a 7.
CONFUSION = [[10 * (answer == digit) for answer in range(10)] for digit in range(10)]
CONFUSION[0][:2], CONFUSION[9][7:] = [9, 1], [2, 0, 8]
SOUND = Record(
    recipe="small_vgg",
    seed=4,
    settings=dataclasses.asdict(ALL_RECIPES["small_vgg"]),
    images=60_000,
    parameters=19_610,
    epochs=5,
    validation_accuracy=None,
    test_accuracy=0.97,
    test_wrong=[0, 19, 99],
    confusion=CONFUSION,
    seconds=50.5,
    device="cpu, 1 threads, x86_64",
    versions={"python": "3.12.1", "torch": "2.8.0", "system": "Linux"},
    history={
        "train_loss": [0.5, 0.4, 0.3, 0.2, 0.1],
        "train_accuracy": [0.8, 0.85, 0.9, 0.95, 0.96],
        "test_loss": [0.4, 0.3, 0.2, 0.1, 0.1],
        "test_accuracy": [0.9, 0.92, 0.94, 0.98, 0.97],
        "learning_rate": [0.01, 0.01, 0.01, 0.01, 0.01],
        "seconds": [10.5, 10.0, 10.0, 10.0, 10.0],
    },
)
HISTORY = SOUND.history
WATCHED = {name.replace("test", "validation"): values for name, values in HISTORY.items()}
HELD_OUT = dataclasses.replace(SOUND, images=55_000, validation_accuracy=0.97, history=WATCHED)


@pytest.fixture
def tiny(stripes, monkeypatch) -> Mnist:
    """270 images to learn from, 130 others to test on, of which 20 carry a wrong label, and a recipe `quick`."""
    monkeypatch.setitem(ALL_RECIPES, "quick", QUICK)
    monkeypatch.setattr(records, "IMAGES", 270)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(1))
    images, labels = stripes.images[order], stripes.labels[order]
    labels[280:300] = (labels[280:300] + 1) % 10
    return Mnist(Split(images[:270], labels[:270]), Split(images[270:], labels[270:]), source="mnist")


@pytest.fixture
def folders(tmp_path) -> dict[str, Path]:
    return {"folder": tmp_path / "results", "unfinished": tmp_path / "runs"}


def without_seconds(record: Record) -> dict:
    content = dataclasses.asdict(record)
    return content | {"seconds": None, "history": record.history | {"seconds": None}}


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_is_recorded_at_its_last_epoch_on_the_test_images_in_their_order(tiny, folders):
    record = reproduce("quick", 3, tiny, **folders)
    assert read_record(folders["folder"] / "quick-3.json") == record
    assert not (folders["unfinished"] / "quick-3").exists()
    assert (record.recipe, record.seed, record.epochs, record.parameters) == ("quick", 3, 2, 44_710)
    assert record.settings == dataclasses.asdict(QUICK)
    assert record.images == 270 and record.validation_accuracy is None
    assert record.versions["torch"] == torch.__version__ and record.device
    run = fit(QUICK, tiny.train, tiny.test, seed=3)
    predictions = run.predict(tiny.test)
    assert torch.equal(record.correct, predictions.correct) and record.correct.shape == (130,)
    assert 0 < record.test_accuracy < 1 and not record.correct.equal(record.correct.flip(0)), (
        "or order could not be told"
    )
    assert record.test_wrong == [place for place, correct in enumerate(predictions.correct) if not correct]
    assert record.test_accuracy == record.history["test_accuracy"][-1] == 1 - len(record.test_wrong) / 130
    assert torch.equal(torch.tensor(record.confusion), predictions.confusion)
    assert torch.tensor(record.confusion).sum(1).tolist() == tiny.test.labels.bincount().tolist()
    for column in ("train_loss", "train_accuracy", "learning_rate"):
        assert record.history[column] == [row[column] for row in run.history]
    assert record.seconds == pytest.approx(sum(record.history["seconds"]))
    assert record.table().index.tolist() == [1, 2] and record.table().index.name == "epoch"


def test_a_record_of_a_run_with_validation_says_so(tiny, tmp_path):
    row = {"epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5, "validation_loss": 1.0, "validation_accuracy": 0.25}
    rows = [row | {"epoch": epoch, "learning_rate": 0.05, "seconds": 1.234} for epoch in (1, 2)]
    rows[0]["validation_accuracy"] = 0.5  # better than at the end, which counts all the same
    run = Trained(build_model(QUICK.model), QUICK, 3, rows)
    record = make_record("quick", run, run.predict(tiny.test), 200, held_out="validation")
    assert record.validation_accuracy == 0.25 and record.images == 200 and record.seconds == 2.46
    assert "test_loss" not in record.history and record.history["validation_loss"] == [1.0, 1.0]
    assert read_record(write_record(record, tmp_path)) == record


def test_our_own_recipes_see_the_test_images_once_at_the_end_and_keep_their_network(
    tiny, folders, tmp_path, monkeypatch
):
    monkeypatch.setitem(OURS, "quick", QUICK)
    monkeypatch.setattr(reproduction, "KEPT", ("quick",))
    monkeypatch.setattr("helpers.training.evaluate", lambda *_: pytest.fail("a look before the end"))
    runs = []
    monkeypatch.setattr(reproduction, "fit", lambda *some, teachers, **more: runs.append(fit(*some, **more)) or runs[0])
    record = reproduce("quick", 0, tiny, **folders, networks=tmp_path / "networks")
    assert set(record.history) == {"train_loss", "train_accuracy", "learning_rate", "seconds"}
    assert read_record(folders["folder"] / "quick-0.json") == record
    kept = load_trained(tmp_path / "networks" / "quick-0.pt")
    assert kept.recipe == QUICK and kept.seed == 0
    for name, weight in runs[0].network.cpu().state_dict().items():
        rounded = weight.half().float() if weight.is_floating_point() else weight
        assert torch.equal(kept.network.state_dict()[name], rounded), "half of the file, 11 bits of each weight"


def test_a_student_is_taught_by_the_kept_networks(tiny, folders, tmp_path, monkeypatch):
    student, networks = LabRecipe(**dataclasses.asdict(QUICK), teacher="quick"), tmp_path / "networks"
    monkeypatch.setitem(ALL_RECIPES, "student", student)
    monkeypatch.setitem(reproduction.SEEDS, "quick", range(2))
    monkeypatch.setattr(reproduction, "KEPT", ("quick",))
    assert load_teachers(QUICK, networks) == []
    for seed in range(2):
        reproduce("quick", seed, tiny, **folders, networks=networks)
    teachers, given = load_teachers(student, networks), []
    assert len(teachers) == 2 and not any(teacher.training for teacher in teachers)
    assert not torch.equal(*(next(teacher.parameters()) for teacher in teachers)), "one for each seed"
    monkeypatch.setattr(reproduction, "fit", lambda *_, teachers, **__: given.extend(teachers) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        reproduce("student", 0, tiny, **folders, networks=networks)
    assert len(given) == 2


def test_a_record_that_cannot_be_written_costs_nothing(tiny, folders, monkeypatch):
    folders["folder"].write_text("a file in the way")
    with pytest.raises(RecordError, match="quick-0.json: cannot be written"):
        reproduce("quick", 0, tiny, **folders)
    folders["folder"].unlink()
    monkeypatch.setattr("helpers.training.seed_epoch", lambda *_: pytest.fail("an epoch is trained again"))
    assert reproduce("quick", 0, tiny, **folders).epochs == 2


def test_a_failed_run_does_not_stop_the_others(tiny, folders, capsys):
    (folders["unfinished"] / "quick-0").mkdir(parents=True)
    (folders["unfinished"] / "quick-0" / "last.pt").write_bytes(b"damaged")
    (error,) = reproduce_all(list_runs(["quick"], [0, 1]), tiny, **folders)
    assert "last.pt" in str(error) and "quick, seed 0 failed: " in capsys.readouterr().out
    assert list_names(folders["folder"]) == ["quick-1.json"]


def test_what_is_recorded_is_skipped_and_a_bad_record_is_only_deleted_by_hand(tmp_path, capsys, monkeypatch):
    def fake(name, seed, *_, **__):
        done.append((name, seed))
        write_record(dataclasses.replace(SOUND, seed=seed), tmp_path)
        return SOUND

    done = []
    monkeypatch.setattr(reproduction, "reproduce", fake)
    kept = write_record(SOUND, tmp_path)
    bad = find_path("small_vgg", 5, tmp_path)
    bad.write_text("damaged")
    runs = list_runs(["small_vgg"], [4, 5, 6])
    missing, (error,) = find_missing(runs, tmp_path)
    assert missing == [("small_vgg", 6)] and "small_vgg-5.json" in str(error)
    before = kept.read_bytes()
    (error,) = reproduce_all(runs, None, folder=tmp_path)
    assert "small_vgg-5.json" in str(error) and done == [("small_vgg", 6)]
    printed = capsys.readouterr().out
    assert str(error) in printed and "1 of 3 runs are recorded, 1 are left to do" in printed
    assert "1/1: small_vgg, seed 6; about 1 minutes left" in printed
    assert "small_vgg, seed 6: test accuracy 97.00% in 50 s" in printed
    reproduce_all(runs, None, folder=tmp_path)
    assert "2 of 3 runs are recorded, 0 are left to do" in capsys.readouterr().out and len(done) == 1
    assert kept.read_bytes() == before and bad.read_text() == "damaged"


def test_a_finished_run_tells_how_long_the_others_of_its_recipe_take(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(reproduction, "reproduce", lambda *_, **__: SOUND)
    reproduce_all([("small_vgg", 4), ("small_vgg", 5)], None, folder=tmp_path)
    printed = capsys.readouterr().out
    assert "1/2: small_vgg, seed 4; about 0 minutes left, not counting small_vgg\n" in printed
    assert "2/2: small_vgg, seed 5; about 1 minutes left\n" in printed


def test_an_interrupted_run_ends_in_the_same_record(tiny, folders, tmp_path, monkeypatch):
    def stop(images):
        calls.append(len(images))
        if len(calls) == 13:
            raise KeyboardInterrupt
        return images + 0.01 * torch.randn_like(images)

    calls = []
    monkeypatch.setitem(AUGMENTATIONS, "stop", stop)
    monkeypatch.setitem(ALL_RECIPES, "quick", dataclasses.replace(QUICK, augmentation="stop"))
    with pytest.raises(KeyboardInterrupt, match="1 of 2 epochs are saved"):
        reproduce("quick", 0, tiny, **folders)
    assert not folders["folder"].exists() and (folders["unfinished"] / "quick-0" / "last.pt").exists()
    resumed = reproduce("quick", 0, tiny, **folders)
    assert len(calls) == 13 + 9, "the second epoch only"
    undisturbed = reproduce("quick", 0, tiny, **folders | {"folder": tmp_path / "other"})
    assert without_seconds(resumed) == without_seconds(undisturbed)
    assert list_names(folders["folder"]) == ["quick-0.json"]


KILLED = """
import sys, time, torch
from pathlib import Path
from helpers.augmentation import AUGMENTATIONS
from helpers.data import Mnist, Split
from helpers.recipes import Recipe
from lab.recipes import ALL_RECIPES
from lab.reproduction import reproduce
calls = []
def change(images):
    calls.append(1)
    if len(calls) == STOP:
        print("in the second epoch", flush=True)
        time.sleep(600)
    return images + 0.01 * torch.randn_like(images)
torch.set_num_threads(1)
AUGMENTATIONS["slow"] = change
ALL_RECIPES["slow"] = Recipe(model="mlp", batch_size=64, epochs=3, augmentation="slow")
split = Split(torch.arange(256, dtype=torch.uint8)[:, None, None].repeat(1, 28, 28), torch.arange(256) % 10)
RECORD = reproduce("slow", 0, Mnist(split, split, "mnist"), folder=FOLDER / "results", unfinished=FOLDER)
"""


def test_a_killed_run_goes_on_and_ends_in_the_same_record(tmp_path, monkeypatch):
    set_up = f"from pathlib import Path\nSTOP, FOLDER = 6, Path({str(tmp_path)!r})\n"
    command = [sys.executable, "-c", set_up + KILLED]
    with subprocess.Popen(command, cwd=records.FOLDER.parents[1], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "in the second epoch\n"
        process.kill()
    assert (tmp_path / "slow-0" / "last.pt").exists() and not (tmp_path / "results").exists()
    monkeypatch.setitem(ALL_RECIPES, "slow", None)  # and AUGMENTATIONS: both are put back after the test
    monkeypatch.setitem(AUGMENTATIONS, "slow", None)
    resumed, undisturbed = {"STOP": 0, "FOLDER": tmp_path}, {"STOP": 0, "FOLDER": tmp_path / "undisturbed"}
    for names in (resumed, undisturbed):
        exec(KILLED, names)
    assert (len(resumed["calls"]), len(undisturbed["calls"])) == (8, 12), "of four steps an epoch"
    assert without_seconds(resumed["RECORD"]) == without_seconds(undisturbed["RECORD"])
    assert find_path("slow", 0, tmp_path / "results").exists()


def test_a_sound_record_comes_back_as_it_was(tmp_path):
    for record in (SOUND, HELD_OUT):
        path = write_record(record, tmp_path)
        assert path == tmp_path / "small_vgg-4.json" and read_record(path) == record
        assert len(path.read_text().splitlines()) == len(dataclasses.fields(Record)) + 2, "a line for each field"
    assert SOUND.correct.sum() == 97 and not SOUND.correct[torch.tensor([0, 19, 99])].any()


def test_reading_draws_no_random_number(tmp_path):
    path, state = write_record(SOUND, tmp_path), torch.get_rng_state()
    records._count_parameters.cache_clear()
    read_record(path)
    assert torch.equal(torch.get_rng_state(), state)


def refuse(tmp_path: Path, text: str, problem: str = "") -> None:
    path = find_path("small_vgg", 4, tmp_path)
    path.write_text(text)
    with pytest.raises(RecordError, match=rf"small_vgg-4.json: .*{problem}.*Delete it") as caught:
        read_record(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not a readable record .Expecting"),
        ("unexpected", "is not a readable record .Expecting"),
        (json.dumps(dataclasses.asdict(SOUND))[:-40], "is not a readable record .(Unterminated|Expecting)"),
        ("[]", "is not a readable record .no fields"),
        ("{}", "lacks recipe, seed, settings"),
        ("[" * 100_000, "is not a readable record"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path, text, problem):
    refuse(tmp_path, text, problem)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Record)])
def test_every_field_has_to_be_there(tmp_path, field):
    content = dataclasses.asdict(SOUND)
    del content[field]
    refuse(tmp_path, json.dumps(content), f"lacks {field}")


def swap(rows: list[list[int]], digit: int, answer: int, value: object) -> list[list]:
    rows = [list(row) for row in rows]
    rows[digit][answer] = value
    return rows


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"recipe": "nobody"}, "is of an unknown recipe, 'nobody'"),
        ({"recipe": ["small_vgg"]}, "is not a readable record"),
        *[({"seed": seed}, f"is of an unknown seed, {seed!r}") for seed in ("three", -1, 4.0, True, None)],
        ({"seed": 5}, "is of small_vgg with seed 5, which its name does not say"),
        ({"recipe": "mlp"}, "is of mlp with seed 4, which its name does not say"),
        ({"settings": SOUND.settings | {"learning_rate": 0.1}}, "with other settings than small_vgg has now"),
        ({"settings": SOUND.settings | {"nesterov": False}}, "with other settings"),
        ({"settings": {}}, "with other settings"),
        ({"more": 1}, "is not a readable record .*more"),
        ({"images": 59_999}, "is of a run on 59999 images"),
        ({"images": 120_000}, "is of a run on 120000 images"),
        ({"parameters": 19_611}, "is of a network with 19611 parameters, which small_vgg has not"),
        ({"epochs": 4}, "does not hold every epoch"),
        ({"history": HISTORY | {"test_loss": [0.1] * 4}}, "does not hold every epoch"),
        ({"history": {"train_loss": [0.1] * 5}}, "has a history of train_loss"),
        ({"history": HISTORY | {"guess": [0.1] * 5}}, "has a history of .*seconds.*guess"),
        ({"history": HISTORY | {"test_loss": "12345"}}, "is not a readable record"),
        ({"history": []}, "has a history of"),
        ({"seconds": None}, "has something else where numbers"),
        ({"validation_accuracy": 0.97}, "has a history of"),
        ({"test_accuracy": 0.96}, "does not agree with itself on how many test images"),
        ({"history": HISTORY | {"test_accuracy": [0.97] * 4 + [0.9]}}, "on how many test images"),
        ({"test_wrong": [0, 19]}, "on how many test images"),
        ({"test_wrong": [0, 19, 20, 99]}, "on how many test images"),
        ({"test_wrong": [0, 99, 19]}, "in rising order"),
        ({"test_wrong": [0, 19, 19]}, "in rising order"),
        ({"test_wrong": [0, 19, 100]}, "in rising order"),
        ({"test_wrong": [-1, 0, 19]}, "in rising order"),
        ({"test_wrong": [0, 19.0, 99]}, "in rising order"),
        ({"test_wrong": [False, 19, 99]}, "in rising order"),
        ({"test_wrong": [0, "19", 99]}, "in rising order"),
        ({"test_wrong": None}, "is not a readable record"),
        ({"confusion": CONFUSION[:9]}, "does not say what became of each"),
        ({"confusion": [row[:9] for row in CONFUSION]}, "is not a readable record|does not say what became of each"),
        ({"confusion": [[0] * 10] * 10}, "does not say what became of each"),
        ({"confusion": swap(CONFUSION, 1, 1, 11)}, "on how many test images"),
        ({"confusion": swap(CONFUSION, 0, 1, 2)}, "on how many test images"),
        ({"confusion": swap(swap(CONFUSION, 1, 2, -1), 1, 3, 1)}, "does not say what became of each"),
        ({"confusion": swap(CONFUSION, 0, 1, 1.0)}, "does not say what became of each"),
        ({"confusion": swap(CONFUSION, 0, 1, True)}, "does not say what became of each"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(tmp_path, changes, problem):
    refuse(tmp_path, json.dumps(dataclasses.asdict(SOUND) | changes), problem)


@pytest.mark.parametrize("changes", [{"validation_accuracy": 0.5}, {"images": 60_000}, {"images": 0}])
def test_a_record_with_validation_images_has_to_agree_with_itself_as_well(tmp_path, changes):
    refuse(tmp_path, json.dumps(dataclasses.asdict(HELD_OUT) | changes), "is of a run on|on the validation accuracy")


def list_places(value: object, place: tuple = ()) -> list[tuple]:
    """The way to every text and number of some JSON."""
    if isinstance(value, (dict, list)):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        return [found for key, part in inside for found in list_places(part, (*place, key))]
    return [place]


@pytest.mark.parametrize("record", [SOUND, HELD_OUT])
def test_nothing_but_a_number_stands_where_one_should(tmp_path, record):
    text = json.dumps(dataclasses.asdict(record))
    for place in list_places(json.loads(text)):
        content = json.loads(text)
        part = content
        for key in place[:-1]:
            part = part[key]
        number = isinstance(part[place[-1]], (int, float))
        for other in ("NaN", "1e999", "-1", '"many"') if number else ("NaN",):
            part[place[-1]] = "OTHER"
            refuse(tmp_path, json.dumps(content).replace('"OTHER"', other))


def test_bad_records_are_named_and_the_others_read_in_order(tmp_path):
    lenet = ALL_RECIPES["lenet5"]
    history = {name: [*values[:-1]] * 5 for name, values in HISTORY.items()}
    history["test_accuracy"][-1] = 0.97
    changes = {"settings": dataclasses.asdict(lenet), "parameters": 44_426, "epochs": 20, "history": history}
    kept = [dataclasses.replace(SOUND, recipe="lenet5", seed=seed, **changes) for seed in (2, 10)]
    kept += [dataclasses.replace(SOUND, seed=3), SOUND]
    for record in kept:
        write_record(record, tmp_path)
    (tmp_path / "mlp-0.json").write_text("{}")
    found, (error,) = read_records(tmp_path)
    assert found == kept and "mlp-0.json" in str(error)
    with pytest.raises(RecordError, match="mlp-1.json: does not exist. Run `make results`"):
        read_record(tmp_path / "mlp-1.json")


def test_a_full_disk_leaves_no_half_record(tmp_path, monkeypatch):
    def fill(self, text, **_):
        self.write_bytes(text.encode()[:100])
        raise OSError(28, "No space left on device")

    write_record(SOUND, tmp_path)
    monkeypatch.setattr(Path, "write_text", fill)
    for seed in (4, 9):
        with pytest.raises(RecordError, match=f"small_vgg-{seed}.json: cannot be written .*No space left"):
            write_record(dataclasses.replace(SOUND, seed=seed), tmp_path)
    assert list_names(tmp_path) == ["small_vgg-4.json"] and read_record(tmp_path / "small_vgg-4.json") == SOUND


def test_runs_are_listed_seed_by_seed_and_once_and_students_last():
    assert list_runs(["mlp", "compact"], [1, 0, 1]) == [("compact", 0), ("mlp", 0), ("compact", 1), ("mlp", 1)]
    assert list_runs(["best_taught", "best"], [0, 1])[2:] == [("best_taught", 0), ("best_taught", 1)]
    assert {seed for _, seed in list_runs(["mlp"])} == set(range(10))
    assert {seed for _, seed in list_runs(["lenet5"])} == set(range(5))
    assert {name for name, _ in list_runs()} == ALL_RECIPES.keys() == reproduction.SEEDS.keys()


def test_time_left_comes_from_the_records():
    known = [dataclasses.replace(SOUND, seconds=60.0), dataclasses.replace(SOUND, seconds=120.0)]
    assert describe_time_left([("small_vgg", 5), ("small_vgg", 6)], known) == "about 3 minutes left"
    assert describe_time_left([("small_vgg", 5), ("mlp", 0)], known) == "about 2 minutes left, not counting mlp"


def test_all_committed_records_are_sound_and_complete():
    good, errors = read_records()
    assert not errors
    missing, _ = find_missing(list_runs())
    assert not missing, "run `make results`"
    for record in good:
        assert record.images == 60_000 and len(record.correct) == 10_000
        assert record.parameters == count_parameters(build_model(record.settings["model"]))


def test_of_two_reproductions_of_one_run_the_second_does_the_others_first_and_takes_it_up(tiny, folders, capsys):
    with contextlib.ExitStack() as other:
        other.enter_context(hold(folders["unfinished"] / "quick-0.json"))
        worker = threading.Thread(target=reproduce_all, args=([("quick", 0), ("quick", 1)], tiny), kwargs=folders)
        worker.start()
        wait_for_text(capsys, "waiting for quick, seed 0")
        assert list_names(folders["folder"]) == ["quick-1.json"], "the other run is done all the same"
    worker.join(60)
    assert list_names(folders["folder"]) == ["quick-0.json", "quick-1.json"], "what the other left is done here"


def wait_for_text(capsys, text: str) -> None:
    """Return when it has been printed; what a held run says of its holder is looked at on the way."""
    printed, ends = "", time.monotonic() + 60
    while text not in printed:
        assert time.monotonic() < ends, printed
        time.sleep(0.05)
        printed += capsys.readouterr().out
    assert f"is put off: is in use by process {os.getpid()} " in printed


def test_what_another_has_recorded_meanwhile_is_not_trained_again(tiny, folders, monkeypatch):
    record = reproduce("quick", 1, tiny, **folders)
    monkeypatch.setattr(reproduction, "fit", lambda *_, **__: pytest.fail("what is recorded is trained again"))
    assert reproduce("quick", 1, tiny, **folders) == record == read_record(folders["folder"] / "quick-1.json")


def test_a_student_waits_for_teachers_whom_another_trains(monkeypatch, tiny, tmp_path, capsys):
    def train(name, seed, *_, **__):
        done.append(name)
        if done == ["quick"]:
            raise InUseError("quick-0.json", "is in use by another process", "Wait")
        return SOUND

    done = []
    monkeypatch.setitem(ALL_RECIPES, "student", LabRecipe(**dataclasses.asdict(QUICK), teacher="quick"))
    monkeypatch.setattr(reproduction, "reproduce", train)
    folders = {name: tmp_path / name for name in ("folder", "unfinished", "networks")}
    assert reproduce_all([("quick", 0), ("student", 0)], tiny, **folders) == []
    assert done == ["quick", "quick", "student"]
    assert "student, seed 0 is put off: its teachers are not trained yet" in capsys.readouterr().out


@pytest.mark.parametrize("change", [{"seed": 7}, {"recipe": dataclasses.replace(QUICK, epochs=1)}])
def test_a_network_under_another_s_name_does_not_teach(tiny, folders, tmp_path, monkeypatch, change):
    student = LabRecipe(**dataclasses.asdict(QUICK), teacher="quick")
    monkeypatch.setitem(reproduction.SEEDS, "quick", range(1))
    network = build_model(QUICK.model)
    save_trained(tmp_path / "quick-0.pt", Trained(network, QUICK, 0))
    assert len(load_teachers(student, tmp_path)) == 1
    save_trained(tmp_path / "quick-0.pt", dataclasses.replace(Trained(network, QUICK, 0), **change))
    with pytest.raises(CheckpointError, match="quick-0.pt: is not quick trained with seed 0"):
        load_teachers(student, tmp_path)
