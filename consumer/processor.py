"""Records to outcomes: what can be decoded is annotated, the rest becomes dead letters. Knows no Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from consumer import codec
from consumer.codec import Format, Message, Rejected
from consumer.metrics import Metrics
from consumer.records import Outcome, Record
from nlp.types import Span, Window
from schemas.messages import Model, Processing


class Annotator(Protocol):
    """What the processor needs of the core's annotator."""

    def iter_annotate(self, texts: Sequence[str]) -> Iterator[list[tuple[int, list[Span]]]]:
        """Hand control back after every token batch, with the texts that it finished."""
        ...

    def windows(self, document: int, text: str) -> list[Window]:
        """Return the windows that a text is read in."""
        ...


class Processor:
    """Turns records into outcomes, one outcome each, handing control back between token batches."""

    def __init__(
        self,
        annotator: Annotator,
        format: Format,
        model: Model,
        worker_version: str,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        """`clock` counts seconds from any origin."""
        self._annotator, self._format, self._model = annotator, format, model
        self._version, self._metrics, self._clock = worker_version, metrics, clock

    def decode(self, record: Record) -> Message | Outcome:
        """Return the message to work on, or the outcome where there is nothing to annotate."""
        if record.value is None:
            return codec.tombstone(record)
        with self._metrics.stage("decode"):
            decoded = codec.decode(record, self._format)
        if isinstance(decoded, Rejected):
            return codec.dead_letter(record, decoded.reason, decoded.stage, decoded.error)
        return decoded

    def annotate(self, messages: Sequence[Message]) -> Iterator[Outcome | None]:
        """Yield the outcome of every message, in order, after a None for every token batch on the way."""
        begun = self._clock()
        texts = [text for message in messages for text in message.texts.values()]
        found: dict[int, list[Span]] = {}
        steps = self._annotator.iter_annotate(texts)
        while True:
            with self._metrics.stage("annotate"):
                finished = next(steps, None)
            if finished is None:
                break
            found.update(finished)
            yield None
        milliseconds = round((self._clock() - begun) * 1000, 3)
        done = 0
        for message in messages:
            spans = [found[done + i] for i in range(len(message.texts))]
            done += len(spans)
            with self._metrics.stage("encode"):
                outcome = self._encode(message, spans, milliseconds)
            yield outcome

    def _encode(self, message: Message, spans: Sequence[Sequence[Span]], milliseconds: float) -> Outcome:
        self._metrics.characters.inc(message.chars)
        windows = sum(len(self._annotator.windows(0, text)) for text in message.texts.values())
        processing = Processing(windows=windows, milliseconds=milliseconds, worker_version=self._version)
        by_field = len(self._format.fields) > 1
        return codec.encode(message, spans, self._model, processing, by_field=by_field)
