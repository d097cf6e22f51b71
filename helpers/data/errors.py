"""The one error that everything about data files raises."""

from pathlib import Path


class DataError(Exception):
    """A data file cannot be used: says which file, what is wrong with it and what to do."""

    def __init__(self, path: Path | str, problem: str, remedy: str):
        super().__init__(f"{path}: {problem}. {remedy}.")
        self.path = Path(path)
