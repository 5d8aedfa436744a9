"""Runs `raner-stream run` as a process of its own, and reads what it logs and exports."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

PATIENCE_SECONDS = 60.0


class WorkerProcess:
    """A running worker. `settings` become RANER_ variables."""

    def __init__(self, log: Path, **settings: str) -> None:
        self.log = log
        others = {name: value for name, value in os.environ.items() if not name.startswith("RANER_")}
        told = {f"RANER_{name.upper()}": value for name, value in {"http_port": "0", **settings}.items()}
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "consumer", "run"], env=others | told, stdout=errors, stderr=errors
            )

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return its log events, all or those of one name."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [event for event in events if name is None or event["event"] == name]

    def get(self, path: str) -> tuple[int, str]:
        """Return the status and body of a page of its HTTP port; status 0 before it listens."""
        listening = self.events("http_listening")
        if not listening:
            return 0, ""
        try:
            with urlopen(f"http://127.0.0.1:{listening[-1]['port']}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (OSError, HTTPException):
            return 0, ""

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples with these labels; NaN, which equals nothing, if there is none."""
        _, text = self.get("/metrics")
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        samples = [
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.partition("{")[0].partition(" ")[0] == name and all(pair in line for pair in wanted)
        ]
        return sum(samples) if samples else math.nan

    def wait_ready(self) -> None:
        wait_for(lambda: self.get("/readyz")[0] == 200, "the worker to be ready", self)

    def stop(self) -> int:
        """Send SIGTERM and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def worker_process(directory: Path, **settings: str) -> Iterator[WorkerProcess]:
    """Run a worker, and kill it on leaving if it still runs."""
    log = directory / f"worker-{len(list(directory.glob('worker-*.log')))}.log"
    worker = WorkerProcess(log, **settings)
    try:
        yield worker
    finally:
        worker.process.kill()
        worker.process.wait()


def wait_for(condition: Callable[[], Any], what: str, worker: WorkerProcess | None = None) -> Any:
    """Return the condition's value once it is true; fail, with the end of the worker's log, when it takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if value := condition():
            return value
        if worker and worker.process.poll() is not None:
            break
        time.sleep(0.05)
    tail = "\n".join(worker.log.read_text(encoding="utf-8").splitlines()[-8:]) if worker else ""
    raise AssertionError(f"waited for {what}\n{tail}")
