"""Notebook 4."""

import scipy.stats
import torch
from torchvision.transforms.v2 import functional as transforms

from helpers import data
from helpers.check import Choice, Number, Page
from helpers.data import Split
from helpers.evaluation import occlusion_map
from helpers.trained import Predictions, Trained


def share_of_ones(test: Split) -> float:
    """How often the digit 1 occurs."""
    return (test.labels == 1).float().mean().item()


def count_sure(predictions: Predictions, least: float, sure: bool, wrong: bool) -> int:
    """Images above or below a confidence, all of them or the wrong ones."""
    chosen = (predictions.confidence >= least) == sure
    return int((chosen & ~predictions.correct).sum() if wrong else chosen.sum())


def score_moved(right: int, down: int):
    """A function that gives the share of moved images that a network has right."""

    def score(trained: Trained, some: Split) -> float:
        moved = transforms.affine(some.images[:, None], 0, [right, down], 1.0, [0, 0])[:, 0]
        return trained.predict(data.Split(moved, some.labels)).accuracy

    return score


def fall_by_covering(of: str):
    """A function of the page's values: how far the probability of "label" or "answer" falls at most, or is left."""

    def measure(trained: Trained, test: Split, worst: torch.Tensor) -> float:
        image = int(worst[0])
        said = trained.predict(test.take(image + 1)[image:])
        digit = int(said.labels[0]) if of == "label" else int(said.predicted[0])
        fall = occlusion_map(trained, test.images[image], digit).max().item()
        return said.probabilities[0, digit].item() - fall if of == "left" else fall

    return measure


