"""Pictures of digits, made into what MNIST would hold of them."""

import contextlib
import io
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from scipy import ndimage
from sklearn.datasets import load_digits

from helpers import pictures
from helpers.checkpoints import load_trained
from helpers.data import Split
from helpers.errors import MOST_CHARACTERS, CourseError, FileError, InputError
from helpers.files import HOME
from helpers.pictures import Steps, prepare_digit, prepare_images, prepare_picture, read_picture
from lab import recipes  # noqa: F401  makes the lab's networks known

CHECKPOINTS = HOME / "data" / "checkpoints"
COUNT = 15


@pytest.fixture(scope="module")
def compact():
    return load_trained(CHECKPOINTS / "compact.pt")


@pytest.fixture(scope="module")
def digits(mnist) -> Split:
    """Test images, which nothing here was chosen by."""
    return mnist.test.take(COUNT)


def enlarge(image: torch.Tensor, times: int) -> np.ndarray:
    """Sharp ink from 0 to 1, (28 · times, 28 · times)."""
    large = Image.fromarray(image.numpy().astype(np.float32)).resize((28 * times,) * 2, Image.Resampling.BICUBIC)
    return ((np.asarray(large) / 255 - 0.5) * 0.6 * times + 0.5).clip(0, 1)


def place(ink: np.ndarray, shape: tuple[int, int], corner: tuple[int, int], paper=255, full=0) -> np.ndarray:
    """Grey levels of a page (h, w) with ink on it."""
    page = np.zeros(shape)
    page[corner[0] : corner[0] + ink.shape[0], corner[1] : corner[1] + ink.shape[1]] = ink
    return paper + (full - paper) * page


def encode(grey: np.ndarray | Image.Image, kind: str = "png", **options) -> bytes:
    stream = io.BytesIO()
    image = grey if isinstance(grey, Image.Image) else Image.fromarray(to_bytes(grey))
    image.save(stream, kind, **options)
    return stream.getvalue()


def to_bytes(levels: np.ndarray) -> np.ndarray:
    return levels.clip(0, 255).round().astype(np.uint8)


def thin(ink: np.ndarray) -> np.ndarray:
    """Lines of one pixel through the middle of strokes, bool. Source: Zhang, Suen, Comm. ACM 27 (1984) 236–239."""
    ink, before = np.pad(ink > 0.5, 1), None
    while before is None or ink.sum() < before:
        before = ink.sum()
        for first in (True, False):
            steps = ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))
            ring = [np.roll(ink, step, (0, 1)) for step in steps]
            north, east, south, west = ring[::2]
            turns = sum((~one & other).astype(int) for one, other in zip(ring, ring[1:] + ring[:1]))
            around = sum(side.astype(int) for side in ring)
            closed = (north | west) & south & east if first else (south | east) & north & west
            ink = ink & ~((around >= 2) & (around <= 6) & (turns == 1) & ~closed)
    return ink[1:-1, 1:-1]


def draw_with_pen(image: torch.Tensor, times: int = 15) -> np.ndarray:
    """A digit drawn with lines of two pixels, (28 · times, 28 · times)."""
    page = Image.new("L", (28 * times,) * 2)
    points, step, draw = set(map(tuple, np.argwhere(thin(enlarge(image, 3))))), times // 3, ImageDraw.Draw(page)
    for y, x in points:
        for other in points & {(y, x + 1), (y + 1, x), (y + 1, x + 1), (y + 1, x - 1)}:
            draw.line([x * step, y * step, other[1] * step, other[0] * step], fill=255, width=2)
    return np.asarray(page) / 255


def in_colour(image):
    ink = enlarge(image, 6)[..., None]
    return encode(255 - ink * (255 - np.array([20, 40, 160])))


def on_nothing(image, level=0):
    ink = to_bytes(255 * enlarge(image, 6))
    return encode(np.dstack([np.full_like(ink, level)] * 3 + [ink]))


def with_palette(image):
    grey = Image.fromarray(to_bytes(255 - 215 * enlarge(image, 5)))
    return encode(grey.convert("P", palette=Image.Palette.ADAPTIVE, colors=8))


def with_16_bits(image):
    return encode(Image.fromarray((65_535 - 60_000 * enlarge(image, 5)).astype(np.uint16)))


