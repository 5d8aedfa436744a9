"""A worker over in-memory twins, with a clock that tests move."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from consumer.codec import Format
from consumer.health import Health, Shutdown
from consumer.inmemory import InMemoryDelivery, InMemorySource
from consumer.large import Large
from consumer.letters import Letters
from consumer.limit import DeadLetterLimit, Rule
from consumer.memory import Watch
from consumer.metrics import Metrics
from consumer.processor import Processor, Wire
from consumer.records import Record
from consumer.worker import Limits, Worker
from nlp.types import Found, Span, Window
from nlp.windows import windows
from schemas.messages import Model


class Clock:
    """Counts seconds when told to."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


class StepAnnotator:
    """Finds 王小明 wherever it stands, ten characters a step, and takes a second for each."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.on_step: Callable[[], None] = lambda: None

    def iter_annotate(self, texts: Sequence[str]) -> Iterator[list[Found]]:
        for document, text in enumerate(texts):
            for start in range(0, max(len(text), 1), 10):
                self._clock.time += 1
                self.on_step()
                places = [i for i in range(start, min(start + 10, len(text))) if text.startswith("王小明", i)]
                last = start + 10 >= len(text)
                yield [Found(document, [Span(i, i + 3, "PER", 1.0) for i in places], last)]

    def windows(self, document: int, text: str) -> list[Window]:
        return windows(document, len(text), 10, 0)


def record(offset: int, value: bytes | str | None, partition: int = 0) -> Record:
    raw = value.encode() if isinstance(value, str) else value
    return Record("in", partition, offset, 1_000, b"key", raw, ())


class Bench:
    """Everything a worker is made of, within reach."""

    def __init__(self, records: Sequence[Record], *, batch_records: int = 256, **options: Any) -> None:
        self.clock = Clock()
        self.metrics = Metrics()
        self.health = Health(self.clock)
        self.shutdown = Shutdown(options.get("drain_seconds", 100.0), self.clock)
        self.source = InMemorySource(records, batch_records=batch_records)
        self.delivery = options.get("delivery") or InMemoryDelivery()
        self.annotator = StepAnnotator(self.clock)
        self.resident = 0
        large = Large(options.get("large_output", "dead-letter"), options.get("max_output_bytes", 1_000_000))
        wire = Wire(Model(name="m", revision="r", digest="d"), "0", large)
        processor = Processor(self.annotator, Format((), 10_000), wire, Letters(), self.metrics, self.clock)
        self.worker = Worker(
            self.source,
            self.delivery,
            processor,
            limits=Limits(options.get("long_chars", 100), options.get("backlog_bytes", 10_000)),
            letters=Letters(),
            large=large,
            dead_letter_limit=DeadLetterLimit(options.get("rule", Rule())),
            watch=Watch(options.get("cap", 0), self.metrics, lambda: None, self.clock, lambda: self.resident),
            health=self.health,
            shutdown=self.shutdown,
            metrics=self.metrics,
            clock=self.clock,
            now=lambda: 2.0,
        )

    def run(self, turns: int = 200) -> None:
        """Take turns until nothing is left, then stop."""
        for _ in range(turns):
            self.worker.turn()
            if self.source.exhausted and not self.worker.backlog:
                break
        self.shutdown.request()
        self.worker.run()

    def published(self) -> list[tuple[int, int, str]]:
        """Return (partition, offset, reason) of every outcome, in the order of publishing."""
        return [(o.record.partition, o.record.offset, str(o.reason or "")) for o in self.delivery.published]

    def sample(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"raner_{name}", labels) or 0.0
