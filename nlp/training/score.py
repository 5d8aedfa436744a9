"""Measures a network on the dev sets as the worker would: the same windows, the same decoding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from nlp.annotator import DEFAULT_OVERLAP, DEFAULT_WINDOW, Annotator, longest_window
from nlp.crf import Crf
from nlp.evaluate import Report, evaluate
from nlp.labels import Scheme
from nlp.training.corpora import Corpus
from nlp.training.network import Network
from nlp.training.start import Start
from nlp.types import FloatArray, TokenBatch

_BATCH_TOKENS = 2048


class NetworkEngine:
    """An engine around a network that is being trained."""

    def __init__(self, network: Network, device: str) -> None:
        self._network, self._device = network, device

    def emissions(self, batch: TokenBatch) -> FloatArray:
        """See `Engine`; [CLS] and [SEP] score 0 for every tag."""
        ids = torch.from_numpy(batch.ids.astype(np.int64)).to(self._device)  # (rows, width)
        lengths = torch.from_numpy(batch.lengths.astype(np.int64) - 2).to(self._device)  # (rows,)
        with torch.inference_mode():
            scores = self._network.emissions(ids, lengths)  # (rows, width - 2, tags)
        padded: FloatArray = np.pad(scores.float().cpu().numpy(), ((0, 0), (1, 1), (0, 0)))
        return padded


def score(network: Network, start: Start, corpora: Sequence[Corpus], device: str) -> dict[str, Report]:
    """Return the figures on every dev set, by corpus."""
    crf = network.crf
    arrays = (crf.start_transitions, crf.end_transitions, crf.transitions)
    first, last, moves = (array.detach().cpu().numpy() for array in arrays)
    decoder = Crf.of(first, last, moves, Scheme.of(start.tags))
    window = min(DEFAULT_WINDOW, longest_window(start.architecture.positions))
    annotator = Annotator(
        NetworkEngine(network, device),
        start.tokenizer,
        decoder,
        window=window,
        overlap=min(DEFAULT_OVERLAP, window // 2),
        batch_tokens=_BATCH_TOKENS,
    )
    reports = {}
    for corpus in corpora:
        if corpus.dev:
            predicted = annotator.annotate([gold.text for gold in corpus.dev])
            reports[corpus.name] = evaluate(corpus.dev, predicted, annotator.types, gold_names={}, predicted_names={})
    return reports
