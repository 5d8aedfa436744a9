"""The same work for everything that annotates texts: a first sentence, many sentences, long texts, and its memory."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Found = list[tuple[int, int, str]]
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that annotates texts, `batch` sentences at a time, and can say what it found: (start, end, type).

    `held` is part of what is measured, though nobody asks it anything.
    """

    annotate: Callable[[Sequence[str]], Sequence[Any]]
    entities: Callable[[Any], Found]
    batch: int = 1
    held: object = None


@dataclass(frozen=True, slots=True)
class Texts:
    """What is annotated: sentences of one length, the longest text that BERT takes at once, and one twice as long."""

    sentences: tuple[str, ...]
    full: str
    long: str
    gold: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Texts:
        """Read the file that the parent process wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(tuple(content["sentences"]), content["full"], content["long"], tuple(content["gold"]))


def measure(make: Callable[[], Subject], options: Mapping[str, Any]) -> dict[str, Any]:
    """Make a subject and put it through its work; what it fails at is named in place of a figure."""
    texts = Texts.read(Path(options["texts"]))
    subject = make()
    subject.annotate(texts.sentences[:1])
    first = time.monotonic() - options["begun"]
    result: dict[str, Any] = {"first_seconds": first}
    result["short"] = _rate(subject.annotate, texts.sentences, subject.batch, options["seconds"] / 2)
    subject.annotate([texts.full])
    try:
        result["long"] = _rate(subject.annotate, [texts.long], 1, options["seconds"] / 2)
    except Exception as error:  # noqa: BLE001 - what it cannot do is what the table says of it
        result["long_error"] = told(error)
    result |= {"peak_bytes": status("VmHWM"), "resident_bytes": status("VmRSS")}
    if texts.gold and options["repeat"] == 0:
        result["entities"] = [_entities(subject, text) for text in texts.gold]
    return result


def told(error: Exception) -> str:
    """Return an error's kind and the first line of its text."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def _rate(annotate: Callable[[Sequence[str]], object], texts: Sequence[str], rows: int, seconds: float) -> float:
    """Return characters per CPU-second over at least one batch, for about so many seconds."""
    characters = done = 0
    until, begun = time.monotonic() + seconds, time.process_time()
    while not characters or time.monotonic() < until:
        batch = [texts[(done + i) % len(texts)] for i in range(rows)]
        annotate(batch)
        characters += sum(map(len, batch))
        done += len(batch)
    return characters / (time.process_time() - begun)


def _entities(subject: Subject, text: str) -> Found:
    try:
        [found] = subject.annotate([text])
    except Exception:  # noqa: BLE001 - it found nothing, then
        return []
    return subject.entities(found)


def status(name: str) -> int:
    """Return a figure of /proc/self/status in bytes."""
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
