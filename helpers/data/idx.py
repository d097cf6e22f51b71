"""The IDX format of the original MNIST files: a few header bytes, then raw pixels or labels."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch

from helpers.errors import DataError

UNSIGNED_BYTE = 0x08


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a file; of a gzip archive, unpacked.

    Raises:
        DataError: it cannot be read, is no whole archive, or holds more than `most` bytes.
    """
    if not path.is_file():  # a pipe or a device would never end
        raise DataError(path, "is no file" if path.exists() else "does not exist", "Name a file that you may read")
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            content = file.read(most + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(path, f"not a complete gzip archive ({error})", "Fetch it again") from error
    except OSError as error:
        remedy = "Check that it is a file and that you may read it"
        raise DataError(path, f"cannot be read ({error.strerror or error})", remedy) from error
    if len(content) > most:
        raise DataError(path, f"holds more than {most:,} bytes", "Name another file")
    return content


def parse_idx(content: bytes, name: Path | str = "IDX data") -> torch.Tensor:
    """Unsigned bytes in IDX format as a tensor.

    The header is big-endian: two zero bytes, a type code (8 for unsigned bytes), the number of
    dimensions, then one 32-bit size per dimension.

    Args:
        content: the whole file, unpacked.
        name: what to call it in an error.

    Returns:
        uint8 tensor of the shape that the header gives.

    Raises:
        DataError: another type, or a length that does not fit the header.
    """
    remedy = "Expected an IDX file of unsigned bytes: fetch it again"
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != UNSIGNED_BYTE:
        raise DataError(name, f"not an IDX file of unsigned bytes (starts with {content[:4]!r})", remedy)
    dimensions = content[3]
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise DataError(name, "ends inside its header", remedy)
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) != header + math.prod(shape):
        raise DataError(name, f"holds {len(content) - header:,} values where its header says {shape}", remedy)
    return torch.from_numpy(np.frombuffer(content, np.uint8)[header:].reshape(shape).copy())
