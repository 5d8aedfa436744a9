"""A TCP proxy in front of a broker that delays, goes silent, and cuts."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CHUNK = 65_536


class Line:
    """One connection, both ways."""

    def __init__(self, client: socket.socket, broker: socket.socket, proxy: Proxy) -> None:
        self._ends, self._proxy = (client, broker), proxy
        self.silent = False  # half open: both sides think it is there, and nothing goes through
        for source, target in (self._ends, self._ends[::-1]):
            threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def close(self) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                time.sleep(self._proxy.delay)
                if not self.silent:
                    target.sendall(data)
        if not self.silent:
            self.close()


class Proxy:
    """Listens on `port`, and passes on to the broker's own port, which is given before the first connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.target = 0
        self.delay = 0.0  # seconds, of every piece that goes through
        self._lines: list[Line] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def silence(self) -> None:
        """Have nothing go through the connections that there are; new ones work."""
        for line in self._lines:
            line.silent = True

    def cut(self) -> None:
        """Close all connections."""
        for line in self._lines:
            line.close()
        self._lines.clear()

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    broker = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    client.close()
                    continue
                self._lines.append(Line(client, broker, self))


@contextmanager
def running_proxy() -> Iterator[Proxy]:
    proxy = Proxy()
    try:
        yield proxy
    finally:
        proxy.close()
