"""What exactly-once costs against at-least-once: one worker each, on one broker, in turn.

`python tests/bench/delivery.py BOOTSTRAP_SERVERS [REPEATS]`, or with "" on a Kafka of its own, prints a
JSON line a guarantee: medians.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from brokers import PARTITIONS, running_kafka  # noqa: E402

from consumer.chaos.crew import crew, wait_for  # noqa: E402
from consumer.chaos.field import Field  # noqa: E402

MESSAGES = 4_000
TRICKLE = 100  # messages one after the other, to see what a message waits for when nothing is in its way


def measure(servers: str, guarantee: str, directory: Path) -> tuple[float, float]:
    """Return messages per second under load, and the mean seconds from a message's time to its durable output."""
    name = uuid.uuid4().hex[:8]
    field = Field({"bootstrap.servers": servers}, f"in-{name}", f"out-{name}", f"dead-{name}", f"group-{name}")
    field.make(PARTITIONS, 1)
    settings = {
        "bootstrap_servers": servers,
        "input_topic": field.input_topic,
        "output_topic": field.output_topic,
        "dead_letter_topic": field.dead_letter_topic,
        "group_id": field.group,
        "delivery": guarantee,
    }
    random = Random(7)  # noqa: S311 - the same messages in every run
    with crew(directory, settings) as workers:
        worker = workers.start()
        wait_for(lambda: worker.metrics().get("raner_assigned_partitions"), "the worker", workers.check)
        field.send(TRICKLE, random, broken=0, pause=0.02)
        field.wait_until_done(workers.check)
        found = worker.metrics()
        latency = found["raner_end_to_end_seconds_sum"] / found["raner_end_to_end_seconds_count"]
        field.send(MESSAGES, random, broken=0)
        begun, before = time.monotonic(), worker.metrics()["raner_records_out_total"]
        field.wait_until_done(workers.check)
        speed = (worker.metrics()["raner_records_out_total"] - before) / (time.monotonic() - begun)
        workers.stop()
    return speed, latency


def main() -> None:
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        servers = sys.argv[1] if len(sys.argv) > 1 else ""
        if not servers:
            servers = stack.enter_context(running_kafka(directory / "kafka")).bootstrap_servers
        rows: dict[str, list[tuple[float, float]]] = {"at-least-once": [], "exactly-once": []}
        for number in range(repeats):
            for guarantee, measured in rows.items():
                place = directory / f"{guarantee}-{number}"
                place.mkdir()
                measured.append(measure(servers, guarantee, place))
    for guarantee, measured in rows.items():
        speeds, latencies = zip(*measured, strict=True)
        row = {
            "delivery": guarantee,
            "messages_per_second": round(median(speeds)),
            "mean_latency_ms": round(median(latencies) * 1000),
        }
        sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
