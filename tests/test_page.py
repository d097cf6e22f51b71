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

MOST_BYTES, SECONDS = 400_000, 60
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
        self.evaluate(f"document.querySelector('{selector}').scrollIntoView({{ block: 'center', behavior: 'instant' }})")
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
