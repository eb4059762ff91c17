"""A headless Chromium for tests of the lab, driven over the WebDriver protocol with the standard library only."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
MISSING = "" if CHROMIUM and DRIVER else "no Chromium and driver here (Debian: apt install chromium chromium-driver)"
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)


class Browser:
    """One window; a context manager. `run` executes script in the page and gives back its value."""

    def __init__(self, width: int = 1280, height: int = 800) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._driver = subprocess.Popen(
            [str(DRIVER), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._at = f"http://127.0.0.1:{port}"
        options = {
            "binary": CHROMIUM,
            "args": [*FLAGS, f"--window-size={width},{height}", f"--user-data-dir={self._profile.name}"],
        }
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        self._wait_for_driver()
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{made['sessionId']}"
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
        self._handle = str(self._call("GET", f"{self._session}/window"))
        self.messages: list[dict[str, Any]] = []
        self.asked: set[str] = set()

    def _wait_for_driver(self) -> None:
        for _ in range(100):
            try:
                if self._call("GET", "/status")["ready"]:
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("the driver does not answer")

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._at + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()[:2000]) from None

    def devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        """A command of the DevTools protocol."""
        return self._call("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, address: str) -> None:
        self._call("POST", f"{self._session}/url", {"url": address})

    def run(self, script: str, *arguments: Any) -> Any:
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def run_async(self, script: str, *arguments: Any) -> Any:
        """Script that calls its last argument with its value."""
        return self._call("POST", f"{self._session}/execute/async", {"script": script, "args": list(arguments)})

    def wait(self, condition: str, seconds: float = 60.0) -> Any:
        """Wait until an expression of the page is true; its value."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := self.run(f"return ({condition}) || null"):
                return found
            time.sleep(0.05)
        raise AssertionError(f"still false after {seconds} s: {condition}\n{self.state()}")

    def click(self, selector: str) -> None:
        self.run("document.querySelector(arguments[0]).click()", selector)

    def fill(self, selector: str, text: str) -> None:
        """Type a value into a field."""
        self.run(
            "const e = document.querySelector(arguments[0]); e.value = arguments[1];"
            "for (const kind of ['input', 'change']) e.dispatchEvent(new Event(kind, {bubbles: true}))",
            selector,
            text,
        )

    def press(self, key: str) -> None:
        """A key, real input."""
        code = {"Tab": 9, "Enter": 13}.get(key)
        known = {"windowsVirtualKeyCode": code, "code": key} if code else {}
        for kind in ("keyDown", "keyUp"):
            typed = "\r" if key == "Enter" else key
            text = {"text": typed} if kind == "keyDown" and len(typed) == 1 else {}
            self.devtools("Input.dispatchKeyEvent", {"type": kind, "key": key, **text, **known})

    def window(self, handle: str = "") -> str:
        """Go to another window, a new one without a handle; the handle of the window that is left."""
        before = self._handle
        target = handle or self._call("POST", f"{self._session}/window/new", {"type": "window"})["handle"]
        self._call("POST", f"{self._session}/window", {"handle": target})
        self._handle = str(target)
        return before

    def close_window(self) -> None:
        self._call("DELETE", f"{self._session}/window")

    def words(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0]).textContent", selector))

    def state(self) -> str:
        return str(self.run("return document.body.innerText.slice(0, 1500)"))

    def picture(self, path: Path) -> Path:
        path.write_bytes(base64.b64decode(self._call("GET", f"{self._session}/screenshot")))
        return path

    def complaints(self) -> list[str]:
        """What the console said since the last call, warnings and errors."""
        self.messages = self._call("POST", f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in self.messages if entry["level"] in ("SEVERE", "WARNING")]

    def requested(self) -> set[str]:
        """Hosts of all requests so far (schemes `data:` and `blob:` have none)."""
        for entry in self._call("POST", f"{self._session}/se/log", {"type": "performance"}):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                where = urlsplit(message["params"]["request"]["url"])
                if where.scheme not in ("data", "blob", "chrome", "about"):
                    self.asked.add(where.netloc)
        return self.asked

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._call("DELETE", self._session)
        finally:
            self._driver.terminate()
            self._driver.wait(timeout=20)
            self._profile.cleanup()