def chalk(image):
    return encode(place(enlarge(image, 6), (220, 200), (20, 15), paper=30, full=230))


def photograph(image):
    """Under a lamp at the left, blurred, with noise; dark paper is darker than the ink in the light."""
    page = place(enlarge(image, 6), (250, 320), (60, 130), paper=1, full=0.4)
    light = np.linspace(250, 70, 320) + 20 * np.linspace(-1, 1, 250)[:, None]
    noise = np.random.default_rng(0).normal(0, 5, page.shape)
    return encode(ndimage.gaussian_filter(page * light, 1) + noise, "jpeg", quality=80)


def turned_by_the_camera(image):
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = Image.fromarray(to_bytes(place(enlarge(image, 6), (220, 180), (20, 5))))
    return encode(upright.transpose(Image.Transpose.ROTATE_90), "jpeg", exif=exif)


def canvas(image):
    return encode(255 - 255 * enlarge(image, 10))


def wide(image):
    return encode(place(enlarge(image, 3), (100, 600), (9, 420)))


def tiny(image):
    box = (3, 3, 25, 25)
    return encode(Image.fromarray(255 - image.numpy()).resize((12, 12), Image.Resampling.BOX, box))


def squeezed(image):
    """A page full of the noise of a strong JPEG compression."""
    noise = np.random.default_rng(0).normal(0, 4, (110, 120))
    return encode(place(enlarge(image, 3), (110, 120), (9, 20), paper=235, full=60) + noise, "jpeg", quality=20)


def with_thin_pen(image):
    return encode(place(draw_with_pen(image), (440, 500), (10, 50), paper=250, full=40))


def white_on_nothing(image):
    return on_nothing(image, 255)


KINDS = (
    *(in_colour, on_nothing, white_on_nothing, with_palette, with_16_bits, chalk, photograph, turned_by_the_camera),
    *(canvas, wide, tiny, squeezed, with_thin_pen),
)


