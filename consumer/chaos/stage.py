"""What a trial is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from consumer.chaos.field import Field
from consumer.chaos.ledger import Account


@dataclass(frozen=True, slots=True)
class Size:
    """How much a trial does."""

    messages: int = 2_000
    kills: int = 2
    stops: int = 4
    changes: int = 3


FULL = Size(messages=20_000, kills=10, stops=50, changes=24)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a trial takes place: topics, a directory for logs, the workers' settings, and repeatable chance."""

    field: Field
    directory: Path
    settings: Mapping[str, str]
    size: Size = Size()
    seed: int = 0
    show: Callable[[str], None] = lambda _: None

    def with_settings(self, **settings: str) -> Stage:
        """Return the same with other settings."""
        return replace(self, settings={**self.settings, **settings})

    def random(self) -> Random:
        """Return chance from its beginning."""
        return Random(self.seed)  # noqa: S311 - a trial that can be repeated

    @property
    def batch(self) -> int:
        """How many records a worker takes at once."""
        return int(self.settings["batch_records"])

    @property
    def exactly_once(self) -> bool:
        """Whether nothing may come twice."""
        return self.settings["delivery"] == "exactly-once"


@dataclass(frozen=True, slots=True)
class Result:
    """A trial's account, how often it struck, and how many seconds it took until all partitions moved again."""

    name: str
    account: Account
    strikes: int = 0
    in_flight: int = 0  # records in flight at the strikes, together
    recoveries: tuple[float, ...] = ()
    rebalances: int = 0
    strays: int = 0  # commits of a partition by a worker that did not own it
    may_double: int = 0  # how many records may come twice, at-least-once
    problem: str = ""  # what else is wrong

    def problems(self, *, exactly_once: bool) -> list[str]:
        """Return what does not hold."""
        account, most = self.account, 0 if exactly_once else self.may_double
        found = {
            "lost": account.lost,
            "strange": account.strange,
            "out of order": account.disordered,
            "left after equal names are dropped": account.doubled_by_name,
            "committed without owning it": self.strays,
            f"doubled, {most} may be": max(0, account.doubled - most),
        }
        return [f"{count} {what}" for what, count in found.items() if count] + [self.problem] * bool(self.problem)


COLUMNS = ("trial", "delivery", "messages", "strikes", "in flight", "rebalances", "lost", "doubled", "p50 s", "p99 s")


def row(result: Result, delivery: str) -> tuple[str, ...]:
    """Return a result as a row of the table; the last two are of the recoveries."""
    account = result.account
    counts = (account.sent, result.strikes, result.in_flight, result.rebalances, account.lost, account.doubled)
    times = sorted(result.recoveries)
    shares = [f"{times[round(share * (len(times) - 1))]:.1f}" if times else "" for share in (0.5, 0.99)]
    return (result.name, delivery, *(f"{count:,}" for count in counts), *shares)
