"""A serving directory's weights, read back."""

import numpy as np
import pytest
from checkpoints import random_tensors, renamed, write_checkpoint

from nlp import model
from nlp.centre import centred
from nlp.checkpoint import expected_shapes, read_checkpoint
from nlp.convert import convert
from nlp.errors import TrainingError
from nlp.synth import bioes
from nlp.training.recipe import Recipe
from nlp.training.served import read_served
from nlp.training.start import begin

POSITIONS = "encoder.embeddings.position_embeddings.weight"
TYPES = "encoder.embeddings.token_type_embeddings.weight"


def served(tmp_path, quantization):
    checkpoint = write_checkpoint(tmp_path / "checkpoint", random_tensors(3))
    directory = tmp_path / "served"
    return read_checkpoint(checkpoint).tensors, directory, convert(checkpoint, directory, quantization=quantization)


@pytest.mark.parametrize("quantization", ["fp32", "int8", "both"])
def test_the_weights_of_a_serving_directory_are_those_it_was_made_from(tmp_path, quantization):
    original, directory, manifest = served(tmp_path, quantization)
    if quantization == "int8":  # the same encoder, its LayerNorm outputs centred
        original = centred(read_checkpoint(tmp_path / "checkpoint"))
    read = read_served(directory, manifest).tensors
    assert set(read) == set(original)
    np.testing.assert_array_equal(read[TYPES], 0)
    np.testing.assert_allclose(read[POSITIONS], original[POSITIONS] + original[TYPES][0], atol=1e-6)
    for name in set(original) - {TYPES, POSITIONS}:
        largest = np.abs(original[name]).max()
        error = np.abs(read[name] - original[name]).max()
        assert error <= (largest / 127 if quantization == "int8" else 0), (
            name
        )  # pair-safe steps are up to twice as wide


def test_a_run_that_begins_with_a_serving_directory_takes_its_head_over(tmp_path):
    original, directory, _ = served(tmp_path, "fp32")
    start = begin(Recipe(directory, tmp_path, (), labels=("PER",), windows=(62,)), None)
    assert start.tags == bioes(["PER"])
    for name in ("linear.weight", "linear.bias", "crf.transitions", "crf.start_transitions"):
        np.testing.assert_array_equal(start.tensors[name], original[name])


def test_a_head_is_taken_over_with_its_tags_in_another_order():
    orders = (("PER", "LOC", "ORG"), ("ORG", "PER", "LOC"))
    theirs, ours = (begin(Recipe(model.DEFAULT, model.DEFAULT, (), labels=labels), None) for labels in orders)
    assert theirs.tags != ours.tags
    order = [theirs.tags.index(tag) for tag in ours.tags]
    np.testing.assert_array_equal(ours.tensors["linear.weight"], theirs.tensors["linear.weight"][order])
    moves = theirs.tensors["crf.transitions"]
    np.testing.assert_array_equal(ours.tensors["crf.transitions"], moves[np.ix_(order, order)])


def test_what_the_manifest_does_not_name_of_an_encoder_is_read_too(tmp_path):
    convert(write_checkpoint(tmp_path / "checkpoint", hidden_act="relu", layer_norm_eps=1e-5), tmp_path / "served")
    start = begin(Recipe(tmp_path / "served", tmp_path, (), windows=(62,)), None)
    assert (start.architecture.activation, start.architecture.layer_norm_epsilon) == ("relu", 1e-5)


def test_an_encoder_with_tags_that_are_none_is_a_bare_one(tmp_path):
    directory = write_checkpoint(tmp_path / "bert", tags=("LABEL_0", "LABEL_1"))
    assert "linear.weight" not in begin(Recipe(directory, tmp_path, (), windows=(62,)), None).tensors


def test_an_encoder_with_our_tags_and_no_crf_is_a_bare_one(tmp_path):
    encoder = {name: value for name, value in random_tensors().items() if name.startswith("encoder.")}
    tensors = renamed(encoder, lambda name: name.replace("encoder.", "bert.", 1))
    directory = write_checkpoint(tmp_path / "bert", tensors, tags=bioes(["PER"]))
    start = begin(Recipe(directory, tmp_path, (), labels=("PER",), windows=(62,)), None)
    assert "linear.weight" not in start.tensors
    assert "crf.transitions" in start.tensors


def test_a_run_with_other_labels_begins_a_head_in_which_bioes_is_what_is_likely(tmp_path):
    _, directory, _ = served(tmp_path, "fp32")
    start = begin(Recipe(directory, tmp_path, (), windows=(62,), impossible=-5.0), None)
    assert "linear.weight" not in start.tensors
    moves = start.tensors["crf.transitions"]
    i, b, e = (start.tags.index(tag) for tag in ("I-PER", "B-PER", "E-PER"))
    assert (moves[b, e], moves[b, i], moves[i, b], moves[0, i]) == (0, 0, -5, -5)
    assert start.tensors["crf.end_transitions"][b] == -5


def test_the_packaged_model_can_be_begun_with():
    start = begin(Recipe(model.DEFAULT, model.DEFAULT, ()), None)
    rows = start.tensors["encoder.embeddings.word_embeddings.weight"]
    assert len(start.vocabulary) == len(rows) == start.architecture.vocabulary
    assert "linear.weight" in start.tensors


def test_a_window_that_the_encoder_cannot_read_is_refused(tmp_path):
    _, directory, _ = served(tmp_path, "fp32")
    with pytest.raises(TrainingError, match="windows has 126; the encoder reads 62 characters at most"):
        begin(Recipe(directory, tmp_path, ()), None)


def test_a_directory_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(TrainingError, match=r"is no directory; expected config\.json"):
        begin(Recipe(tmp_path / "none", tmp_path, ()), None)


def test_a_run_begins_with_what_is_cut_out_of_the_packaged_model(tmp_path):
    recipe = Recipe(model.DEFAULT, tmp_path, (), layers=(0, 3), hidden=256, intermediate=512)
    start = begin(recipe, None)
    shape = start.architecture
    assert (shape.layers, shape.hidden, shape.heads, shape.intermediate) == (2, 256, 4, 512)
    assert {name: values.shape for name, values in start.tensors.items()} == expected_shapes(shape, len(start.tags))
