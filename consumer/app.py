"""The one place that builds things: settings in, a running worker out."""

from __future__ import annotations

import logging
import signal
import time
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from types import FrameType

import nlp
from consumer import http, logs, memory, namesakes
from consumer.codec import Format
from consumer.errors import ClientStuck, RanerError, SettingsError
from consumer.health import Health, Shutdown
from consumer.kafka.both import Kafka
from consumer.kafka.clients import make_consumer, make_producer, max_message_bytes
from consumer.kafka.connection import Connection
from consumer.large import Large
from consumer.letters import Letters
from consumer.limit import DeadLetterLimit, Rule
from consumer.metrics import Metrics
from consumer.processor import Processor, Wire
from consumer.settings import Settings
from consumer.worker import Limits, Worker
from nlp import model
from nlp.annotator import Annotator
from nlp.engines.choose import choose
from nlp.errors import NlpError
from nlp.types import Engine, FloatArray, TokenBatch
from schemas.messages import Model

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Core:
    """The annotator, what it was loaded from, and the memory plan it was loaded under."""

    annotator: Annotator
    manifest: model.Manifest
    plan: memory.Plan
    engine: str
    threads: int


class MeteredEngine:
    """An engine whose batches are counted."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self._engine, self._metrics = engine, metrics

    def emissions(self, batch: TokenBatch) -> FloatArray:
        """See `Engine`."""
        self._metrics.batch_tokens.observe(batch.ids.size)
        self._metrics.padding.observe(1 - int(batch.lengths.sum()) / batch.ids.size)
        return self._engine.emissions(batch)


def load_core(settings: Settings, metrics: Metrics) -> Core:
    """Load the model and plan its memory; raise `SettingsError` for a model or a cap that will not do."""
    threads = settings.threads or memory.cpu_quota()
    directory = model.located(settings.model)
    try:
        manifest = model.read_manifest(directory)
        engine = choose(settings.engine, directory, threads)
        annotator = nlp.load(
            directory,
            engine=engine,
            decode=settings.decode,
            min_score=settings.min_score,
            threads=threads,
            window=settings.window,
            overlap=settings.overlap,
            batch_tokens=settings.batch_tokens,
            wrap=partial(MeteredEngine, metrics=metrics),
        )
    except NlpError as error:
        raise SettingsError(f"model: {error}") from error
    text = "。" * annotator.window
    annotator.annotate([text])  # what the engine sets up once belongs to what is measured,
    memory.release_files()
    annotator.annotate([text])  # and of the libraries what runs again
    cap = settings.memory_cap or memory.cgroup_limit()
    plan = memory.plan(
        settings,
        cap,
        memory.resident(),
        token_bytes=manifest.token_bytes,
        row_tokens=annotator.row_tokens,
        batch_tokens=annotator.batch_tokens,
    )
    annotator.batch_tokens = plan.batch_tokens
    return Core(annotator, manifest, plan, engine, threads)


def check(settings: Settings) -> Core:
    """Do all of `run` that needs no broker; raise `SettingsError` for what would keep it from running."""
    namesakes.check()
    metrics = Metrics()
    core = load_core(settings, metrics)
    make_producer(settings, Connection("producer", metrics), "check" if settings.delivery == "exactly-once" else "")
    make_consumer(settings, Connection("consumer", metrics)).close()
    return core


def run(settings: Settings) -> int:
    """Run a worker until SIGTERM or SIGINT and return its exit status; what ends it otherwise is logged."""
    logs.configure(settings.log_level)
    memory.share_heap()
    try:
        _run(settings)
    except RanerError as error:
        log.error("failed", extra={"error": str(error), "kind": type(error).__name__})
        return error.exit_status
    log.info("stopped")
    return 0


def _run(settings: Settings) -> None:
    namesakes.check()
    metrics, health = Metrics(), Health(time.monotonic)
    shutdown = Shutdown(settings.drain_seconds, time.monotonic)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, partial(_on_signal, shutdown))
    server = http.HttpServer(
        settings.http_host, settings.http_port, http.routes(metrics, health, partial(_refresh, metrics))
    )
    server.start()
    log.info("http_listening", extra={"host": settings.http_host, "port": server.port})
    core = load_core(settings, metrics)
    _announce(core, metrics)
    try:
        while not _work(settings, core, metrics, health, shutdown):
            metrics.renewed.inc()
    finally:
        server.stop()


def _work(settings: Settings, core: Core, metrics: Metrics, health: Health, shutdown: Shutdown) -> bool:
    """Work until a stop is requested; return False if Kafka's clients got stuck before, and have to be made anew."""
    try:
        with Kafka(settings, metrics, health, shutdown) as kafka:
            build_worker(settings, core, kafka, metrics, health, shutdown).run()
    except ClientStuck as error:
        log.warning("clients_renewed", extra={"reason": str(error)})
        return False
    return True


def build_processor(settings: Settings, core: Core, metrics: Metrics) -> Processor:
    """Put together what turns records into outcomes."""
    fields = settings.text_fields if settings.input_format == "json" else ()
    manifest = core.manifest
    return Processor(
        core.annotator,
        Format(fields, settings.max_chars),
        Wire(
            Model(name=manifest.name, revision=manifest.revision, digest=manifest.digest),
            version(namesakes.DISTRIBUTION),
            build_large(settings),
        ),
        build_letters(settings),
        metrics,
        time.monotonic,
    )


def build_large(settings: Settings) -> Large:
    """Put together what makes large messages fit."""
    return Large(settings.large_output, max_message_bytes(settings))


def build_letters(settings: Settings) -> Letters:
    """Put together what writes dead letters."""
    return Letters(settings.dead_letter_headers, settings.group_id)


def build_worker(
    settings: Settings, core: Core, kafka: Kafka, metrics: Metrics, health: Health, shutdown: Shutdown
) -> Worker:
    """Put the loop together."""
    shrink = partial(_shrink, core.annotator, metrics)
    return Worker(
        kafka.source,
        kafka.delivery,
        build_processor(settings, core, metrics),
        limits=Limits(settings.long_chars, settings.backlog),
        letters=build_letters(settings),
        large=build_large(settings),
        dead_letter_limit=DeadLetterLimit(
            Rule(settings.dead_letter_consecutive, settings.dead_letter_ratio, settings.dead_letter_window)
        ),
        watch=memory.Watch(core.plan.cap, metrics, shrink, time.monotonic, memory.resident),
        health=health,
        shutdown=shutdown,
        metrics=metrics,
        clock=time.monotonic,
        now=time.time,
    )


def _announce(core: Core, metrics: Metrics) -> None:
    manifest = core.manifest
    metrics.model.info({"name": manifest.name, "revision": manifest.revision, "digest": manifest.digest})
    metrics.batch_budget.set(core.plan.batch_tokens)
    log.info(
        "model_loaded",
        extra={
            "model": manifest.name,
            "revision": manifest.revision,
            "engine": core.engine,
            "threads": core.threads,
            "batch_tokens": core.plan.batch_tokens,
            "memory_plan": {row.name: row.bytes for row in core.plan.rows},
            "memory_cap": core.plan.cap,
        },
    )


def _shrink(annotator: Annotator, metrics: Metrics) -> None:
    annotator.batch_tokens = max(annotator.row_tokens, annotator.batch_tokens // 2)
    metrics.batch_budget.set(annotator.batch_tokens)


def _refresh(metrics: Metrics) -> None:
    metrics.resident.set(memory.resident())
    metrics.peak.set(memory.peak())


def _on_signal(shutdown: Shutdown, _number: int, _frame: FrameType | None) -> None:
    shutdown.request()
