"""Whether the worker lives, whether it is ready, and whether it was asked to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from consumer.errors import DrainExpired

STALE_SECONDS = 60.0

Check = Callable[[], str | None]


class Health:
    """The loop's heartbeat, and a list of checks that say what is not well yet."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` counts seconds from any origin."""
        self._clock = clock
        self._beaten = clock()
        self._checks: Sequence[Check] = (lambda: "starting",)

    def beat(self) -> None:
        """Note that the loop moves."""
        self._beaten = self._clock()

    def watch(self, *checks: Check) -> None:
        """Ask these from now on whether the worker is ready; each returns None or what is missing."""
        self._checks = checks

    def dead(self) -> str | None:
        """Return why the process should be replaced, None while the loop moves. A broker's absence is no reason."""
        still = self._clock() - self._beaten
        return f"the loop has not moved for {still:.0f} s" if still > STALE_SECONDS else None

    def unready(self) -> str | None:
        """Return what is missing before records can flow, None if nothing is."""
        return "; ".join(problem for check in self._checks if (problem := check())) or None


class Shutdown:
    """A request to stop, and the time that is left for it."""

    def __init__(self, drain_seconds: float, clock: Callable[[], float]) -> None:
        """`clock` counts seconds from any origin."""
        self._drain_seconds, self._clock = drain_seconds, clock
        self._deadline: float | None = None

    @property
    def requested(self) -> bool:
        """Whether the worker was asked to stop."""
        return self._deadline is not None

    def request(self) -> None:
        """Ask the worker to stop; later requests do not move the deadline."""
        if self._deadline is None:
            self._deadline = self._clock() + self._drain_seconds

    def left(self) -> float:
        """Return the seconds left, all of them while no stop was requested."""
        return self._drain_seconds if self._deadline is None else self._deadline - self._clock()

    def check(self) -> None:
        """Raise `DrainExpired` when the time is over."""
        if self.requested and self.left() <= 0:
            raise DrainExpired(
                f"not everything was finished within {self._drain_seconds:g} s (RANER_DRAIN_SECONDS); "
                "what was not committed is delivered again"
            )
