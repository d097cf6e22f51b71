"""The page that draws: its file, and what it does in a real browser.

Chromium or Chrome is driven over its own debugging protocol, with the websocket library that JupyterLab brings
along: no driver has to be installed, and real mouse and key events reach the page. Where no browser is found, those
tests are skipped and say so.
"""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
import websocket
from PIL import Image

from helpers.checkpoints import load_trained
from helpers.data import Split
from helpers.receptive_field import measure_receptive_field
from tools import export_page
from tools.export_page import CHECKPOINT, PAGE, make_page, read_data

MOST_BYTES, SECONDS = 400_000, 30
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    *(rf"{os.environ.get(part, '')}\Google\Chrome\Application\chrome.exe" for part in ("PROGRAMFILES", "LOCALAPPDATA")),
)
OPTIONS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --remote-debugging-port=0 --window-size=1280,900"
).split()


def find_browser() -> str | None:
    """Chromium or Chrome on this machine; COURSE_BROWSER names another."""
    named = os.environ.get("COURSE_BROWSER")
    found = [named] if named else [*map(shutil.which, NAMES), *filter(os.path.isfile, PLACES)]
    return next(filter(None, found), None)


class Browser:
    """One tab of a browser without a window."""

    def __init__(self, program: str, folder: Path):
        self.folder, self.events, self.count = folder, [], 0
        command = [program, *OPTIONS, f"--user-data-dir={folder}", "about:blank"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port = self.wait(self._read_port)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=SECONDS) as answer:
                (address,) = (tab["webSocketDebuggerUrl"] for tab in json.load(answer) if tab["type"] == "page")
            self.socket = websocket.create_connection(address, timeout=SECONDS, suppress_origin=True)
            for domain in ("Page", "Runtime", "Network", "Log"):
                self.call(f"{domain}.enable")
            self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        except BaseException:
            self.process.kill()
            raise

    def _read_port(self) -> str | None:
        path = self.folder / "DevToolsActivePort"
        assert self.process.poll() is None, "the browser has ended"
        lines = path.read_text().split() if path.is_file() else []
        return lines[0] if len(lines) > 1 else None

    def call(self, method: str, **parameters) -> dict:
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": parameters}))
        while (message := json.loads(self.socket.recv())).get("id") != self.count:
            self.events.append(message)
        assert "error" not in message, message
        return message["result"]

    def evaluate(self, source: str):
        """The value of a JavaScript expression; of a promise, what it becomes."""
        answer = self.call("Runtime.evaluate", expression=source, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition):
        """What a function returns as soon as it is true."""
        end = time.monotonic() + SECONDS
        while not (value := condition()):
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.05)
        return value

    def settle(self) -> None:
        """Let the page do what it has put off to the next frame."""
        self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")

    def open(self, address: str, ready: str = "views.at(-1)?.values?.length === 10") -> "Browser":
        self.events.clear()
        self.call("Page.navigate", url=address)
        self.wait(lambda: self.evaluate(f"document.readyState === 'complete' && Boolean({ready})"))
        self.settle()
        return self

    def place(self, selector: str) -> dict:
        """Left, top, width and height of an element, once it has been brought into view."""
        self.evaluate(
            f"document.querySelector('{selector}').scrollIntoView({{ block: 'center', behavior: 'instant' }})"
        )
        self.settle()
        return self.evaluate(f"document.querySelector('{selector}').getBoundingClientRect().toJSON()")

    def mouse(self, kind: str, x: float, y: float, **more) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def drag(self, selector: str, points: list[tuple[float, float]]) -> None:
        """Press, move and let go; the points are shares of the element's width and height."""
        box = self.place(selector)
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.mouse("mousePressed", *places[0], button="left", buttons=1, clickCount=1)
        for place in places[1:]:
            self.mouse("mouseMoved", *place, button="left", buttons=1)
        self.mouse("mouseReleased", *places[-1], button="left", clickCount=1)
        self.settle()

    def click(self, selector: str) -> None:
        self.drag(selector, [(0.5, 0.5)])

    def hover(self, selector: str, x: float, y: float) -> None:
        box = self.place(selector)
        self.mouse("mouseMoved", box["x"] + x * box["width"], box["y"] + y * box["height"])
        self.settle()

    def press(self, *keys: str) -> None:
        for key in keys:
            text = {"text": key} if len(key) == 1 else {}
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key)
        self.settle()

    def text(self, selector: str) -> str:
        return self.evaluate(f"document.querySelector('{selector}').textContent")

    def screenshot(self) -> Image.Image:
        return Image.open(io.BytesIO(base64.b64decode(self.call("Page.captureScreenshot")["data"]))).convert("RGB")

    def complaints(self) -> list[dict]:
        """Errors and warnings of the console, and exceptions, since the page was opened."""
        bad = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        self.settle()
        return [event for event in self.events if event.get("method") in bad]

    def requests(self) -> list[str]:
        """What was asked for since the page was opened."""
        self.settle()
        sent = (event["params"] for event in self.events if event.get("method") == "Network.requestWillBeSent")
        return [event["request"]["url"] for event in sent]

    def close(self) -> None:
        try:
            self.call("Browser.close")
            self.socket.close()
            self.process.wait(SECONDS)
        finally:
            self.process.kill()


