"""The process of one row: `python -m consumer.bench.row KIND OPTIONS` prints what it measured as JSON.

It imports nothing that the row does not: its memory and its start are the row's own.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from consumer.bench.subject import told

KINDS = {
    "modelscope": "consumer.bench.original:measure",
    "library": "consumer.bench.ours:library",
    "worker": "consumer.bench.ours:worker",
    "engine": "consumer.bench.throughput:measure",
    "ceiling": "consumer.bench.products:measure",
}


def main() -> None:
    """Measure, and print one JSON object whatever happens: an error is a result too."""
    kind, options = sys.argv[1], json.loads(sys.argv[2])
    stdout = os.dup(1)
    os.dup2(2, 1)  # what libraries print belongs to the log, not to the result
    try:
        module, _, function = KINDS[kind].partition(":")
        measure: Callable[[Mapping[str, Any]], Mapping[str, Any]] = getattr(import_module(module), function)
        result = measure(options)
    except ImportError as error:
        result = {"missing": str(error.name)}
    except Exception as error:  # noqa: BLE001 - the table tells what happened, and goes on
        result = {"error": told(error)}
    with os.fdopen(stdout, "w", encoding="utf-8") as file:
        json.dump(result, file)
    os._exit(0)  # clients would take their time to say goodbye


if __name__ == "__main__":
    main()
