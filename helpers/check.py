"""Says at once whether an answer is right, and which mix-up a wrong one betrays."""

import contextlib
import json
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from helpers import notebook
from helpers.errors import InputError
from helpers.files import replace_file

NEAR = 0.01  # of the right number: how far off an answer may be
Value = float | Callable[..., float]


@dataclass(frozen=True)
class Number:
    """An exercise that asks for a number.

    Attributes:
        value: the right one, or a function of what the page hands over, where it depends on the data.
        worth: a sentence worth knowing, for who has it right.
        hint: where to look, without giving it away, for a wrong answer of no known cause.
        mixups: wrong answers, each with the thought that leads to it. Functions are computed like `value`.
        within: how far off is still right; a hundredth of the value by default, and for a mix-up never more.
    """

    value: Value
    worth: str
    hint: str
    mixups: Mapping[Value, str] = field(default_factory=dict)
    within: float | None = None
    asks = "a number"

    def judge(self, answer: object, *given) -> str | None:
        """What is wrong with an answer; None where it is right."""
        number = read_number(answer)
        try:
            right, *wrong = (float(value(*given) if callable(value) else value) for value in (self.value, *self.mixups))
        except Exception as error:  # the reader may have changed what the page hands over
            raise InputError("what the page hands over cannot be used; run its cells again from the top") from error
        if abs(number - right) <= self._margin(right, self.within):
            return None
        for value, thought in zip(wrong, self.mixups.values()):
            if abs(number - value) <= min(self._margin(value), self._margin(value, self.within)):
                return thought
        if any(abs(number / factor - right) <= self._margin(right, self.within) for factor in (100, 0.01)):
            return "Its digits are right, but not its size: a share of 1, or per cent?"
        return self.hint

    @staticmethod
    def _margin(value: float, within: float | None = None) -> float:
        return (NEAR * abs(value) if within is None else within) + 1e-9


@dataclass(frozen=True)
class Choice:
    """A question with a few answers to choose from.

    Attributes:
        question: as it is printed, with the options below it.
        options: by letter: the answer, and what is to be said to who chooses it.
        right: the letter of the right one.
    """

    question: str
    options: Mapping[str, tuple[str, str]]
    right: str

    @property
    def asks(self) -> str:
        """What to answer with."""
        *first, last = (f'"{letter}"' for letter in self.options)
        return f"{', '.join(first)} or {last}"

    @property
    def worth(self) -> str:
        """What is to be said to who has it right."""
        return self.options[self.right][1]

    def judge(self, answer: object, *given) -> str | None:
        """What is wrong with an answer; None where it is right."""
        letter = answer.strip().lower() if isinstance(answer, str) else answer
        if not isinstance(letter, str) or letter not in self.options:
            raise InputError(f"answer with {self.asks}, in quotes")
        return None if letter == self.right else self.options[letter][1]


@dataclass(frozen=True)
class Code:
    """An exercise that asks for something that runs: a function, a network, a tensor of weights.

    Attributes:
        test: tries it on cases that the page does not show; returns what is wrong, or None. It raises an `InputError`
            for what is no attempt yet.
        worth: a sentence worth knowing, for who has it right.
        asks: what it is, in words.
        kind: its type or types.
    """

    test: Callable[..., str | None]
    worth: str
    asks: str = "a function"
    kind: type | tuple[type, ...] = Callable

    def judge(self, answer: object, *given) -> str | None:
        """What is wrong with an answer; None where it is right."""
        if not isinstance(answer, self.kind):
            raise InputError(f"{self.asks} is asked for, not something of type {type(answer).__name__}")
        try:
            return self.test(answer, *given)
        except InputError:
            raise
        except Exception as error:  # whatever a reader's code does
            cause = " ".join(str(error).split())[:150]
            return f"Tried on a case of our own, it ends in {type(error).__name__}: {cause}"


