"""Which topics are read: one by its name, or all that a pattern finds."""

from __future__ import annotations

import re
from collections.abc import Iterable

from consumer.errors import SettingsError

# What librdkafka's patterns, POSIX's extended ones, do not have, read in another way, or write in another way.
_FOREIGN = re.compile(r"\(\?|\\[0-9A-Za-z]|\[\[:|[*+?}][?+]")


def is_pattern(input_topic: str) -> bool:
    """Whether an input topic is a pattern, by librdkafka's rule."""
    return input_topic.startswith("^")


def reads(input_topic: str, topic: str) -> bool:
    """Whether a topic is read. A pattern is searched for, as librdkafka does: `^` binds its first alternative only."""
    return re.search(input_topic, topic) is not None if is_pattern(input_topic) else topic == input_topic


def check_pattern(input_topic: str, written: Iterable[str]) -> None:
    """Raise `SettingsError` for a pattern that librdkafka would read otherwise, or that finds a topic we write to."""
    if not is_pattern(input_topic):
        return
    if foreign := _FOREIGN.search(input_topic):
        raise SettingsError(
            f"input_topic {input_topic!r} has {foreign[0]!r}, which Kafka's client does not read as Python does; "
            "expected a POSIX extended pattern: [0-9] for a digit, [a-z] for a letter, \\. for a dot"
        )
    try:
        caught = [topic for topic in written if reads(input_topic, topic)]
    except re.error as error:
        raise SettingsError(f"input_topic {input_topic!r} is no regular expression: {error}") from error
    if caught:
        raise SettingsError(
            f"input_topic {input_topic!r} also matches {' and '.join(caught)}, and the worker would read what it "
            "wrote; narrow it, with alternatives in brackets: ^(raw|news)$"
        )
