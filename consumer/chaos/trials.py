"""The trials: each sends records, lets something happen to the workers, and returns the account."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from consumer.chaos.crew import Crew, Hand, crew, wait_for
from consumer.chaos.field import Field
from consumer.chaos.ledger import Account
from consumer.errors import ChaosFailed

_MOST_WORKERS = 3


@dataclass(frozen=True, slots=True)
class Result:
    """A trial's account, how often it struck, and how many seconds it took until all partitions moved again."""

    name: str
    account: Account
    strikes: int
    in_flight: int  # records in flight at the strikes, together
    recoveries: tuple[float, ...] = ()
    rebalances: int = 0
    strays: int = 0  # commits of a partition by a worker that did not own it


def kill_loop(
    field: Field,
    directory: Path,
    settings: Mapping[str, str],
    *,
    messages: int,
    kills: int,
    seed: int,
    show: Callable[[str], None] = lambda _: None,
) -> Result:
    """Kill one of three workers, again and again, while it has records in flight, and start another in its place."""
    random = Random(seed)  # noqa: S311 - a trial that can be repeated
    recoveries: list[float] = []
    in_flight = 0
    with crew(directory, settings) as workers:
        for _ in range(3):
            workers.start()
        share = messages // (kills + 1)
        field.send(messages - share * kills, random)
        for number in range(kills):
            field.send(share, random)
            victim, held = _caught(workers, field, random)
            victim.send(signal.SIGKILL)
            victim.wait()
            struck = time.monotonic()
            in_flight += held
            workers.start()
            recoveries.append(_recovery(field, struck, workers.check))
            show(f"kill {number + 1} of {kills}: {held} records in flight, moving again after {recoveries[-1]:.1f} s")
        field.wait_until_done(workers.check)
        _end(workers)
    return Result("kill -9 of one of three", field.account(), kills, in_flight, tuple(recoveries))


def stop_loop(
    field: Field, directory: Path, settings: Mapping[str, str], *, messages: int, stops: int, seed: int
) -> Result:
    """Stop a worker with SIGTERM in the middle of its work, again and again, and start another."""
    random = Random(seed)  # noqa: S311 - a trial that can be repeated
    times: list[float] = []
    in_flight = 0
    with crew(directory, settings) as workers:
        share = messages // stops
        for _ in range(stops):
            field.send(share, random)
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
    return Result("SIGTERM in the middle of a batch", field.account(), stops, in_flight, tuple(times))


def zombie(field: Field, directory: Path, settings: Mapping[str, str], *, messages: int, seed: int) -> Result:
    """Freeze a worker until another has taken over and done all its work, then let it go on."""
    random = Random(seed)  # noqa: S311 - a trial that can be repeated
    with crew(directory, settings) as workers:
        workers.start()
        field.send(messages, random)
        frozen, held = _caught(workers, field, random)
        frozen.send(signal.SIGSTOP)
        struck = time.monotonic()
        workers.start()
        field.wait_until_done(workers.check)
        took = time.monotonic() - struck
        frozen.send(signal.SIGCONT)
        wait_for(lambda: frozen.events("partitions_lost") or not frozen.alive, "the frozen worker to notice")
        field.send(messages // 4, random)
        field.wait_until_done(lambda: None)
        _end(workers, but=frozen)
    return Result("SIGSTOP past the session", field.account(), 1, held, (took,))


def churn(
    field: Field, directory: Path, settings: Mapping[str, str], *, changes: int, every: float, messages: int, seed: int
) -> Result:
    """Have a worker join or leave every so many seconds, between one and three of them, while records come."""
    random = Random(seed)  # noqa: S311 - a trial that can be repeated
    in_flight = 0
    with crew(directory, settings) as workers:
        workers.start()
        for _ in range(changes):
            field.send(messages // changes, random, pause=every * changes / messages)
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
            changes,
            in_flight,
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


def _recovery(field: Field, struck: float, check: Callable[[], None]) -> float:
    """Return the seconds until every partition that was behind has moved."""
    before = field.lagging()
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
