"""What can go wrong in the worker, and the exit status that each leaves behind.

A message that cannot be processed is no exception: it becomes a dead letter with a `Reason`.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a record went to the dead letters: a closed list, the `raner.reason` header."""

    HEADERS_NOT_UTF8 = "headers_not_utf8"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NO_TEXT = "no_text"
    NOT_TEXT = "not_text"
    TOO_LONG = "too_long"
    OUTPUT_TOO_LARGE = "output_too_large"
    OUTPUT_NOT_AUTHORIZED = "output_not_authorized"
    OUTPUT_REFUSED = "output_refused"


class RanerError(Exception):
    """The root of the worker's errors. `exit_status` is what the process ends with."""

    exit_status = 1


class SettingsError(RanerError):
    """A setting, an argument or an input file is wrong."""

    exit_status = 2


class MemoryCapExceeded(RanerError):
    """Resident memory passed the cap; nothing of the batch was committed and Kafka delivers it again."""

    exit_status = 3


class DrainExpired(RanerError):
    """The drain deadline passed with work in flight; it was not committed and Kafka delivers it again."""

    exit_status = 4


class DeadLetterLimitReached(RanerError):
    """So many records became dead letters that the code is to blame; the batch was neither published nor committed."""

    exit_status = 5


class KafkaFailed(RanerError):
    """Kafka reported what this process cannot mend: a missing right, a missing topic, a fatal client error."""


class ClientStuck(RanerError):
    """A Kafka client does not find back to brokers that answer others; a new one does."""


class DeadLetterRefused(RanerError):
    """The broker took neither a dead letter nor its shortened form; its record was not committed."""


class BenchFailed(RanerError):
    """A measurement could not be made."""


class ChaosFailed(RanerError):
    """A trial could not be carried through."""


class DemoFailed(RanerError):
    """The demo could not be run, or did not account for every message."""
