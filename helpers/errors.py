"""What went wrong, in one line: which file or value, what is the matter with it, what to do."""

from pathlib import Path

MOST_CHARACTERS = 300


class CourseError(Exception):
    """Something that a reader can put right, and no fault of the course's code."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the line itself, without the way that led to it."""
        return [f"{type(self).__name__}: {self}"]


class InputError(CourseError, ValueError):
    """A value cannot be what it is."""


class FileError(CourseError):
    """A file cannot be used or written."""

    def __init__(self, path: Path | str, problem: str, remedy: str):
        problem = " ".join(problem.split())[:MOST_CHARACTERS]  # what libraries say can be many lines
        super().__init__(f"{path}: {problem}. {remedy}.".replace("\n", " "))
        self.path, self.problem = Path(path), problem


class InUseError(FileError):
    """Another process has a file or folder."""


class DataError(FileError):
    """A data file cannot be used."""


class CheckpointError(FileError):
    """A checkpoint cannot be used or written."""


class TrainingError(CourseError):
    """The loss is no longer a number."""


class Interrupted(KeyboardInterrupt):
    """A training was stopped: says what is saved, and how to go on."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]
