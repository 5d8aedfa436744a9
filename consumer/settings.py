"""The worker's settings: flags, then environment, then a TOML file, then defaults.

One class holds them all; the flags, the environment names, the table in the README and `check-config` come from it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from consumer.errors import SettingsError
from consumer.given import (
    CONFIG_VARIABLE,
    SECRETS,
    Dialects,
    Names,
    Size,
    from_environment,
    from_file,
    properties,
    variable,
)
from consumer.topics import check_pattern

_CLASSIC_ONLY = {"partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms", "group.protocol.type"}


def _setting(default: Any = PydanticUndefined, *, unit: str = "", help: str, **rules: Any) -> Any:
    return Field(default, description=help, json_schema_extra={"unit": unit}, **rules)


class Settings(BaseModel):
    """Everything a worker can be told. The field `input_topic` is the flag `--input-topic` and `RANER_INPUT_TOPIC`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: str = _setting(unit="host:port,…", min_length=1, help="Kafka brokers to begin with")
    security_protocol: Literal["", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = _setting(
        "", help="how brokers are spoken to; by default with TLS where a SASL mechanism or a certificate is given"
    )
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = _setting(
        "", help="how to log in"
    )
    sasl_username: str = _setting("", help="name to log in with")
    sasl_password: str = _setting("", help="password to log in with; rather give the file, or the variable")
    sasl_password_file: Path | None = _setting(None, unit="file", help="file with the password")
    tls_ca: Path | None = _setting(None, unit="file", help="certificates to trust; the system's by default")
    tls_certificate: Path | None = _setting(None, unit="file", help="client certificate")
    tls_key: Path | None = _setting(None, unit="file", help="its key")
    tls_key_password: str = _setting("", help="password of the key; rather give the file, or the variable")
    tls_key_password_file: Path | None = _setting(None, unit="file", help="file with that password")
    input_topic: str = _setting(
        min_length=1, help="topic to read; with ^ at its front a regular expression, for all topics that match"
    )
    output_topic: str = _setting(min_length=1, help="topic for annotated messages")
    dead_letter_topic: str = _setting(
        default_factory=lambda values: f"{values.get('output_topic')}.dead-letters",
        min_length=1,
        help="topic for records that cannot be processed; by default the output topic's name and `.dead-letters`",
    )
    dead_letter_headers: Dialects = _setting(
        (), unit="names", help="headers that dead letters have besides our own: `connect`, `spring`, or both"
    )
    dead_letter_consecutive: int = _setting(
        0, ge=0, le=10_000, unit="records", help="dead letters in a row, in a partition, that stop it; 0 for no limit"
    )
    dead_letter_ratio: float = _setting(
        0.0, ge=0, le=1, unit="share", help="share of dead letters, in a partition, that stops it; 0 for no limit"
    )
    dead_letter_window: int = _setting(
        100, ge=1, le=10_000, unit="records", help="last records of a partition that the share is taken of"
    )
    group_id: str = _setting("raner-stream", min_length=1, help="consumer group; workers of one group share the work")
    group_protocol: Literal["classic", "consumer"] = _setting(
        "classic", help="how the group shares partitions out; consumer is KIP-848 and needs brokers from 4.0 on"
    )
    group_instance_id: str = _setting(
        "", help="this worker's own name in the group, the same after a restart, which then moves no partition"
    )
    start_from: Literal["earliest", "latest"] = _setting(
        "earliest", help="where a group begins that never committed, or whose offset is no longer there"
    )
    delivery: Literal["at-least-once", "exactly-once"] = _setting("at-least-once", help="delivery guarantee")
    transactional_id: str = _setting(
        "",
        help="this worker's own name in transactions, the same after a restart; "
        "by default the group, the host, and a number that no other worker of this host has",
    )
    transaction_records: int = _setting(
        1_000, ge=1, unit="records", help="outcomes in a transaction, at most a batch more"
    )
    transaction_bytes: Size = _setting(
        1024**2, ge=1, unit="bytes", help="bytes of outcomes by which a transaction is committed"
    )
    transaction_seconds: float = _setting(
        0.1, ge=0, unit="seconds", help="time that outcomes are gathered for before they are committed"
    )

    model: str = _setting("default", unit="directory", help="serving directory, or a packaged model: default, tiny")
    engine: Literal["auto", "fastest", "ct2-int8", "ct2-fp32"] = _setting(
        "auto", help="what computes the model: auto goes by the processor, fastest measures what the directory holds"
    )
    decode: Literal["strict", "modelscope"] = _setting(
        "strict", help="how tags become spans: strictly, or as ModelScope's pipeline reads them"
    )
    min_score: float | None = _setting(
        None,
        ge=0,
        le=1,
        unit="probability",
        help="least score of an entity that is published; by default the model's own",
    )
    threads: int = _setting(0, ge=0, le=256, unit="threads", help="threads of the engine; 0 takes the CPU quota")
    window: int | None = _setting(
        None, ge=1, unit="characters", help="window that a text is read in; by default 126, or the model's longest"
    )
    overlap: int | None = _setting(
        None,
        ge=0,
        unit="characters",
        help="characters that neighbouring windows share; by default 30, or half of a short window",
    )
    batch_tokens: int = _setting(
        0,
        ge=0,
        unit="tokens",
        help="padded tokens in the engine at once; 0 for what 16 MiB hold, or 192 for each of several threads",
    )

    input_format: Literal["json", "text"] = _setting("json", help="a JSON object, or plain UTF-8 text")
    text_fields: Names = _setting(
        ("text",), unit="names", min_length=1, help="fields to annotate, comma-separated; `a.b` reaches into an object"
    )
    large_output: Literal["split", "omit-text", "dead-letter"] = _setting(
        "split",
        help="what becomes of a message over the broker's limit: without its text, and split if that is not enough; "
        "only without its text; or a dead letter at once",
    )
    max_chars: int = _setting(1_000_000, ge=1, unit="characters", help="longest text; a longer one is a dead letter")
    long_chars: int = _setting(
        4_000, ge=1, unit="characters", help="from here on a text is worked on between the others"
    )
    batch_records: int = _setting(64, ge=1, unit="records", help="records taken at once, at most")
    batch_bytes: Size = _setting(64 * 1024, ge=1, unit="bytes", help="bytes taken at once, by which a batch ends")

    memory_cap: Size = _setting(0, ge=0, unit="bytes", help="resident memory never to be passed; 0 takes the cgroup's")
    fetch_queue: Size = _setting(8 * 1024**2, ge=64 * 1024, unit="bytes", help="records that Kafka's client prefetches")
    send_queue: Size = _setting(8 * 1024**2, ge=64 * 1024, unit="bytes", help="messages waiting to be acknowledged")
    backlog: Size = _setting(8 * 1024**2, ge=0, unit="bytes", help="long texts and what waits behind them")
    drain_seconds: float = _setting(25.0, ge=0, unit="seconds", help="time to finish and commit after SIGTERM")

    http_host: str = _setting("127.0.0.1", help="address that the HTTP port binds to")
    http_port: int = _setting(9464, ge=0, le=65535, help="port of /metrics, /healthz, /readyz; 0 picks a free one")
    log_level: Literal["debug", "info", "warning", "error"] = _setting("info", help="least severe log event")

    kafka: dict[str, str] = _setting(
        {}, unit="name=value", help="any librdkafka property; `consumer.` or `producer.` before it for one side"
    )


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and for each field where its value came from: a flag, the environment, the file, or the default."""

    settings: Settings
    origins: Mapping[str, str]


def load(flags: Mapping[str, object], environment: Mapping[str, str], config: Path | None = None) -> Loaded:
    """Merge the sources and check the result; raise `SettingsError` listing everything that is wrong.

    `flags` holds only what was given. The file is `config`, else the one that RANER_CONFIG names.
    """
    path = config or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    sources = (
        (f"file {path}", from_file(path, Settings.model_fields) if path else {}),
        ("environment", from_environment(environment, Settings.model_fields)),
        ("flag", dict(flags)),
    )
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    kafka: dict[str, str] = {}
    for origin, source in sources:
        for name, value in source.items():
            if name == "kafka":
                kafka |= properties(value, origin)
            else:
                values[name], origins[name] = value, origin
    try:
        settings = Settings(**values, kafka=kafka)
    except ValidationError as error:
        raise SettingsError("\n".join(_explained(error, origins))) from error
    _check_together(settings)
    return Loaded(settings, origins)


def told(arguments: argparse.Namespace) -> Loaded:
    """Return the settings that a command line, this process's environment and a file tell together."""
    flags = {name: value for name, value in vars(arguments).items() if name in Settings.model_fields}
    return load(flags, os.environ, arguments.config)


def flag(name: str) -> str:
    """Return the command-line flag of a field."""
    return "--" + name.replace("_", "-")


def fields() -> Iterable[tuple[str, FieldInfo]]:
    """Yield every setting's name and definition, in order."""
    return Settings.model_fields.items()


def unit(field: FieldInfo) -> str:
    """Return a setting's unit, empty if it has none."""
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def kafka_properties(settings: Settings, side: Literal["consumer", "producer"]) -> dict[str, str]:
    """Return the user's own librdkafka properties for one side; its own go before those of both."""
    both = {name: value for name, value in settings.kafka.items() if not name.startswith(("consumer.", "producer."))}
    mine = f"{side}."
    own = {name.removeprefix(mine): value for name, value in settings.kafka.items() if name.startswith(mine)}
    return both | own


def _check_together(settings: Settings) -> None:
    window, overlap = settings.window, settings.overlap
    if window is not None and overlap is not None and overlap >= window:
        raise SettingsError(f"overlap {overlap} with window {window}: expected overlap < window")
    topics = (settings.input_topic, settings.output_topic, settings.dead_letter_topic)
    if len(set(topics)) < len(topics):
        raise SettingsError(
            f"input, output and dead-letter topic are {', '.join(topics)}; expected three different ones, "
            "or the worker would read what it wrote"
        )
    check_pattern(settings.input_topic, (settings.output_topic, settings.dead_letter_topic))
    largest = kafka_properties(settings, "producer").get("message.max.bytes", "0")
    if largest.isdecimal() and int(largest) > settings.send_queue // 1024 * 1024:
        raise SettingsError(
            f"message.max.bytes {largest} with send_queue {settings.send_queue}: a message that large would wait for "
            "ever; raise RANER_SEND_QUEUE"
        )
    if settings.group_protocol == "consumer" and (given := _CLASSIC_ONLY & set(kafka_properties(settings, "consumer"))):
        raise SettingsError(
            f"kafka property {', '.join(sorted(given))} is not the worker's to set with group_protocol consumer: the "
            "broker decides; leave it out, or set RANER_GROUP_PROTOCOL=classic"
        )


def _explained(error: ValidationError, origins: Mapping[str, str]) -> Iterable[str]:
    for problem in error.errors():
        name = str(problem["loc"][0])
        if problem["type"] == "missing":
            yield f"{name} is not set; give {flag(name)}, {variable(name)} or {name} in the file"
            continue
        value = "********" if name in SECRETS else repr(problem["input"])
        message = problem["msg"].removeprefix("Value error, ")
        yield f"{name} is {value} ({origins.get(name, 'default')}): {message}; see {flag(name)}, {variable(name)}"
