"""MNIST from file to batch: find, check, download, split, and serve it on the device."""

from helpers.data.batches import MEAN, STD, Batches, normalise
from helpers.data.errors import DataError
from helpers.data.idx import parse_idx, read_idx
from helpers.data.mnist import DISPUTED, Mnist, describe_source, load_mnist
from helpers.data.png_tar import PngDigits, unpack_tar
from helpers.data.splits import Split, split_train_validation

__all__ = [
    "DISPUTED",
    "MEAN",
    "STD",
    "Batches",
    "DataError",
    "Mnist",
    "PngDigits",
    "Split",
    "describe_source",
    "load_mnist",
    "normalise",
    "parse_idx",
    "read_idx",
    "split_train_validation",
    "unpack_tar",
]
