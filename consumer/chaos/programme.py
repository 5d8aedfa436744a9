"""The trials that need nothing but a cluster, by their letters, and what each of them is given."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from consumer.chaos import load, trials
from consumer.chaos.field import Field
from consumer.chaos.stage import Result, Size, Stage

_EAGER = {"kafka_consumer_partition_assignment_strategy": "range"}
_CONSUMER = {"group_protocol": "consumer"}


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial, the settings that it needs, and properties of its output topic."""

    run: Callable[[Stage], Result]
    settings: Mapping[str, str] = field(default_factory=dict)
    output: Mapping[str, str] = field(default_factory=dict)


TRIALS: dict[str, Trial] = {
    "A": Trial(trials.kill_loop),
    "B": Trial(trials.zombie),
    "E": Trial(trials.churn),
    "E-eager": Trial(trials.churn, _EAGER),
    "E-consumer": Trial(trials.churn, _CONSUMER),
    "F": Trial(load.broken),
    "G": Trial(load.long_batch),
    "H": Trial(load.large, output={"max_message_bytes": "6000"}),
    "I": Trial(trials.stop_loop),
    "J": Trial(load.full_queue),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster, as librdkafka is told of it, what topics are made with there, and the workers' sessions."""

    client: Mapping[str, str]
    partitions: int = 4
    replication: int = 1
    session_milliseconds: int = 6_000  # the least that brokers allow unless told otherwise


def worker_settings(field: Field, place: Place, delivery: str) -> dict[str, str]:
    """Return settings of workers on a field."""
    others = {name: value for name, value in place.client.items() if name != "bootstrap.servers"}
    return {
        "bootstrap_servers": place.client["bootstrap.servers"],
        "input_topic": field.input_topic,
        "output_topic": field.output_topic,
        "dead_letter_topic": field.dead_letter_topic,
        "group_id": field.group,
        "delivery": delivery,
        "threads": "1",
        "batch_records": "64",
        **{f"kafka_{name.replace('.', '_')}": value for name, value in others.items()},
    }


@contextmanager
def stage(
    letter: str,
    place: Place,
    delivery: str,
    directory: Path,
    *,
    size: Size,
    seed: int,
    show: Callable[[str], None] = lambda _: None,
) -> Iterator[Stage]:
    """Set a trial's stage, on topics of its own, which are removed in the end."""
    trial, name = TRIALS.get(letter, Trial(trials.kill_loop)), uuid.uuid4().hex[:8]
    first, second, third = (f"raner-chaos-{kind}-{name}" for kind in ("in", "out", "dead"))
    made = Field(dict(place.client), first, second, third, group=f"raner-chaos-{name}")
    settings = {**worker_settings(made, place, delivery), **trial.settings}
    if "group_protocol" not in trial.settings:  # by KIP-848 the broker decides
        settings["kafka_consumer_session_timeout_ms"] = str(place.session_milliseconds)
        settings["kafka_consumer_heartbeat_interval_ms"] = "500"
    try:
        made.make(place.partitions, place.replication, **trial.output)
        yield Stage(made, directory, settings, size, seed, show)
    finally:
        made.close()
        made.remove()
