"""Prints what a model takes in memory: `python tests/bench/footprint.py [DIRECTORY]`, each row in its own process."""

from __future__ import annotations

import os
import subprocess
import sys

WIDTH = 128
ROWS = (1, 4, 16)

MEASURE = """
import sys
import nlp
def memory(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
annotator = nlp.load(sys.argv[1])
loaded = memory("VmRSS")
annotator.batch_tokens = int(sys.argv[2])
for _ in range(4):
    annotator.annotate(["。" * 126] * (annotator.batch_tokens // 128))
print(loaded, memory("VmHWM"))
"""


def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 1 else "default"
    print("tokens a batch   loaded MiB   peak MiB   bytes a token")  # noqa: T201
    for rows in ROWS:
        tokens = rows * WIDTH
        command = [sys.executable, "-c", MEASURE, model, str(tokens)]
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        loaded, peak = map(int, done.stdout.split())
        print(f"{tokens:14,} {loaded / 2**20:12.0f} {peak / 2**20:10.0f} {(peak - loaded) // tokens:15,}")  # noqa: T201


if __name__ == "__main__":
    main()