page = Page(
    "04_evaluation",
    exercises={
        "test images": Number(
            value=870_000,
            within=180_000,
            mixups={
                93_333: "An interval shrinks with the root of the number: not 9.3 times, but 9.3² times the images.",
                100: "So many times as many images as here. How many images is that?",
                87: "So many times as many images as here. How many images is that?",
                10_000: "Those give ±0.14 points.",
                218_000: "That gives ±0.03: both intervals would still overlap by half.",
            },
            hint="It is ±0.14 with 10,000 images, and shrinks with the square root of their number.",
            worth="All of MNIST has 70,000. Such a claim cannot be decided on it, unless both answer the same images.",
        ),
        "precision of always 1": Number(
            value=share_of_ones,
            mixups={
                1: "That is its recall: every 1 is found. Precision asks how much of what it calls 1 is one.",
                0.1: "So it would be if all digits were equally frequent.",
                lambda test: 1 - share_of_ones(test): "That share of what it calls 1 is none.",
                0: "Some of what it calls 1 is one.",
            },
            hint="Of all that it calls 1, and that is all images, how many are? Notebook 1 counted.",
            worth="Its accuracy is the same number, as all its answers are “1”.",
        ),
        "images to check": Number(
            value=lambda predictions: count_sure(predictions, 0.99, sure=False, wrong=False),
            within=0.5,
            mixups={
                lambda predictions: count_sure(predictions, 0.99, sure=True, wrong=False): "Those are sure enough.",
                lambda predictions: count_sure(predictions, 0.9, sure=False, wrong=False): "That is below 90 %.",
                lambda predictions: count_sure(predictions, 0.99, sure=False, wrong=True): (
                    "So many wrong ones are found. But the right ones must be looked at, too."
                ),
            },
            hint="Compare `predictions.confidence` with 0.99 and count.",
            worth="About one image in twenty for a person, who need not look at the others at all.",
        ),
        "errors left": Number(
            value=lambda predictions: count_sure(predictions, 0.99, sure=True, wrong=True),
            within=0.5,
            mixups={
                lambda predictions: count_sure(predictions, 0, sure=True, wrong=True): "Those are all its errors.",
                lambda predictions: count_sure(predictions, 0.99, sure=False, wrong=True): "Those the human finds.",
                lambda predictions: count_sure(predictions, 0.99, sure=False, wrong=False): "Those are to be checked.",
            },
            hint="Neither correct nor checked: combine both with `&` and `~`.",
            worth="At a threshold of 99.9 % a person would have three times the work, and one error would be left.",
        ),
        "four pixels up": Number(
            value=score_moved(0, -4),
            within=0.004,
            mixups={
                score_moved(0, 4): "That is down: y counts from the top.",
                score_moved(-4, 0): "That is to the left: x comes first.",
                score_moved(4, 0): "That is to the right.",
                score_moved(0, 0): "That is without a shift.",
            },
            hint="`transforms.affine` takes [x, y], and y counts downwards. Then `trained.predict`, as above.",
            worth="An average over directions would have hidden this: ask for the worst one, too.",
        ),
        "45 in common": Number(
            value=scipy.stats.binomtest(5, 20).pvalue,
            within=0.0015,
            mixups={
                scipy.stats.binomtest(50, 110).pvalue: "So it is with none in common: the 45 count for neither side.",
                scipy.stats.binomtest(5, 20, alternative="less").pvalue: "That is one side. The second may be better.",
                scipy.stats.chi2.sf(5, 1): "That is an approximation, and so few images want the exact test.",
                scipy.stats.chi2.sf(81 / 20, 1): "That is an approximation, and so few images want the exact test.",
                scipy.stats.binomtest(5, 20).statistic: "That is the share of one side. How often does a coin do that?",
            },
            hint="Only images that one of them has right count: 5 against 15. `scipy.stats.binomtest`.",
            worth="With 49 in common it would be 1 against 11, and p = 0.006: the gap is the same, the proof is not.",
        ),
        "come apart": Choice(
            "The ratio grows from the pixels to relu7. Where by the largest factor?",
            {
                "a": ("From the pixels to relu2.", "It hardly changes there: edges are not yet digits."),
                "b": ("From relu2 to relu5.", "It grows there, but less than once more later."),
                "c": (
                    "From relu5 to relu7.",
                    "1.7, 3.0 and 8.6: nearly three times, where patches become whole digits.",
                ),
                "d": ("By the same at each step.", "Compute the three ratios: they differ much."),
            },
            right="c",
        ),
        "worst error": Number(
            value=fall_by_covering("answer"),
            within=0.005,
            mixups={
                fall_by_covering("label"): "That is for its label. For what the network said?",
                fall_by_covering("left"): "That is left of its probability. By how much has it fallen?",
                lambda trained, test, worst: -fall_by_covering("answer")(trained, test, worst): (
                    "A fall counts as positive here."
                ),
            },
            hint="`occlusion_map(trained, test.images[i], digit).max()`, with the digit that it said.",
            worth="On all of MNIST it is 99.97 % sure of that answer, and no single patch takes it below a half.",
        ),
        "grey levels of 255": Number(
            value=25.5,
            within=0.5,
            mixups={
                0.1: "That is on the scale from 0 to 1.",
                10: "That is in per cent: of 255?",
                0.1 / data.STD: "That is on the normalised scale.",
                78.4: "That is the sum over 784 pixels, on the scale from 0 to 1.",
                0.1 / data.STD * 255: "The change is made before normalising.",
            },
            hint="Grey levels from 0 to 1 are those from 0 to 255, divided by 255.",
            worth="Noise of 0.1 in section 4 moves two pixels in three by no more, and the network bears it.",
        ),
    },
    questions=[
        Choice(
            "99.5 % of 10,000 images, interval 99.35 to 99.63 %. What does the interval cover?",
            {
                "a": ("What other seeds would reach.", "It knows one network. Seeds are another source of chance."),
                "b": ("Digits from another country.", "It is about images from the same source."),
                "c": ("The share of all images of that source, in 95 of 100 such samples.", "And nothing else."),
                "d": ("95 % of the images.", "It is about the share that is right, not about single images."),
            },
            right="c",
        ),
        Choice(
            "Of 100 images called 9, 90 are a 9; there are 120 nines. Recall?",
            {
                "a": ("75 %", "90 of the 120 that there are."),
                "b": ("90 %", "That is precision: 90 of the 100 called so."),
                "c": ("83 %", "100 / 120 counts what it called 9, right or wrong."),
            },
            right="a",
        ),
        Choice(
            "It is 95 % sure and right in one of ten. On which images may that be?",
            {
                "a": ("On none: it is calibrated.", "That holds for images like those it learnt from."),
                "b": ("On noisy ones.", "Calibration was measured on clean images, and does not carry over."),
                "c": ("On the disputed test images.", "There are 15, and of most of them it is less sure than that."),
            },
            right="b",
        ),
        Choice(
            "Two networks, one test set. Which images tell which is better?",
            {
                "a": ("All of them.", "Where both are right, or both wrong, they say nothing about a difference."),
                "b": ("Those that both have wrong.", "They are equal there."),
                "c": ("The hardest ones.", "Hard or not: what counts is that they disagree."),
                "d": ("Those that just one has right.", "If both are equally good, these fall like a fair coin."),
            },
            right="d",
        ),
        Choice(
            "A saliency map is dark along the strokes. What does it prove?",
            {
                "a": ("That the network looks at the strokes.", "So it is with a network that has learnt nothing."),
                "b": (
                    "Nothing yet: compare it with a random network.",
                    "A check that can fail is what makes it count.",
                ),
                "c": ("That covering the strokes would change the answer.", "Occlusion measures that; this does not."),
            },
            right="b",
        ),
    ],
)
