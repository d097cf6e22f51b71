"""Notebook 5."""

import dataclasses

import scipy.stats

from helpers.check import Choice, Code, Number, Page
from helpers.errors import InputError
from helpers.recipes import RECIPES, Recipe

FIELDS = [field.name for field in dataclasses.fields(Recipe)]


def edge_of_range(reach, side: int = -1, sd_of: str = "compact"):
    """A function of the page's summary: an edge of A's range, by a function of standard deviation and runs."""

    def find(summary) -> float:
        runs = summary.loc["five_conv", "runs"]
        return float(summary.loc["five_conv", "mean"] + side * reach(summary.loc[sd_of, "sd"], runs))

    return find


def reach_of_run(sd, runs):
    """How far a further run may be from the mean of so many, 19 times in 20."""
    return scipy.stats.t.ppf(0.975, runs - 1) * sd * (1 + 1 / runs) ** 0.5


def measure_gain(name: str, **options):
    """A function of the page's runs: the p-value of what a network gains in its last five epochs."""

    def find(runs) -> float:
        gains = [record.test_accuracy - record.history["test_accuracy"][14] for record in runs[name]]
        return float(scipy.stats.ttest_1samp(gains, 0, **options).pvalue)

    return find


def measure_gain_unpaired(runs) -> float:
    """The same from two lists that are taken as unrelated."""
    ends = [record.test_accuracy for record in runs["lenet5"]]
    before = [record.history["test_accuracy"][14] for record in runs["lenet5"]]
    return float(scipy.stats.ttest_ind(ends, before).pvalue)


def check_differences(names) -> str | None:
    """Looks up three names of fields in both recipes."""
    names = list(names)
    if not all(isinstance(name, str) for name in names):
        raise InputError("three names of fields of a Recipe are asked for, each in quotes")
    one, other = RECIPES["small_vgg"], RECIPES["compact"]
    for name in names:
        if name not in FIELDS:
            return f"“{name}” is no field of a Recipe. Its fields: {', '.join(FIELDS)}."
        if name == "model":
            return "The model is the network itself. What else?"
        if getattr(one, name) == getattr(other, name):
            return f"{name} is {getattr(one, name)!r} in both."
    if len(set(names)) < 3:
        return f"{len(set(names))} of three so far, and all of them differ."
    return None


