"""Prints models side by side: `python tests/bench/models.py GOLD DIRECTORY...`, each run a process of its own.

Each model annotates the texts of a gold file with one thread; ratios are to the first model, round by round.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

ROUNDS = 5

MEASURE = """
import sys, time
from pathlib import Path
import nlp
from nlp.gold import read_gold
texts = [gold.text for gold in read_gold(Path(sys.argv[1]))]
annotator = nlp.load(sys.argv[2])
annotator.annotate(texts[:64])
begun = time.process_time()
for start in range(0, len(texts), 64):
    annotator.annotate(texts[start:start + 64])
seconds = time.process_time() - begun
status = open("/proc/self/status").read().splitlines()
print(sum(map(len, texts)) / seconds, next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM")))
"""


def measure(gold: str, model: str) -> tuple[float, float]:
    """Return characters per CPU-second and the peak in MiB."""
    command = [sys.executable, "-c", MEASURE, gold, model]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    rate, peak = map(float, done.stdout.split())
    return rate, peak


def main() -> None:
    gold, *models = sys.argv[1:]
    runs = [{model: measure(gold, model) for model in models} for _ in range(ROUNDS)]
    print(f"{'':24}{'characters a CPU-second':>24}{'ratio':>8}{'peak MiB':>10}{'MB':>8}")  # noqa: T201
    for model in models:
        rate, peak = (statistics.median(run[model][i] for run in runs) for i in (0, 1))
        ratio = statistics.median(run[model][0] / run[models[0]][0] for run in runs)
        size = sum(file.stat().st_size for file in Path(model).rglob("*") if file.is_file()) / 1e6
        print(f"{Path(model).name:24}{rate:24,.0f}{ratio:8.2f}{peak:10.0f}{size:8.1f}")  # noqa: T201


if __name__ == "__main__":
    main()
