"""Prints what a second core brings: `python tests/bench/cores.py DIRECTORY [ROUNDS]`, each run a process of its own."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

MEASURE = """
import functools, random, sys, time
import ctranslate2
threads, within = int(sys.argv[2]), sys.argv[3] == "within"
if within:  # one batch after another, its matrix products shared out among the threads
    encoder = ctranslate2.Encoder
    ctranslate2.Encoder = lambda path, **options: encoder(path, **options | {"inter_threads": 1, "intra_threads": 2})
import nlp
annotator = nlp.load(sys.argv[1], threads=threads)
draw = random.Random(1)
characters = [chr(0x4E00 + draw.randrange(2_000)) for _ in range(60_000)]
lengths = [draw.randrange(20, 90) for _ in range(512)]
texts = ["".join(draw.choices(characters, k=length)) for length in lengths]
annotator.annotate(texts[:128])
print("ready", flush=True)
sys.stdin.readline()
done, turn, begun = 0, 0, time.perf_counter()
while time.perf_counter() - begun < 6:
    batch = texts[turn % 4 * 128:][:128]
    annotator.annotate(batch)
    done, turn = done + sum(map(len, batch)), turn + 1
rate = done / (time.perf_counter() - begun)
status = open("/proc/self/status").read().splitlines()
print(rate, next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM")))
"""

WAYS = {  # name: processes, threads of each, how its threads share the work
    "one thread": (1, 1, ""),
    "two threads, the products of a batch shared": (1, 1, "within"),
    "two threads, the rows of a batch shared": (1, 2, ""),
    "two processes": (2, 1, ""),
}


def measure(model: str, processes: int, threads: int, how: str) -> tuple[float, float]:
    """Return characters per second and peak MiB of all processes together."""
    command = [sys.executable, "-c", MEASURE, model, str(threads), how]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    for process in started:
        process.stdout.readline()
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    rates, peaks = zip(*(map(float, process.communicate()[0].split()) for process in started), strict=True)
    return sum(rates), sum(peaks)


def main() -> None:
    model, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    runs = [{name: measure(model, *way) for name, way in WAYS.items()} for _ in range(rounds)]
    print(f"{'':46}{'characters a second':>20}{'ratio':>8}{'peak MiB':>10}")  # noqa: T201
    for name in WAYS:
        rate, peak = (statistics.median(run[name][i] for run in runs) for i in (0, 1))
        ratio = statistics.median(run[name][0] / run["one thread"][0] for run in runs)
        print(f"{name:46}{rate:20,.0f}{ratio:8.2f}{peak:10.0f}")  # noqa: T201


if __name__ == "__main__":
    main()
