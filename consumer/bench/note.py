"""The table of the note, rebuilt: ModelScope's pipeline with one technique after another, and this project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from consumer.bench.figures import Figure, Table
from consumer.bench.inputs import FULL_CHARS, LONG_CHARS, SENTENCE_CHARS, Inputs, prepared
from consumer.bench.machine import Machine, describe
from consumer.bench.original import OVERLAP, TECHNIQUES, WINDOW
from consumer.bench.ours import TOPICS
from consumer.bench.spawn import Job, Result, Show, run_all
from consumer.demo.broker import EmbeddedBroker
from nlp.evaluate import evaluate
from nlp.gold import Gold
from nlp.labels import Scheme
from nlp.types import Span

MIB = 1024**2
NOT_INSTALLED = "not installed"
_FIGURES = ("peak_bytes", "resident_bytes", "first_seconds", "short", "long")

_STEPS = {
    "quantise": "+ INT8 dynamic quantisation",
    "inference": "+ inference mode",
    "checkpointing": "+ activation checkpointing",
    "windows": f"+ windows of {WINDOW}, overlap {OVERLAP}",
    "cache": "+ LRU cache of the tokenizer",
    "unpadded": "+ no padding (not in the note)",
}
_ORIGINAL, _LIBRARY, _WORKER = "ModelScope's pipeline", "raner-stream, library", "raner-stream, worker"


@dataclass(frozen=True, slots=True)
class Row:
    """What a row's processes found: figures by name, or why there are none; `ours` for this project's."""

    name: str
    ours: bool
    figures: Mapping[str, Figure]
    f1: float | None
    problem: str | None
    long_problem: str | None


@dataclass(frozen=True, slots=True)
class Note:
    """The whole measurement."""

    model: str
    machine: Machine
    repeats: int
    sentences: int  # of gold
    rows: tuple[Row, ...]

    def json(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return asdict(self)

    def table(self) -> Table:
        """Return what a person reads."""
        with_f1 = any(row.f1 is not None for row in self.rows)
        columns = ("", "peak, MiB", "at the end, MiB", "start, s", "characters/CPU-s", f"at {LONG_CHARS:,} characters")
        return Table(
            title=f"The note's techniques, one after another, on {self.model}",
            columns=(*columns, *(("F1",) if with_f1 else ())),
            rows=tuple((*_cells(row), *((_f1(row),) if with_f1 else ())) for row in self.rows),
            remarks=self._remarks(with_f1=with_f1),
        )

    def _remarks(self, *, with_f1: bool) -> tuple[str, ...]:
        remarks = [
            f"Machine: {self.machine}. Model: {self.model}.",
            f"Each figure comes from {counted(self.repeats)}. Peak and end: resident memory (VmHWM, VmRSS). "
            f"Start: from the process's start to the entities of a first sentence. Characters per CPU-second: "
            f"sentences of {SENTENCE_CHARS} characters one at a time (the worker: 64 messages at a time), then texts "
            f"of {LONG_CHARS:,}, one at a time. The peak includes one of {FULL_CHARS}, the most the pipeline takes.",
            *sorted({f"{LONG_CHARS:,} characters: {row.long_problem}" for row in self.rows if row.long_problem}),
        ]
        if with_f1:
            remarks.append(f"F1: exact span and type, on the first {self.sentences:,} sentences of the gold file.")
        return tuple(remarks)


def measure(
    model: Path | None, *, gold: Path | None, sentences: int, repeats: int, threads: int, seconds: float, show: Show
) -> Note:
    """Measure every row `repeats` times; without a model, on a synthetic one of base size."""
    with prepared(model, "int8", gold, sentences) as inputs, EmbeddedBroker(dict.fromkeys(TOPICS, 1)) as broker:
        jobs = jobs_of(inputs, seconds, broker.bootstrap_servers)
        results = run_all(jobs, repeats, threads, show)
        types = Scheme.of(inputs.manifest.labels).types
        rows = [summary(job, its, inputs.gold, types) for job, its in zip(jobs, results, strict=True)]
        return Note(inputs.description, describe(threads), repeats, len(inputs.gold), tuple(rows))


def jobs_of(inputs: Inputs, seconds: float, bootstrap_servers: str) -> list[Job]:
    """Return the rows: each of the note's adds a technique to the one before."""
    common = {"model": str(inputs.model), "texts": str(inputs.texts), "seconds": seconds}
    served = {**common, "served": str(inputs.served), "engine": "ct2-int8"}
    names = (_ORIGINAL, *(_STEPS[name] for name in TECHNIQUES))
    return [
        *(Job(name, "modelscope", {**common, "techniques": TECHNIQUES[:number]}) for number, name in enumerate(names)),
        Job(_LIBRARY, "library", served),
        Job(_WORKER, "worker", {**served, "bootstrap_servers": bootstrap_servers}),
    ]


def summary(job: Job, results: Sequence[Result], gold: Sequence[Gold], types: Sequence[str]) -> Row:
    """Put the results of a row's processes together."""
    problem = next(filter(None, map(problem_of, results)), None)
    figures = {
        name: Figure.of([result[name] for result in results])
        for name in _FIGURES
        if not problem and all(name in result for result in results)
    }
    found = next((result["entities"] for result in results if "entities" in result), None)
    long_problem = next((str(result["long_error"]) for result in results if "long_error" in result), None)
    return Row(
        job.name,
        job.kind != "modelscope",
        figures,
        None if found is None else _score(gold, found, types),
        problem,
        long_problem,
    )


def counted(repeats: int) -> str:
    """Return where a figure comes from, in words."""
    return f"{repeats} processes: their median ± the farthest from it" if repeats > 1 else "one process"


def problem_of(result: Result) -> str | None:
    """Return why a process gave no figures, None if it did."""
    if missing := result.get("missing"):
        return f"{NOT_INSTALLED}: {missing}"
    return result.get("error")


def _score(gold: Sequence[Gold], found: Sequence[Sequence[Sequence[Any]]], types: Sequence[str]) -> float:
    spans = [[Span(start, end, label, 0.0) for start, end, label in its] for its in found]
    return evaluate(gold, spans, types, gold_names={}, predicted_names={}).micro.f1


def _cells(row: Row) -> tuple[str, ...]:
    if row.problem:
        return (row.name, row.problem, *("" for _ in _FIGURES[1:]))
    scales = {"peak_bytes": (MIB, 0), "resident_bytes": (MIB, 0), "first_seconds": (1, 1)}
    cells = []
    for name in _FIGURES:
        scale, digits = scales.get(name, (1, 0))
        figure = row.figures.get(name)
        cells.append("fails" if figure is None else figure.scaled(scale).shown(digits))
    return (row.name, *cells)


def _f1(row: Row) -> str:
    return "" if row.f1 is None else f"{row.f1 * 100:.2f}"
