"""Checkpoints served the way ModelScope's hub serves them to its client: a listing, and the files one by one."""

from __future__ import annotations

import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

MODELS = "/api/v1/models/"


class HubServer:
    """A hub on a port of its own. `requested` holds the name of every file that was asked for."""

    def __init__(self) -> None:
        self.published: dict[tuple[str, str], Path] = {}  # by id and revision
        self.altered: dict[str, bytes] = {}  # what is sent in place of a file, against the listing
        self.held: dict[str, Event] = {}  # a file is sent when its event is set
        self.refusal: int | None = None  # a status that everything is answered with
        self.requested: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, content, kind = hub._answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def publish(self, model_id: str, directory: Path, revision: str = "master") -> None:
        self.published[model_id, revision] = directory

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, path: str) -> tuple[int, bytes, str]:
        url = urlsplit(path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        model_id, _, what = url.path.removeprefix(MODELS).partition("/repo")
        if not url.path.startswith(MODELS) or what not in ("", "/files"):
            return _told(404, {"Code": 404, "Message": "no such page", "Success": False})
        if self.refusal:
            return _told(self.refusal, {"Code": self.refusal, "Message": "out of order", "Success": False})
        directory = self.published.get((model_id, asked.get("Revision", "master")))
        if directory is None:
            known = any(model_id == name for name, _ in self.published)
            message = "the revision does not exist" if known else "the model does not exist"
            return _told(404, {"Code": 10010205001, "Message": message, "Success": False})
        if what == "/files":
            files = [_entry(path) for path in sorted(directory.iterdir())]
            return _told(200, {"Code": 200, "Data": {"Files": files}, "Message": "success", "Success": True})
        name = asked["FilePath"]
        self.requested.append(name)
        if name in self.held:
            self.held[name].wait(60)
        content = self.altered[name] if name in self.altered else (directory / name).read_bytes()
        return 200, content, "application/octet-stream"


def _entry(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    return {"Name": path.name, "Path": path.name, "Size": len(content), "Sha256": sha256, "Type": "blob"}


def _told(status: int, body: dict[str, Any]) -> tuple[int, bytes, str]:
    return status, json.dumps(body).encode(), "application/json"
