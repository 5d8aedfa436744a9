"""Layouts of other models that the hub has beside RaNER: each function makes a checkpoint into one of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from checkpoints import TAGS


def xlm_roberta(directory: Path) -> None:
    """As `chinese-large-generic` is published: another encoder, with a sentencepiece vocabulary."""
    without_vocabulary(directory)
    _change(directory / "config.json", model_type="xlm-roberta")


def without_vocabulary(directory: Path) -> None:
    (directory / "vocab.txt").rename(directory / "sentencepiece.bpe.model")


def adaseq(directory: Path) -> None:
    """As AdaSeq's trainer leaves it: an embedder in place of the encoder, also in the names of the weights."""
    embedder = {"type": "transformer-embedder", "model_name_or_path": "damo/nlp_structbert_backbone_base_std"}
    labels = dict(enumerate(TAGS))
    settings = {"type": "sequence-labeling-model", "embedder": embedder, "use_crf": True, "id_to_label": labels}
    _change(directory / "configuration.json", model=settings)


def lstm(directory: Path) -> None:
    """As the `nlp_lstm_*` models are: their configuration names no encoder at all."""
    (directory / "config.json").unlink()
    _change(directory / "configuration.json", model={"type": "lstm-crf", "embed_width": 100, "lstm_hidden_size": 100})


FOREIGN = (  # the layout, what is said to be found, and what to be expected
    (xlm_roberta, "config.json: model_type is 'xlm-roberta'", "only BERT encoders ('bert'), with a vocab.txt"),
    (without_vocabulary, "vocab.txt is missing", "expected BERT's vocabulary"),
    (adaseq, "model.type is 'sequence-labeling-model', AdaSeq's own layout", "expected 'transformer-crf'"),
    (lstm, "model.type is 'lstm-crf', an LSTM with a CRF", "expected 'transformer-crf'"),
)


def _change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
