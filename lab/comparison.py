"""Measured figures beside published ones, and whether two networks really differ."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.stats
import torch

from helpers.errors import InputError
from helpers.evaluation import mcnemar_test
from helpers.models import build_model, count_multiply_adds
from helpers.trained import Predictions
from lab.recipes import ALL_RECIPES
from lab.records import Record


@dataclass(frozen=True)
class Published:
    """What a project published.

    Attributes:
        project: its letter in this course.
        title: its network, in words.
        accuracy: share of the 10,000 test images that it reports as right.
    """

    project: str
    title: str
    accuracy: float


# From the four projects' own descriptions. Each is a single run; B, C and D watched the test accuracy while they chose.
PUBLISHED = {
    "five_conv": Published("A", "five convolutions", 0.9955),
    "compact": Published("B", "eight small convolutions", 0.9952),
    "mlp": Published("C", "MLP", 0.9714),
    "lenet5": Published("C", "LeNet-5", 0.9877),
    "lenet5_regularised": Published("C", "LeNet-5, regularised", 0.9886),
    "small_vgg": Published("D", "small VGG", 0.984),
}


def tabulate_runs(records: Iterable[Record]) -> pd.DataFrame:
    """A row per run: `recipe`, `seed`, `accuracy`, `wrong` (test images), `seconds`.

    The seconds are those of all steps at the speed of the fastest epoch: whatever else a machine does makes an epoch
    longer, never shorter.
    """
    rows = [
        {
            "recipe": record.recipe,
            "seed": record.seed,
            "accuracy": record.test_accuracy,
            "wrong": int((~record.correct).sum()),
            "seconds": _time_at_best(record),
        }
        for record in records
    ]
    return pd.DataFrame(rows, columns=["recipe", "seed", "accuracy", "wrong", "seconds"])


def _time_at_best(record: Record) -> float:
    recipe = ALL_RECIPES[record.recipe]
    total, epochs = recipe.count_steps(record.images), enumerate(record.history["seconds"])
    return min(seconds * total / recipe.steps_in_epoch(epoch, record.images) for epoch, seconds in epochs)


def summarise(records: Iterable[Record], confidence: float = 0.95) -> pd.DataFrame:
    """A row per recipe: `published`, `runs`, `mean`, `sd`, `low`, `high`, `difference` (measured minus published).

    `low` and `high` bound the mean over seeds (Student's t); they say nothing about other images. They and `sd` are
    NaN where there is one run only.
    """
    groups = tabulate_runs(records).groupby("recipe", sort=False)["accuracy"]
    table = groups.agg(runs="count", mean="mean", sd="std")
    error = table["sd"] / table["runs"] ** 0.5
    reach = scipy.stats.t.ppf(0.5 + confidence / 2, table["runs"] - 1) * error
    table["low"], table["high"] = table["mean"] - reach, table["mean"] + reach
    table.insert(0, "published", [PUBLISHED[name].accuracy if name in PUBLISHED else None for name in table.index])
    table["difference"] = table["mean"] - table["published"]
    return table


def tabulate_costs(records: Iterable[Record]) -> pd.DataFrame:
    """A row per recipe: `parameters`, `multiply-adds` for one image, `seconds` of training (median), `wrong` (mean)."""
    records = list(records)
    table = tabulate_runs(records).groupby("recipe", sort=False).agg({"seconds": "median", "wrong": "mean"})
    of_recipe = {record.recipe: record for record in records}
    table.insert(0, "parameters", [of_recipe[name].parameters for name in table.index])
    models = [build_model(of_recipe[name].settings["model"]) for name in table.index]
    table.insert(1, "multiply-adds", list(map(count_multiply_adds, models)))
    return table


def compare_on_images(one: Iterable[Record], other: Iterable[Record]) -> pd.DataFrame:
    """McNemar's test of two recipes on the same test images, a row for each seed that both have.

    Columns: `only_one` and `only_other` (images that just that network has right) and `p`.
    """
    correct = {record.seed: record.correct for record in other}
    rows = {record.seed: mcnemar_test(record.correct, correct[record.seed]) for record in one if record.seed in correct}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["only_one", "only_other", "p"]).rename_axis("seed")


def compare_over_seeds(one: Iterable[Record], other: Iterable[Record]) -> tuple[float, float]:
    """Do two recipes differ by more than their seeds make them?

    Returns:
        Difference of the mean accuracies (one minus other) and the two-sided p-value of Welch's t-test, which is NaN
        unless both have at least two runs.

    Source: B. L. Welch, Biometrika 34 (1947) 28–35.
    """
    accuracies = [[record.test_accuracy for record in records] for records in (one, other)]
    difference = float(np.mean(accuracies[0]) - np.mean(accuracies[1]))
    if min(map(len, accuracies)) < 2:
        return difference, float("nan")
    return difference, float(scipy.stats.ttest_ind(*accuracies, equal_var=False).pvalue)


def combine(predictions: Iterable[Predictions]) -> Predictions:
    """One answer from several about the same n images: the mean of their probabilities, as log probabilities.

    Raises:
        InputError: nothing to combine, not the same images, or images without labels.
    """
    predictions = list(predictions)
    labels = [one.labels for one in predictions]
    if not labels or any(one is None or not torch.equal(one, labels[0]) for one in labels):
        raise InputError("need one or more predictions, all of the same images, with their labels")
    mean = torch.stack([one.probabilities for one in predictions]).mean(0)
    return Predictions(mean.clamp_min(torch.finfo(mean.dtype).tiny).log(), labels[0])
