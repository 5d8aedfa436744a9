"""The trials: each sends records, lets something happen to the workers, and returns the account."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Collection
from random import Random

from consumer.chaos.crew import Crew, Hand, crew, wait_for
from consumer.chaos.field import Field
from consumer.chaos.stage import Result, Stage
from consumer.errors import ChaosFailed

_MOST_WORKERS = 3
_CHANGE_SECONDS, _CHANGE_MESSAGES = 5.0, 500  # between one coming or going and the next


def kill_loop(stage: Stage) -> Result:
    """Kill one of three workers, again and again, while it has records in flight, and start another in its place."""
    random, field = stage.random(), stage.field
    recoveries: list[float] = []
    in_flight = 0
    with crew(stage.directory, stage.settings) as workers:
        for _ in range(3):
            workers.start()
        kills = stage.size.kills
        share = stage.size.messages // (kills + 1)
        field.send(stage.size.messages - share * kills, random)
        for number in range(kills):
            field.send(share, random)
            victim, held = _caught(workers, field, random)
            victim.send(signal.SIGKILL)
            victim.wait()
            struck = time.monotonic()
            in_flight += held
            workers.start()
            recoveries.append(_recovery(field, victim.owned(), struck, workers.check))
            stage.show(
                f"kill {number + 1} of {kills}: {held} records in flight, moving again after {recoveries[-1]:.1f} s"
            )
        field.wait_until_done(workers.check)
        _end(workers)
    return Result(
        "kill -9 of one of three",
        field.account(),
        kills,
        in_flight,
        tuple(recoveries),
        workers.rebalances(),
        may_double=kills * stage.batch,
    )


def stop_loop(stage: Stage) -> Result:
    """Stop a worker with SIGTERM in the middle of its work, again and again, and start another."""
    random, field = stage.random(), stage.field
    times: list[float] = []
    in_flight = 0
    with crew(stage.directory, stage.settings) as workers:
        for _ in range(stage.size.stops):
            field.send(400, random)
            worker = workers.start()
            worker, held = _caught(workers, field, random)
            begun = time.monotonic()
            worker.send(signal.SIGTERM)
            _check_stopped(worker)
            times.append(time.monotonic() - begun)
            in_flight += held
        workers.start()
        field.wait_until_done(workers.check)
        _end(workers)
    return Result(
        "SIGTERM in the middle of a batch",
        field.account(),
        stage.size.stops,
        in_flight,
        tuple(times),
        workers.rebalances(),
    )


def zombie(stage: Stage) -> Result:
    """Freeze a worker until another has taken over and done all its work, then let it go on."""
    random, field = stage.random(), stage.field
    with crew(stage.directory, stage.settings) as workers:
        workers.start()
        field.send(stage.size.messages, random)
        frozen, held = _caught(workers, field, random)
        frozen.send(signal.SIGSTOP)
        struck = time.monotonic()
        workers.start()
        field.wait_until_done(workers.check)
        took = time.monotonic() - struck
        frozen.send(signal.SIGCONT)
        wait_for(lambda: frozen.events("partitions_lost") or not frozen.alive, "the frozen worker to notice")
        field.send(stage.size.messages // 4, random)
        field.wait_until_done(lambda: None)
        _end(workers, but=frozen)
    return Result(
        "SIGSTOP past the session", field.account(), 1, held, (took,), workers.rebalances(), may_double=stage.batch
    )


def churn(stage: Stage) -> Result:
    """Have a worker join or leave every so many seconds, between one and three of them, while records come."""
    random, field = stage.random(), stage.field
    in_flight = 0
    with crew(stage.directory, stage.settings) as workers:
        workers.start()
        for _ in range(stage.size.changes):
            field.send(_CHANGE_MESSAGES, random, pause=_CHANGE_SECONDS / _CHANGE_MESSAGES)
            living = workers.living()
            if len(living) == 1 or (len(living) < _MOST_WORKERS and random.random() < 1 / 2):
                workers.start()
                continue
            leaver = random.choice(living)
            in_flight += leaver.in_flight()
            _stop(leaver)
        field.wait_until_done(workers.check)
        _end(workers)
        return Result(
            "a worker joins or leaves",
            field.account(),
            stage.size.changes,
            in_flight,
            may_double=stage.size.changes * stage.batch,
            rebalances=workers.rebalances(),
            strays=sum(len(hand.strays()) for hand in workers.hands),
        )


def _caught(workers: Crew, field: Field, random: Random) -> tuple[Hand, int]:
    """Return a worker with records in flight, at a random time, and how many they are."""
    time.sleep(random.uniform(0, 0.5))

    def found() -> tuple[Hand, int] | None:
        living = workers.living()
        random.shuffle(living)
        return next(((hand, held) for hand in living if (held := hand.in_flight()) > 0), None)

    def check() -> None:
        workers.check()
        if not field.lagging():
            raise ChaosFailed("the workers were done before one could be caught at work; send more messages")

    caught: tuple[Hand, int] = wait_for(found, "a worker with records in flight", check)
    return caught


def _recovery(field: Field, orphans: Collection[int], struck: float, check: Callable[[], None]) -> float:
    """Return the seconds until every partition of the victim's that was behind has moved."""
    before = {number: offset for number, offset in field.lagging().items() if number in orphans}
    wait_for(lambda: not before.items() & field.lagging().items(), "every partition to move again", check)
    return time.monotonic() - struck


def _end(workers: Crew, but: Hand | None = None) -> None:
    living = [hand for hand in workers.living() if hand is not but]
    for hand in living:
        hand.wait_listening()
    for hand in workers.living():
        hand.send(signal.SIGTERM)
    for hand in living:
        _check_stopped(hand)
    if but:
        but.wait()


def _stop(hand: Hand) -> None:
    hand.wait_listening()
    hand.send(signal.SIGTERM)
    _check_stopped(hand)


def _check_stopped(hand: Hand) -> None:
    if status := hand.wait():
        raise ChaosFailed(f"a worker that was asked to stop ended with status {status}\n{hand.tail()}")
