"""Any picture of handwritten digits, made into what MNIST would hold of it."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from helpers.errors import InputError

SIDE, BOX = 28, 20  # pixels of an image in MNIST, and of the box that its digit fills
CENTRE = 14.5  # where MNIST puts the centre of mass, in pixels from the edge: in the middle of pixel 14
INK = 0.2  # share of full ink from which a pixel belongs to a stroke
STROKE = 2.0  # pixels in MNIST; three of four digits there have thicker strokes
PAPER, FULL = 0.1, 0.9  # shares of the darkest ink that become 0 and 255
LANCZOS = 3  # output pixels that the filter reaches to each side


@dataclass(frozen=True)
class Steps:
    """What is done to a picture; each step can be left out to see what it is worth.

    Attributes:
        crop: to the box of the ink, which then fills 20 × 20 pixels; else the whole picture fills 28 × 28.
        centre: by the ink's centre of mass; else by the middle of the box.
        thicken: strokes that would be thinner than MNIST's.
        stretch: grey levels, so that the strongest ink is 255.
    """

    crop: bool = True
    centre: bool = True
    thicken: bool = True
    stretch: bool = True


EVERY_STEP = Steps()


def prepare_digit(ink: np.ndarray, steps: Steps = EVERY_STEP) -> np.ndarray:
    """One digit as MNIST would hold it: 20 pixels high or wide, whichever is more, centred by mass in 28 × 28.

    Args:
        ink: (h, w), any number type, 0 is paper and 255 full ink; nothing but one digit has ink.
        steps: what to do.

    Returns:
        uint8 (28, 28).

    Raises:
        InputError: not such an array, or one without ink.
    """
    strongest = _check_ink(ink)
    ink = crop_to_ink(ink / strongest) if steps.crop else ink / strongest
    side, extent = BOX if steps.crop else SIDE, max(ink.shape)
    if steps.thicken:
        missing = (STROKE * extent - side * measure_stroke(ink)) / (side - STROKE)
        ink, extent = thicken_strokes(ink, missing / 2), extent + max(missing, 0)
    scale = extent / side
    corner = [place / 2 - scale * SIDE / 2 for place in ink.shape]
    if steps.centre:
        corner = [place + 0.5 - scale * CENTRE for place in ndimage.center_of_mass(ink)]
    image = resample_square(ink, *corner, scale)
    image = (image / image.max() - PAPER) / (FULL - PAPER) if steps.stretch else image * strongest / 255
    return (255 * image.clip(0, 1)).round().astype(np.uint8)


def crop_to_ink(ink: np.ndarray) -> np.ndarray:
    """The smallest part of a picture that holds its strokes, from 0 (paper) to 1."""
    rows, columns = np.nonzero(ink > INK)
    return ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def measure_stroke(ink: np.ndarray) -> float:
    """How thick strokes are, in pixels: a long line has an area of length × thickness between two edges of its length.

    The length of the edges is the total variation, which grey levels along them do not change.
    """
    padded = np.pad(ink, 1)
    down, right = np.diff(padded, axis=0)[:, :-1], np.diff(padded, axis=1)[:-1]
    return 2 * ink.sum() / np.hypot(down, right).sum()


def thicken_strokes(ink: np.ndarray, radius: float) -> np.ndarray:
    """Ink (0 to 1) for `radius` pixels around every stroke, smooth at its edge; the picture grows where there is need."""
    if radius <= 0:
        return ink
    ink = np.pad(ink, math.ceil(radius))
    distance = ndimage.distance_transform_edt(ink <= INK)
    return np.maximum(ink, (radius + 0.5 - distance).clip(0, 1))


def resample_square(ink: np.ndarray, top: float, left: float, scale: float) -> np.ndarray:
    """28 × 28 pixels, each of `scale` × `scale` pixels of a picture; what lies outside of it is paper.

    Args:
        ink: (h, w).
        top, left: of the square, in pixels of the picture; may be negative.
        scale: above 0.

    Returns:
        float (28, 28). The filter lets it overshoot a little at edges.
    """
    margin = LANCZOS * max(scale, 1) + 1
    first = [math.floor(place - margin) for place in (left, top)]
    last = [math.ceil(place + SIDE * scale + margin) for place in (left, top)]
    left, top = left - first[0], top - first[1]
    picture = Image.fromarray(ink.astype(np.float32)).crop((*first, *last))
    box = (left, top, left + SIDE * scale, top + SIDE * scale)
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box), dtype=np.float64)


def _check_ink(ink: np.ndarray) -> float:
    """The strongest ink of a picture (h, w).

    Raises:
        InputError: it is no picture of ink, or has none.
    """
    if not isinstance(ink, np.ndarray) or ink.ndim != 2 or ink.dtype.kind not in "uif":
        found = f"{ink.dtype} {ink.shape}" if isinstance(ink, np.ndarray) else f"a {type(ink).__name__}"
        raise InputError(f"ink must be an array of numbers from 0 to 255 (height, width), not {found}")
    if not ink.size or not np.isfinite(ink).all() or ink.min() < 0 or ink.max() == 0:
        raise InputError("a digit needs ink: levels from 0 for paper to 255, and at least one of them above 0")
    return float(ink.max())