page = Page(
    "05_comparing_networks",
    exercises={
        "A's lower end": Number(
            value=edge_of_range(reach_of_run),
            within=0.00006,
            mixups={
                edge_of_range(reach_of_run, sd_of="five_conv"): "That is by A's own spread. Take B's.",
                edge_of_range(reach_of_run, side=1): "That is the upper end.",
                edge_of_range(lambda sd, runs: 1.96 * sd * (1 + 1 / runs) ** 0.5): (
                    "1.96 is for many runs. For three, Student's t has 4.30."
                ),
                edge_of_range(lambda sd, runs: scipy.stats.t.ppf(0.975, runs - 1) * sd / runs**0.5): (
                    "That is for the mean. A further run has a chance of its own: 1 + 1/n under the root."
                ),
                edge_of_range(lambda sd, runs: scipy.stats.t.ppf(0.975, runs - 1) * sd): (
                    "The mean of three is not sure, either: 1 + 1/n under the root."
                ),
            },
            hint="A's mean less t · sd · √(1 + 1/n): everything is A's, but sd. Four digits, as a share of 1.",
            worth="So whether A's figure stands apart hangs on a spread that three runs can hardly measure.",
        ),
        "LeNet-5's p": Number(
            value=measure_gain("lenet5"),
            within=0.004,
            mixups={
                measure_gain("mlp"): "That is the MLP.",
                measure_gain("lenet5", alternative="greater"): "That asks for gains only. It might also get worse.",
                measure_gain_unpaired: "Each run is compared with itself: one list of gains, not two of accuracies.",
            },
            hint='The same lines with `runs["lenet5"]`, and without the assert.',
            worth="That it gains nothing does not follow, either: five runs may miss a gain as small as this.",
        ),
        "what differs": Code(
            test=check_differences,
            asks="a list of three names",
            kind=(list, tuple, set),
            worth="Six fields differ besides the model: a gap between the two has seven possible causes.",
        ),
        "runs of each": Number(
            value=2 * (2.8 * 0.05 / 0.03) ** 2,
            within=0.6,
            mixups={
                4 * (2.8 * 0.05 / 0.03) ** 2: "That is both together. How many of each?",
                (2.8 * 0.05 / 0.03) ** 2: "The 2 is there because both means vary.",
                2 * 2.8 * 0.05 / 0.03: "The bracket is squared.",
                2 * (1.96 * 0.05 / 0.03) ** 2: "With 1.96 a real gap would be found every other time only.",
                2 * (2.8 * 0.05 / 0.0003) ** 2: "sd and gap in one unit: both in points.",
            },
            hint="sd / gap is 0.05 / 0.03, both in points.",
            worth="A gap of half the size takes four times the runs.",
        ),
        "wrong of 128": Number(
            value=3,
            within=0.1,
            mixups={
                1.4848 * 128: "First take away what a perfect batch costs.",
                (1.4848 - 1.461150) * 100: "That is in per cent. The batch has 128 images.",
                1.4848 - 1.461150: "That is the share of wrong images.",
                (2.461150 - 1.4848) * 128: "That counts those that are right.",
            },
            hint="Above the floor of 1.4612, a wrong image of 128 adds 1/128.",
            worth="A loss that moves in steps of 1/128 is a sign of such a mistake in a stranger's log, too.",
        ),
        "batch size": Number(
            value=25,
            within=0,
            mixups={
                40: "It divides 10,000, but there is one nearer to 32.",
                20: "It divides 10,000, but there is one nearer to 32.",
                16: "It divides 10,000, but there is one nearer to 32.",
                50: "It divides 10,000, but there is one nearer to 32.",
                32: "10,000 / 32 = 312.5: the last batch has 16 images.",
                30: "10,000 / 30 leaves 10 images for the last batch.",
                33: "10,000 / 33 leaves 1 image for the last batch.",
                31: "10,000 / 31 leaves 18 images for the last batch.",
            },
            hint="10,000 = 2⁴ · 5⁴. Which of its divisors is nearest to 32?",
            worth="Of the 60,000 training images, 32 is a divisor: there the same code is right.",
        ),
    },
    questions=[
        Choice(
            "A publishes 99.55 %, B 99.52 %, one run each. Which is better?",
            {
                "a": ("A, by 0.03 points.", "More than half of our pairs of equal runs differ by three times as much."),
                "b": ("It cannot be said.", "Seeds, images and the way a figure was chosen each matter more."),
                "c": ("B, as it is smaller.", "That is another price, and says nothing about accuracy."),
            },
            right="b",
        ),
        Choice(
            "Which test asks whether two recipes differ?",
            {
                "a": ("McNemar's, on one pair of runs.", "That is about these two networks, not about their recipes."),
                "b": (
                    "Comparing two Wilson intervals.",
                    "They know neither of seeds nor that the images are the same.",
                ),
                "c": ("Kolmogorov–Smirnov.", "It compares distributions: here it served for the ink."),
                "d": ("Welch's, on several runs of each.", "Seeds are what one recipe's runs differ in."),
            },
            right="d",
        ),
        Choice(
            "A network ends in softmax and is trained with PyTorch's cross-entropy. What shows it?",
            {
                "a": ("An error.", "Nothing fails: probabilities are numbers, too."),
                "b": ("Accuracy stays at 10 %.", "A reaches 99.4 % all the same."),
                "c": ("A loss that stops at 1.461.", "A perfect answer costs ln(e + 9) − 1."),
            },
            right="c",
        ),
        Choice(
            "torchsummary shows fewer parameters than `count_parameters`. Why may that be?",
            {
                "a": ("A layer is built and never called.", "It lists what runs; the other counts what is there."),
                "b": ("It leaves out biases.", "It counts them: 156 for LeNet-5's conv1 are 150 + 6."),
                "c": ("It counts in thousands.", "It counts one by one."),
            },
            right="a",
        ),
        Choice(
            "Why is the best epoch on the test images a flattering figure?",
            {
                "a": ("Its network is overfitted.", "Maybe, but that would not flatter on test images."),
                "b": ("Early epochs are luck.", "Any epoch may be lucky, and the best one is chosen for it."),
                "c": ("Test images are easier.", "They are as hard in every epoch."),
                "d": ("The best of many noisy figures has luck in it.", "Here up to 0.15 points of it."),
            },
            right="d",
        ),
    ],
)
