"""Trials of what happens around the workers: a broker that is away, a network that fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from consumer.chaos.crew import crew, wait_for
from consumer.chaos.field import Field
from consumer.chaos.stage import Result, Stage

_MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Storm:
    """What is done to the brokers or the network, for how long, and how it is undone."""

    begin: Callable[[], None]
    seconds: float
    end: Callable[[], None]


def away(stage: Stage, name: str, storms: Sequence[Storm]) -> Result:
    """Have storms come while records are in flight, and measure until every partition that was behind moves again."""
    field, random = stage.field, stage.random()
    recoveries, in_flight = [], 0
    with crew(stage.directory, stage.settings) as workers:
        first = workers.start()
        workers.start()
        before = 0.0
        for storm in storms:
            field.send(stage.size.messages // len(storms), random)
            wait_for(lambda: any(hand.in_flight() for hand in workers.living()), "records in flight", workers.check)
            before = before or first.peak()
            in_flight += sum(hand.in_flight() for hand in workers.living())
            storm.begin()
            time.sleep(storm.seconds)
            storm.end()
            ended, behind = time.monotonic(), field.lagging()
            wait_for(partial(_have_moved, field, behind), "every partition to move", workers.check)
            recoveries.append(time.monotonic() - ended)
            field.wait_until_done(workers.check)
            workers.wait_ready()
        grown = first.peak() - before
        rebalances = workers.rebalances()
        workers.stop_all()
    problem = f"memory grew by {grown / _MIB:.0f} MiB" if grown > 32 * _MIB else ""
    doubles = len(storms) * 2 * 2 * stage.batch  # of both workers, with the batch before, whose commit may be lost
    return Result(name, field.account(), len(storms), in_flight, tuple(recoveries), rebalances, 0, doubles, problem)


def _have_moved(field: Field, before: Mapping[int, int]) -> bool:
    return not before.items() & field.lagging().items()
