"""Notebook 1."""

import numpy as np
import torch

from helpers import data
from helpers.check import Choice, Code, Number, Page
from helpers.data import Mnist, Split


def mean_levels(mnist: Mnist) -> float:
    """Different grey levels in an image, the mean of the first thousand."""
    return float(np.mean([len(image.unique()) for image in mnist.train.images[:1000]]))


def mean_inked(mnist: Mnist) -> float:
    """Inked pixels in an image, the mean of the first thousand."""
    return float((mnist.train.images[:1000] > 0).float().sum((1, 2)).mean())


def rank(measure, pick):
    """A function that ranks the ten digits by a measure of (distances, images) and picks one: max or min."""

    def find(mnist: Mnist, distance: torch.Tensor) -> int:
        by_digit = []
        for digit in range(10):
            mine = mnist.train.labels == digit
            by_digit.append(float(measure(distance[mine], mnist.train.images[mine].float().flatten(1))))
        return by_digit.index(pick(by_digit))

    return find


def per_length(distance, images):
    """Mean distance over the mean length of the images."""
    return distance.mean() / images.norm(dim=1).mean()


def own_white(mnist: Mnist) -> float:
    """Where white lies in the first image, normalised by its own mean and spread."""
    image = mnist.train.images[0].float()
    return float(-image.mean() / image.std())


def score_shifted(move: int, axis: int = 2, normalise: bool = True):
    """A function that gives the share of shifted validation images that a linear model has right."""

    def score(linear, validation: Split) -> float:
        images = validation.images.roll(move, dims=axis).flatten(1) / 255
        return linear.score((data.normalise(images) if normalise else images).numpy(), validation.labels.numpy())

    return score


def sorts_by_id(key) -> str | None:
    """Tries a key on names whose order it must mend."""
    names = ["2_7.png", "100_1.png", "10_3.png", "1_9.png", "31_0.png", "9_2.png", "22_8.png", "11_4.png"]
    found = sorted(names, key=key)
    if found == sorted(names, key=lambda name: int(name.split("_")[0])):
        return None
    if found == sorted(names):
        return f"That is what sorted does by itself: {found[0]} comes first. Compare numbers, not characters."
    if found == sorted(names, key=lambda name: int(name.split("_")[1][0])):
        return "That sorts by label: the ID is what stands before the underscore."
    return f"It begins with {', '.join(found[:4])}."


page = Page(
    "01_data_exploration",
    exercises={
        "grey levels": Number(
            value=mean_levels,
            within=3,
            mixups={
                mean_inked: "So many pixels have ink. Many share a level: count each level once.",
                256: "All images together use so many, no single one does. Count in each, then take the mean.",
            },
            hint="`image.unique()` lists the levels of an image; how long is it on average?",
            worth="They cost nothing extra: a byte holds one of 256 levels whether an image uses 70 or 2.",
        ),
        "most varied": Number(
            value=rank(per_length, max),
            within=0,
            mixups={
                rank(lambda distance, images: distance.mean(), max): "So it is before dividing: ink adds distance.",
                rank(per_length, min): "That one varies least by this measure. You want the other end.",
                rank(lambda distance, images: distance.mean() / images.mean(), max): (
                    "That one is first when divided by the mean grey level, and last when not divided. Divide by the "
                    "length, the root of the sum of squares: `norm`."
                ),
            },
            hint="Answer with a digit: the one whose mean distance, divided by the mean length, is largest.",
            worth="Two fair measures, two rankings: always say by which one something “varies most”.",
        ),
        "own white": Number(
            value=own_white,
            mixups={
                -data.MEAN / data.STD: "So it is with the numbers of the whole set. Take those of this image alone.",
                lambda mnist: -own_white(mnist): "The sign: white is 0, and the mean is taken away from it.",
                lambda mnist: float(-mnist.train.images[0].float().mean() / 255): "Then divide by its spread.",
                0: "It is 0 before normalising, and not after.",
            },
            hint="White is 0 before: (0 − mean) / spread, both of `mnist.train.images[0]`.",
            worth="From the palest to the boldest of MNIST's training images, it runs from −0.19 to −0.85.",
        ),
        "shifted": Number(
            value=score_shifted(2),
            mixups={
                score_shifted(0): "That is its score on the images as they were.",
                score_shifted(2, normalise=False): "It learnt from normalised pixels: normalise these, too.",
                score_shifted(2, axis=1): "That is two pixels down. Columns are `dims=2`.",
                score_shifted(-2): "That is two pixels to the left.",
            },
            within=0.002,
            hint="`validation.images.roll(2, dims=2)`, then as in section 4: flatten, divide, normalise, score.",
            worth="A small step for the eye moves most edges onto other weights of the template.",
        ),
        "sort key": Code(
            test=sorts_by_id,
            asks="a function of a file name",
            worth="Leading zeros are the other cure: then characters and numbers sort alike.",
        ),
        "fill": Number(
            value=-data.MEAN / data.STD,
            mixups={
                0: "0 is what it was filled with: the mean grey.",
                -data.MEAN: "Also divide by the standard deviation.",
                data.MEAN / data.STD: "The sign: background lies below the mean.",
                (1 - data.MEAN) / data.STD: "That is full ink.",
            },
            hint="What does white, 0, become by `data.normalise`?",
            worth="Yet the right order needs no such number, and stays right when somebody changes the normalisation.",
        ),
    },
    questions=[
        Choice(
            "99 % of a set's images are ones. A classifier is right on 99 % of them. What do you know?",
            {
                "a": ("That it tells ones from other digits well.", "“Always 1” scores the same and tells nothing."),
                "b": ("Next to nothing.", "“Always 1” scores 99 % as well: first look at how often each class occurs."),
                "c": ("That it has seen the test images.", "It need not: “always 1” gets there without any image."),
            },
            right="b",
        ),
        Choice(
            "Where do 0.1307 and 0.3081 come from?",
            {
                "a": ("From all 70,000 images.", "Then the test set would have had a say in how inputs are prepared."),
                "b": (
                    "From each image by itself.",
                    "Then white would lie elsewhere in each image: see the exercise.",
                ),
                "c": (
                    "From the training images.",
                    "What is computed from data is learnt, and these are for learning.",
                ),
            },
            right="c",
        ),
        Choice(
            "Five ways of turning images have been tried. Which images decide between them?",
            {
                "a": (
                    "The validation images.",
                    "They were set aside for decisions, so that the test set stays fresh.",
                ),
                "b": ("The training images.", "A network may know them by heart: that says little about new ones."),
                "c": ("The test images.", "Then its score would flatter: the best of five on just these images."),
            },
            right="a",
        ),
        Choice(
            "A network that learnt from 20,000 images is right on 96 % of others. What is that worth?",
            {
                "a": ("Much: ten digits, so chance is 10 %.", "True, but a trivial method does better than chance."),
                "b": (
                    "Nothing new: three nearest neighbours do so.",
                    "A method that only remembers sets the bar.",
                ),
                "c": ("Little: labels are wrong in 4 % of the cases.", "About 15 of 10,000 are disputed, not 400."),
            },
            right="b",
        ),
        Choice(
            "Images are normalised first, then turned, with corners filled by 0. What goes wrong?",
            {
                "a": ("PyTorch stops with an error.", "Nothing stops: that is what makes it a trap."),
                "b": ("Corners become black.", "0 is the mean after normalising, a pale grey, not full ink."),
                "c": ("Nothing, as 0 is white.", "Before normalising it is. Afterwards white is −0.4242."),
                "d": ("Corners become grey.", "0 is the mean after normalising, and no real digit has such corners."),
            },
            right="d",
        ),
    ],
)
