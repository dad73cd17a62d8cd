"""A web server on this machine, good and bad in the ways that real mirrors are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


class Server(ThreadingHTTPServer):
    """Serves `pages`; a path under /cut/ breaks off half-way, under /endless/ it goes on and on."""

    pages: dict[str, bytes]
    asked: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        name = self.path.rsplit("/", 1)[1]
        content = self.server.pages.get(name)
        if content is None or self.path.startswith("/dead/"):
            self.send_error(404)
            return
        self.send_response(200)
        if not self.path.startswith("/endless/"):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            if self.path.startswith("/cut/"):
                self.wfile.write(content[: len(content) // 2])
            elif self.path.startswith("/wrong/"):
                self.wfile.write(content[:-1] + bytes([content[-1] ^ 1]))
            else:
                self.wfile.write(content)
                if self.path.startswith("/endless/"):
                    self.wfile.write(bytes(8 << 20))
        except (BrokenPipeError, ConnectionResetError):
            pass

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "MINIVAE_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("MINIVAE_CACHE", str(tmp_path / "cache"))
    with Server(("127.0.0.1", 0), Handler) as running:
        running.pages, running.asked = {}, []
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()
