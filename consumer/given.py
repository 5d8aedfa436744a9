"""What a worker was told, as names and values: from the environment, from a TOML file, and properties of librdkafka."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from consumer.errors import SettingsError

PREFIX = "RANER_"
KAFKA_PREFIX = "RANER_KAFKA_"
CONFIG_VARIABLE = "RANER_CONFIG"
_SERVICE = "RANER_STREAM_"  # how Kubernetes tells of a Service that is called raner-stream

_SECRET = re.compile(r"password|secret|token|jaas|oauthbearer|\.pem$|\.key$|key\.pem", re.IGNORECASE)
SECRETS = ("sasl_password", "tls_key_password")
_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1024, "mi": 1024**2, "gi": 1024**3}

_RESERVED = {
    "bootstrap.servers": "RANER_BOOTSTRAP_SERVERS",
    "group.id": "RANER_GROUP_ID",
    "group.protocol": "RANER_GROUP_PROTOCOL",
    "group.instance.id": "RANER_GROUP_INSTANCE_ID",
    "auto.offset.reset": "RANER_START_FROM",
    "enable.auto.commit": "nothing: offsets are committed once their outcomes are acknowledged",
    "enable.auto.offset.store": "nothing: offsets are committed once their outcomes are acknowledged",
    "enable.idempotence": "nothing: the producer is idempotent",
    "transactional.id": "RANER_TRANSACTIONAL_ID",
    "isolation.level": "nothing: only committed records are read",
}


def _size(value: object) -> object:
    """Read `200MiB`, `1 GB` or a number of bytes."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?)?b?\s*", value, re.IGNORECASE)
        if not match:
            raise ValueError(f"{value!r} is no size; expected bytes, or a number with KiB, MiB, GiB, KB, MB or GB")
        return int(float(match[1]) * _UNITS[(match[2] or "").lower()])
    return value


def _names(value: object) -> object:
    return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value


Size = Annotated[int, BeforeValidator(_size)]
Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_names)]

Dialects = Annotated[tuple[Literal["connect", "spring"], ...], BeforeValidator(_names)]


def variable(name: str) -> str:
    """Return the environment variable of a field."""
    return PREFIX + name.upper()


def from_environment(environment: Mapping[str, str], names: Collection[str]) -> dict[str, object]:
    """Return what the environment tells of the settings of these names; raise `SettingsError` for others."""
    known = {variable(name): name for name in names if name != "kafka"}
    values: dict[str, object] = {}
    kafka: dict[str, str] = {}
    unknown = []
    for key, value in environment.items():
        if key.startswith(KAFKA_PREFIX):
            if value:  # an empty variable is one that a compose file left open
                kafka[key.removeprefix(KAFKA_PREFIX).lower().replace("_", ".")] = value
        elif key in known:
            if value:
                values[known[key]] = value
        elif key.startswith(PREFIX) and not key.startswith(_SERVICE) and key != CONFIG_VARIABLE:
            unknown.append(key)
    if unknown:
        raise SettingsError(
            f"unknown in the environment: {', '.join(sorted(unknown))}; "
            f"known are {', '.join(sorted(known))}, {CONFIG_VARIABLE} and {KAFKA_PREFIX}<PROPERTY>"
        )
    return values | ({"kafka": kafka} if kafka else {})


def from_file(path: Path, names: Collection[str]) -> dict[str, object]:
    """Return what a TOML file tells of the settings of these names; raise `SettingsError` for others."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read as TOML: {error}") from error
    if unknown := sorted(set(values) - set(names)):
        raise SettingsError(f"unknown in {path}: {', '.join(unknown)}; known are {', '.join(names)}")
    return values


def properties(value: object, origin: str) -> dict[str, str]:
    """Return librdkafka properties by name; raise `SettingsError` for those that are not the user's to set."""
    if isinstance(value, Mapping):
        pairs = [(str(name), item) for name, item in _flat(value)]
    else:
        texts = [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]
        pairs = []
        for text in texts:
            name, separator, content = text.partition("=")
            if not separator:
                raise SettingsError(f"kafka property {name!r} ({origin}): expected name=value")
            pairs.append((name.strip(), content))
    for name, _ in pairs:
        if instead := _RESERVED.get(name.removeprefix("consumer.").removeprefix("producer.")):
            raise SettingsError(f"kafka property {name} ({origin}) is not yours to set; use {instead}")
    return {name: str(item).lower() if isinstance(item, bool) else str(item) for name, item in pairs}


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")  # TOML reads security.protocol as a table in a table
        else:
            yield prefix + name, value


def shown(name: str, value: object) -> str:
    """Return a setting's value fit to be shown: secrets are replaced."""
    if name in SECRETS and value:
        return "********"
    return ",".join(value) if isinstance(value, tuple) else "" if value is None else str(value)


def masked(properties: Mapping[str, str]) -> dict[str, str]:
    """Return Kafka properties fit to be shown: secrets are replaced."""
    return {name: "********" if _SECRET.search(name) else value for name, value in properties.items()}
