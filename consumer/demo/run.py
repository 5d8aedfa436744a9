"""Runs the demo: an embedded broker, a feed, the real worker in a process of its own, and an account of it all."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any, Protocol
from urllib.request import urlopen

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from consumer.demo.broker import EmbeddedBroker
from consumer.demo.feed import MAX_CHARS, FeedMessage, messages
from consumer.errors import DemoFailed
from consumer.interrupts import held_back
from consumer.kafka.incoming import headers_of
from consumer.processes import RUN

INPUT, OUTPUT, DEAD_LETTERS = "messages", "annotated", "dead-letters"
_PARTITIONS = 4
_UNDER_WAY = 64  # messages between feed and account at most: the broker drops what it holds too long
_START_SECONDS = 60.0
_SILENCE_SECONDS = 60.0
_FETCH_WAIT = "50"  # milliseconds; an empty fetch on the embedded broker waits this long even when something arrives


class Show(Protocol):
    """Shows the demo to a person as it goes."""

    def annotated(self, message: dict[str, Any]) -> None:
        """Show a message that came out annotated."""
        ...

    def dead_letter(self, reason: str, error: str) -> None:
        """Show a message that went to the dead letters."""
        ...

    def progress(self, done: int, total: int) -> None:
        """Show how far the demo is."""
        ...


@dataclass(frozen=True, slots=True)
class Summary:
    """What went in and what came out; seconds, and MiB of the worker's peak resident memory."""

    produced: int
    annotated: int
    dead_letters: dict[str, int]
    entities: dict[str, int]
    messages_per_second: float
    characters_per_second: float
    latency_p50_seconds: float
    latency_p99_seconds: float
    peak_memory_mib: float
    first_message_seconds: float

    @property
    def complete(self) -> bool:
        """Whether every message is accounted for, once."""
        return self.produced == self.annotated + sum(self.dead_letters.values())


@dataclass(slots=True)
class Account:
    """What came out so far. A record that comes out twice counts twice, so that the sum gives it away."""

    seen: set[tuple[str, int, int]] = field(default_factory=set)  # places of records, each once
    annotated: int = 0
    characters: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    entities: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    first: float = 0.0
    last: float = 0.0

    @property
    def messages(self) -> int:
        """Messages that came out one way or the other."""
        return self.annotated + sum(self.dead_letters.values())


def run_demo(show: Show, count: int | None = None, model: str = "default") -> Summary:
    """Run it and return the account; raise `DemoFailed` when the worker ends early or nothing comes out for a while."""
    feed = tuple(messages(count))
    topics = {INPUT: _PARTITIONS, OUTPUT: _PARTITIONS, DEAD_LETTERS: 1}
    with TemporaryDirectory(prefix="raner-demo-") as directory, EmbeddedBroker(topics) as broker:
        log = Path(directory) / "worker.log"
        begun = time.time()
        with _worker(broker.bootstrap_servers, log, model) as worker:
            port = _wait_until_ready(worker, log)
            account = _feed_and_read(broker.bootstrap_servers, feed, show, lambda: _check(worker, log))
            peak = _metric(port, "raner_resident_memory_peak_bytes") / 1024**2
            worker.terminate()
            if status := worker.wait(_START_SECONDS):
                raise DemoFailed(f"the worker ended with exit status {status}\n{_tail(log)}")
    return _summary(len(feed), account, begun, peak)


def _feed_and_read(servers: str, feed: tuple[FeedMessage, ...], show: Show, check: Callable[[], None]) -> Account:
    told = {"bootstrap.servers": servers, "log_level": 0}  # what matters is raised; the rest is of a demo that is ended
    producer = Producer({**told, "linger.ms": 5})
    consumer = Consumer({**told, "group.id": "demo-reader", "fetch.wait.max.ms": _FETCH_WAIT})
    partitions = [(OUTPUT, number) for number in range(_PARTITIONS)] + [(DEAD_LETTERS, 0)]
    consumer.assign([TopicPartition(topic, number, 0) for topic, number in partitions])
    account, waiting, heard = Account(), deque(feed), time.monotonic()
    try:
        while len(account.seen) < len(feed):
            while waiting and len(feed) - len(waiting) - len(account.seen) < _UNDER_WAY:
                message = waiting.popleft()
                producer.produce(INPUT, message.value, message.key)
            producer.poll(0)
            for out in consumer.consume(64, 0.1):
                _enter(account, out, show)
                heard = time.monotonic()
            show.progress(len(account.seen), len(feed))
            check()
            if time.monotonic() - heard > _SILENCE_SECONDS:
                seen = f"{len(account.seen)} of {len(feed)} messages"
                raise DemoFailed(f"nothing came out for {_SILENCE_SECONDS:.0f} s, after {seen}")
    finally:
        consumer.close()
    return account


