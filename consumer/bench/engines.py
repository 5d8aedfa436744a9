"""Every engine at several lengths and batch sizes, beside the most that this machine can multiply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from consumer.bench import ceiling
from consumer.bench.ceiling import Ceiling, macs_per_token
from consumer.bench.figures import Figure, Table
from consumer.bench.inputs import Inputs, prepared
from consumer.bench.machine import Machine, describe
from consumer.bench.note import MIB, counted, problem_of
from consumer.bench.spawn import Job, Result, Show, run_all
from consumer.errors import SettingsError
from nlp.engines import ENGINES

LENGTHS, BATCHES = (16, 48, 128, 512), (1, 4, 16)


@dataclass(frozen=True, slots=True)
class Row:
    """An engine at one length: tokens per CPU-second by batch size, peak memory, or why there is nothing."""

    engine: str
    tokens: int
    macs: int  # a token's multiply-adds
    rates: Mapping[int, Figure]
    peak_bytes: Figure | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Engines:
    """The whole measurement; `ceilings` by number type."""

    model: str
    machine: Machine
    repeats: int
    batches: tuple[int, ...]
    ceilings: Mapping[str, Ceiling]
    rows: tuple[Row, ...]

    def json(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return asdict(self)

    def share(self, row: Row, batch: int) -> float | None:
        """Return what part of its number type's ceiling an engine reaches, None where there is no ceiling."""
        found = self.ceilings.get(type_of(row.engine))
        return row.rates[batch].median * row.macs / found.rate.median if found and batch in row.rates else None

    def table(self) -> Table:
        """Return what a person reads."""
        return Table(
            title=f"Tokens per CPU-second, and the share of the machine's ceiling, on {self.model}",
            columns=("engine, tokens", *(f"batch {batch}" for batch in self.batches), "peak, MiB"),
            rows=tuple((f"{row.engine}, {row.tokens}", *self._cells(row)) for row in self.rows),
            remarks=(
                f"Machine: {self.machine}. Model: {self.model}.",
                *(
                    f"Ceiling, {found.type}: {found.rate.scaled(1e9).shown(1)} thousand million multiply-adds per "
                    f"CPU-second ({found.method}, {found.shape})."
                    for found in self.ceilings.values()
                ),
                f"Each engine at each length was measured in {counted(self.repeats)}. "
                "torch's engines take a row of a batch at a time.",
            ),
        )

    def _cells(self, row: Row) -> tuple[str, ...]:
        if row.problem or row.peak_bytes is None:
            return (row.problem or "nothing measured", *("" for _ in self.batches))
        cells = []
        for batch in self.batches:
            share = self.share(row, batch)
            cells.append(row.rates[batch].shown() + ("" if share is None else f" ({share:.0%})"))
        return (*cells, f"{row.peak_bytes.median / MIB:,.0f}")


def compare(
    model: Path | None,
    *,
    engines: Sequence[str],
    lengths: Sequence[int],
    batches: Sequence[int],
    repeats: int,
    threads: int,
    seconds: float,
    show: Show,
) -> Engines:
    """Measure the engines and the ceiling of their number types; without a model, on a synthetic one of base size."""
    if unknown := set(engines) - set(ENGINES):
        raise SettingsError(f"no engine is called {', '.join(sorted(unknown))}; expected of {', '.join(ENGINES)}")
    with prepared(model, "both") as inputs:
        if (longest := inputs.manifest.max_length) < max(lengths):
            raise SettingsError(f"a length of {max(lengths)} tokens; {inputs.model.name} takes {longest} at most")
        jobs = [_job(inputs, engine, length, batches, seconds) for length in lengths for engine in engines]
        types = dict.fromkeys(map(type_of, engines))
        ceilings = ceiling.jobs_of(inputs.directory, types, seconds)
        results = run_all([*jobs, *ceilings], repeats, threads, show)
        rows = [_row(job, its, inputs) for job, its in zip(jobs, results[: len(jobs)], strict=True)]
        return Engines(
            inputs.description,
            describe(threads),
            repeats,
            tuple(batches),
            ceiling.fastest(ceilings, results[len(jobs) :]),
            tuple(rows),
        )


def type_of(engine: str) -> str:
    """Return an engine's number type: the last part of its name."""
    return engine.rpartition("-")[2]


def _job(inputs: Inputs, engine: str, tokens: int, batches: Sequence[int], seconds: float) -> Job:
    directory = inputs.model if engine.startswith("torch") else inputs.served
    options = {"engine": engine, "model": str(directory), "tokens": tokens, "batches": batches, "seconds": seconds}
    return Job(f"{engine}, {tokens} tokens", "engine", options)


def _row(job: Job, results: Sequence[Result], inputs: Inputs) -> Row:
    m, tokens = inputs.manifest, int(job.options["tokens"])
    macs = macs_per_token(m.layers, m.hidden, m.intermediate, tokens)
    if problem := next(filter(None, map(problem_of, results)), None):
        return Row(job.options["engine"], tokens, macs, {}, None, problem)
    rates = {batch: Figure.of([result["rates"][str(batch)] for result in results]) for batch in job.options["batches"]}
    return Row(
        job.options["engine"], tokens, macs, rates, Figure.of([result["peak_bytes"] for result in results]), None
    )
