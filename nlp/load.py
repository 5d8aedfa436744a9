"""The one place of the core that puts its parts together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nlp import model
from nlp.annotator import DEFAULT_OVERLAP, DEFAULT_WINDOW, Annotator, Decode, longest_window
from nlp.crf import Crf
from nlp.engines import open_engine
from nlp.engines.choose import AUTO, choose
from nlp.errors import ModelError
from nlp.labels import Scheme
from nlp.tokenizer import Tokenizer
from nlp.types import Engine

DEFAULT_BATCH_BYTES = 16 * 1024**2
"""What a token batch may take in an engine of one thread: more takes memory and hardly saves time."""

THREAD_TOKENS = 192
"""What each of several threads gets of a token batch: CTranslate2 packs the weights for each anew, so less is slow."""


def load(
    path: Path | str = "default",
    *,
    engine: str = AUTO,
    decode: Decode = "strict",
    threads: int = 1,
    window: int | None = None,
    overlap: int | None = None,
    batch_tokens: int = 0,
    min_score: float | None = None,
    wrap: Callable[[Engine], Engine] = lambda engine: engine,
) -> Annotator:
    """Load a serving directory, or a packaged model by its name, after checking its digests.

    `engine` is a name of `nlp.engines.ENGINES`, `auto` or `fastest`; those of torch read a RaNER checkpoint instead.
    `decode` is `strict`, or `modelscope` for spans as ModelScope reads them. `window` and `overlap` are in characters,
    by default what the model reads at once up to `DEFAULT_WINDOW`, and half of a window up to `DEFAULT_OVERLAP`;
    `batch_tokens` is in padded tokens, by default what `DEFAULT_BATCH_BYTES` hold, or `THREAD_TOKENS` for each of
    several threads. Spans that score below `min_score` are left out, by default the model's own, which is for strict
    spans. `wrap` may put something around the engine, to measure it. Raises `ModelError` when the directory is not
    whole, or cannot be read so.
    """
    if threads < 1:
        raise ModelError(f"threads is {threads}; expected 1 or more")
    directory = model.located(path)
    opened, runtime = open_engine(choose(engine, directory, threads), directory, threads)
    manifest, head = opened.manifest, opened.head
    longest = longest_window(manifest.max_length)
    window = min(DEFAULT_WINDOW, longest) if window is None else window
    overlap = min(DEFAULT_OVERLAP, window // 2) if overlap is None else overlap
    if not 0 <= overlap < window <= longest:
        raise ModelError(
            f"window {window} and overlap {overlap}: expected 0 <= overlap < window <= {longest}, "
            f"the most characters that {manifest.name} reads at once"
        )
    if min_score is None:
        min_score = manifest.min_score if decode == "strict" else 0.0
    annotator = Annotator(
        wrap(runtime),
        Tokenizer(opened.vocabulary, lower_case=manifest.lower_case, strip_accents=manifest.strip_accents),
        Crf.of(head.start, head.end, head.transitions, Scheme.of(manifest.labels)),
        decode=decode,
        window=window,
        overlap=overlap,
        batch_tokens=batch_tokens,
        min_score=min_score,
        threads=threads,
    )
    if not batch_tokens:
        share = DEFAULT_BATCH_BYTES // manifest.token_bytes if threads == 1 else THREAD_TOKENS
        annotator.batch_tokens = threads * max(share, annotator.row_tokens)
    return annotator
