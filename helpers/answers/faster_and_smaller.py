"""Notebook 6."""

import functools
import math
from collections.abc import Callable, Sequence

import torch

from helpers.check import Choice, Code, Number, Page
from helpers.models import build_model, count_multiply_adds
from helpers.trained import Predictions


def check_amdahl(faster: Callable) -> str | None:
    """Tries a function of share and factor against Amdahl's law."""
    for p, k in ((0.6, 4), (0.7, 80), (0.1, 1.5), (1.0, 3), (0.0, 5)):
        result, right = float(faster(p, k)), 1 / (1 - p + p / k)
        if math.isclose(result, right, rel_tol=1e-9):
            continue
        slips = {
            1 / right: "That is the time that is left. How many times faster is that?",
            k: "So much faster is the part. The rest takes as long as before.",
            p * k: "Times add up, and not how much faster something is: work out the new time first.",
            1 - p + p * k: "Times add up, and not how much faster something is: work out the new time first.",
            p / k: "That is the time of the part. The rest takes 1 − p.",
        }
        if p < 1:
            slips |= {1 / (1 - p): "That is the limit, for a part that takes no time at all."}
        near = [thought for slip, thought in slips.items() if math.isclose(result, slip, rel_tol=1e-9)]
        return near[0] if near else f"For p = {p:g} and k = {k:g} it gives {result:.4g}."
    return None


@functools.cache
def count_work_of_a() -> int:
    """Multiply-adds of recipe A's network for an image."""
    return count_multiply_adds(build_model("five_conv"))


def least_seconds(passes: int = 3, images: int = 60_000, epochs: int = 13, rate: str = "torch.float32"):
    """A function of the page's rates: how long recipe A's products take."""

    def find(rates: dict[str, float]) -> float:
        return passes * count_work_of_a() * images * epochs / rates.get(rate, math.nan)

    return find


def count_errors(pick: Callable[[torch.Tensor], torch.Tensor | int]):
    """A function of what the networks said: a number from their errors, (networks, images)."""

    def find(once: Sequence[Predictions]) -> int:
        return int(pick(torch.stack([~one.correct for one in once])))

    return find


page = Page(
    "06_faster_and_smaller",
    exercises={
        "Amdahl's law": Code(
            test=check_amdahl,
            asks="a function of (p, k)",
            worth="A part that takes half of the time is worth a factor of 2 at most, whatever is done to it.",
        ),
        "on a GPU": Choice(
            "Which rung would you expect to help most on a GPU?",
            {
                "a": ("Images in memory.", "A GPU waits for the loader even longer, compared with what it computes."),
                "b": ("Channels last.", "It helps a GPU's convolutions, which are not what it waits for."),
                "c": ("bfloat16.", "It makes products faster, which are not what a GPU waits for here."),
                "d": ("One cycle, Nesterov.", "It makes an epoch teach more, and no faster."),
                "e": ("Muon.", "It adds products to each step."),
            },
            right="a",
        ),
        "A at best": Number(
            value=least_seconds(),
            mixups={
                least_seconds(passes=1): "That is the forward pass. Backward costs two more for each.",
                least_seconds(passes=2): "Backward costs two for each one of the forward pass: three in all.",
                least_seconds(epochs=1): "That is one epoch.",
                least_seconds(images=55_000): "A learns from all 60,000 images.",
                least_seconds(images=1): "That is for one image.",
                least_seconds(rate="torch.bfloat16"): "That is in bfloat16.",
            },
            hint="3 × multiply-adds × images × epochs, over the rate of float32.",
            worth="Its 13 epochs took 1,292 s on the benchmark's machine: how much of the best is that on yours?",
        ),
        "at temperature 3": Number(
            value=19 ** (1 / 3) / (1 + 19 ** (1 / 3)),
            within=0.006,
            mixups={
                19 / 3 / (1 + 19 / 3): "The difference of logits is divided, which is the logarithm of the ratio.",
                0.95 / 3: "Logits are divided, not probabilities: they must still add up to 1.",
                1 / (1 + 19 ** (1 / 3)): "That is the other digit.",
                19**3 / (1 + 19**3): "That is a temperature of a third: surer instead of softer.",
                19**0.5 / (1 + 19**0.5): "That is at temperature 2.",
                19 ** (1 / 9) / (1 + 19 ** (1 / 9)): "That is at temperature 9.",
                19 ** (1 / 3): "That is the ratio of the two. They add up to 1.",
            },
            hint="19 to 1. The logarithm of that is the difference of logits; a third of it belongs to which ratio?",
            worth="At temperature 1 the student sees 19 to 1, at 3 about 2.7 to 1: what is alike becomes visible.",
        ),
        "shared errors": Number(
            value=count_errors(lambda errors: errors.all(0).sum()),
            within=0.5,
            mixups={
                count_errors(lambda errors: errors.any(0).sum()): "So many are wrong for at least one of them.",
                count_errors(lambda errors: errors.sum(1).min()): "So many has the best one alone.",
                count_errors(lambda errors: errors.sum()): "That adds up all errors of all five.",
                count_errors(lambda errors: (errors.sum(0) == 1).sum()): "Those are wrong for just one of them.",
                count_errors(lambda errors: (errors.sum(0) >= 3).sum()): "So many are wrong for most of them.",
            },
            hint="`~one.correct` for each, stacked: which images are wrong in all rows?",
            worth="A vote cannot mend them, as none is for the label; a mean of probabilities still might.",
        ),
    },
    questions=[
        Choice(
            "Loading takes 70 % of a step. Forward becomes infinitely fast. What is gained at most?",
            {
                "a": ("A factor of 3.3.", "That is for loading that takes no time."),
                "b": ("Less than a factor of 1.5.", "At most 30 % of the time can go, and backward is in it, too."),
                "c": ("70 %.", "Loading stays as it is."),
            },
            right="b",
        ),
        Choice(
            "Two recipes were timed on different days. What do you know?",
            {
                "a": ("Which is faster.", "The machine may have been busy with something else."),
                "b": ("Which has fewer multiply-adds.", "Time also goes elsewhere, and that can be counted."),
                "c": ("Little: time them in turns, on one machine.", "What disturbs one then disturbs the other."),
            },
            right="c",
        ),
        Choice(
            "What saves most parameters in a 3 × 3 convolution from 16 to 32 channels?",
            {
                "a": ("To split it into depth and mixture.", "16 · 9 + 16 · 32 = 656 instead of 4,608."),
                "b": ("Kernels of 1 × 3.", "16 · 32 · 3 = 1,536 are left."),
                "c": ("To leave out its biases.", "That is 32 of 4,640."),
                "d": ("A stride of 2.", "That saves work. Each weight is still there."),
            },
            right="a",
        ),
        Choice(
            "Why does a teacher help, if the labels are known?",
            {
                "a": ("It has seen the test images.", "It learnt from training images only."),
                "b": ("It is never wrong.", "It errs on about 30 test images."),
                "c": ("It makes training faster.", "It costs time: that of all five teachers, too."),
                "d": ("It says what else an image resembles.", "A label names one digit and is silent on the rest."),
            },
            right="d",
        ),
        Choice(
            "A network scores 99.9 % on MNIST's test images. What may you suspect?",
            {
                "a": ("That it agrees with labels that most raters reject.", "Siding with the raters gives 99.85 %."),
                "b": ("That its interval is wide.", "The more are right, the narrower it is."),
                "c": ("Nothing: nearly all labels are right.", "15 are disputed, and here 10 errors are left."),
            },
            right="a",
        ),
    ],
)
