"""MNIST from file to batch: find, check, download, split, and serve it on the device."""

from helpers.data.batches import MEAN, SCALINGS, STD, Augmentation, Batches, normalise
from helpers.data.idx import parse_idx
from helpers.data.mnist import CLOTHES, DISPUTED, Mnist, describe_source, load_fashion_mnist, load_mnist
from helpers.data.png_tar import PngDigits, unpack_tar
from helpers.data.splits import VALIDATION_SHARE, Split, check_split, split_train_validation
from helpers.errors import DataError
