"""This project as a library, and as the process of a worker with its Kafka clients."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from consumer.bench.subject import Found, Subject
from consumer.bench.subject import measure as measure_subject

TOPICS = ("in", "out", "dead")
"""What the worker reads and writes, of a broker that somebody else has to start."""

_BATCH = 64  # records, as the worker takes them by default


def library(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Measure `nlp.load` and nothing else, a text at a time."""
    return measure_subject(lambda: _library(options), options)


def worker(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Measure all that a worker's process holds, and its work from record to outcome, 64 messages at a time."""
    return measure_subject(lambda: _worker(options), options)


def _library(options: Mapping[str, Any]) -> Subject:
    import nlp

    annotator = nlp.load(options["served"], engine=options["engine"], threads=options["threads"])
    return Subject(annotator.annotate, lambda spans: [(span.start, span.end, span.label) for span in spans])


def _worker(options: Mapping[str, Any]) -> Subject:
    from consumer import app, http
    from consumer.health import Health, Shutdown
    from consumer.kafka.both import Kafka
    from consumer.metrics import Metrics
    from consumer.records import Outcome, Record
    from consumer.settings import Settings

    settings = Settings(
        bootstrap_servers=options["bootstrap_servers"],
        input_topic=TOPICS[0],
        output_topic=TOPICS[1],
        dead_letter_topic=TOPICS[2],
        model=options["served"],
        threads=options["threads"],
        http_port=0,
    )
    metrics, health = Metrics(), Health(time.monotonic)
    http.HttpServer(settings.http_host, 0, http.routes(metrics, health, lambda: None)).start()
    core = app.load_core(settings, metrics)
    clients = Kafka(settings, metrics, health, Shutdown(0, time.monotonic))
    processor = app.build_processor(settings, core, metrics)
    offsets = count()

    def annotate(texts: Sequence[str]) -> list[Outcome]:
        values = [json.dumps({"text": text}).encode() for text in texts]
        records = [Record(TOPICS[0], 0, next(offsets), None, None, value, ()) for value in values]
        decoded = [processor.decode(record) for record in records]
        messages = [message for message in decoded if not isinstance(message, Outcome)]
        return [outcome for outcome in processor.annotate(messages) if outcome is not None]

    def entities(outcome: Outcome) -> Found:
        found = json.loads(outcome.value or b"{}")["entities"]
        return [(entity["start"], entity["end"], entity["type"]) for entity in found]

    return Subject(annotate, entities, _BATCH, held=clients)
