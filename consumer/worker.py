"""The loop: fetch, process, deliver. Long texts are worked on between the others; a stop drains what is in flight."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from consumer.backlog import Backlog
from consumer.codec import Message
from consumer.errors import DeadLetterRefused, Reason
from consumer.health import Health, Shutdown
from consumer.large import Large
from consumer.letters import Letters, shortened
from consumer.limit import DeadLetterLimit
from consumer.memory import Watch
from consumer.metrics import Metrics
from consumer.processor import Processor
from consumer.records import Delivery, Outcome, Partition, Receipt, Record, Refusal, Source

IDLE_SECONDS = 0.2

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """From how many characters a text is long, and how many bytes the long ones may hold back."""

    long_chars: int
    backlog_bytes: int


@dataclass(frozen=True, slots=True)
class Job:
    """A long text being worked on."""

    place: Partition
    steps: Iterator[Outcome | None]


class Worker:
    """Runs until it is asked to stop. Single-threaded: all state here belongs to the loop."""

    def __init__(
        self,
        source: Source,
        delivery: Delivery,
        processor: Processor,
        *,
        limits: Limits,
        letters: Letters,
        large: Large,
        dead_letter_limit: DeadLetterLimit,
        watch: Watch,
        health: Health,
        shutdown: Shutdown,
        metrics: Metrics,
        clock: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        """`clock` counts seconds from any origin, `now` those since 1970."""
        self._source, self._delivery, self._processor = source, delivery, processor
        self._limits, self._watch, self._health, self._shutdown = limits, watch, health, shutdown
        self._letters, self._large, self._dead_letter_limit = letters, large, dead_letter_limit
        self._metrics, self._clock, self._now = metrics, clock, now
        self.backlog = Backlog()
        self._job: Job | None = None
        self._full = False

    def run(self) -> None:
        """Work until a stop is requested, then finish what is in flight and return."""
        while not self._shutdown.requested:
            self.turn()
        log.info("draining", extra={"seconds": round(self._shutdown.left(), 1), "long_documents": self.backlog.texts})
        self._source.pause(None)
        while self.backlog:
            self.turn()
        self._end(self._delivery.finish())
        while self._delivery.pending:  # a rebalance came between, and is only served by fetching
            self.turn()
            self._end(self._delivery.finish())

    def turn(self) -> None:
        """Fetch once, finish what is short, and take the long text whose turn it is further."""
        self._pulse()
        records = self._source.fetch(0.0 if self.backlog else IDLE_SECONDS)
        self._forget_lost()
        self._metrics.records_in.inc(len(records))
        begun = self._clock()
        outcomes = self._outcomes(self._sorted(records))
        spent = self._clock() - begun  # not on the delivery: while a broker keeps that waiting, more short ones come
        self._deliver(outcomes)
        self._share(spent)
        self._bound()

    def _pulse(self) -> None:
        """Do what must be done often: show that the loop moves, keep under the cap, keep the drain deadline."""
        self._health.beat()
        self._watch.check()
        self._shutdown.check()

    def _sorted(self, records: Sequence[Record]) -> list[Message | Outcome]:
        """Decode records and return those to finish now; long ones, and what comes after them, join the backlog."""
        ready: list[Message | Outcome] = []
        for record in records:
            decoded = self._processor.decode(record)
            long, held_up = self._is_long(decoded), record.place in self.backlog
            if long and not held_up:
                # Paused once for the whole job: each pause throws the prefetched records of the partition away.
                self._source.pause(record.place)
            if long or held_up:
                self.backlog.add(record, long=long)
            else:
                ready.append(decoded)
        return ready

    def _is_long(self, decoded: Message | Outcome) -> bool:
        return isinstance(decoded, Message) and decoded.chars >= self._limits.long_chars

    def _outcomes(self, ready: Sequence[Message | Outcome]) -> list[Outcome]:
        """Annotate what has to be and return every outcome, in order, but for what was lost meanwhile."""
        annotated = self._processor.annotate([item for item in ready if isinstance(item, Message)])
        outcomes = [self._next_outcome(annotated) if isinstance(item, Message) else item for item in ready]
        lost = self._forget_lost()
        return [outcome for outcome in outcomes if outcome.record.place not in lost]

    def _next_outcome(self, steps: Iterator[Outcome | None]) -> Outcome:
        for outcome in steps:
            if outcome is not None:
                return outcome
            self._pulse()
            self._source.tend()
        raise AssertionError("the processor returned fewer outcomes than messages")

    def _share(self, seconds: float) -> None:
        """Give the long texts as much time as the short ones just took, one token batch at least."""
        until = self._clock() + seconds
        self._forget_lost()  # the group was tended while the short ones were delivered
        while self.backlog:
            self._advance()
            if self._clock() >= until:
                break
            self._pulse()
            self._source.tend()
            self._forget_lost()

    def _advance(self) -> None:
        """Work one token batch of a long text; when it is done, deliver it and what waited behind it."""
        if self._job is None:
            record = self.backlog.first()
            decoded = self._processor.decode(record)
            # Nesting that could just be read is too deep here, where Python itself stands a call deeper.
            steps = self._processor.annotate([decoded]) if isinstance(decoded, Message) else iter((decoded,))
            self._job = Job(record.place, steps)
        outcome = next(self._job.steps)
        if outcome is not None:
            place, self._job = self._job.place, None
            self._deliver([outcome])
            self.backlog.take(place)
            behind = self.backlog.take_short(place)
            self._deliver(self._outcomes([self._processor.decode(record) for record in behind]))
            if place in self.backlog and self.backlog.release(place):
                self._source.resume(place)

    def _bound(self) -> None:
        """Stop fetching while long texts hold back more bytes than they may."""
        full = self.backlog.bytes > self._limits.backlog_bytes
        if full != self._full and not self._shutdown.requested:
            self._full = full
            if full:
                self._source.pause(None)
            else:
                self._source.resume(None)
        self._metrics.long_documents.set(self.backlog.texts)

    def _forget_lost(self) -> Collection[Partition]:
        lost = self._source.take_lost()
        self._delivery.forget(lost)
        self._dead_letter_limit.forget(lost)
        self._dead_letter_limit.restore(self._source.take_notes())
        self.backlog.drop(lost)
        if self._job and self._job.place in lost:
            self._job = None  # its new owner works it from the start; nothing of it was published
        return lost

    def _deliver(self, outcomes: Sequence[Outcome]) -> None:
        if not outcomes:  # the delivery is served, and no time is taken of it
            self._end(self._delivery.deliver(()))
            return
        with self._metrics.stage("deliver"):
            self._end(self._delivery.deliver(self._dead_letter_limit.passed(outcomes)))

    def _end(self, receipt: Receipt) -> None:
        """Count what is durable and find what was refused another form, smaller each time, to the dead letters."""
        self._count(receipt.published)
        while receipt.refused:
            mended = [_mended(refusal, self._letters, self._large) for refusal in receipt.refused]
            receipt = self._delivery.deliver(self._dead_letter_limit.passed(mended))
            self._count(receipt.published)

    def _count(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.reason is not None:
                self._metrics.dead_letters.labels(outcome.reason.value).inc()
                continue
            self._metrics.records_out.inc()
            for name in outcome.entities:
                self._metrics.entities.labels(name).inc()
            if outcome.record.timestamp is not None:
                self._metrics.latency.observe(max(0.0, self._now() - outcome.record.timestamp / 1000))


def _mended(refusal: Refusal, letters: Letters, large: Large) -> Outcome:
    """Return what to try after a refusal: smaller forms if there are, the dead letter, the dead letter cut down."""
    outcome = refusal.outcome
    log.warning(
        "outcome_refused",
        extra={
            "partition": f"{outcome.record.topic}[{outcome.record.partition}]",
            "offset": outcome.record.offset,
            "reason": refusal.reason.value,
            "dead_letter": outcome.reason is not None,
        },
    )
    if refusal.reason is Reason.OUTPUT_TOO_LARGE and (smaller := large.smaller(outcome)):
        return smaller
    if outcome.reason is None:
        return letters.write(outcome.record, refusal.reason, "deliver", refusal.error)
    record = outcome.record
    if not outcome.shortened or (record.key and not outcome.keyless):
        return shortened(outcome)
    raise DeadLetterRefused(
        f"the broker took neither {record.topic}[{record.partition}] offset {record.offset} nor its dead letter, "
        f"even cut down: {refusal.error}. Check the dead-letter topic, its limits and this worker's rights; "
        "the record was not committed"
    )
