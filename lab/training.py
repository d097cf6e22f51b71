"""`fit` for every recipe: it hands a recipe's tricks to the loop."""

from collections.abc import Sequence
from functools import partial

from torch import nn

from helpers import training
from helpers.data import Split
from helpers.recipes import Recipe
from helpers.trained import Trained
from lab.recipes import extend
from lab.tricks import Tricks


def fit(
    recipe: Recipe, train: Split, validation: Split | None = None, *, teachers: Sequence[nn.Module] = (), **options
) -> Trained:
    """Train by a recipe, the lab's or a published one, with its tricks if it has any.

    Args:
        recipe: what to train, and how.
        train: the images to learn from.
        validation: images that are only looked at, after each epoch.
        teachers: trained networks, for a recipe that has a `teacher`.
        options: as for `helpers.training.fit`.

    Raises:
        InputError: the recipe has a teacher and no networks are there to teach, or the other way round.
    """
    if teachers or extend(recipe).needs_tricks:
        options["tricks"] = partial(Tricks, teachers=teachers)
    return training.fit(recipe, train, validation, **options)