def read_number(answer: object) -> float:
    """A number from a number, an array or a tensor of one.

    Raises:
        InputError: it is something else, or not finite.
    """
    if isinstance(answer, str):
        raise InputError("write the number without quotes")
    if isinstance(answer, np.ndarray) and answer.size == 1:
        answer = answer.item()
    if isinstance(answer, torch.Tensor) and answer.numel() == 1 and answer.device.type != "meta":
        answer = answer.detach().item()
    if isinstance(answer, bool) or not isinstance(answer, numbers.Real):
        raise InputError(f"one number is asked for, not something of type {type(answer).__name__}")
    try:
        number = float(answer)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError("a finite number is asked for")
    return number


class Page:
    """The exercises and questions of a notebook, and how far its reader has come with them.

    Args:
        name: of the notebook; what was answered is kept in a file of that name, which git ignores.
        exercises: by the name that the page calls them by.
        questions: the quick questions at its end.
    """

    def __init__(self, name: str, exercises: Mapping[str, Number | Choice | Code], questions: Sequence[Choice]):
        self.exercises = dict(exercises)
        self.questions = {f"question {number}": question for number, question in enumerate(questions, 1)}
        self.path = notebook.RUNS / f"answers-{name}.json"
        self.guesses: dict[str, str] = {}

    def check(self, name: str, answer: object, *given) -> None:
        """Say whether an answer to an exercise is right.

        Args:
            name: of the exercise.
            answer: None as long as there is none.
            given: what the exercise needs of the page to work out the right answer.
        """
        exercise = self.exercises.get(name) or self.questions.get(name)
        if exercise is None:
            raise InputError(f"nothing on this page is called {name!r}")
        if isinstance(exercise, Choice):
            print(f"{name}: {exercise.question}")
            print("\n".join(f"   {letter}) {text}" for letter, (text, _) in exercise.options.items()))
        if answer is not None and answer is not ...:
            print(f"{name}: {self._reply(name, exercise, answer, given)}")
        elif not isinstance(exercise, Choice):
            print(f"{name}: no answer yet; put {exercise.asks} in place of None")

    def _reply(self, name: str, exercise: Number | Choice | Code, answer: object, given: tuple) -> str:
        try:
            problem = exercise.judge(answer, *given)
        except InputError as error:  # no answer to this question, so none that counts
            return str(error)
        self._record(name, problem is None)
        return f"right. {exercise.worth}" if problem is None else f"not yet. {problem}"

    def ask(self, number: int, answer: object) -> None:
        """Put a quick question, and say whether its answer (a letter) is right."""
        self.check(f"question {number}", answer)

    def guess(self, name: str, guess: object) -> None:
        """Keep what a reader predicts, until `compare` shows it beside the result."""
        if guess is not None:
            self.guesses[name] = " ".join(str(guess).split())[:60]

    def compare(self, name: str, measured: object) -> None:
        """Show a prediction beside what came out; nothing where there is none."""
        if name in self.guesses:
            print(f"{name}: you said {self.guesses[name]}, it is {measured}")

    def progress(self) -> None:
        """Say how many exercises and questions are answered, and how many at the first try."""
        kept, names = self._read(), (*self.exercises, *self.questions)
        tries = [kept[name]["tries"] for name in names if kept.get(name, {}).get("right")]
        print(f"{len(tries)} of {len(names)} answered, {tries.count(1)} at the first try")

    def _record(self, name: str, right: bool) -> None:
        kept = self._read()
        before = kept.get(name, {"tries": 0, "right": False})
        if not before["right"]:
            kept[name] = {"tries": before["tries"] + 1, "right": right}
            with contextlib.suppress(OSError):  # where nothing can be written, the page goes on all the same
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with replace_file(self.path) as temporary:
                    temporary.write_text(json.dumps(kept), encoding="utf-8")

    def _read(self) -> dict[str, dict]:
        """Tries and success by name; nothing where there is no file, or one that is damaged."""
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            return {name: {"tries": int(row["tries"]), "right": row["right"] is True} for name, row in kept.items()}
        except Exception:  # whatever is in it
            return {}
