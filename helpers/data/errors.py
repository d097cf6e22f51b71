"""The one error that everything about data files raises."""

from helpers.files import FileError


class DataError(FileError):
    """A data file cannot be used."""
