"""Notebook 5."""

import torch

from helpers.check import Choice, Number, Page
from helpers.trained import Predictions


def most_answered(predicted: torch.Tensor, labels: torch.Tensor) -> int:
    """How many answers are the digit that is answered most often."""
    return int(predicted.bincount(minlength=10).max())


def same_digit_labels(predicted: torch.Tensor, labels: torch.Tensor) -> int:
    """How often that digit is the label."""
    return int(labels.bincount(minlength=10)[predicted.bincount(minlength=10).argmax()])


def second_most(predicted: torch.Tensor, labels: torch.Tensor) -> int:
    """How many answers are the digit that comes second."""
    return int(predicted.bincount(minlength=10).sort().values[-2])


def mean_side(images: torch.Tensor, pick=torch.maximum) -> float:
    """The mean of the longer sides of the boxes of ink, in pixels; or of what else is picked."""
    inked = images > 0
    return float(pick(inked.any(2).sum(1), inked.any(1).sum(1)).float().mean())


def count_sure(low: float):
    """A function that counts answers with a confidence above a level."""

    def count(said: Predictions) -> int:
        return int((said.confidence > low).sum())

    return count


page = Page(
    "05_digits_from_elsewhere",
    exercises={
        "most frequent answer": Number(
            value=most_answered,
            within=0,
            mixups={
                8: "That is which digit it is. How many of the answers are it?",
                same_digit_labels: "So often it is the label. How often is it the answer?",
                second_most: "One digit is answered more often still.",
            },
            hint="Add up each column of the matrix, or count with `bincount`.",
            worth="An answer that hardly depends on the image is the sign of images unlike any in training.",
        ),
        "prepared size": Number(
            value=mean_side,
            within=0.3,
            mixups={
                28: "That is how long it is in the stretched images.",
                lambda images: mean_side(images, torch.minimum): "That is the shorter side.",
            },
            hint='`measure(prepared["every step"])` has it, a value for each image: take the mean.',
            worth="20 of them are the ink; the others are pale edges. MNIST itself has 20.0, with a spread of 0.1.",
        ),
        "six upside down": Number(
            value=9,
            mixups={
                6: "That is what it was before it was turned.",
                8: "That is what it makes of the 2, which comes first now.",
            },
            hint="The row is read from its other end: which of the answers belongs to the 6?",
            worth="So an augmentation that turns digits upside down would teach a 6 and a 9 as the same thing.",
        ),
        "letters above 99": Number(
            value=count_sure(0.99),
            within=0,
            mixups={
                count_sure(0.9): "So many are above 90 %.",
                lambda said: len(said.logits) - count_sure(0.99)(said): "So many are not above 99 %.",
                count_sure(0.999): "So many are above 99.9 %.",
            },
            hint="`said.confidence` has a value for each letter.",
            worth="An eleventh class, “no digit”, can be taught; but it needs examples of what it will meet.",
        ),
        "all of the first half": Choice(
            "Fine-tuned on some 900 images in place of 100: what comes of it?",
            {
                "a": ("Better elsewhere, and better on MNIST.", "Nothing in these epochs is from MNIST. Measure it."),
                "b": (
                    "Better elsewhere, worse on MNIST.",
                    "This is called catastrophic forgetting; a share of the old images in each batch keeps it small.",
                ),
                "c": ("The same elsewhere: 100 were enough.", "They were not: compare the two means."),
                "d": ("Worse in both: it overfits.", "It is measured on writers whom it has not met, and gains there."),
            },
            right="b",
        ),
        "clothes turned": Choice(
            "Which change leaves every label as it is for clothes, and not for digits?",
            {
                "a": ("Left and right exchanged.", "A shirt stays a shirt; a 3 becomes a sign that is no digit."),
                "b": ("Turned by 15°.", "That leaves both as they are: recipe B does it to digits."),
                "c": (
                    "Light and dark exchanged.",
                    "Both can still be read, but neither looks like its own set any more.",
                ),
                "d": ("Moved by a pixel.", "That leaves both as they are."),
            },
            right="a",
        ),
    },
    questions=[
        Choice(
            "A network has 99.7 % on MNIST's test images. What does that promise?",
            {
                "a": ("As much on any handwritten digits.", "The page found 29.9 % on others."),
                "b": ("More on other digits than a network with 99.5 % has.", "Here the better one was the worse."),
                "c": ("About as much on images made in the same way.", "A test set speaks for images like its own."),
            },
            "c",
        ),
        Choice(
            "MNIST's makers put a digit's centre of mass in the middle. What if the *box* is centred instead?",
            {
                "a": ("Nothing: the box is what counts.", "For `compact` it cost about six points."),
                "b": (
                    "It lies a pixel or two elsewhere than in training.",
                    "And a network that never met moved digits notices.",
                ),
                "c": ("The digit becomes larger.", "Its size comes from the 20 pixels, whatever the place."),
            },
            "b",
        ),
        Choice(
            "Images of one writer stand together in a file. How do you hold images out?",
            {
                "a": ("At random.", "Then each writer is in both halves, and the score is too good."),
                "b": ("Every second one.", "That is as at random: whoever wrote a hundred of them is in both halves."),
                "c": ("By writer, or at least by place in the file.", "New users are new writers: measure on such."),
            },
            "c",
        ),
        Choice(
            "Which cure needs no labelled images from elsewhere?",
            {
                "a": ("Preparation.", "It needs a look at how both sets were made, and no label."),
                "b": ("Fine-tuning.", "That is training, on their labels."),
                "c": ("None: each needs some.", "Preparation changes images only. To *measure* it, you need labels."),
            },
            "a",
        ),
        Choice(
            "The softmax says 98 % for an image of a letter. What does that mean?",
            {
                "a": (
                    "It is a digit with a probability of 98 %.",
                    "“No digit” was never an option, so nothing is said on it.",
                ),
                "b": ("One digit's logit is well above the nine others.", "That is all that softmax compares."),
                "c": (
                    "The network has made an error of calculation.",
                    "It computes as always; the image is not of its kind.",
                ),
            },
            "b",
        ),
    ],
)
