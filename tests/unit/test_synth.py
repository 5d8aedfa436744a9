from dataclasses import replace

import numpy as np
import pytest

import nlp
from consumer.cli import build_parser
from nlp import synth
from nlp.checkpoint import read_checkpoint
from nlp.convert import convert
from nlp.errors import CheckpointError, ModelError

SIZES = ("layers", "heads", "hidden", "intermediate", "vocabulary")
TINY = replace(synth.BASE, layers=1, heads=2, hidden=16, intermediate=32, vocabulary=500)


def made(directory, **settings):
    synth.synthesize(directory, TINY, format="safetensors", **settings)
    return directory


def test_a_synthetic_checkpoint_is_a_checkpoint_of_the_sizes_asked_for(tmp_path):
    checkpoint = read_checkpoint(made(tmp_path / "made", labels=("PER", "GPE")))
    assert checkpoint.architecture == TINY
    assert checkpoint.scheme.tags == ("O", "B-PER", "I-PER", "E-PER", "S-PER", "B-GPE", "I-GPE", "E-GPE", "S-GPE")
    assert (len(checkpoint.vocabulary), len(set(checkpoint.vocabulary))) == (500, 500)


def test_a_synthetic_checkpoint_can_be_converted_and_finds_what_bioes_allows(tmp_path):
    convert(made(tmp_path / "made", seed=1), tmp_path / "served")
    text = "".join(map(chr, range(0x4E00, 0x4F80)))
    [spans] = nlp.load(tmp_path / "served").annotate([text])
    assert 1 < len(spans) < len(text) / 2
    assert {span.label for span in spans} <= {"PER", "LOC", "ORG"}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    weights = [made(tmp_path / str(i), seed=seed) / "model.safetensors" for i, seed in enumerate((7, 7, 8))]
    one, same, other = (path.read_bytes() for path in weights)
    assert one == same
    assert one != other


def test_a_path_that_bioes_forbids_scores_far_below_any_other():
    tags = synth.bioes(("PER", "LOC"))
    tensors = dict(synth.random_tensors(TINY, tags, 0))
    step = {(a, b): tensors["crf.transitions"][i, j] for i, a in enumerate(tags) for j, b in enumerate(tags)}
    allowed = [("O", "O"), ("O", "B-PER"), ("O", "S-PER"), ("B-PER", "I-PER"), ("B-PER", "E-PER"), ("I-PER", "E-PER")]
    allowed += [("E-PER", "O"), ("E-PER", "B-LOC"), ("S-PER", "S-PER"), ("S-PER", "B-PER")]
    forbidden = [("O", "I-PER"), ("O", "E-PER"), ("B-PER", "O"), ("B-PER", "B-PER"), ("B-PER", "E-LOC")]
    forbidden += [("I-PER", "O"), ("I-PER", "S-PER"), ("E-PER", "I-PER"), ("S-PER", "E-PER")]
    assert min(step[pair] for pair in allowed) > -1 > -9 > max(step[pair] for pair in forbidden)
    assert (tensors["crf.start_transitions"] < -9).tolist() == [tag[0] in "IE" for tag in tags]
    assert (tensors["crf.end_transitions"] < -9).tolist() == [tag[0] in "BI" for tag in tags]


@pytest.mark.parametrize("size", [6, 150, 21_128, 30_000])
def test_a_vocabulary_of_any_size_begins_with_berts_specials_and_names_no_token_twice(size):
    tokens = synth.vocabulary_of(size)
    assert tokens[:5] == ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    assert len(tokens) == len(set(tokens)) == size


def test_the_vocabulary_of_a_base_model_holds_every_ideograph_of_the_basic_block():
    tokens = set(synth.vocabulary_of(synth.BASE.vocabulary))
    assert {chr(point) for point in range(0x4E00, 0xA000)} <= tokens
    assert set("az09，。") <= tokens


@pytest.mark.parametrize(
    ("sizes", "labels", "told"),
    [
        ({"heads": 3}, ("PER",), "3 heads do not divide a hidden size of 16"),
        ({"vocabulary": 5}, ("PER",), "a vocabulary of 5 holds no character"),
        ({}, ("PER", "PER"), "the labels 'PER, PER' are no set of names"),
        ({}, ("",), "are no set of names"),
    ],
)
def test_sizes_that_make_no_encoder_are_refused(tmp_path, sizes, labels, told):
    with pytest.raises(CheckpointError, match=told):
        synth.synthesize(tmp_path / "made", replace(TINY, **sizes), labels, format="safetensors")
    assert not (tmp_path / "made").exists()


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "precious").write_text("x")
    with pytest.raises(ModelError, match="exists and is not empty"):
        made(tmp_path)


def test_the_commands_defaults_are_a_base_model():
    parsed = build_parser().parse_args(["model", "synth", "made"])
    assert replace(synth.BASE, **{name: getattr(parsed, name) for name in SIZES}) == synth.BASE
    assert tuple(parsed.labels.split(",")) == synth.LABELS
    assert parsed.format in synth.FORMATS


def test_weights_are_finite_and_as_spread_as_a_trained_models():
    tensors = dict(synth.random_tensors(TINY, synth.bioes(synth.LABELS), 0))
    assert all(np.isfinite(values).all() for values in tensors.values())
    assert 0.015 < tensors["encoder.embeddings.word_embeddings.weight"].std() < 0.025
    assert 0.015 < tensors["encoder.encoder.layer.0.intermediate.dense.weight"].std() < 0.025
