"""Writes a checkpoint in RaNER's layout, which `model convert` and ModelScope read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from nlp.synth import configurations, save_tensors
from nlp.training.start import Start
from nlp.types import FloatArray


def write_checkpoint(tensors: dict[str, FloatArray], start: Start, directory: Path) -> None:
    """Write weights, and the vocabulary and configurations of a start; what stood there before is replaced."""
    made = directory.with_name(f".{directory.name}-new")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    save_tensors(tensors, made / "pytorch_model.bin")
    (made / "vocab.txt").write_text("".join(f"{token}\n" for token in start.vocabulary), "utf-8")
    contents = configurations(start.architecture, start.tags)
    contents["tokenizer_config.json"] |= {"do_lower_case": start.lower_case, "strip_accents": start.strip_accents}
    for name, content in contents.items():
        (made / name).write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    shutil.rmtree(directory, ignore_errors=True)
    made.replace(directory)
