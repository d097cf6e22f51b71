"""Notebook 6: for each patient, what speaks for and against each of the twelve diagnoses."""

import math

from helpers.check import Choice, Number, Page

DIAGNOSES = {
    "a": "Nothing is wrong.",
    "b": "The learning rate is too high.",
    "c": "The learning rate is too low.",
    "d": "Gradients are not set to zero between steps.",
    "e": "A softmax comes before the loss.",
    "f": "Labels are out of step with the images.",
    "g": "ReLUs are dead.",
    "h": "Too few images: they are learnt by heart (overfitting).",
    "i": "Pixels are scaled otherwise when it is measured.",
    "j": "It is measured in train mode.",
    "k": "The augmentation changes what a digit is.",
    "l": "Validation images are among the training images.",
}


def diagnose(patient: int, right: str, **replies: str) -> Choice:
    """The question what a patient has, with a reply to each of the diagnoses."""
    options = {letter: (text, replies[letter]) for letter, text in DIAGNOSES.items()}
    return Choice(f"What is wrong with patient {patient}?", options, right)


PATIENTS = {
    "patient 1": diagnose(
        1,
        right="e",
        a="The share that is right is fine. But a healthy run that is right so often has a loss near 0.1, not 1.5.",
        b="A loss that comes down so smoothly is not thrown about. And nine in ten are right.",
        c="It did start slowly. But a low rate is slow in both: here nine in ten are right, and only the loss hangs.",
        d="Added gradients grow from step to step, and the loss turns up again. Here it lies still.",
        e="Nine in ten right with a loss of 1.5: probabilities went in where logits belong. Even the surest answer, 1 "
        "for one digit and 0 for nine, is then softened to e / (e + 9), a loss of 1.46.",
        f="Then nothing could be learnt; most images are right.",
        g="A network with dead ReLUs answers much alike to everything. This one tells ten digits apart.",
        h="Training and validation lie on one another, in loss as well: nothing is known by heart.",
        i="Then the two losses would differ. Training itself has a loss of 1.5.",
        j="That would spoil validation alone. The training loss hangs as well.",
        k="Then some digits would be mistaken for others. The matrix has a clean diagonal.",
        l="Nothing is too good here. A leak makes validation as good as training, but never holds the loss up.",
    ),
    "patient 2": diagnose(
        2,
        right="f",
        a="One in ten right is what guessing gives, six epochs long.",
        b="Then the loss would jump above 2.30 at first. It stays within a few hundredths of it.",
        c="A rate so low that six epochs show no trend moves the weights by less than 1 %; here they move by several "
        "per cent, as “weights before and after” says.",
        d="Added gradients grow to dozens of times a healthy one; so would the loss.",
        e="A fair suspicion, as it starts slowly, too. But it does get going within six epochs, and here is no trend.",
        f="2.30 is ln 10: it knows nothing. Gradients flow, the weights move, and yet nothing is found, because images "
        "and labels do not belong together. Any batch with its labels shows it.",
        g="They give this very curve, so it was worth the test: most channels answer, and gradients get through.",
        h="By heart would be a training loss near 0. Training fails as well.",
        i="Training fails, too, before anything is measured.",
        j="There is no dropout and no batch norm in this LeNet-5: both modes are the same. And training fails, too.",
        k="No augmentation is on record, and even a bad one leaves something to learn: 0 and 1 at least.",
        l="A leak flatters. Nothing here does.",
    ),
    "patient 3": diagnose(
        3,
        right="a",
        a="Training lags behind since its images are turned and dropout is on, and since each epoch counts its first "
        "steps as well. In eval mode and unchanged, training images are the better ones. Both losses fall.",
        b="Steps that are too long leave the loss high or send it up. Both fall to about a tenth.",
        c="It is at nine in ten after one or two epochs. Slow is something else.",
        d="The loss would rise again, and the gradient grow to many times that of the healthy run.",
        e="With a softmax too many, the loss could not fall below 1.46.",
        f="It could not be right on new images then.",
        g="Whatever sleeps, it does not do harm: all ten digits are told apart.",
        h="The other way round: by heart means training ahead, and validation loss on the rise.",
        i="Validation would be the worse for it. It is the better of the two.",
        j="“Train and eval mode” tells: the chart's validation is what eval mode gives, and train mode gives less.",
        k="Images are turned, true. But no two digits are taken for one another, so they are not turned far.",
        l="It looks like one! But dropout and turned images hold training back, and “images in both sets” finds none.",
    ),
    "patient 4": diagnose(
        4,
        right="i",
        a="Accuracy says so. But validation loss is about a hundred times that of training, with nearly as many right.",
        b="Training is calm and reaches a loss near 0.1.",
        c="Training reaches a loss near 0.1 in six epochs.",
        d="Training would suffer first. It is as the healthy run's.",
        e="The training loss is far below 1.46.",
        f="Then neither training nor validation would be right so often.",
        g="Nine in ten validation images are right, through the same ReLUs.",
        h="Near, as sure errors make the loss large. But it is large from the first epoch, before anything could be "
        "known by heart, and the two shares that are right hardly differ.",
        i="From the first epoch on, the answers are right, and the errors are made with eighty times the conviction: "
        "inputs are about eighty times as large, and so, nearly, are the logits. “Pixels” shows both ranges.",
        j="This LeNet-5 has no dropout and no batch norm: both modes are the same.",
        k="No augmentation is on record, and training and validation are right equally often.",
        l="A leak would bring the two losses together. They are as far apart as can be.",
    ),
    "patient 5": diagnose(
        5,
        right="k",
        a="The same network got far above nine in ten as patient 3. Something makes these digits harder.",
        b="Then the loss would be thrown about. It falls evenly.",
        c="It does fall slowly. But a slow start spreads its errors. Here look-alikes are mixed up, a 9 and a 6 first.",
        d="The loss would turn up again. It falls to the end.",
        e="The loss is well below 1.46.",
        f="With wrong labels nothing would be learnt; 0 and 1 are nearly always right.",
        g="Each digit is answered, and the loss still falls.",
        h="Training is behind validation: nothing is known by heart.",
        i="Training is low as well, and that is not measured on other pixels.",
        j="Dropout costs something, but in train or eval mode, the same pairs are mistaken.",
        k="0 and 1 look the same upside down and suffer little. A 9 becomes a 6, and keeps its label: one shape with "
        "two names. A batch with its labels shows it.",
        l="Nothing is too good here: 85 % is poor for this network.",
    ),
    "patient 6": diagnose(
        6,
        right="d",
        a="It ends at one in ten, with a loss far above that of knowing nothing.",
        b="The nearest rival, and the curve alone may leave both open. But its gradient grows smoothly, step upon "
        "step, to dozens of times a healthy one. With a rate too high it jumps, and is small where ReLUs have died.",
        c="Things move, and fast, in the wrong direction.",
        d="It learns for some dozens of steps, then unlearns. Each step repeats all earlier gradients, so it rolls "
        "through every valley and up the other side. The length of the gradient gives it away.",
        e="Softmax bounds the loss: it could never exceed about 2.46.",
        f="Then it would have stayed at 2.30. It fell, at first.",
        g="In the end many are. But it learnt at first, so they died of something: a consequence, not the cause.",
        h="Training fails as well as validation.",
        i="The training loss itself rises, with pixels as they should be.",
        j="Train mode cannot make the training loss rise.",
        k="No augmentation is on record, and none makes a network forget.",
        l="A leak flatters; nothing is flattered here.",
    ),
    "patient 7": diagnose(
        7,
        right="a",
        a="A batch of eight is a small sample: its loss jumps from batch to batch. The mean of an epoch falls, and so "
        "does the loss on validation.",
        b="The jagged curve suggests it. But its level falls all the way. Too high a rate would keep it up.",
        c="About nine in ten after two epochs.",
        d="The gradient would grow to dozens of times a healthy one, and the loss turn up. The level falls.",
        e="Single losses come down to thousandths, and 1.46 would be the floor.",
        f="It could not be right on validation images.",
        g="All digits are told apart, and the loss falls on.",
        h="Training is a little ahead, as it should be. By heart would be validation loss on the rise.",
        i="The two losses are of one size.",
        j="There is no dropout and no batch norm in this LeNet-5: both modes are the same.",
        k="No augmentation is on record, and no pair of digits is mixed up for good.",
        l="Validation ends a little below training, as it does where nothing leaks.",
    ),
    "patient 8": diagnose(
        8,
        right="l",
        a="Too good: with 3,000 images the healthy run gets 96 %. With 1,200, and no gap at all, 99 % is no luck.",
        b="The loss falls to a hundredth.",
        c="It needs no more speed: nearly every training image is right.",
        d="The loss would turn up again.",
        e="The loss is far below 1.46.",
        f="Nothing could be learnt then.",
        g="Nearly every image is right; nothing essential is dead.",
        h="That is what 1,200 images should lead to: training at 100 %, validation well below. Where is the gap?",
        i="The two losses agree to the end.",
        j="There is no dropout and no batch norm in this LeNet-5: both modes are the same.",
        k="No augmentation is on record, and hardly a digit is mistaken.",
        l="Training and validation rise as one, to 99 %, from 1,200 images. What is measured has been learnt from. "
        "“Images in both sets” counts them.",
    ),
}

