"""Records to outcomes: what can be decoded is annotated, the rest becomes dead letters. Knows no Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from consumer import codec
from consumer.codec import Format, Message, Rejected
from consumer.errors import Reason
from consumer.large import Large
from consumer.letters import Letters
from consumer.metrics import Metrics
from consumer.records import Outcome, Record
from nlp.types import Found, Span, Window
from schemas.messages import Model, Processing

LEAST_ENTITY_BYTES = 64  # no entity takes less on the wire


class Annotator(Protocol):
    """What the processor needs of the core's annotator."""

    def iter_annotate(self, texts: Sequence[str]) -> Iterator[list[Found]]:
        """Hand control back after every token batch, with what it brought to light."""
        ...

    def windows(self, document: int, text: str) -> list[Window]:
        """Return the windows that a text is read in."""
        ...


@dataclass(frozen=True, slots=True)
class Wire:
    """What goes into every outcome, and what becomes of a large one."""

    model: Model
    worker_version: str
    large: Large


class Processor:
    """Turns records into outcomes, one outcome each, handing control back between token batches."""

    def __init__(
        self,
        annotator: Annotator,
        format: Format,
        wire: Wire,
        letters: Letters,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        """`clock` counts seconds from any origin."""
        self._annotator, self._format, self._wire = annotator, format, wire
        self._letters, self._metrics, self._clock = letters, metrics, clock

    def decode(self, record: Record) -> Message | Outcome:
        """Return the message to work on, or the outcome where there is nothing to annotate."""
        if record.headers_error:
            return self._letters.write(record, Reason.HEADERS_NOT_UTF8, "decode", record.headers_error)
        if record.value is None:
            return codec.tombstone(record)
        with self._metrics.stage("decode"):
            decoded = codec.decode(record, self._format)
        if isinstance(decoded, Rejected):
            return self._letters.write(record, decoded.reason, "decode", decoded.error)
        return decoded

    def annotate(self, messages: Sequence[Message]) -> Iterator[Outcome | None]:
        """Yield the outcome of every message, in order, after a None for every token batch on the way."""
        begun = self._clock()
        texts = [text for message in messages for text in message.texts.values()]
        found: list[list[Span]] = [[] for _ in texts]
        steps = self._annotator.iter_annotate(texts)
        while (step := self._next(steps)) is not None:
            for piece in step:
                found[piece.document] += piece.spans
            if len(messages) == 1 and self._is_hopeless(found):
                break  # a text of names alone is given up while its spans still fit into memory
            yield None
        milliseconds = round((self._clock() - begun) * 1000, 3)
        done = 0
        for message in messages:
            spans = found[done : done + len(message.texts)]
            done += len(spans)
            with self._metrics.stage("encode"):
                outcome = self._encode(message, spans, milliseconds)
            yield outcome

    def _next(self, steps: Iterator[list[Found]]) -> list[Found] | None:
        with self._metrics.stage("annotate"):
            return next(steps, None)

    def _is_hopeless(self, spans: Sequence[Sequence[Span]]) -> bool:
        return sum(map(len, spans)) * LEAST_ENTITY_BYTES > self._wire.large.entity_bytes

    def _encode(self, message: Message, spans: Sequence[Sequence[Span]], milliseconds: float) -> Outcome:
        self._metrics.characters.inc(message.chars)
        if self._is_hopeless(spans):
            error = f"its entities alone take more than {self._wire.large.entity_bytes:,} bytes (message.max.bytes)"
            return self._letters.write(message.record, Reason.OUTPUT_TOO_LARGE, "encode", error)
        windows = sum(len(self._annotator.windows(0, text)) for text in message.texts.values())
        processing = Processing(windows=windows, milliseconds=milliseconds, worker_version=self._wire.worker_version)
        by_field = len(self._format.fields) > 1
        return self._wire.large.fitted(codec.encode(message, spans, self._wire.model, processing, by_field=by_field))
