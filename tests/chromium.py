"""A headless Chromium, driven over its own debugging pipe: no driver, no library, no network.

`open_page(file)` gives a `Page` that runs JavaScript, presses keys, takes pictures, sets width
and theme, and keeps every message of the console and every uncaught error.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium, which is not installed"
)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--remote-debugging-pipe --force-color-profile=srgb"
).split()

# Text whose contrast with what lies behind it is below 4.5, as [words, contrast]. What cannot be
# used just now is left out, as the rule for readable pages does (WCAG 2.2, 1.4.3).
FAINT_TEXT = """(() => {
const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = (rgb) => { const [r, g, b] = rgb.map((v) => v / 255)
  .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const over = ([r, g, b, a = 1], below) => [r, g, b].map((v, i) => v * a + below[i] * (1 - a));
const behind = (e) => e === null ? [255, 255, 255]
  : over(numbers(getComputedStyle(e).backgroundColor), behind(e.parentElement));
const idle = 'script, style, noscript, dialog, .off, [hidden], option, math, '
  + ':has(> input:disabled)';
const found = [];
for (const e of document.querySelectorAll('body *')) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  const style = getComputedStyle(e);
  if (!own || e.closest(idle)) continue;
  if (style.visibility === 'hidden' || !e.getClientRects().length) continue;
  const ink = e instanceof SVGElement ? style.fill : style.color;
  const ground = behind(e);
  const [a, b] = [light(over(numbers(ink), ground)), light(ground)];
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (!(contrast >= 4.5)) found.push([e.textContent.slice(0, 30), contrast]);
}
return found; })()"""

# What reaches beyond the window's right edge and lies in no frame that scrolls or cuts it.
TOO_WIDE = """(() => {
const framed = (e) => { while ((e = e.parentElement))
  if (e !== document.body && getComputedStyle(e).overflowX !== 'visible') return true;
  return false; };
return [...document.querySelectorAll('body *')]
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !framed(e))
  .map((e) => `${e.tagName} ${e.textContent.slice(0, 30)}`); })()"""


class Page:
    """One open page; `errors` are the console's errors and warnings and what nobody caught."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._buffer, self._number, self._session = b"", 0, ""
        self.errors: list[str] = []

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the DevTools protocol and its answer; RuntimeError where it failed."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            piece = os.read(self._read, 1 << 20)
            if not piece:
                raise RuntimeError("Chromium went away")
            self._buffer += piece
        text, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", details).get("description", str(details)))
        if method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"])
        if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.errors.append(str(params["args"]))

    def attach(self, url: str, width: int, dark: bool) -> None:
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        self.look(width, dark=dark)
        self.send("Page.navigate", url=url)
        self.run("new Promise((done) => document.readyState === 'complete' ? done(1)"
                 " : addEventListener('load', () => done(1)))")  # fmt: skip

    def look(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """The window's width in CSS pixels, and the theme that the reader prefers."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[feature])

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited; AssertionError where it throws."""
        answer = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise AssertionError(details.get("exception", details).get("description", details))
        return answer["result"].get("value")

    def key(self, key: str) -> None:
        """Press and release a key, on whatever has the focus."""
        text = key if len(key) == 1 else ""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                      windowsVirtualKeyCode=27 if key == "Escape" else 0,
                      **({"text": text} if text and kind == "keyDown" else {}))  # fmt: skip

    def touch(self, x: float, y: float, to: tuple[float, float] | None = None) -> None:
        """Put a finger down at (x, y), perhaps drag it, and lift it."""
        points = [(x, y)] + ([to] if to else [])
        for kind, at in zip(("touchStart", "touchMove"), points, strict=False):
            self.send("Input.dispatchTouchEvent", type=kind,
                      touchPoints=[{"x": at[0], "y": at[1]}])  # fmt: skip
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def picture(self, path: Path) -> Path:
        """A picture of the whole page, beyond the window's edge too."""
        height = self.run("document.documentElement.scrollHeight")
        width = self.run("innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        answer = self.send("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(answer["data"]))
        return path


@contextmanager
def open_page(
    file: Path, profile: Path, *, width: int = 1300, dark: bool = False, fragment: str = ""
) -> Iterator[Page]:
    """A page from a file, closed at the end; `profile` is a folder for the browser's own things."""
    there, here = os.pipe(), os.pipe()  # Chromium reads descriptor 3 and writes descriptor 4
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}"]
    script = f"import os, sys; os.dup2({there[0]}, 63); os.dup2({here[1]}, 4); os.dup2(63, 3); "
    script += "os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", script, *command],
        pass_fds=(there[0], here[1]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(there[0])
    os.close(here[1])
    try:
        page = Page(there[1], here[0])
        page.attach(file.resolve().as_uri() + fragment, width, dark)
        yield page
    finally:
        os.close(there[1])
        os.close(here[0])
        process.terminate()
        process.wait(timeout=20)