def _enter(account: Account, message: Message, show: Show) -> None:
    if error := message.error():
        raise DemoFailed(f"reading {message.topic()}: {error.str()}")
    account.last = time.time()
    account.first = account.first or account.last
    if message.topic() == DEAD_LETTERS:
        headers = {name: (value or b"").decode() for name, value in headers_of(message)}
        topic, partition, offset = (headers[f"raner.source.{name}"] for name in ("topic", "partition", "offset"))
        account.seen.add((topic, int(partition), int(offset)))
        account.dead_letters[headers["raner.reason"]] += 1
        account.latencies.append(account.last - int(headers["raner.source.timestamp"]) / 1000)
        show.dead_letter(headers["raner.reason"], headers["raner.error"])
        return
    annotated = json.loads(message.value() or b"")
    source = annotated["source"]
    account.seen.add((source["topic"], source["partition"], source["offset"]))
    account.annotated += 1
    account.characters += len(annotated["text"])
    account.entities.update(entity["type"] for entity in annotated["entities"])
    account.latencies.append(account.last - source["timestamp"] / 1000)
    show.annotated(annotated)


def _summary(produced: int, account: Account, begun: float, peak: float) -> Summary:
    seconds = max(account.last - account.first, 1e-3)
    cuts = quantiles(account.latencies, n=100) if len(account.latencies) > 1 else account.latencies * 99
    return Summary(
        produced=produced,
        annotated=account.annotated,
        dead_letters=dict(sorted(account.dead_letters.items())),
        entities=dict(account.entities.most_common()),
        messages_per_second=round(account.messages / seconds, 1),
        characters_per_second=round(account.characters / seconds, 1),
        latency_p50_seconds=round(cuts[49], 3),
        latency_p99_seconds=round(cuts[98], 3),
        peak_memory_mib=round(peak, 1),
        first_message_seconds=round(account.first - begun, 3),
    )


@contextmanager
def _worker(servers: str, log: Path, model: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `raner-stream run` as anyone would, told by its environment."""
    told = {
        "RANER_BOOTSTRAP_SERVERS": servers,
        "RANER_INPUT_TOPIC": INPUT,
        "RANER_OUTPUT_TOPIC": OUTPUT,
        "RANER_DEAD_LETTER_TOPIC": DEAD_LETTERS,
        "RANER_MAX_CHARS": str(MAX_CHARS),
        "RANER_HTTP_PORT": "0",
        "RANER_KAFKA_CONSUMER_FETCH_WAIT_MAX_MS": _FETCH_WAIT,
        "RANER_MODEL": model,
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith("RANER_")}
    worker = None
    try:
        with log.open("wb") as errors, held_back():
            worker = subprocess.Popen(RUN, env=others | told, stderr=errors, stdout=errors)
        yield worker
    finally:
        if worker:
            worker.kill()
            worker.wait()


def _wait_until_ready(worker: subprocess.Popen[bytes], log: Path) -> int:
    """Return the worker's HTTP port once /readyz answers with 200."""
    deadline = time.monotonic() + _START_SECONDS
    port = 0
    while time.monotonic() < deadline:
        _check(worker, log)
        port = port or _logged_port(log)
        try:
            if port:
                with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                    return port
        except (OSError, HTTPException):  # not listening yet, or not ready
            pass
        time.sleep(0.02)
    raise DemoFailed(f"the worker was not ready within {_START_SECONDS:.0f} s\n{_tail(log)}")


def _logged_port(log: Path) -> int:
    for line in log.read_text(encoding="utf-8").splitlines():
        if '"http_listening"' in line and line.endswith("}"):
            return int(json.loads(line)["port"])
    return 0


def _metric(port: int, name: str) -> float:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + " "))


def _check(worker: subprocess.Popen[bytes], log: Path) -> None:
    if (status := worker.poll()) is not None:
        raise DemoFailed(f"the worker ended with exit status {status}\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8").splitlines()[-12:])