def count_right(kind, digits, compact, tmp_path, steps=pictures.EVERY_STEP) -> int:
    """How many digits are right; where nothing is found, none is."""
    seen = torch.zeros_like(digits.images)
    for image, prepared in zip(digits.images, seen):
        (tmp_path / "picture").write_bytes(kind(image))
        with contextlib.suppress(FileError):
            prepared[:] = prepare_picture(tmp_path / "picture", steps).digits.images[0]
    predictions = compact.predict(Split(seen, digits.labels))
    return int((predictions.correct & seen.any(1).any(1)).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_a_digit_is_read_from_a_picture_of_any_kind(kind, digits, compact, tmp_path):
    assert count_right(kind, digits, compact, tmp_path) >= COUNT - 1


@pytest.mark.parametrize(
    ("step", "kind"),
    [("choose_polarity", chalk), ("level_light", photograph), ("crop", wide)],
)
def test_without_its_step_a_kind_of_picture_is_not_read(step, kind, digits, compact, tmp_path):
    assert count_right(kind, digits, compact, tmp_path, Steps(**{step: False})) <= 2 / 3 * COUNT


def join_row(images: torch.Tensor) -> np.ndarray:
    return place(np.hstack([enlarge(image, 3) for image in images]), (110, 84 * len(images) + 40), (12, 20), 240, 30)


def test_a_row_is_read_from_left_to_right(digits, compact):
    for start in range(0, COUNT, 5):
        part = digits[start : start + 5]
        picture = prepare_picture(join_row(part.images))
        assert len(picture.digits) == 5
        assert (compact.predict(picture.digits).predicted == part.labels).sum() >= 4
        lefts = [box[1] for box in picture.boxes]
        assert lefts == sorted(lefts) and lefts[4] > 84 * 4


def test_the_box_of_a_digit_is_where_its_ink_is():
    page = np.full((100, 140), 230.0)
    page[30:70, 20:28] = 10
    page[25:66, 90:97] = 10
    assert prepare_picture(page).boxes == [(30, 20, 70, 28), (25, 90, 66, 97)]


@pytest.mark.parametrize(
    ("more", "boxes"),
    [
        ((28, 32, 62, 80), [(28, 50, 90, 80)]),  # a bar, partly above the rest
        ((28, 32, 72, 98), [(28, 50, 90, 98)]),  # a bar that begins a little behind it
        ((28, 32, 90, 108), [(40, 50, 90, 70)]),  # too low for a digit, and too far away
        ((40, 90, 72, 76), [(40, 50, 90, 70), (40, 72, 90, 76)]),  # a 1 close behind
        ((30, 37, 55, 62), [(40, 50, 90, 70)]),  # a speck
    ],
)
def test_pieces_of_ink_that_belong_together_are_one_digit(more, boxes):
    page = np.full((120, 160), 250.0)
    page[40:90, 50:70] = 0
    page[44:86, 54:66] = 250
    top, bottom, left, right = more
    page[top:bottom, left:right] = 0
    assert prepare_picture(page).boxes == boxes


@pytest.mark.parametrize(("left", "together"), [(14, True), (15, False)])
def test_tall_pieces_are_one_digit_if_three_tenths_of_the_narrower_lie_above_the_other(left, together):
    boxes = {7: (0, left, 50, left + 20), 3: (0, -30, 50, 20)}
    found = pictures.group_pieces(boxes, tallest=50)
    assert [digit.pieces for digit in found] == ([[3, 7]] if together else [[3], [7]])


def test_a_neighbour_in_the_box_of_a_digit_is_not_seen():
    """As where digits lean towards each other."""
    page = np.full((120, 130), 255.0)
    for row in range(20, 100):
        page[row, 80 - row // 2 : 86 - row // 2] = 0
        page[row, 114 - row // 2 : 120 - row // 2] = 0
    picture = prepare_picture(page)
    assert len(picture.boxes) == 2 and picture.boxes[0][3] > picture.boxes[1][1]
    assert (picture.digits.images[0].int() - picture.digits.images[1].int()).abs().max() <= 1
    assert ndimage.label(picture.digits.images[0].numpy() > 0)[1] == 1


def find_centre(image) -> np.ndarray:
    return np.array(ndimage.center_of_mass(np.asarray(image)))


def find_lengths(image) -> list[int]:
    return [int(np.ptp(np.nonzero(np.asarray(image) > 100)[axis])) + 1 for axis in (0, 1)]


def test_a_digit_fills_twenty_pixels_keeps_its_shape_and_is_centred_by_mass():
    ink = np.zeros((300, 300))
    ink[40:240, 30:130] = 200
    ink[40:80, 30:110] = 0
    image = prepare_digit(ink)
    assert image.shape == (28, 28) and image.dtype == np.uint8 and image.max() == 255
    assert find_lengths(image) == [20, 10]
    assert find_centre(image) == pytest.approx([14, 14], abs=0.05)
    middle = prepare_digit(ink, Steps(centre=False))
    rows, columns = np.nonzero(middle > 100)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 23, 9, 18)


def test_images_of_mnist_stay_nearly_as_they_are(digits):
    prepared = prepare_images(digits.images)
    assert prepared.shape == digits.images.shape and prepared.dtype == torch.uint8
    assert (prepared.float() - digits.images.float()).abs().mean() < 10
    ink = digits.images.float().mean()
    assert (prepared.float().mean() - ink).abs() < 0.1 * ink
    assert prepare_images(digits.images[:0]).shape == (0, 28, 28)
    assert (prepare_images(digits.images[:3].numpy() / 16) == prepared[:3]).all(), "the highest number is full ink"


def test_where_a_digit_is_and_how_large_makes_no_difference(digits):
    small, large = enlarge(digits.images[0], 5) * 255, enlarge(digits.images[0], 10) * 255
    moved = np.pad(small, ((0, 70), (300, 10)))
    assert (prepare_digit(moved) == prepare_digit(small)).all()
    assert np.abs(prepare_digit(large).astype(int) - prepare_digit(small)).mean() < 3


def test_without_the_crop_the_whole_picture_is_the_digit():
    ink = np.zeros((56, 28))
    ink[4:24, 10:14] = 255
    whole = prepare_digit(ink, Steps(crop=False, centre=False))
    assert find_lengths(whole) == [10, 2] and np.nonzero(whole > 100)[0].min() == 2
    grey = np.hstack([255 - ink, 255 - ink])
    assert prepare_picture(grey, Steps(crop=False)).boxes == [(0, 0, 56, 56)] and len(prepare_picture(grey).boxes) == 2


@pytest.mark.parametrize("thickness", [1, 3, 8, 40])
def test_a_stroke_is_as_thick_as_it_is(thickness):
    ink = np.zeros((500, 500))
    ink[20:480, 100 : 100 + thickness] = 0.7
    assert pictures.measure_stroke(ink) == pytest.approx(thickness, rel=0.1)


@pytest.mark.parametrize(("thickness", "seen"), [(4, 2), (20, 2), (60, 4)])
def test_thin_strokes_become_two_pixels_thick_and_others_stay(thickness, seen):
    ring = np.hypot(*(np.indices((400, 400)) - 200))
    ink = 255.0 * ((ring < 150) & (ring > 150 - thickness))
    row = prepare_digit(ink)[14] / 255
    assert row.sum() / 2 == pytest.approx(seen, rel=0.12)
    bare = prepare_digit(ink, Steps(thicken=False, stretch=False))[14] / 255
    assert bare.sum() / 2 == pytest.approx(thickness * 20 / 300, rel=0.12)
    assert find_lengths(prepare_digit(ink)) == pytest.approx([20, 20], abs=1)


def test_a_thickened_line_is_no_longer_than_the_box():
    ink = np.zeros((400, 400))
    ink[50:350, 100:104] = 255
    image = prepare_digit(ink) / 255
    assert image[:, 14].sum() == pytest.approx(20, abs=0.6) and image[14].sum() == pytest.approx(2, abs=0.4)


def test_thickening_adds_the_same_on_every_side():
    ink = np.zeros((5, 5))
    ink[2, 2] = 1
    wide = pictures.thicken_strokes(ink, 1.5)
    assert wide.shape == (9, 9) and wide[4].tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert wide[3, 3] == pytest.approx(2 - 2**0.5) and (wide == wide.T).all()
    assert pictures.thicken_strokes(ink, 0) is ink


def test_pale_ink_becomes_full_unless_levels_are_kept():
    page = np.full((60, 60), 250.0)
    page[10:50, 25:35] = 190
    assert prepare_picture(page).digits.images.max() == 255
    kept = prepare_picture(page, Steps(stretch=False)).digits.images.max()
    assert kept == pytest.approx(255 * 60 / 250, rel=0.15)


@pytest.mark.parametrize(("name", "least"), [("compact", 0.95), ("best-0", 0.95)])
def test_digits_of_eight_by_eight_pixels_are_read(name, least):
    """Of those at odd places, which nothing was chosen by."""
    images, labels = load_digits().images[1::6], torch.from_numpy(load_digits().target[1::6]).long()
    trained = load_trained(CHECKPOINTS / f"{name}.pt")
    assert trained.predict(Split(prepare_images(images), labels)).accuracy >= least
    stretched = [Image.fromarray(image.astype(np.float32)).resize((28, 28)) for image in images * (255 / 16)]
    naive = torch.from_numpy(to_bytes(np.stack(stretched)))
    assert trained.predict(Split(naive, labels)).accuracy < least - 0.03


def test_the_light_of_a_lamp_is_followed_and_ink_is_not():
    y, x = np.indices((300, 400)) / 400
    light = 220 - 90 * x - 60 * y * y + 20 * x * y
    page = light.copy()
    page[100:200, 150:170] *= 0.3
    assert np.abs(pictures.estimate_paper(page) - light).max() < 8
    assert np.abs(pictures.fit_trend(page) - light).max() < 1


def test_a_lamps_spot_on_the_page_is_no_light_ink():
    y, x = np.mgrid[:200, :200]
    page = 90 + 60 * np.exp(-((x - 60) ** 2 + (y - 60) ** 2) / (2 * 80**2))
    page[80:86, 40:160] -= 40
    page[40:160, 100:106] -= 40
    assert not pictures.is_light_on_dark(page) and pictures.is_light_on_dark(255 - page)


def test_ink_in_the_dark_counts_as_much_as_in_the_light():
    page = np.linspace(220, 80, 200) * np.ones((100, 1))
    for left in (30, 160):
        page[30:70, left : left + 8] *= 0.5
    ink = pictures.extract_ink(page)
    assert ink[50, 34] == pytest.approx(127, abs=6) and ink[50, 164] == pytest.approx(127, abs=6)
    assert ink[50, 100] == 0


def test_a_blot_makes_the_rest_of_the_ink_no_paler():
    page = np.full((100, 100), 250.0)
    page[30:70, 40:50] = 170
    image = prepare_picture(page).digits.images[0]
    page[40:43, 43:47] = 0
    assert (prepare_picture(page).digits.images[0].int() - image.int()).abs().max() <= 2


@pytest.mark.parametrize(("contrast", "count"), [(15, 0), (24, 1)])
def test_ink_differs_by_twenty_levels_or_more(contrast, count):
    page = np.full((100, 100), 254.0)
    page[30:70, 40:50] -= contrast
    assert len(pictures.find_digits(pictures.extract_ink(page))) == count


def test_the_light_is_found_where_it_is_also_in_a_picture_of_odd_size():
    page = np.full((333, 459), 220.0)  # reduced by 6, which leaves 3 rows and columns over
    page[:, 240:] = 130
    paper = pictures.estimate_paper(page)
    assert paper.shape == page.shape and np.abs(paper[:, :215] - 220).max() < 2 > np.abs(paper[:, 265:] - 130).max()
    assert np.argmax(paper[150] < 175) == pytest.approx(240, abs=1)


def test_a_shadow_with_an_edge_is_paper():
    page = np.full((128, 256), 220.0)
    page[:, 130:] = 130
    page[30:100, 40:50] = 40
    page[30:100, 200:210] = 25
    assert prepare_picture(page).boxes == [(30, 40, 100, 50), (30, 200, 100, 210)]


def test_the_threshold_is_half_way_between_paper_and_ink():
    ink = np.zeros((100, 100))
    ink[:5], ink[5:6] = 200, 40
    assert pictures.choose_threshold(ink) == pytest.approx(100, abs=1)


def write(path, content: bytes):
    path.write_bytes(content)
    return path


def test_a_picture_is_read_in_grey_upright_and_reduced(tmp_path):
    page = np.zeros((40, 60), dtype=np.uint8)
    page[:20] = 200
    assert (read_picture(write(tmp_path / "a", encode(page))) == page).all()
    halves = Image.fromarray(page > 0)
    assert (read_picture(write(tmp_path / "a", encode(halves))) == 255 * (page > 0)).all()
    deep = Image.fromarray(page.astype(np.uint16) * 257)
    assert read_picture(write(tmp_path / "a", encode(deep))) == pytest.approx(page)
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = read_picture(write(tmp_path / "a", encode(Image.fromarray(page), exif=exif)))
    assert (turned == page[::-1, ::-1]).all()
    assert read_picture(write(tmp_path / "a", encode(np.zeros((2_000, 2_000))))).shape == (1_000, 1_000)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize(("level", "paper"), [(0, 255), (40, 255), (255, 0)])
def test_what_is_transparent_is_white_unless_the_rest_is_light(mode, level, paper, tmp_path):
    picture = Image.new(mode, (20, 20), (90,) * (len(mode) - 1) + (0,))
    picture.paste((level,) * (len(mode) - 1) + (255,), (5, 5, 10, 15))
    grey = read_picture(write(tmp_path / "a", encode(picture)))
    assert (grey[0, 0], grey[7, 7]) == (paper, level)


def test_a_colour_of_a_palette_can_be_transparent(tmp_path):
    picture = Image.new("P", (20, 20), 0)
    picture.putpalette([0, 0, 0, 10, 10, 10])
    picture.paste(1, (5, 5, 10, 15))
    grey = read_picture(write(tmp_path / "a", encode(picture, "gif", transparency=0)))
    assert (grey[0, 0], grey[7, 7]) == (255, 10)


def describe_empty_pages() -> Iterator[np.ndarray]:
    draw = np.random.default_rng(0)
    y, x = np.indices((210, 300)) / 300
    yield from (np.full((50, 50), 255.0), np.zeros((50, 50)), np.zeros((1, 1)))
    yield 200 + draw.normal(0, 4, (210, 300))
    yield draw.uniform(0, 255, (100, 100))
    yield 100 + 120 * x + draw.normal(0, 4, (210, 300))
    yield 240 - 150 * ((x - 0.5) ** 2 + (y - 0.5) ** 2) + draw.normal(0, 4, (210, 300))


@pytest.mark.parametrize("page", [*describe_empty_pages()])
def test_a_page_without_ink_is_refused(page):
    with pytest.raises(FileError, match="^the picture: shows no ink that differs from its paper. Write darker"):
        prepare_picture(page)


def test_more_pieces_of_ink_than_digits_are_refused(monkeypatch):
    page = np.full((40, 200), 255.0)
    page[10:30, 10:190:20] = 0
    page[10:30, 11:190:20] = 0
    assert len(prepare_picture(page).boxes) == 9
    monkeypatch.setattr(pictures, "MOST_DIGITS", 8)
    with pytest.raises(FileError, match="shows 9 pieces of ink, more than 8 digits. Crop it to one row"):
        prepare_picture(page)


WHOLE = encode(np.random.default_rng(0).uniform(0, 255, (90, 90)))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is no picture of a kind that can be read .PNG, JPEG, "),
        (b"not a picture", "is no picture of a kind"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "is no picture of a kind"),
        (WHOLE[:-400], "cannot be read as a picture"),
        (encode(np.zeros((64, 64)), "jpeg")[:-30], "cannot be read as a picture"),
        (encode(np.zeros((1, 20_001))), "20,001 × 1 pixels, more than 20,000 a side"),
    ],
)
def test_what_is_no_picture_is_one_line_that_says_what_to_do(content, problem, tmp_path):
    with pytest.raises(FileError, match=problem) as caught:
        prepare_picture(write(tmp_path / "odd.png", content))
    line = str(caught.value)
    assert line.startswith(f"{tmp_path / 'odd.png'}: ") and "Save it anew as PNG or JPEG" in line and "0x" not in line
    assert "\n" not in line and len(line) < MOST_CHARACTERS + len(str(tmp_path))


