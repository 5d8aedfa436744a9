"""Workers as processes: started, asked how they are, and ended in every way there is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from consumer.errors import ChaosFailed
from consumer.interrupts import held_back
from consumer.processes import RUN

_PATIENCE_SECONDS = 60.0


class Hand:
    """One worker process, and the log that it writes."""

    def __init__(self, log: Path, environment: Mapping[str, str], command: Sequence[str]) -> None:
        """Start it."""
        self.log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(command, env=environment, stdout=errors, stderr=errors)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def events(self, *names: str) -> list[dict[str, Any]]:
        """Return its log events of these names, or all."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [event for event in events if not names or event["event"] in names]

    def owned(self) -> set[int]:
        """Return the numbers of the partitions that it owns, by its own account."""
        return {int(place.rpartition("[")[2].rstrip("]")) for place in self._followed()[0]}

    def strays(self) -> list[str]:
        """Return the partitions that it committed while they were not its own, by its own account."""
        return self._followed()[1]

    def _followed(self) -> tuple[set[str], list[str]]:
        owned: set[str] = set()
        found: list[str] = []
        for event in self.events():
            match event["event"]:
                case "partitions_assigned":
                    owned.update(event["partitions"])
                case "partitions_revoked" | "partitions_lost":
                    owned.difference_update(event["partitions"])
                case "offsets_committed":
                    found += [place for place in event["offsets"] if place not in owned]
        return owned, found

    def metrics(self) -> dict[str, float]:
        """Return its metrics, summed over their labels; none before it listens."""
        listening = self.events("http_listening")
        if not listening:
            return {}
        sums: dict[str, float] = {}
        try:
            with urlopen(f"http://127.0.0.1:{listening[-1]['port']}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except (OSError, HTTPException):
            return {}
        for line in lines:
            if not line.startswith("#"):
                name = line.partition("{")[0].partition(" ")[0]
                sums[name] = sums.get(name, 0.0) + float(line.rpartition(" ")[2])
        return sums

    def peak(self) -> float:
        """Return the most memory that it has had, in bytes; raise `ChaosFailed` when it does not answer."""
        peak: float = wait_for(lambda: self.metrics().get("raner_resident_memory_peak_bytes"), "a worker's metrics")
        return peak

    def unready(self) -> str:
        """Return why it says that no records can flow; nothing if they can."""
        listening = self.events("http_listening")
        try:
            with urlopen(f"http://127.0.0.1:{listening[-1]['port']}/readyz", timeout=5):
                return ""
        except HTTPError as refusal:
            return refusal.read().decode().strip()
        except (IndexError, OSError, HTTPException):
            return "it does not answer"

    def in_flight(self) -> int:
        """Return the records that it has taken, and that are not durable yet."""
        found = self.metrics()
        out = found.get("raner_records_out_total", 0) + found.get("raner_dead_letters_total", 0)
        return int(found.get("raner_records_in_total", 0) - out)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait_listening(self) -> None:
        """Wait until it takes signals for what they are: before, an interpreter that is starting just ends."""
        wait_for(lambda: self.events("http_listening") or not self.alive, "a worker to start")

    def wait(self, seconds: float = _PATIENCE_SECONDS) -> int:
        """Return its exit status; raise `ChaosFailed` when it does not end."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as late:
            raise ChaosFailed(f"a worker did not end within {seconds:.0f} s\n{self.tail()}") from late

    def tail(self) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])


@dataclass
class Crew:
    """Workers that share their settings."""

    directory: Path
    settings: Mapping[str, str]
    hands: list[Hand] = field(default_factory=list)
    forgiven: set[int] = field(default_factory=set)

    def start(self, command: Sequence[str] = RUN, **settings: str) -> Hand:
        """Start one more."""
        others = {name: value for name, value in os.environ.items() if not name.startswith("RANER_")}
        told = {"http_port": "0", **self.settings, **settings}
        environment = others | {f"RANER_{name.upper()}": value for name, value in told.items()}
        with held_back():
            self.hands.append(Hand(self.directory / f"worker-{len(self.hands)}.log", environment, command))
        return self.hands[-1]

    def living(self) -> list[Hand]:
        """Return those that run."""
        return [hand for hand in self.hands if hand.alive]

    def wait_ready(self) -> None:
        """Wait until all say that records can flow; raise `ChaosFailed` with what keeps them."""
        try:
            wait_for(lambda: not any(hand.unready() for hand in self.living()), "readiness", self.check)
        except ChaosFailed as late:
            raise ChaosFailed(f"{late}: {[hand.unready() for hand in self.living()]}") from late

    def stop(self) -> list[int]:
        """Ask all to stop, and return their exit statuses."""
        living = self.living()
        for hand in living:
            hand.send(signal.SIGTERM)
        return [hand.wait() for hand in living]

    def stop_all(self) -> None:
        """Ask all to stop, once they can; raise `ChaosFailed` for one that does not end well."""
        for hand in self.living():
            hand.wait_listening()
        if any(statuses := self.stop()):
            raise ChaosFailed(f"workers that were asked to stop ended with {statuses}")

    def forgive(self) -> None:
        """Take those that ended for what they were meant to do."""
        self.forgiven |= {hand.process.pid for hand in self.hands if not hand.alive}

    def rebalances(self) -> int:
        """Return how often partitions were assigned, revoked and lost, all workers together."""
        names = ("partitions_assigned", "partitions_revoked", "partitions_lost")
        return sum(len(hand.events(*names)) for hand in self.hands)

    def check(self) -> None:
        """Raise `ChaosFailed` if a worker ended by itself; a kill is no such end."""
        for hand in self.hands:
            if hand.process.pid in self.forgiven:
                continue
            if (status := hand.process.poll()) not in (None, 0, -signal.SIGKILL):
                raise ChaosFailed(f"a worker ended with status {status}\n{hand.tail()}")


@contextmanager
def crew(directory: Path, settings: Mapping[str, str]) -> Iterator[Crew]:
    """Have workers, none of which is left behind."""
    workers = Crew(directory, settings)
    try:
        yield workers
    finally:
        for hand in workers.hands:
            hand.process.kill()
            hand.process.wait()


def wait_for(condition: Callable[[], Any], what: str, check: Callable[[], None] = lambda: None) -> Any:
    """Return the condition's value once it is true; raise `ChaosFailed` when that takes too long."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if value := condition():
            return value
        check()
        time.sleep(0.01)
    raise ChaosFailed(f"waited {_PATIENCE_SECONDS:.0f} s for {what}")
