import dataclasses

import numpy as np
import pytest
from checkpoints import SMALL, random_tensors, write_checkpoint
from reference import emissions

import nlp
from nlp import centre
from nlp.batching import token_batch
from nlp.centre import centred, layer_norms
from nlp.checkpoint import read_checkpoint
from nlp.convert import convert
from nlp.windows import windows

IDS = np.array([[2, 4, 5, 6, 7, 8, 9, 3], [2, 12, 11, 10, 9, 8, 7, 3]], np.int32)


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint with two channels that are large in every token, as trained encoders have them."""
    tensors = random_tensors()
    for name, value in tensors.items():
        if name.endswith("LayerNorm.bias"):
            value[[3, 17]] += [12, -18]
    return write_checkpoint(tmp_path / "checkpoint", tensors)


def test_what_the_encoder_computes_does_not_change(checkpoint):
    given = read_checkpoint(checkpoint)
    moved = centred(given)
    assert not np.array_equal(
        moved["encoder.embeddings.LayerNorm.bias"], given.tensors["encoder.embeddings.LayerNorm.bias"]
    )
    for ids in IDS.tolist():
        np.testing.assert_allclose(emissions(moved, SMALL, ids), emissions(given.tensors, SMALL, ids), atol=1e-4)


def test_every_layer_norm_inside_of_the_encoder_is_centred_and_the_last_is_not(checkpoint):
    given = read_checkpoint(checkpoint)
    before = dict(layer_norms(given, IDS))
    after = dict(layer_norms(dataclasses.replace(given, tensors=centred(given)), IDS))
    *inside, last = before
    assert len(inside) == 2 * SMALL.layers
    for name in inside:
        assert np.abs(after[name]).max() < 0.6 * np.abs(before[name]).max()
    np.testing.assert_allclose(after[last], before[last], atol=1e-4)


def test_int8_comes_closer_to_float32(checkpoint, tmp_path, monkeypatch):
    def error(name):
        convert(checkpoint, tmp_path / name, quantization="both")
        int8, fp32 = (nlp.load(tmp_path / name, engine=f"ct2-{kind}", window=60) for kind in ("int8", "fp32"))
        text = "王小明在北京读书，abc中国人。"
        batch = token_batch([text], windows(0, len(text), 60, 10), 32, int8._tokenizer)
        scores = [each._engine.emissions(batch)[0, : batch.lengths[0]] for each in (int8, fp32)]
        return np.sqrt(np.mean((scores[0] - scores[1]) ** 2))

    with_it = error("with")
    monkeypatch.setattr("nlp.convert.centred", lambda checkpoint: checkpoint.tensors)
    assert with_it < 0.6 * error("without")


def test_the_same_checkpoint_is_centred_the_same_way(checkpoint):
    given = read_checkpoint(checkpoint)
    again = centred(given)
    assert all(np.array_equal(value, again[name]) for name, value in centred(given).items())


def test_relu_is_known_too(checkpoint):
    given = read_checkpoint(checkpoint)
    given = dataclasses.replace(given, architecture=dataclasses.replace(SMALL, activation="relu"))
    assert centre._activated(np.array([-1.0, 2.0], np.float32), "relu").tolist() == [0, 2]
    assert all(np.isfinite(output).all() for _, output in layer_norms(given, IDS))
