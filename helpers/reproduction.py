"""Run recipes over seeds, each run recorded as it finishes; what is recorded already is skipped."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from helpers import records
from helpers.data import Mnist, Split
from helpers.device import device
from helpers.evaluation import predict
from helpers.experiments import ALL_RECIPES
from helpers.records import Record, find_path, make_record, read_record, read_records, write_record
from helpers.training import fit

UNFINISHED = Path(__file__).resolve().parents[1] / "build" / "runs"
# How often each recipe is repeated: fewer times where one run takes ten minutes.
SEEDS = {name: range(3 if name in ("five_conv", "compact") else 5) for name in ALL_RECIPES}


def list_runs(names: Iterable[str] = (), seeds: Iterable[int] | None = None) -> list[tuple[str, int]]:
    """Pairs of recipe and seed: all recipes where no name is given, each with its own seeds unless told."""
    return [(name, seed) for name in names or ALL_RECIPES for seed in (SEEDS[name] if seeds is None else seeds)]


def find_missing(runs: Iterable[tuple[str, int]], folder: Path = records.FOLDER) -> list[tuple[str, int]]:
    """Those of the runs that have no record yet.

    Raises:
        RecordError: one of them has a record that cannot be used.
    """
    missing = []
    for name, seed in runs:
        path = find_path(name, seed, folder)
        if path.exists():
            read_record(path)
        else:
            missing.append((name, seed))
    return missing


def reproduce(
    name: str, seed: int, mnist: Mnist, folder: Path = records.FOLDER, unfinished: Path = UNFINISHED
) -> Record:
    """Train a recipe on all 60,000 images, test it at its last epoch, and record that.

    An interrupted run goes on from its last finished epoch. The published projects held no images out, so the
    history looks at the test images, as theirs do; nothing is chosen by it.

    Args:
        name: of a recipe.
        seed: of the run.
        mnist: the real data set.
        folder: keeps the records.
        unfinished: keeps the checkpoints of runs that are not recorded yet.

    Raises:
        CheckpointError: the run was interrupted and its checkpoint is damaged.
        RecordError: the record cannot be written.
    """
    train, test = Split(mnist.train_images, mnist.train_labels), Split(mnist.test_images, mnist.test_labels)
    checkpoints = unfinished / f"{name}-{seed}"
    run = fit(ALL_RECIPES[name], train, test, seed=seed, folder=checkpoints)
    predictions = predict(run.model, test, device=device(), scaling=run.recipe.scaling)
    record = make_record(name, run, predictions, len(train), held_out="test")
    write_record(record, folder)
    shutil.rmtree(checkpoints)
    return record


def estimate_seconds(runs: Iterable[tuple[str, int]], known: Iterable[Record]) -> float | None:
    """What runs will take, by the records of the same recipes; None where one has no record."""
    seconds = {}
    for record in known:
        seconds.setdefault(record.recipe, []).append(record.seconds)
    if any(name not in seconds for name, _ in runs):
        return None
    return sum(sum(seconds[name]) / len(seconds[name]) for name, _ in runs)


def reproduce_all(runs: list[tuple[str, int]], mnist: Mnist, folder: Path = records.FOLDER) -> None:
    """Go through the runs that have no record, and say before each how many are left and how long that takes.

    Raises:
        RecordError, CheckpointError: as `reproduce`.
    """
    missing = find_missing(runs, folder)
    print(f"{len(runs) - len(missing)} of {len(runs)} runs are recorded, {len(missing)} are left to do", flush=True)
    for number, (name, seed) in enumerate(missing):
        left = estimate_seconds(missing[number:], read_records(folder)[0])
        time_left = f"about {left / 60:.0f} minutes left" if left is not None else "time left not known yet"
        print(f"{number + 1}/{len(missing)}: {name}, seed {seed} ({time_left})", flush=True)
        record = reproduce(name, seed, mnist, folder)
        print(f"{name}, seed {seed}: test accuracy {record.test_accuracy:.2%} in {record.seconds:.0f} s", flush=True)