@pytest.fixture(scope="module")
def page_text() -> str:
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def network():
    return load_trained(CHECKPOINT).network


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    """The browser, for all tests of this module."""
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium or Chrome was found, so the page was NOT tried out; COURSE_BROWSER may name one")
    browser = Browser(program, tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture
def page(tab):
    """The page, opened anew, which must not have asked for anything or complained when the test is over."""
    tab.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
    yield tab.open(PAGE.as_uri())
    assert tab.complaints() == []
    assert [address for address in tab.requests() if not address.startswith(("data:", "blob:"))] == [PAGE.as_uri()]


# The file


def test_the_page_is_one_small_file_that_names_no_other(page_text):
    assert len(page_text.encode()) <= MOST_BYTES
    code = page_text.replace(page_text.partition(export_page.BEGIN)[2].partition(export_page.END)[0], "")
    assert not re.findall(
        r"https?:|//[\w.]+/|@import|\bimport\b|fetch\(|XMLHttp|WebSocket|<iframe|<link(?! rel=\"icon\")", code
    )
    assert re.findall(r'(?:src|href)="([^"]*)"', code) == ["data:,"]
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page_text)
    allowed = {name: rest for name, *rest in (part.split() for part in policy.split(";"))}
    assert allowed.pop("default-src") == allowed.pop("base-uri") == allowed.pop("form-action") == ["'none'"]
    assert allowed == {
        "script-src": ["'unsafe-inline'"],
        "style-src": ["'unsafe-inline'"],
        "img-src": ["data:", "blob:"],
    }


def test_the_page_is_that_of_the_checkpoint(page_text, mnist):
    assert make_page(page_text, mnist) == page_text, "run `python -m tools.export_page`"
    stale = page_text.replace('"weights":"', '"weights":"AAAA', 1)
    assert make_page(stale, mnist) == page_text


def test_only_mnist_itself_can_change_the_test_images(page_text, mnist):
    digits = read_data(page_text)["digits"]
    assert [digit["label"] for digit in digits] == list(range(10))
    other = Split(255 - mnist.test.images, mnist.test.labels)
    changed = {
        source: read_data(make_page(page_text, type(mnist)(mnist.train, other, source=source)))["digits"] != digits
        for source in ("mnist", "sample")
    }
    assert changed == {"mnist": True, "sample": False}