def test_a_picture_that_unpacks_to_too_much_is_refused_unread(tmp_path, monkeypatch):
    path = write(tmp_path / "bomb.png", encode(np.zeros((150, 100))))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was unpacked"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for most in (10_000, 1_000):  # of which Pillow would warn, and which it refuses
            monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
            with pytest.raises(FileError, match="bomb.png: cannot be read as a picture"):
                read_picture(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(FileError, match="nothing.png: does not exist"):
        prepare_picture(tmp_path / "nothing.png")
    with pytest.raises(FileError, match="is no file"):
        prepare_picture(tmp_path)


@pytest.mark.parametrize(
    "levels",
    [
        *(np.zeros((28, 28, 3)), np.zeros(28), np.zeros((0, 5)), np.full((9, 9), np.nan), np.full((9, 9), -1.0)),
        *(np.full((9, 9), 256), np.full((9, 9), "a"), np.zeros((9, 9), dtype=complex), [[1, 2]], None),
    ],
)
def test_an_array_that_is_no_picture_is_refused(levels):
    with pytest.raises(InputError):
        prepare_digit(levels)
    if levels is not None and not isinstance(levels, list):
        with pytest.raises(InputError):
            prepare_picture(levels)


def test_a_digit_without_ink_is_refused():
    with pytest.raises(CourseError, match="a digit needs ink"):
        prepare_digit(np.zeros((28, 28)))
    assert prepare_digit(np.full((1, 1), 3)).max() == 255


def test_a_figure_shows_each_picture_with_its_boxes_and_each_digit_with_its_answer(digits, compact):
    given = [prepare_picture(join_row(digits.images[:7])), prepare_picture(join_row(digits.images[7:8]))]
    answers = [compact.predict(picture.digits) for picture in given]
    figure = pictures.plot_seen(given, answers)
    shown = [ax for ax in figure.axes if ax.images]
    assert [len(ax.patches) for ax in shown] == [7, *[0] * 7, 1, 0]
    assert (shown[3].images[0].get_array() == given[0].digits.images[2].numpy()).all()
    titles = [ax.get_title().split()[0] for ax in shown if ax.get_title()]
    assert titles == [str(int(digit)) for answer in answers for digit in answer.predicted]
    pictures.plt.close(figure)
