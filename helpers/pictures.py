"""Any picture of handwritten digits, made into what MNIST would hold of it.

MNIST's makers scaled each digit into a box of 20 × 20 pixels and put its centre of mass in the middle of 28 × 28. A
network that learnt from such images has never seen another size, place or stroke.
"""

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from helpers import plotting
from helpers.data import Split
from helpers.data.idx import read_bytes
from helpers.errors import FileError, InputError
from helpers.trained import Predictions

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
MOST_BYTES, MOST_SIDE = 100_000_000, 20_000
REMEDY = "Save it anew as PNG or JPEG, with at most 80 million pixels"
WORKING_PIXELS, LIGHT_PIXELS = 1_000_000, 4_000  # larger pictures are reduced: at first, and to find their light
MOST_DIGITS = 50
COLUMNS = 5  # digits in a row of a figure

SIDE, BOX = 28, 20  # pixels of an image in MNIST, and of the box that its digit fills
CENTRE = 14.5  # where MNIST puts the centre of mass, in pixels from the edge: in the middle of pixel 14
INK = 0.2  # share of full ink from which a pixel belongs to a stroke
STROKE = 2.0  # pixels in MNIST; three of four digits there have thicker strokes
PAPER, FULL = 0.1, 0.9  # shares of the strongest ink that become 0 and 255
LANCZOS = 3  # output pixels that the filter reaches to each side

FAINTEST = 20  # grey levels out of 255 between paper and ink
DIM = 64  # level of paper below which ink is no longer seen as a share of its light
NOISE = 5  # standard deviations of the paper's noise that no ink is below
EDGE = 2  # pixels around a stroke that are its soft edge
SMALLEST = 4  # pixels of a digit
SPECK, PART = 0.15, 0.4  # of the tallest piece's height: what is shorter is dirt, or lower is part of a digit
ABOVE, GAP = 0.3, 0.15  # pieces of a digit share so much of their width, or a part is so close to the rest

Box = tuple[int, int, int, int]  # first row, first column, and those behind the last ones


@dataclass(frozen=True)
class Steps:
    """What is done to a picture; each step can be left out to see what it is worth.

    Attributes:
        choose_polarity: dark ink on light paper, or light on dark, whichever it is; else dark on light.
        level_light: paper that is darker in places becomes even; else it is taken to be so.
        crop: to each digit's box, which then fills 20 × 20 pixels; else the whole picture is one digit in 28 × 28.
        centre: by the ink's centre of mass; else by the middle of the box.
        thicken: strokes that would be thinner than MNIST's.
        stretch: grey levels, so that the strongest ink is 255.
    """

    choose_polarity: bool = True
    level_light: bool = True
    crop: bool = True
    centre: bool = True
    thicken: bool = True
    stretch: bool = True


EVERY_STEP = Steps()


@dataclass(frozen=True)
class Picture:
    """A picture and the digits in it.

    Attributes:
        grey: (h, w), 0 is black and 255 is white.
        boxes: where each digit is in `grey`, from left to right.
        digits: as MNIST would hold them, in the same order, without labels.
    """

    grey: np.ndarray
    boxes: list[Box]
    digits: Split


def prepare_picture(source: Path | str | np.ndarray, steps: Steps = EVERY_STEP) -> Picture:
    """The digits of a picture that shows one, or several in a row that do not touch.

    Args:
        source: a file, or grey levels (h, w) from 0 (black) to 255.
        steps: what to do.

    Raises:
        FileError: the file cannot be read, or shows no digits.
        InputError: an array that is no picture.
    """
    is_array = isinstance(source, np.ndarray)
    grey, name = (source, "the picture") if is_array else (read_picture(source), source)
    ink = extract_ink(grey, steps)
    found = find_digits(ink) if steps.crop else [((0, 0, *ink.shape), ink)] * bool(ink.any())
    if not found:
        raise FileError(name, "shows no ink that differs from its paper", "Write darker or larger, or crop it closer")
    if len(found) > MOST_DIGITS:
        remedy = "Crop it to one row of digits on plain paper"
        raise FileError(name, f"shows {len(found)} pieces of ink, more than {MOST_DIGITS} digits", remedy)
    boxes, inks = zip(*found)
    images = np.stack([prepare_digit(ink, steps) for ink in inks])
    return Picture(grey, list(boxes), Split(torch.from_numpy(images)))