def test_a_page_is_written_whole_or_not_at_all(tmp_path, page_text, mnist, monkeypatch, capsys):
    copy = tmp_path / "index.html"
    copy.write_text(page_text.replace('"field":3', '"field":4'), encoding="utf-8")
    monkeypatch.setattr(export_page, "load_mnist", lambda: mnist)
    assert export_page.main(copy) == 0 and copy.read_bytes() == page_text.encode()
    assert "bytes" in capsys.readouterr().out
    monkeypatch.setattr(export_page, "CHECKPOINT", tmp_path / "none.pt")
    assert export_page.main(copy) == 1 and copy.read_bytes() == page_text.encode()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "none.pt" in line


def decode(text: str, kind: str = "<f4") -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), kind).copy())


@torch.no_grad()
def test_batch_norm_is_folded_into_the_weights(page_text, network):
    images = torch.randn(8, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    values = images
    for layer in read_data(page_text)["layers"]:
        if layer["kind"] == "pool":
            values = torch.nn.functional.max_pool2d(values, layer["kernel"], layer["stride"])
            continue
        weight = decode(layer["weights"]).reshape(layer["channels"], layer["inputs"], layer["kernel"], layer["kernel"])
        values = torch.nn.functional.conv2d(values, weight, decode(layer["bias"]), padding=layer["padding"])
        values = values.relu() if layer["relu"] else values
    assert (values.flatten(1) - network(images)).abs().max() < 1e-4


def test_receptive_fields_are_those_that_gradients_find(page_text, network):
    layers = read_data(page_text)["layers"]
    assert [layer["name"] for layer in layers] == "conv1 conv2 pool1 conv3 conv4 conv5 pool2 conv6 conv7 conv8".split()
    for layer in layers:
        assert layer["field"] == measure_receptive_field(network, layer["name"]), layer["name"]


# In a browser


@pytest.mark.parametrize("count", [200])
@torch.no_grad()
def test_logits_are_those_of_pytorch(page, network, mnist, count):
    images = mnist.test.images[:count]
    texts = json.dumps([base64.b64encode(image.numpy().tobytes()).decode() for image in images])
    logits = torch.tensor(page.evaluate(f"{texts}.map((text) => Array.from(runNetwork(decode(text)).logits))"))
    expected = network((images[:, None].float() / 255 - 0.1307) / 0.3081)
    assert logits.shape == (count, 10) and (logits - expected).abs().max() <= 1e-3
    page.click("#digits button:nth-child(8)")
    shares = torch.tensor(page.evaluate("Array.from(result.probabilities)"))
    seven = decode(read_data(PAGE.read_text(encoding="utf-8"))["digits"][7]["pixels"], "u1").reshape(1, 1, 28, 28)
    assert (shares - network((seven.float() / 255 - 0.1307) / 0.3081).softmax(1)[0]).abs().max() < 1e-4
    assert page.text("#digit") == "7" and "which is right" in page.text("#remark")


@torch.no_grad()
def test_every_map_is_that_of_pytorch(page, network, mnist):
    image = mnist.test.images[4]
    text = base64.b64encode(image.numpy().tobytes()).decode()
    outputs = page.evaluate(f"runNetwork(decode('{text}')).outputs.map((values) => Array.from(values))")
    names = [name.replace("conv", "relu") for name in page.evaluate("data.layers.map((layer) => layer.name)")]
    names[-1] = "conv8"
    for name, values in zip(names, outputs[1:], strict=True):
        expected = network.until(name)((image[None, None].float() / 255 - 0.1307) / 0.3081).flatten()
        assert (torch.tensor(values) - expected).abs().max() < 1e-4, name


def curve(*corners: tuple[float, float], steps: int = 2) -> list[tuple[float, float]]:
    """Points from corner to corner."""
    pairs = zip(corners, corners[1:])
    return [
        (x + (to_x - x) * step / steps, y + (to_y - y) * step / steps)
        for (x, y), (to_x, to_y) in pairs
        for step in range(steps)
    ] + [corners[-1]]


THREE = curve(
    *((0.3, 0.25), (0.38, 0.18), (0.5, 0.15), (0.62, 0.2), (0.66, 0.3), (0.6, 0.42), (0.46, 0.47), (0.62, 0.52)),
    *((0.7, 0.64), (0.64, 0.77), (0.5, 0.83), (0.36, 0.8), (0.28, 0.72)),
)


def test_a_drawn_three_is_read_and_every_unit_says_what_it_saw(page):
    page.drag("#drawing", THREE)
    assert page.text("#digit") == "3" and "sure" in page.text("#sure")
    bars = page.evaluate(
        "[...document.querySelectorAll('#bars li')].map((item) => item.innerText.split(/\\s*\\n\\s*/))"
    )
    assert [bar[0] for bar in bars] == list("0123456789") and all(bar[-1].endswith("%") for bar in bars)
    before = page.screenshot()
    page.hover(".layer:nth-child(2) canvas", 0.05, 0.2)
    assert page.text("#unit-title") == "conv1, map 0" and "Sees 3 × 3 pixels" in page.text("#unit-field")
    page.hover(".layer:nth-child(7) canvas", 0.05, 0.15)
    assert page.text("#unit-title") == "conv5, map 0" and "Sees 14 × 14 pixels" in page.text("#unit-field")
    assert page.screenshot().tobytes() != before.tobytes()
    row, column, value = page.evaluate(
        "[chosen.row, chosen.column, views[chosen.view].values[chosen.row * 10 + chosen.column]]"
    )
    assert page.evaluate("chosenField()") == [2 * row - 2, 2 * row + 12, 2 * column - 2, 2 * column + 12]
    assert page.text("#unit-value") == f"{value:.2f}"


# Whether there is ink on the drawing where the middle of each pixel of the network's picture comes from.
LOOK_UP = """Array.from({ length: 784 }, (_, at) => {
  const [x, y] = toDrawing((at % 28) + 0.5, Math.floor(at / 28) + 0.5).map(Math.floor);
  return Math.min(x, y) >= 0 && Math.max(x, y) < DRAWING && readInk()[y * DRAWING + x] > 128;
})"""


@pytest.mark.parametrize("harder", [{}, {"turn": 40}, {"across": 3, "down": -2}, {"turn": -30, "across": 2}])
def test_outlines_on_the_drawing_are_where_the_pixels_came_from(page, harder):
    page.drag("#drawing", [(x * 0.6, y * 0.7) for x, y in THREE])
    for name, value in harder.items():
        slide(page, name, value)
    found, drawn = read_pixels(page).flatten() > 128, np.array(page.evaluate(LOOK_UP))
    assert found.sum() > 50 and (found & drawn).sum() / (found | drawn).sum() > 0.75


# Red, green and blue at the middle of each square of a canvas that shows so many of them in a row and column.
READ_CANVAS = """((canvas, left, top, step, size) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return Array.from({ length: size * size }, (_, at) => {
    const [x, y] = [left + ((at % size) + 0.5) * step, top + (Math.floor(at / size) + 0.5) * step].map(Math.floor);
    return Array.from(data.subarray(4 * (y * canvas.width + x)).subarray(0, 3));
  });
})"""


def test_what_is_painted_is_what_was_computed(page):
    page.click("#digits button:nth-child(6)")
    page.evaluate("choose({ view: 11, channel: 0, row: 0, column: 0 }, true)")  # no outline within the maps
    page.settle()
    painted = np.array(page.evaluate(f"{READ_CANVAS}(document.getElementById('picture'), 0, 0, 20, 28)"))
    assert np.abs(255 - painted.mean(1) - read_pixels(page).flatten()).max() < 1
    for index in (1, 3, 6, 9):
        view = f"views[{index}]"
        of_map, size = f"strongestUnit({index}).channel", f"{view}.size"
        values = page.evaluate(f"Array.from({view}.values.slice({of_map} * {size} ** 2, ({of_map} + 1) * {size} ** 2))")
        area = f"{view}.canvas, ...{view}.places[{of_map}], {view}.step, {size}"
        dark = 255 - np.array(page.evaluate(f"{READ_CANVAS}({area})")).mean(1)
        order = np.argsort(values)
        assert (np.diff(dark[order]) > -2).all() and dark[order][-1] > dark[order][0] + 50, index


# The strongest of the units in a corner (0), the middle (0.5) or the last corner (1) of a layer's maps: its kind, its
# value, and what it adds up from.
ASK_UNIT = """((index, share) => {
  const { layer, size, channels, values } = views[index];
  const place = Math.floor(share * (size - 1));
  const row = Array.from({ length: channels }, (_, map) => values[(map * size + place) * size + place]);
  const channel = row.indexOf(Math.max(...row));
  choose({ view: index, channel, row: place, column: place }, true);
  const parts = layer.kind === "conv" ? explainUnit(result.outputs[index - 1], layer, chosen) : [];
  return [layer.kind, row[channel], parts.reduce((total, part) => total + part.sum, layer.bias?.[channel])];
})"""


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_the_numbers_of_a_unit_make_its_value(page, share):
    """Bias and contributions of a convolution, the largest of four of a pooling."""
    for index in range(1, 11):
        kind, value, total = page.evaluate(f"{ASK_UNIT}({index}, {share})")
        page.settle()
        assert page.text("#unit-value").replace("−", "-") == f"{value:.2f}"
        if kind == "conv":
            assert value > 0 and total == pytest.approx(value, abs=1e-4), index
        else:
            assert f"{value:.2f}" == page.text("#unit-how .most")


# Whether the middle units of a layer change when all pixels outside of their outlined field do, and when those inside.
TURN_OVER = """((index) => {
  const { size, channels } = views[index];
  const middle = Math.floor(size / 2);
  chosen = { view: index, channel: 0, row: middle, column: middle };
  const [top, bottom, left, right] = chosenField();
  const isInside = (row, column) => row >= top && row < bottom && column >= left && column < right;
  const read = (picture) => {
    const values = runNetwork(picture).outputs[index];
    return Array.from({ length: channels }, (_, map) => values[(map * size + middle) * size + middle]).join();
  };
  const turn = (wanted) => pixels.map((grey, at) =>
    isInside(Math.floor(at / 28), at % 28) === wanted ? 255 - grey : grey);
  return [false, true].map((wanted) => read(turn(wanted)) !== read(pixels));
})"""


def test_a_unit_depends_on_its_outlined_field_only(page):
    page.click("#digits button:nth-child(9)")
    for index in range(1, 10):  # the last layer sees everything
        assert page.evaluate(f"{TURN_OVER}({index})") == [False, True], index


def test_a_held_unit_stays_until_it_is_let_go(page):
    page.click(".layer:nth-child(6) canvas")
    held = page.text("#unit-title")
    page.hover(".layer:nth-child(2) canvas", 0.05, 0.2)
    assert page.text("#unit-title") == held
    page.press("Escape")
    page.hover(".layer:nth-child(2) canvas", 0.06, 0.25)
    assert page.text("#unit-title") == "conv1, map 0"


def test_a_cover_hides_a_stroke(page):
    page.drag("#drawing", THREE)
    before = read_pixels(page)
    page.click("#cover")
    page.drag("#drawing", [(0.5, 0.5), (0.62, 0.24)])
    row, column, size = page.evaluate("[harder.cover.row, harder.cover.column, harder.cover.size]")
    after = read_pixels(page)
    hidden = (slice(row, row + size), slice(column, column + size))
    assert before[hidden].any() and not after[hidden].any()
    before[hidden] = 0
    assert (before == after).all(), "nothing else moved"
    page.evaluate("document.getElementById('picture').focus()")
    page.press("ArrowUp", "ArrowLeft")
    assert page.evaluate("[harder.cover.row, harder.cover.column]") == [row - 1, column - 1]
    page.click("#reset")
    assert page.evaluate("harder.cover") is None and page.text("#digit") == "3"


SLIDE = """((name, value) => {
  document.getElementById(name).value = value;
  document.getElementById(name).dispatchEvent(new Event("input", { bubbles: true }));
})"""


def slide(page, name: str, value: float) -> None:
    page.evaluate(f"{SLIDE}('{name}', {value})")
    page.settle()


def read_pixels(page) -> np.ndarray:
    """What the network gets now, (28, 28)."""
    return np.array(page.evaluate("Array.from(pixels)")).reshape(28, 28)


def test_sliders_move_turn_and_disturb(page):
    page.click("#digits button:nth-child(5)")
    before = read_pixels(page)
    slide(page, "across", 3)
    slide(page, "down", -2)
    moved = read_pixels(page)
    assert (moved[:-2, 3:] == before[2:, :-3]).all()
    assert page.evaluate("toPicture(...toDrawing(7.25, 9.5))") == pytest.approx([7.25, 9.5])
    page.click("#reset")
    assert (read_pixels(page) == before).all()
    slide(page, "turn", 30)
    turned = read_pixels(page)
    expected = Image.fromarray(before.astype(np.uint8)).rotate(-30, Image.Resampling.BILINEAR)
    assert np.abs(turned - np.asarray(expected, float)).mean() < 1, "clockwise, as the arrows on a clock"
    assert page.evaluate("toPicture(...toDrawing(7.25, 9.5))") == pytest.approx([7.25, 9.5])
    page.click("#reset")
    slide(page, "noise", 60)
    noisy = read_pixels(page)
    assert 10 < np.abs(noisy - before).mean() < 60 and noisy.min() >= 0 and noisy.max() <= 255


def test_undo_and_clear(page):
    page.drag("#drawing", THREE)
    drawn = page.evaluate("Array.from(pixels)")
    page.drag("#drawing", [(0.2, 0.9), (0.8, 0.9)])
    assert page.evaluate("Array.from(pixels)") != drawn
    page.click("#undo")
    assert page.evaluate("Array.from(pixels)") == drawn
    page.click("#clear")
    assert not any(page.evaluate("Array.from(pixels)")) and "nothing in the picture" in page.text("#remark")
    page.click("#undo")
    assert page.evaluate("Array.from(pixels)") == drawn and page.text("#digit") == "3"


def test_the_page_can_be_used_without_a_mouse(page):
    page.evaluate("document.getElementById('drawing').focus()")
    page.press(*["ArrowUp"] * 8, " ", *["ArrowDown"] * 16, " ")
    assert page.text("#digit") == "1"
    page.press("ArrowLeft")
    assert len(page.evaluate("sheet.strokes")) == 1, "the pen was lifted"
    page.evaluate("document.querySelector('.layer:nth-child(6) canvas').focus({ focusVisible: true })")
    page.press("PageUp", *["PageUp"] * 30, "PageDown", "ArrowRight", *["ArrowUp"] * 12, "ArrowDown")
    assert page.text("#unit-title") == "conv4, map 1" and page.evaluate("chosen.row") == 1
    page.wait(lambda: "conv4, map 1" in page.text("#said"))
    names = page.evaluate(
        "[...document.querySelectorAll('canvas[tabindex], button, input')].map((each) => "
        "each.getAttribute('aria-label') || each.closest('label')?.innerText || each.innerText)"
    )
    assert len(names) > 30 and all(name and name.strip() for name in names)


def take_png(page) -> np.ndarray:
    """The grey levels of what the page saves."""
    page.click("#save")
    path = page.folder / "my_digits.png"
    page.wait(path.is_file)
    with Image.open(path) as image:
        assert image.format == "PNG"
        grey = np.asarray(image.convert("L"))
    path.unlink()
    return grey


def test_the_drawing_is_saved_as_a_png(page):
    from helpers.pictures import prepare_digit

    page.drag("#drawing", THREE)
    expected = read_pixels(page)
    page.click("#cover")  # what is done to the picture is no part of the drawing
    grey = take_png(page)
    assert grey.shape == (280, 280) and grey[0, 0] == 255 and grey.min() == 0 and 0.02 < (grey < 128).mean() < 0.2
    assert np.abs(prepare_digit(255 - grey).astype(int) - expected).max() <= 1


def test_several_drawings_are_saved_in_a_row(page):
    from helpers.pictures import prepare_picture

    page.drag("#drawing", THREE)
    page.click("#keep")
    page.drag("#drawing", [(0.5, 0.2), (0.5, 0.8)])
    page.click("#keep")
    page.drag("#drawing", [(0.4, 0.1), (0.25, 0.6), (0.7, 0.6), (0.6, 0.4), (0.6, 0.9)])
    grey, expected = take_png(page), read_pixels(page)
    digits = prepare_picture(grey).digits.images.numpy()
    assert len(digits) == 3 and np.abs(digits[2].astype(int) - expected).max() <= 8
    assert grey.shape == (280, 3 * 280 + 2 * 40)
    rows, columns = np.nonzero(grey[:, 320:600] < 128)
    assert np.ptp(rows) > 160 and np.ptp(columns) < 30, "the upright line is the second"
    page.click("#kept button")
    assert take_png(page).shape == (280, 600)


# Strokes of all kinds, drawn by the page itself: its ink as base64.
DRAW_INK = """((strokes) => {
  sheet = { image: null, strokes };
  paintSheet(inkPen, 1);
  return btoa(Array.from(readInk(), (grey) => String.fromCharCode(grey)).join(""));
})"""
EVERYTHING = dict.fromkeys(("crop", "centre", "thicken", "stretch"), True)


@pytest.mark.parametrize("left_out", [None, *EVERYTHING])
def test_pictures_are_prepared_as_in_python(page, left_out):
    from helpers.pictures import Steps, prepare_digit

    random = np.random.default_rng(1)
    steps = EVERYTHING | ({left_out: False} if left_out else {})
    for number in range(50 if left_out is None else 10):
        strokes = []
        for count in random.integers(1, 25, random.integers(1, 4)):
            places = random.uniform(40, 240, 2) + random.normal(0, random.uniform(3, 25), (count, 2)).cumsum(0)
            strokes.append({"width": float(random.choice([4, 8, 14, 22, 44])), "points": places.tolist()})
        ink = decode(page.evaluate(f"{DRAW_INK}({json.dumps(strokes)})"), "u1").reshape(280, 280).numpy()
        if not ink.any():
            continue  # it all went past the edge
        found = page.evaluate(f"Array.from(prepare(readInk(), DRAWING, {json.dumps(steps)}).pixels)")
        expected = prepare_digit(ink, Steps(**steps)).astype(int)
        assert np.abs(np.reshape(found, (28, 28)) - expected).max() <= 1, number


def test_a_step_can_be_switched_off(page):
    slide(page, "pen", 8)
    page.drag("#drawing", [(x / 2.2, y / 2.2) for x, y in THREE])
    centred = read_pixels(page)
    assert page.text("#digit") == "3" and abs(np.average(np.arange(28), weights=centred.sum(0)) - 14) < 0.6
    for name in EVERYTHING:
        page.click(f"#{name}")
    as_drawn = read_pixels(page)
    rows, columns = np.nonzero(as_drawn > 100)
    assert rows.max() < 14 and columns.max() < 14, "half as large and in its corner"
    page.click("#clear")
    page.click("#digits button:nth-child(3)")
    assert page.text("#digit") == "2" and not page.evaluate("document.getElementById('as-it-is').hidden")


def test_a_finger_draws_and_chooses(page):
    page.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=2, mobile=True)
    page.call("Emulation.setTouchEmulationEnabled", enabled=True)
    page.settle()
    box = page.place("#drawing")
    before = page.evaluate("scrollY")
    places = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for x, y in THREE]
    for at, place in enumerate(places):
        page.call("Input.dispatchTouchEvent", type="touchMove" if at else "touchStart", touchPoints=[place])
    page.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    page.settle()
    assert page.text("#digit") == "3" and page.text("#brief").startswith("3, ") and page.evaluate("scrollY") == before
    box = page.place(".layer:nth-child(6) canvas")
    page.call("Input.synthesizeTapGesture", x=box["x"] + 15, y=box["y"] + 15)
    page.wait(lambda: page.text("#unit-title") == "conv4, map 0")
    page.call("Emulation.setTouchEmulationEnabled", enabled=False)


