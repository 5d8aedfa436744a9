"""The one place of the core that puts its parts together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nlp import model
from nlp.annotator import DEFAULT_BATCH_TOKENS, DEFAULT_OVERLAP, DEFAULT_WINDOW, Annotator, longest_window
from nlp.crf import Crf
from nlp.engines.ct2 import CT2Engine
from nlp.errors import ModelError
from nlp.labels import Scheme
from nlp.tokenizer import Tokenizer
from nlp.types import Engine


def load(
    path: Path | str | None = None,
    *,
    threads: int = 1,
    window: int | None = None,
    overlap: int = DEFAULT_OVERLAP,
    batch_tokens: int = DEFAULT_BATCH_TOKENS,
    wrap: Callable[[Engine], Engine] = lambda engine: engine,
) -> Annotator:
    """Load a serving directory, the packaged one by default, after checking its digests.

    `window` and `overlap` are in characters, `batch_tokens` in padded tokens; `wrap` may put something around the
    engine, to measure it. Raises `ModelError` when the directory is not whole, or cannot be read with these settings.
    """
    directory = Path(path) if path is not None else model.DEFAULT
    manifest = model.read_manifest(directory)
    longest = longest_window(manifest.max_length)
    window = min(DEFAULT_WINDOW, longest) if window is None else window
    if not 0 <= overlap < window <= longest:
        raise ModelError(
            f"window {window} and overlap {overlap}: expected 0 <= overlap < window <= {longest}, "
            f"the most characters that {manifest.name} reads at once"
        )
    model.verify(directory, manifest)
    head = model.read_head(directory)
    return Annotator(
        wrap(CT2Engine(directory / model.ENCODER, head.weight, head.bias, threads=threads)),
        Tokenizer(
            model.read_vocabulary(directory),
            lower_case=manifest.lower_case,
            strip_accents=manifest.strip_accents,
        ),
        Crf.of(head.start, head.end, head.transitions, Scheme.of(manifest.labels)),
        window=window,
        overlap=overlap,
        batch_tokens=batch_tokens,
    )
