"""Run recipes over seeds, each run recorded as it finishes; what is recorded already is skipped."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from helpers.checkpoints import PUBLISHED, load_trained, save_trained
from helpers.data import Mnist
from helpers.errors import CheckpointError, CourseError, InUseError
from helpers.files import HOME, hold
from helpers.recipes import Recipe
from lab import records
from lab.recipes import ALL_RECIPES, OURS, extend
from lab.records import Record, RecordError, find_path, make_record, read_record, read_records, write_record
from lab.text_files import publish_hashes
from lab.training import fit

UNFINISHED = HOME / "build" / "runs"
NETWORKS = HOME / "data" / "checkpoints"
KEPT = ("best",)
# How often each recipe is repeated, if not five times: less often where a run takes a quarter of an hour or more.
REPETITIONS = {"five_conv": 3, "compact": 3, "mlp": 10}
SEEDS = {name: range(REPETITIONS.get(name, 5)) for name in ALL_RECIPES}


def list_runs(names: Iterable[str] = (), seeds: Iterable[int] | None = None) -> list[tuple[str, int]]:
    """Pairs of recipe and seed, the first seed of each recipe before the second, and recipes with a teacher last.

    Args:
        names: of recipes; all of them where none is given.
        seeds: for each recipe; by default its own of `SEEDS`.
    """
    runs = {(name, seed) for name in names or ALL_RECIPES for seed in (SEEDS[name] if seeds is None else seeds)}
    order = list(ALL_RECIPES)
    return sorted(runs, key=lambda run: (extend(ALL_RECIPES[run[0]]).teacher is not None, run[1], order.index(run[0])))


def find_missing(
    runs: Iterable[tuple[str, int]], folder: Path = records.FOLDER
) -> tuple[list[tuple[str, int]], list[RecordError]]:
    """Those of the runs that have no record yet, and what is wrong with records that cannot be used."""
    missing, errors = [], []
    for name, seed in runs:
        path = find_path(name, seed, folder)
        try:
            if path.exists():
                read_record(path)
            else:
                missing.append((name, seed))
        except RecordError as error:
            errors.append(error)
    return missing, errors


def reproduce(
    name: str,
    seed: int,
    mnist: Mnist,
    *,
    folder: Path = records.FOLDER,
    unfinished: Path = UNFINISHED,
    networks: Path = NETWORKS,
) -> Record:
    """Train a recipe on all training images, test it at its last epoch, and record that.

    An interrupted run goes on from its last finished epoch; one that another process has recorded since is read. The
    published projects held no images out, so their history looks at the test images, as it did there; nothing is
    chosen by it. The course's own recipes, which were chosen on validation, look at the test images once, at the end.

    Args:
        name: of a recipe.
        seed: of the run.
        mnist: the data set.
        folder: keeps the records.
        unfinished: keeps the checkpoints of runs that are not recorded yet.
        networks: keeps the trained networks of the recipes in `KEPT`.

    Raises:
        InUseError: another process is at this run.
        CheckpointError: its checkpoint is damaged, of another run, or cannot be written; or a teacher is missing.
        TrainingError: the loss is not a number any more.
        RecordError: the record cannot be written.
    """
    checkpoints, path = unfinished / f"{name}-{seed}", find_path(name, seed, folder)
    with hold(unfinished / path.name):
        if path.exists():
            return read_record(path)
        recipe, looked_at = ALL_RECIPES[name], None if name in OURS else mnist.test
        teachers = load_teachers(recipe, networks)
        run = fit(recipe, mnist.train, looked_at, seed=seed, folder=checkpoints, teachers=teachers)
        record = make_record(name, run, run.predict(mnist.test), len(mnist.train), held_out="test")
        if name in KEPT:
            save_trained(networks / f"{name}-{seed}.pt", run, precision=torch.float16)
            with hold(networks / PUBLISHED, seconds=60):  # another process may have trained another network
                publish_hashes(networks)
        write_record(record, folder)
        shutil.rmtree(checkpoints, ignore_errors=True)
        return record


def load_teachers(recipe: Recipe, networks: Path = NETWORKS) -> list[nn.Module]:
    """The kept networks of the recipe's teacher; none where it has no teacher.

    They have learnt from all training images, so no image that is held out of those tells how good a student is.

    Raises:
        CheckpointError: one of them is missing, damaged, or of another run than its name says.
    """
    teacher, found = extend(recipe).teacher, []
    for seed in SEEDS[teacher] if teacher else ():
        path = networks / f"{teacher}-{seed}.pt"
        trained = load_trained(path)
        if (extend(trained.recipe), trained.seed) != (extend(ALL_RECIPES[teacher]), seed):
            raise CheckpointError(path, f"is not {teacher} trained with seed {seed}", "Get the published file again")
        found.append(trained.network)
    return found


def reproduce_all(
    runs: list[tuple[str, int]],
    mnist: Mnist,
    *,
    folder: Path = records.FOLDER,
    unfinished: Path = UNFINISHED,
    networks: Path = NETWORKS,
) -> list[Exception]:
    """Do the runs that have no record, saying before each how many are left and how long that will take.

    Any number of processes can do this side by side, on one machine or on several that share the folders. What
    another is at is put off, and done in the end if it has ended without a record.

    Args:
        runs: recipes and seeds.
        mnist: the data set.
        folder: keeps the records.
        unfinished: keeps the checkpoints of runs that are not recorded yet.
        networks: keeps the trained networks of the recipes in `KEPT`.

    Returns:
        What went wrong: records that are there and cannot be used, whose runs are not repeated, and runs that failed.
        The others are done all the same.
    """
    missing, errors = find_missing(runs, folder)
    print(*errors, sep="\n", end="\n" if errors else "")
    print(f"{len(runs) - len(missing) - len(errors)} of {len(runs)} runs are recorded, {len(missing)} are left to do")
    known, _ = read_records(folder)
    folders = {"folder": folder, "unfinished": unfinished, "networks": networks}
    while missing:
        put_off = do_what_is_free(missing, known, errors, mnist, **folders)
        if put_off == missing:
            name, seed = put_off[0]
            print(f"waiting for {name}, seed {seed}", flush=True)
            with hold(unfinished / find_path(name, seed).name, seconds=-1):
                pass
        missing = put_off
    return errors


def do_what_is_free(
    missing: list[tuple[str, int]], known: list[Record], errors: list[Exception], mnist: Mnist, **folders: Path
) -> list[tuple[str, int]]:
    """Go through runs once, adding to the records and errors; returns those that other processes are at."""
    put_off: list[tuple[str, int]] = []
    for number, (name, seed) in enumerate(missing):
        left = describe_time_left(missing[number:], known)
        print(f"{number + 1}/{len(missing)}: {name}, seed {seed}; {left}", flush=True)
        try:
            if extend(ALL_RECIPES[name]).teacher in [recipe for recipe, _ in put_off]:
                raise InUseError(name, "its teachers are not trained yet", "Wait until they are")
            record = reproduce(name, seed, mnist, **folders)
        except InUseError as error:
            put_off.append((name, seed))
            print(f"{name}, seed {seed} is put off: {error.problem}", flush=True)
        except CourseError as error:
            errors.append(error)
            print(f"{name}, seed {seed} failed: {error}", flush=True)
        else:
            known.append(record)
            result = f"test accuracy {record.test_accuracy:.2%} in {record.seconds:.0f} s"
            print(f"{name}, seed {seed}: {result}", flush=True)
    return put_off


def describe_time_left(runs: list[tuple[str, int]], known: Iterable[Record]) -> str:
    """How long runs will take, by the records of the same recipes, in words."""
    seconds = {}
    for record in known:
        seconds.setdefault(record.recipe, []).append(record.seconds)
    unknown = sorted({name for name, _ in runs if name not in seconds})
    total = sum(sum(seconds[name]) / len(seconds[name]) for name, _ in runs if name in seconds)
    return f"about {total / 60:.0f} minutes left" + (f", not counting {', '.join(unknown)}" if unknown else "")
