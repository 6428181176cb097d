"""A real browser for tests: Chromium without a window, driven by the DevTools protocol through a pipe."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_IN, _OUT = 3, 4  # file descriptors of the protocol


class Page:
    """A page that is open in the browser.

    Attributes:
        events (list[dict]): What the browser reported of it: messages of its console, exceptions, requests.
    """

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = os.fdopen(write, "wb", 0), os.fdopen(read, "rb")
        self._session: dict[str, str] = {}
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def open(self, path: Path, fragment: str = "") -> None:
        """Open a file, with a window of 1400 x 900, and wait for its scripts."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send("Emulation.setDeviceMetricsOverride", width=1400, height=900, deviceScaleFactor=1, mobile=False)
        self.send("Page.navigate", url=f"{path.resolve().as_uri()}{fragment}")
        while not self.run("location.protocol === 'file:' && document.readyState === 'complete'"):
            pass

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the browser for something."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._message())
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def run(self, expression: str) -> Any:
        """The value of an expression of JavaScript, of plain values."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Move, press or turn the wheel, and wait for the next picture."""
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def middle(self, selector: str) -> tuple[float, float]:
        """The middle of the first element that a selector finds."""
        element = f"document.querySelector({json.dumps(selector)})"
        box = self.run(f"(({{x, y, width, height}}) => [x, y, width, height])({element}.getBoundingClientRect())")
        return box[0] + box[2] / 2, box[1] + box[3] / 2

    def screenshot(self, path: Path) -> None:
        """Write a picture of the window, PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        """Close the pipes."""
        self._write.close()
        self._read.close()

    def _message(self) -> bytes:
        parts = bytearray()
        while (byte := self._read.read(1)) != b"\0":
            assert byte, "the browser has ended"
            parts += byte
        return bytes(parts)


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """Start the browser; tests skip where there is none.

    Args:
        folder: Where it keeps its profile.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    to_browser, write = os.pipe()
    read, from_browser = os.pipe()

    def numbered() -> None:
        os.dup2(os.dup(to_browser), _IN)
        os.dup2(os.dup(from_browser), _OUT)

    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"]
    page = Page(write, read)
    process = subprocess.Popen(
        [program, *options, f"--user-data-dir={folder}"],
        preexec_fn=numbered,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield page
    finally:
        process.kill()
        process.wait()
        page.close()