@torch.no_grad()
def test_what_the_answer_hangs_on(page, network):
    page.drag("#drawing", THREE)
    page.click("#hangs")
    page.wait(lambda: page.text("#hangs-said").startswith("A white square"))
    picture = torch.tensor(page.evaluate("Array.from(pixels)")).reshape(28, 28)
    tries = picture.repeat(145, 1, 1)
    for at in range(144):
        row, column = 2 * (at // 12), 2 * (at % 12)
        tries[at, row : row + 6, column : column + 6] = 0
    logits = network((tries[:, None].float() / 255 - 0.1307) / 0.3081)
    others = logits.clone()
    others[:, 3] = -torch.inf
    leads = logits[:, 3] - others.amax(1)
    assert (torch.tensor(page.evaluate("sweep.lost")) - (leads[-1] - leads[:-1])).abs().max() < 1e-3
    page.drag("#drawing", [(0.2, 0.9), (0.8, 0.9)])
    assert page.evaluate("document.getElementById('hangs-map').hidden"), "it was about another picture"


@pytest.mark.parametrize("width", [390, 820, 1280])
def test_it_fits_on_any_screen(page, width):
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=2, mobile=width < 500)
    page.settle()
    page.wait(lambda: page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
    assert page.place("#drawing")["width"] > 250


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(page, scheme):
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    named = page.evaluate(
        "['--surface', '--ground', '--ink', '--quiet', '--key', '--on-key', '--bar', '--mark'].map(colour)"
    )
    page.call("Emulation.setEmulatedMedia", features=[])

    def brightness(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        return sum(
            share * (part / 12.92 if part <= 0.04 else ((part + 0.055) / 1.055) ** 2.4)
            for share, part in zip((0.2126, 0.7152, 0.0722), parts)
        )

    def contrast(one: str, other: str) -> float:
        low, high = sorted((brightness(one), brightness(other)))
        return (high + 0.05) / (low + 0.05)

    surface, ground, ink, quiet, key, on_key, bar, mark = named
    assert min(contrast(text, paper) for text in (ink, quiet) for paper in (surface, ground)) >= 4.5
    assert contrast(key, on_key) >= 4.5 and min(contrast(part, surface) for part in (bar, mark, key)) >= 3


def test_nothing_can_be_fetched(page):
    said = page.evaluate("fetch('data:,x').then(() => 'fetched', () => 'refused')")
    assert said == "refused"
    page.events = [event for event in page.events if "Content Security Policy" not in json.dumps(event)]


def test_it_works_inside_a_notebook(tab, tmp_path):
    """As the text of a frame that may run scripts and nothing else."""
    frame = tmp_path / "notebook.html"
    text = PAGE.read_text(encoding="utf-8").replace("&", "&amp;").replace('"', "&quot;")
    frame.write_text(
        f'<meta charset="utf-8"><iframe width="900" height="800" sandbox="allow-scripts" srcdoc="{text}"></iframe>',
        encoding="utf-8",
    )
    blank = tab.open(PAGE.as_uri()).screenshot()
    tab.open(frame.as_uri(), ready="document.querySelector('iframe')")
    tab.wait(lambda: len(tab.screenshot().crop((50, 150, 400, 500)).getcolors(200_000)) > 30)
    assert tab.complaints() == [] and tab.screenshot().size == blank.size
