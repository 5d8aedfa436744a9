"""librdkafka's own log lines: free text made events of one name, and not told over and over."""

from __future__ import annotations

import logging
import re

_AGAIN_SECONDS = 60.0
_DURATION = re.compile(r"\(after \d+ms")


class Lines(logging.Filter):
    """Makes each line the `reason` of an event `librdkafka`; of those alike, one a minute is let through."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, float] = {}  # when, in the last minute

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        text = record.getMessage()
        record.msg, record.args = "librdkafka", ()
        vars(record)["reason"] = text
        self._told = {line: at for line, at in self._told.items() if record.created - at < _AGAIN_SECONDS}
        if (line := alike(text)) in self._told:
            return False
        self._told[line] = record.created
        return True


def alike(text: str) -> str:
    """Return what is the same in errors that differ only in how long it took until they showed."""
    return _DURATION.sub("(after", text)


LOGGER = logging.getLogger("librdkafka")
LOGGER.addFilter(Lines())
