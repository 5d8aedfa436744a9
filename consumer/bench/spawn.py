"""Runs every row of a measurement in a process of its own, the repeats in turn, so that none profits from another."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consumer.errors import BenchFailed
from consumer.processes import MODULE

Result = Mapping[str, Any]
"""What a row's process found out; `missing` names a library it lacks, `error` says why it ended."""

Show = Callable[[int, int, str], None]
"""Is told how many rows are done, of how many, and which is next."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Job:
    """A row to measure: its name, which code of `consumer.bench.row` measures it, and what that is told."""

    name: str
    kind: str
    options: Mapping[str, Any]


def run_all(jobs: Sequence[Job], repeats: int, threads: int, show: Show) -> list[list[Result]]:
    """Measure every job `repeats` times, one round after the other; return the results of each job."""
    results: list[list[Result]] = [[] for _ in jobs]
    for repeat in range(repeats):
        for number, job in enumerate(jobs):
            show(repeat * len(jobs) + number, repeats * len(jobs), job.name)
            if not results[number] or "missing" not in results[number][-1]:  # it will be missing again
                results[number].append(run(job, threads, repeat))
    show(repeats * len(jobs), repeats * len(jobs), "")
    return results


def run(job: Job, threads: int, repeat: int = 0) -> Result:
    """Measure a job once, in a new process; raise `BenchFailed` when that process says nothing at all."""
    environment = os.environ | dict.fromkeys(_THREADS, str(threads))
    # Linux counts this clock alike in all processes, so that the row can tell how long it took from here.
    told = {**job.options, "threads": threads, "repeat": repeat, "begun": time.monotonic()}
    command = [*MODULE, "consumer.bench.row", job.kind, json.dumps(told)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)
    try:
        result: Result = json.loads(done.stdout)
    except ValueError as error:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise BenchFailed(f"the process of {job.name!r} ended with status {done.returncode}: {last}") from error
    return result