page = Page(
    "06_clinic",
    exercises={
        "no help": Choice(
            "A loss stays at 2.30. Which test will not help?",
            {
                "a": ("gradient norms", "It tells whether anything gets back to the weights."),
                "b": ("dead ReLUs", "It tells whether a signal passes at all: a frequent cause."),
                "c": ("a batch with its labels", "It tells whether there is anything to learn: a frequent cause."),
                "d": ("images in both sets", "A leak only flatters: it can make no run worse."),
                "e": (
                    "weights before and after",
                    "It tells a rate too low, where they move by less than 1 %, from the rest.",
                ),
            },
            right="d",
        ),
        **PATIENTS,
        "floor": Number(
            value=-math.log(math.e / (math.e + 9)),
            within=0.01,
            mixups={
                0: "So it would be for logits. Here the loss takes the softmax of 1 and nine times 0.",
                math.log(10): "That is all ten alike. Here one of the ten is 1, the others 0.",
                math.log(9): "The 1 counts as well: e¹ + 9 · e⁰ stands below the line.",
                math.e / (math.e + 9): "That is the probability. The loss is −ln of it.",
            },
            hint="Softmax of (1, 0, 0, … 0): e¹ over the sum of ten powers of e. Then −ln.",
            worth="So a loss just above it, with most answers right, names its cause.",
        ),
        "drawn before": Number(
            value=0.75,
            within=0.005,
            mixups={
                0.25: "That share was set aside in both epochs.",
                0.1875: "That is the share of all images. The question is about the validation images of epoch two.",
                1: "Not yet: some were set aside the first time, too.",
                0: "The draws are independent.",
            },
            hint="Each image had which chance to be in the training set of epoch one?",
            worth="After 15 epochs, all but one in a thousand million have been seen.",
        ),
        "new row": Choice(
            "Train loss 0.011, validation loss 0.71 and lowest in the third epoch, nothing shared. Which diagnosis?",
            {
                "a": ("Other pixels when it is measured.", "It would be bad from the first epoch, not from the third."),
                "b": ("Too few images, learnt by heart.", "More images, augmentation or an earlier stop help."),
                "c": ("A learning rate too high.", "Training got to 0.011 without a step above 2.4."),
                "d": ("A softmax before the loss.", "0.011 is far below 1.46."),
                "e": ("Measured in train mode.", "That holds validation back from the first epoch on."),
            },
            right="b",
        ),
    },
    questions=[
        Choice(
            "Nine in ten are right, and the loss stays near 1.5 on both splits. What do you look at first?",
            {
                "a": ("The learning rate.", "It would hold both back, the loss and the answers."),
                "b": ("What goes into the loss: logits or probabilities?", "1.46 is the floor for probabilities."),
                "c": ("The labels.", "Nine in ten would not be right."),
            },
            right="b",
        ),
        Choice(
            "The loss is 2.30 from the first step to the last. What tells dead ReLUs from labels out of step?",
            {
                "a": ("The share of outputs that are always 0.", "And a batch with its labels settles the other."),
                "b": ("The confusion matrix.", "One or two answers for everything, in both cases."),
                "c": ("More epochs.", "Neither gets better by waiting."),
                "d": ("Validation loss.", "It is 2.30 in both cases."),
            },
            right="a",
        ),
        Choice(
            "Validation is better than training. When is that no alarm?",
            {
                "a": ("Never.", "It is common: see patient 3."),
                "b": ("When both are above 95 %.", "So was patient 8."),
                "c": ("When something holds training back.", "Dropout, augmentation, or the mean over an epoch."),
            },
            right="c",
        ),
        Choice(
            "From epoch one, validation loss is a hundred times that of training; accuracies agree. What is likely?",
            {
                "a": ("Overfitting.", "It takes epochs to come, and accuracies part."),
                "b": ("Other pixels when measured.", "Large inputs make large logits, and errors expensive."),
                "c": ("Too high a learning rate.", "It would show in training."),
                "d": ("A leak.", "It brings the two together."),
            },
            right="b",
        ),
        Choice(
            "A curve of single batches is jagged. What tells whether that matters?",
            {
                "a": ("Its mean over an epoch, and validation.", "If both fall, it is only the size of the batch."),
                "b": ("Its largest value.", "One hard batch of eight is enough for that."),
                "c": ("Its last value.", "The next batch gives another."),
            },
            right="a",
        ),
    ],
)
