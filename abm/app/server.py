"""A small web server on this machine: the page's files, and one session a window.

Only the standard library. Answers are JSON; a window asks for its next frame as soon as it has drawn the last one, so
that a slow window slows nothing down. Requests with a foreign `Host` or `Origin` are refused (another site in the same
browser cannot reach the lab), and pages are told to load nothing from elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from abm.app import controls
from abm.app.memory import one_heap
from abm.app.replay import Replay
from abm.app.session import Plain, Session
from abm.figures.style import FONT_FILES, FONTS, PALETTES
from abm.provenance import version
from abm.scenario import SCENARIOS, Scenario, load_scenario
from abm.settings import SettingsError

WEB = Path(__file__).parent / "web"
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".ttf": "font/ttf",
    ".svg": "image/svg+xml",
}
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; frame-ancestors 'none'"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
TABS = ("book", "heatmap", "venue", "treasuries", "traders")
WINDOWS = 12
"""Sessions at a time; each holds a model."""
GONE_S, LOOK_S = 40.0, 2.0
"""A window that has asked for nothing for so long is gone; how often that is looked at."""
BODY_BYTES = 1 << 20


class Lab:
    """What the server knows: with what windows open, and their sessions by token."""

    def __init__(self, scenario: Scenario, source: str, run: Path | None = None, runs: Path | None = None) -> None:
        self.scenario, self.source, self.run, self.runs = scenario, source, run, runs
        self.sessions: dict[str, Session | Replay] = {}
        self._lock = threading.Lock()

    def open(self, wish: Mapping[str, Any]) -> Plain:
        """A new session. Raises `FieldError` when there are too many windows or the run asked for is none."""
        with self._lock:
            if len(self.sessions) >= WINDOWS:
                raise controls.FieldError({"": f"{WINDOWS} windows are open already: close one"})
            name = str(wish.get("run", ""))
            replay = self.run is not None and wish.get("mode") != "live"
            made: Session | Replay
            if name or replay:
                made = Replay(self.run_folders()[name] if name in self.run_folders() else self._own_run(name))
            else:
                made = Session(self.scenario, self.source)
            token = uuid.uuid4().hex
            self.sessions[token] = made
        return {"session": token, "version": version(), "presets": controls.presets(), "runs": list(self.run_folders())}

    def _own_run(self, name: str) -> Path:
        if self.run is None or name not in ("", self.run.name):
            raise controls.FieldError({"": f"there is no run {name!r} here"})
        return self.run

    def run_folders(self) -> dict[str, Path]:
        """Finished runs that a window may open, by name."""
        found = {self.run.name: self.run} if self.run is not None else {}
        if self.runs is not None and self.runs.is_dir():
            found |= {p.parent.name: p.parent for p in sorted(self.runs.glob("*/run.json"))}
        return found

    def close(self, token: str) -> None:
        """End a session and forget it."""
        with self._lock:
            session = self.sessions.pop(token, None)
        if session is not None:
            session.close()

    def sweep(self) -> None:
        """Close the sessions of windows that are gone."""
        now = time.monotonic()
        for token, session in list(self.sessions.items()):
            if now - session.touched > GONE_S:
                self.close(token)

    # --- what a window asks -------------------------------------------------------------------------------------------
    def frame(self, session: Session | Replay, query: Mapping[str, str]) -> Plain:
        """What is new, see `Session.frame`."""
        epoch, since, seen, place = (int(query.get(name, "-1")) for name in ("epoch", "since", "seen", "place"))
        lines = [max(int(part), 0) for part in query.get("lines", "").split(",") if part]
        return session.frame(epoch, max(since, 0), lines, seen, max(place, 0))

    def tab(self, session: Session | Replay, query: Mapping[str, str]) -> Plain:
        """One tab, see `Session.tab`."""
        name = query.get("tab", "")
        if name not in TABS:
            raise controls.FieldError({"": f"there is no tab {name!r}"})
        whole = {key: int(query.get(key, default)) for key, default in (("account", "-1"), ("have", "0"))}
        arguments = {"account": whole["account"], "have": max(whole["have"], 0), "order": query.get("order", "nearest")}
        return session.tab(name, int(query.get("place", "0")), int(query.get("at", "-1")), arguments)

    def act(self, session: Session | Replay, wish: Mapping[str, Any]) -> Plain:
        """Carry out one wish of a window. Raises `FieldError`."""
        action = wish.get("action")
        if action == "toml":
            return {"toml": session.toml()}
        if action == "chain":
            return {"chain": session.chain(int(wish.get("seq", -1)), int(wish.get("arm", 0)))}
        if isinstance(session, Replay):
            raise controls.FieldError({"": "a finished run stands still: open a live model"})
        wishes: Mapping[Any, Callable[[], None]] = {
            "play": lambda: session.play(True),
            "pause": lambda: session.play(False),
            "step": lambda: session.step(int(wish.get("ticks", 1))),
            "speed": lambda: session.set_speed(controls.number(wish.get("times"))),
            "reset": lambda: self._reset(session, wish),
            "compare": lambda: session.compare(dict(wish.get("values") or {})),
            "shock": lambda: session.shock(wish.get("percent")),
            "check": lambda: _check(session, dict(wish.get("values") or {})),
        }
        if action not in wishes:
            raise controls.FieldError({"": f"unknown action {action!r}"})
        wishes[action]()
        return {}

    def _reset(self, session: Session, wish: Mapping[str, Any]) -> None:
        preset, values = wish.get("preset"), dict(wish.get("values") or {})
        if not preset or preset == session.source:
            session.reset(values)
            return
        if not (SCENARIOS / f"{preset}.toml").is_file():
            raise controls.FieldError({"preset": f"there is no scenario {preset!r}"})
        session.reset(values, load_scenario(str(preset)), str(preset))


def _check(session: Session, values: controls.Values) -> None:
    controls.applied(session.base, values)


class Handler(BaseHTTPRequestHandler):
    """One request. `lab` and `hosts` are set on a subclass by `serve`."""

    lab: Lab
    hosts: tuple[str, ...] = LOOPBACK
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "deleverage", ""

    def do_GET(self) -> None:
        """Files of the page, and frames."""
        where = urlsplit(self.path)
        if not self._from_here():
            return
        if where.path == "/api/frame":
            query = {name: values[-1] for name, values in parse_qs(where.query).items()}
            self._answer(lambda: self.lab.frame(self._session(query.get("session", "")), query))
        elif where.path == "/api/tab":
            query = {name: values[-1] for name, values in parse_qs(where.query).items()}
            self._answer(lambda: self.lab.tab(self._session(query.get("session", "")), query))
        elif where.path == "/api/runs":
            self._answer(lambda: {"runs": list(self.lab.run_folders())})
        elif where.path == "/palette.css":
            self._send(palette_css().encode(), "text/css")
        elif where.path == "/favicon.ico":
            self._send(b"", "image/x-icon")
        else:
            self._file(where.path)

    def do_POST(self) -> None:
        """Wishes."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_BYTES:
            self.close_connection = True
            self._send(b"{}", "application/json", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        body = self.rfile.read(length)
        if not self._from_here():
            return
        try:
            wish = json.loads(body or b"{}")
        except ValueError:
            wish = None
        if not isinstance(wish, dict):
            self._send(b'{"errors": {"": "not JSON"}}', "application/json", HTTPStatus.BAD_REQUEST)
        elif self.path == "/api/open":
            self._answer(lambda: self.lab.open(wish))
        elif self.path == "/api/close":
            self.lab.close(str(wish.get("session", "")))
            self._send(b"{}", "application/json")
        elif self.path == "/api/do":
            self._answer(lambda: self.lab.act(self._session(str(wish.get("session", ""))), wish))
        else:
            self._send(b"{}", "application/json", HTTPStatus.NOT_FOUND)

    def _from_here(self) -> bool:
        """Whether the request was meant for this server and comes from its own page."""
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        name = host.rpartition(":")[0] or host
        if name in self.hosts and (origin is None or urlsplit(origin).netloc == host):
            return True
        self._send(b"not for this server", "text/plain", HTTPStatus.FORBIDDEN)
        return False

    def _session(self, token: str) -> Session | Replay:
        if token not in self.lab.sessions:
            raise KeyError(token)
        return self.lab.sessions[token]

    def _answer(self, work: Callable[[], Plain]) -> None:
        try:
            status, found = HTTPStatus.OK, work()
        except controls.FieldError as error:
            status, found = HTTPStatus.UNPROCESSABLE_ENTITY, {"errors": error.by_key}
        except KeyError:
            status, found = HTTPStatus.GONE, {"errors": {"": "this session has ended: load the page again"}}
        except (SettingsError, ValueError, OSError) as error:
            status, found = HTTPStatus.UNPROCESSABLE_ENTITY, {"errors": {"": str(error)}}
        text = json.dumps(found, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
        self._send(text.encode(), "application/json", status)

    def _file(self, path: str) -> None:
        name = path.lstrip("/") or "index.html"
        folder = FONTS if name in FONT_FILES else WEB
        known = name in FONT_FILES or name in {file.name for file in WEB.iterdir()}
        if not known:
            self._send(b"not here", "text/plain", HTTPStatus.NOT_FOUND)
            return
        file = folder / name
        self._send(file.read_bytes(), TYPES.get(file.suffix, "application/octet-stream"))

    def _send(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):  # the window has gone
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text") else kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Requests are no news."""


def palette_css() -> str:
    """The project's colours as CSS variables, light and dark: one source for figures and page."""
    parts = []
    for theme, colours in PALETTES.items():
        names = list(type(colours).__dataclass_fields__)
        body = "".join(f"--{name.replace('_', '-')}:{getattr(colours, name)};" for name in names)
        parts.append(f':root[data-theme="{theme}"]{{{body}color-scheme:{theme}}}\n')
    return "".join(parts)


class Server(ThreadingHTTPServer):
    """The lab's server: `with Server(lab, host, port) as server: server.serve_forever()`; sessions end with it."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, lab: Lab, host: str = "127.0.0.1", port: int = 0) -> None:
        one_heap()
        hosts = tuple({*LOOPBACK, host, f"[{host}]"})
        self.lab, self._ended = lab, threading.Event()
        super().__init__((host, port), type("LabHandler", (Handler,), {"lab": lab, "hosts": hosts}))
        threading.Thread(target=self._sweep, name="lab sweep", daemon=True).start()

    @property
    def address(self) -> str:
        """Where the page is."""
        host, port = str(self.server_address[0]), int(self.server_address[1])
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    def _sweep(self) -> None:
        while not self._ended.wait(LOOK_S):
            self.lab.sweep()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A window that hangs up is no error."""

    def server_close(self) -> None:
        """Also end all sessions."""
        self._ended.set()
        super().server_close()
        for token in list(self.lab.sessions):
            self.lab.close(token)
