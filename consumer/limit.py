"""Stops the worker when so many records cannot be processed that it is the code, not the message, that is broken."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from consumer.errors import DeadLetterLimitReached
from consumer.records import Outcome, Partition

_MARK = "raner-dead-letters:"


@dataclass(frozen=True, slots=True)
class Rule:
    """So many dead letters in a row, or such a share of the last `window` records of a partition; 0 for no limit."""

    consecutive: int = 0
    ratio: float = 0.0
    window: int = 100

    @property
    def kept(self) -> int:
        """How many records of a partition have to be remembered."""
        return max(self.consecutive, self.window if self.ratio else 0)


class DeadLetterLimit:
    """Remembers of each partition which of its last records became dead letters.

    What it remembers is committed with the offsets, as their metadata, so that a worker that is started again begins
    with it and stops at the same record, instead of filling the topic start by start.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._last: dict[Partition, deque[tuple[int, bool]]] = {}  # offset, and whether it is a dead letter

    def passed(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Return outcomes with what is to be committed along; raise `DeadLetterLimitReached` if they go too far."""
        if not self._rule.kept:
            return outcomes
        for outcome in outcomes:
            self._enter(outcome.record.place, outcome.record.offset, dead=outcome.reason is not None)
            if outcome.reason is not None:
                self._judge(outcome, outcomes)
        newest = {outcome.record.place: i for i, outcome in enumerate(outcomes)}
        return [
            replace(outcome, note=self._note(outcome.record.place)) if newest[outcome.record.place] == i else outcome
            for i, outcome in enumerate(outcomes)
        ]

    def restore(self, notes: Mapping[Partition, str]) -> None:
        """Go on from what was committed along with the offsets of partitions that are assigned now."""
        for place, note in notes.items():
            if self._rule.kept and note.startswith(_MARK):
                bits = f"{int(note.removeprefix(_MARK), 16):b}"[1:]
                self._last[place] = deque(((-1, bit == "1") for bit in bits), self._rule.kept)

    def forget(self, partitions: Collection[Partition]) -> None:
        """Remember nothing of partitions that are lost."""
        for place in partitions:
            self._last.pop(place, None)

    def _enter(self, place: Partition, offset: int, *, dead: bool) -> None:
        last = self._last.setdefault(place, deque(maxlen=self._rule.kept))
        for i, (known, _) in enumerate(last):
            if known == offset:  # the broker refused what had been good
                last[i] = (offset, dead)
                return
        last.append((offset, dead))

    def _judge(self, outcome: Outcome, outcomes: Sequence[Outcome]) -> None:
        rule, last = self._rule, self._last[outcome.record.place]
        row = sum(1 for _ in takewhile(lambda entry: entry[1], reversed(last)))
        if rule.consecutive and row >= rule.consecutive:
            raise _reached(outcome, outcomes, f"{row} records in a row", "RANER_DEAD_LETTER_CONSECUTIVE")
        if rule.ratio and len(last) >= rule.window:
            share = sum(dead for _, dead in list(last)[-rule.window :]) / rule.window
            if share >= rule.ratio:
                told = f"{share:.0%} of the last {rule.window} records"
                raise _reached(outcome, outcomes, told, "RANER_DEAD_LETTER_RATIO")

    def _note(self, place: Partition) -> str:
        bits = "".join("1" if dead else "0" for _, dead in self._last[place])
        return f"{_MARK}{int('1' + bits, 2):x}"


def _reached(outcome: Outcome, outcomes: Sequence[Outcome], how: str, setting: str) -> DeadLetterLimitReached:
    record = outcome.record
    reasons = Counter(each.reason.value for each in outcomes if each.reason is not None)
    told = ", ".join(f"{name} {count:,}" for name, count in reasons.most_common())
    return DeadLetterLimitReached(
        f"{how} of {record.topic}[{record.partition}] up to offset {record.offset} would be dead letters ({told}), "
        f"which is the limit ({setting}); this batch was neither published nor committed. Mend the cause, or raise it"
    )
