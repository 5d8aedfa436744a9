"""Trials of what is sent: broken records, long batches, messages too large, a queue that is full."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from random import Random

from consumer.chaos.crew import Crew, crew, wait_for
from consumer.chaos.field import Field
from consumer.chaos.stage import Result, Stage
from consumer.errors import ChaosFailed, DeadLetterLimitReached

_SHARES = (0.01, 0.5, 1.0)
_LONG_RECORDS = 60
_QUEUED_RECORDS = 12  # several times what the queue holds
_BROKEN_RECORDS = 400  # at least, for the limit to be reached in some partition
_MIB = 1024**2


def broken(stage: Stage) -> Result:
    """Send records of which 1 %, half, and all are broken; then set the limit, which has to trip and hold."""
    random, field, share = stage.random(), stage.field, stage.size.messages // 8
    with crew(stage.directory, stage.settings) as workers:
        workers.start()
        for broken_share in _SHARES:
            field.send(share, random, broken=broken_share)
        field.wait_until_done(workers.check)
        workers.stop_all()
        field.send(max(share, _BROKEN_RECORDS), random, broken=1.0)
        before, limit = field.lagging(), 20
        for _ in range(2):
            hand = workers.start(dead_letter_consecutive=str(limit), batch_records="8")
            if (status := hand.wait()) != DeadLetterLimitReached.exit_status:
                raise ChaosFailed(f"over the dead-letter limit a worker ended with status {status}\n{hand.tail()}")
        after = field.lagging()
        past = [number for number in before if after.get(number, 0) - before[number] >= limit]
        rebalances = workers.rebalances()
        workers.forgive()
        workers.start()
        field.wait_until_done(workers.check)
        workers.stop_all()
    problem = f"partitions {past} went past the limit" if past else ""
    return Result("1 %, 50 %, 100 % broken", field.account(), 2, rebalances=rebalances, problem=problem)


def long_batch(stage: Stage) -> Result:
    """Have a batch take longer than `max.poll.interval.ms`."""
    most = int(stage.settings["kafka_consumer_session_timeout_ms"]) + 1_000  # no less than a session is allowed
    told = {"kafka_consumer_max_poll_interval_ms": str(most), "long_chars": "100000"}
    stage = stage.with_settings(**told, batch_records="100000", batch_bytes=str(16 * _MIB))
    field = stage.field
    field.send(_LONG_RECORDS, stage.random(), length=2_000)
    with crew(stage.directory, stage.settings) as workers:
        worker = workers.start()
        wait_for(lambda: worker.metrics().get("raner_records_in_total"), "the first batch", workers.check)
        begun, before = time.monotonic(), field.lagging()
        longest = 0.0
        while before:
            wait_for(partial(_has_changed, field, before), "a batch to end", workers.check)
            longest, begun, before = max(longest, time.monotonic() - begun), time.monotonic(), field.lagging()
        evictions = len(worker.events("partitions_lost"))
        workers.stop_all()
        rebalances = workers.rebalances()
    problem = f"{evictions} evictions" if evictions else ""
    if longest * 1_000 < most:
        problem = f"no batch took longer than {most} ms: the sessions are too long for it"
    return Result("a batch over max.poll.interval.ms", field.account(), 1, rebalances=rebalances, problem=problem)


def large(stage: Stage) -> Result:
    """Send messages of which some are larger than the output topic takes."""
    field, random = stage.field, stage.random()
    with crew(stage.directory, stage.with_settings(kafka_producer_compression_type="none").settings) as workers:
        workers.start()
        for _ in range(2):
            field.send(stage.size.messages // 10, random)
            field.send(3, random, length=3_500)
        field.wait_until_done(workers.check)
        refused = sum(len(hand.events("outcome_refused")) for hand in workers.hands)
        workers.stop_all()
        rebalances = workers.rebalances()
    problem = "" if refused else "the broker refused nothing"
    return Result("output over the topic's limit", field.account(), refused, rebalances=rebalances, problem=problem)


def full_queue(stage: Stage) -> Result:
    """Have the producer's queue hold less than a batch, and the worker wait for it, in memory that does not grow."""
    stage = stage.with_settings(send_queue=str(64 * 1024), batch_bytes=str(2 * _MIB))
    field = stage.field
    with crew(stage.directory, stage.settings) as workers:
        worker = workers.start()
        _send_long(stage, stage.random(), workers)
        before = worker.peak()
        _send_long(stage, Random(stage.seed + 1), workers)  # noqa: S311 - a trial that can be repeated
        grown = worker.peak() - before
        workers.stop_all()
        rebalances = workers.rebalances()
    problem = f"memory grew by {grown / _MIB:.0f} MiB" if grown > 16 * _MIB else ""
    return Result("producer queue full", field.account(), rebalances=rebalances, problem=problem)


def _send_long(stage: Stage, random: Random, workers: Crew) -> None:
    stage.field.send(_QUEUED_RECORDS, random, length=3_000)
    stage.field.wait_until_done(workers.check)


def _has_changed(field: Field, before: Mapping[int, int]) -> bool:
    return field.lagging() != before