def prepare_images(images: np.ndarray | torch.Tensor, steps: Steps = EVERY_STEP) -> torch.Tensor:
    """A whole data set of digits as MNIST would hold them.

    Args:
        images: (n, h, w), one digit in each, any number type; 0 is paper, and the strongest ink is the highest number.
        steps: what to do; the first two are for pictures only.

    Returns:
        uint8 (n, 28, 28).
    """
    images = np.asarray(images)
    full = max(images.max(initial=0), 1)
    digits = [prepare_digit(image * (255 / full), steps) for image in images]
    return torch.from_numpy(np.array(digits, dtype=np.uint8).reshape(-1, SIDE, SIDE))


def read_picture(path: Path | str) -> np.ndarray:
    """A file as grey levels (h, w), 0 is black and 255 is white; turned upright, and reduced to a million pixels or so.

    What is transparent shows white paper, or black where the rest is light.

    Raises:
        FileError: no such file, not a picture, a damaged one, or one too large to open.
    """
    path = Path(path)
    content = read_bytes(path, MOST_BYTES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if max(image.size) > MOST_SIDE:
                    raise ValueError(f"{image.width:,} × {image.height:,} pixels, more than {MOST_SIDE:,} a side")
                return _to_grey(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise FileError(path, f"is no picture of a kind that can be read ({', '.join(FORMATS)})", REMEDY) from error
    except Exception as error:  # over damaged bytes, Pillow raises nearly any type
        raise FileError(path, f"cannot be read as a picture ({error})", REMEDY) from error


def _to_grey(image: Image.Image) -> np.ndarray:
    """Grey levels (h, w) of an open image."""
    if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
        grey = Image.fromarray((np.asarray(image, dtype=np.float32) / 257).clip(0, 255))
    elif image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        levels, alpha = np.moveaxis(np.asarray(image.convert("RGBA").convert("LA"), dtype=np.float32), 2, 0)
        light_on_nothing = (alpha < 128).mean() > 0.5 and (levels * alpha).sum() > 128 * alpha.sum()
        grey = Image.fromarray((levels * alpha + (not light_on_nothing) * 255 * (255 - alpha)) / 255)
    else:
        grey = image.convert("RGB").convert("L").convert("F")
    factor = choose_factor(grey.width * grey.height, WORKING_PIXELS)
    return np.asarray(grey.reduce(factor), dtype=np.float64)


def choose_factor(pixels: int, wanted: int) -> int:
    """By how much both sides of a picture are reduced, if it has several times the pixels that are wanted."""
    return max(1, math.isqrt(pixels // wanted))


def extract_ink(grey: np.ndarray, steps: Steps = EVERY_STEP) -> np.ndarray:
    """How much darker than its paper each pixel is, (h, w): 0 is paper and noise, 255 is black on white.

    Args:
        grey: (h, w), from 0 (black) to 255.
        steps: whether light ink and uneven light are looked for.

    Raises:
        InputError: not such an array.
    """
    _check_levels(grey)
    grey = 255 - grey if steps.choose_polarity and is_light_on_dark(grey) else grey
    paper = estimate_paper(grey) if steps.level_light else np.median(grey)
    ink = 255 * (paper - grey) / np.maximum(paper, DIM)
    low, level = np.percentile(ink, (5, 25))  # both of paper, which noise makes differ by its standard deviation
    ink[ink - level < max(FAINTEST, NOISE * (level - low))] = 0
    return ink.clip(0, 255)


def is_light_on_dark(grey: np.ndarray) -> bool:
    """Whether ink is lighter than paper. There is less of it, so it differs more from what is around."""
    small = _reduce(grey)
    surroundings = ndimage.gaussian_filter(small, min(small.shape) / 4)
    return float(((small - surroundings) ** 3).sum()) > 0


def estimate_paper(grey: np.ndarray) -> np.ndarray:
    """The grey level (h, w) that the paper would have without dark ink: no stroke is a third of the picture thick."""
    small = _reduce(grey)
    window = max(3, min(small.shape) // 3)
    # Closing fills strokes and keeps the edges of shadows, but does not follow a slope to the picture's own edges.
    trend = fit_trend(small)
    filled = np.minimum(ndimage.grey_closing(small, window), trend + ndimage.grey_closing(small - trend, window))
    smooth = ndimage.gaussian_filter(filled, 1)
    factor = choose_factor(grey.size, LIGHT_PIXELS)
    size = [factor * length for length in smooth.shape[::-1]]
    height, width = grey.shape
    return np.asarray(Image.fromarray(smooth).resize(size, Image.Resampling.BILINEAR))[:height, :width]


def fit_trend(grey: np.ndarray) -> np.ndarray:
    """The light of one lamp, (h, w): a quadratic surface through the paper of a picture, with the ink left out."""
    y, x = np.indices(grey.shape).reshape(2, -1) / max(grey.shape)
    terms, levels = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1), grey.ravel()
    paper = np.full(len(levels), True)
    for _ in range(4):
        trend = terms @ np.linalg.lstsq(terms[paper], levels[paper], rcond=None)[0]
        paper = levels - trend >= -np.median(np.abs(levels - trend))
    return trend.reshape(grey.shape)


def _reduce(grey: np.ndarray) -> np.ndarray:
    """A small picture with the same light."""
    return np.asarray(Image.fromarray(grey.astype(np.float32)).reduce(choose_factor(grey.size, LIGHT_PIXELS)))


class Digit(NamedTuple):
    """Numbers of the pieces of ink that make up a digit, and their box."""

    pieces: list[int]
    box: Box


def find_digits(ink: np.ndarray) -> list[tuple[Box, np.ndarray]]:
    """The digits of a row, from left to right: the box of each, and the ink (h, w) around it that is its own."""
    pieces, _ = ndimage.label(ink > choose_threshold(ink), structure=np.ones((3, 3)))
    places = enumerate(ndimage.find_objects(pieces), 1)
    boxes = {piece: (rows.start, columns.start, rows.stop, columns.stop) for piece, (rows, columns) in places}
    tallest = max(map(_height, boxes.values()), default=0)
    shortest = max(SMALLEST, min(ink.shape) / 50, SPECK * tallest)
    clean = {piece: box for piece, box in boxes.items() if max(_height(box), _width(box)) >= shortest}
    digits = [digit for digit in group_pieces(clean, tallest) if _height(digit.box) >= PART * tallest]
    return [(digit.box, _cut_out(ink, pieces, digit)) for digit in digits]


def choose_threshold(ink: np.ndarray) -> float:
    """Half-way between the mean level of paper and that of ink, told apart by Otsu's method.

    Source: N. Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9 (1979) 62–66.
    """
    counts = np.bincount(ink.astype(np.uint8).ravel(), minlength=256)
    pixels, sums = counts.cumsum(), (counts * np.arange(256)).cumsum()
    others, other_sums = pixels[-1] - pixels, sums[-1] - sums
    means, other_means = sums / np.maximum(pixels, 1), other_sums / np.maximum(others, 1)
    best = np.argmax(pixels * others * (other_means - means) ** 2.0)
    return (means[best] + other_means[best]) / 2


def group_pieces(boxes: dict[int, Box], tallest: int) -> list[Digit]:
    """Pieces of ink that make up a digit, from left to right.

    They lie above each other, or one is too low for a digit and close to another, such as the bar of a 5.
    """
    digits = []
    for piece, box in sorted(boxes.items(), key=lambda item: item[1][1]):
        digit = Digit([piece], box)
        if digits and _belong_together(digits[-1].box, box, tallest):
            last = digits.pop()
            box = *map(min, last.box[:2], box[:2]), *map(max, last.box[2:], box[2:])
            digit = Digit([*last.pieces, piece], box)
        digits.append(digit)
    return digits


def _belong_together(left: Box, right: Box, tallest: int) -> bool:
    """Whether two neighbours are parts of one digit."""
    overlap = left[3] - right[1]
    if min(_height(left), _height(right)) < PART * tallest:
        return overlap >= -GAP * tallest
    return overlap >= ABOVE * min(_width(left), _width(right))


def _height(box: Box) -> int:
    return box[2] - box[0]


def _width(box: Box) -> int:
    return box[3] - box[1]


def _cut_out(ink: np.ndarray, pieces: np.ndarray, digit: Digit) -> np.ndarray:
    """A digit's ink with its soft edges, nowhere stronger than half of it is."""
    top, left, bottom, right = digit.box
    around = slice(max(0, top - EDGE), bottom + EDGE), slice(max(0, left - EDGE), right + EDGE)
    own = np.isin(pieces[around], digit.pieces)
    strong = np.median(ink[around][own])
    return np.minimum(ink[around], strong) * ndimage.binary_dilation(own, np.ones((3, 3)), iterations=EDGE)


def prepare_digit(ink: np.ndarray, steps: Steps = EVERY_STEP) -> np.ndarray:
    """One digit as MNIST would hold it: 20 pixels high or wide, whichever is more, centred by mass in 28 × 28.

    Args:
        ink: (h, w), any number type, from 0 (paper) to 255 (full ink); nothing but one digit has ink.
        steps: what to do.

    Returns:
        uint8 (28, 28).

    Raises:
        InputError: not such an array, or one without ink.
    """
    _check_levels(ink)
    strongest = float(ink.max())
    if not strongest:
        raise InputError("a digit needs ink: a pixel above 0, which is paper")
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
    """Ink (0 to 1) for `radius` pixels more around each stroke, smooth at its edge; the picture grows by as much."""
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


def plot_seen(pictures: Sequence[Picture], answers: Sequence[Predictions]) -> Figure:
    """A row for each picture: its digits in boxes, and beside it what the network saw, with its answers."""
    heights = [max(2, 1.4 * -(-len(picture.boxes) // COLUMNS)) for picture in pictures]
    figure = plt.figure(figsize=(11, sum(heights)))
    rows = figure.subfigures(len(pictures), 2, squeeze=False, height_ratios=heights, width_ratios=(3, COLUMNS))
    for (given, seen), picture, predictions in zip(rows, pictures, answers):
        ax, grid = given.subplots(), seen.subplots(-(-len(picture.boxes) // COLUMNS), COLUMNS, squeeze=False).ravel()
        ax.imshow(picture.grey, cmap="gray", vmin=0, vmax=255)
        for top, left, bottom, right in picture.boxes:
            size = right - left, bottom - top
            ax.add_patch(Rectangle((left - 0.5, top - 0.5), *size, fill=False, edgecolor=plotting.ORANGE))
        for corner in (ax, *grid):
            corner.axis("off")
        said = zip(predictions.predicted, predictions.confidence)
        for corner, image, (digit, share) in zip(grid, picture.digits.images.numpy(), said):
            corner.imshow(image, cmap="gray_r", vmin=0, vmax=255)
            corner.set_title(f"{digit} ({share:.0%})", fontsize=9, pad=3)
    return figure


def _check_levels(levels: np.ndarray) -> None:
    """Raise InputError unless it is an array (h, w) of numbers from 0 to 255."""
    if not isinstance(levels, np.ndarray) or levels.ndim != 2 or levels.dtype.kind not in "uif" or not levels.size:
        found = f"{levels.dtype} {levels.shape}" if isinstance(levels, np.ndarray) else f"a {type(levels).__name__}"
        raise InputError(f"a picture must be an array of numbers from 0 to 255 (height, width), not {found}")
    if not (levels.min() >= 0 and levels.max() <= 255):  # in this form also for what is no number
        raise InputError(f"grey levels must be from 0 to 255, not from {levels.min():g} to {levels.max():g}")
