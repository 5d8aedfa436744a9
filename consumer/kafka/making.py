"""How every client is made: its properties may be the user's own, and wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from confluent_kafka import KafkaException

from consumer.errors import SettingsError
from consumer.kafka.lines import LOGGER

T = TypeVar("T")


def made(client: Callable[[dict[str, Any]], T], properties: Mapping[str, Any]) -> T:
    """Make a client; raise `SettingsError` for a property that librdkafka does not know or cannot follow."""
    try:
        return client({**properties, "logger": LOGGER})
    except KafkaException as error:
        raise SettingsError(f"librdkafka refused a property: {error.args[0].str()}") from error


def number(properties: Mapping[str, Any], name: str, default: int) -> int:
    """Return a property that is a whole number; raise `SettingsError` for one that is not."""
    value = properties.get(name, default)
    try:
        return int(value)
    except ValueError as error:
        raise SettingsError(f"kafka property {name} is {value!r}; expected a whole number") from error
