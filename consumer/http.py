"""The HTTP port: /metrics, /healthz, /readyz."""

from __future__ import annotations

import errno
import logging
import socket
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from consumer.errors import SettingsError
from consumer.health import Health
from consumer.metrics import Metrics

CONNECTIONS = 32  # at once
IDLE_SECONDS = 10.0  # a connection may be silent for so long

_PLAIN = "text/plain; charset=utf-8"
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"

Answer = tuple[HTTPStatus, str, bytes]

log = logging.getLogger(__name__)


class HttpServer:
    """Serves in threads of its own; `port` is the one that was bound."""

    def __init__(self, host: str, port: int, routes: dict[str, Callable[[], Answer]]) -> None:
        """Bind at once; raise `SettingsError` when the address cannot be had."""
        try:
            self._server = _server(host)((host, port), _handler(routes))
        except OSError as error:
            of_the_port = error.errno in (errno.EADDRINUSE, errno.EACCES)
            remedy = "RANER_HTTP_PORT (0 picks a free one)" if of_the_port else "RANER_HTTP_HOST"
            raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror}; choose another {remedy}") from error
        self.port = int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to serve."""
        threading.Thread(target=self._server.serve_forever, name="http", daemon=True).start()

    def stop(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()


def routes(metrics: Metrics, health: Health, refresh: Callable[[], None]) -> dict[str, Callable[[], Answer]]:
    """Return what each path answers; `refresh` brings the gauges up to date before they are read."""

    def exposition() -> Answer:
        refresh()
        return HTTPStatus.OK, _EXPOSITION, metrics.exposition()

    return {
        "/metrics": exposition,
        "/healthz": lambda: _verdict(health.dead()),
        "/readyz": lambda: _verdict(health.unready()),
    }


def _verdict(problem: str | None) -> Answer:
    if problem is None:
        return HTTPStatus.OK, _PLAIN, b"ok\n"
    return HTTPStatus.SERVICE_UNAVAILABLE, _PLAIN, f"{problem}\n".encode()


def _server(host: str) -> type[ThreadingHTTPServer]:
    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True
        free = threading.Semaphore(CONNECTIONS)

        def server_bind(self) -> None:
            """Bind, without asking DNS for this host's name as `HTTPServer` does."""
            TCPServer.server_bind(self)

        def process_request(self, request: Any, client_address: Any) -> None:
            """Answer in a thread; hang up if too many are answered."""
            if not self.free.acquire(blocking=False):
                self.shutdown_request(request)
                return
            try:
                super().process_request(request, client_address)
            except RuntimeError:  # no thread began, so none gives its place back
                self.free.release()
                raise

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                self.free.release()

        def handle_error(self, *_: object) -> None:
            """Log what failed, unless it is the client that has gone."""
            if not isinstance(sys.exception(), ConnectionError):
                log.exception("http_failed")

    return Server


def _handler(routes: dict[str, Callable[[], Answer]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = IDLE_SECONDS
        server_version = "raner-stream"
        sys_version = ""

        def do_GET(self) -> None:
            route = routes.get(self.path.partition("?")[0])
            unknown = f"not here; try {', '.join(routes)}\n".encode()
            status, kind, body = route() if route else (HTTPStatus.NOT_FOUND, _PLAIN, unknown)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the standard library's name

        def log_message(self, format: str, *args: object) -> None:
            """Keep probes and scrapes out of the log."""

    return Handler
