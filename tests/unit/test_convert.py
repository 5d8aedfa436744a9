import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checkpoints import SMALL, TAGS, VOCABULARY, random_tensors, write_checkpoint
from reference import emissions

import nlp
from nlp import model
from nlp.batching import token_batch
from nlp.convert import convert, quantize
from nlp.errors import CheckpointError, ModelError
from nlp.windows import windows


def test_a_converted_checkpoint_scores_like_the_network_it_was_made_from(tmp_path):
    tensors = random_tensors()
    convert(write_checkpoint(tmp_path / "checkpoint", tensors), tmp_path / "served")
    annotator = nlp.load(tmp_path / "served", window=60, overlap=10)
    text = "王小明在北京读书，abc中国人。"
    batch = token_batch([text], windows(0, len(text), 60, 10), 32, annotator._tokenizer)
    ids = batch.ids[0, : batch.lengths[0]].tolist()
    assert ids == [VOCABULARY.index(token) for token in ("[CLS]", *text, "[SEP]")]
    served = annotator._engine.emissions(batch)[0, : len(ids)]
    expected = emissions(tensors, SMALL, ids)
    assert np.corrcoef(served.ravel(), expected.ravel())[0, 1] > 0.999
    assert np.sqrt(np.mean((served - expected) ** 2)) < 0.04 * expected.std()


def test_the_manifest_says_what_was_converted(tmp_path):
    source = write_checkpoint(tmp_path / "some-raner")
    manifest = convert(source, tmp_path / "served", revision="r1", licence="MIT")
    assert manifest == model.read_manifest(tmp_path / "served")
    assert (manifest.name, manifest.revision, manifest.licence) == ("some-raner", "r1", "MIT")
    assert (manifest.labels, manifest.max_length, manifest.scale) == (TAGS, SMALL.positions, "pair-safe")
    assert set(manifest.files) == {
        "encoder/config.json", "encoder/model.bin", "encoder/vocabulary.json", "head.npz", "vocab.txt"
    }  # fmt: skip


def test_a_models_own_least_score_holds_until_another_is_asked_for(tmp_path):
    source = write_checkpoint(tmp_path / "checkpoint")
    convert(source, tmp_path / "all")
    assert convert(source, tmp_path / "sure", min_score=0.2).min_score == 0.2
    texts = ["王小明在北京读书，abc中国人。" * 20]
    [every] = nlp.load(tmp_path / "all").annotate(texts)
    [sure] = nlp.load(tmp_path / "sure").annotate(texts)
    assert sure == [span for span in every if span.score >= 0.2]
    assert 0 < len(sure) < len(every)
    assert nlp.load(tmp_path / "sure", min_score=0.0).annotate(texts) == [every]
    theirs = [nlp.load(tmp_path / name, decode="modelscope").annotate(texts) for name in ("all", "sure")]
    assert theirs[0] == theirs[1], "its scores are other ones"


def test_pair_safe_weights_never_overflow_sixteen_bits():
    weights = np.random.default_rng(0).normal(0, 1, (50, 64)).astype(np.float32)
    weights[0, :2] = 3.0
    integers, scale = quantize(weights, pair_safe=True)
    pairs = integers.astype(int).reshape(50, -1, 2)
    same_sign = np.sign(pairs[..., 0]) == np.sign(pairs[..., 1])
    assert (np.abs(pairs).sum(2)[same_sign] * 255).max() <= 32767
    assert np.abs(integers / scale[:, None] - weights).max() <= (0.5 / scale).max() * 1.001
    plain, _ = quantize(weights, pair_safe=False)
    assert np.abs(plain.astype(int).reshape(50, -1, 2)).sum(2).max() * 255 > 32767


def test_rows_of_zeros_stay_zeros():
    integers, scale = quantize(np.zeros((2, 4), np.float32), pair_safe=True)
    assert not integers.any()
    assert np.isfinite(scale).all()


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "precious").write_text("x")
    with pytest.raises(ModelError, match="exists and is not empty"):
        convert(write_checkpoint(tmp_path / "checkpoint"), tmp_path / "served")


def test_an_empty_directory_that_is_there_is_filled_even_the_current_one(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    monkeypatch.chdir(tmp_path / "empty")
    checkpoint = write_checkpoint(tmp_path / "checkpoint")
    for destination in (Path(), tmp_path / "link"):
        convert(checkpoint, destination)
        assert nlp.load(tmp_path / "empty", window=60).annotate(["王小明"])
        assert sorted(path.name for path in Path().iterdir()) == ["encoder", "head.npz", "model.json", "vocab.txt"]
        shutil.rmtree(Path("encoder"))
        for path in Path().iterdir():
            path.unlink()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"file/served cannot be made: .*File exists"):
        convert(write_checkpoint(tmp_path / "checkpoint"), tmp_path / "file" / "served")


@pytest.mark.parametrize("positions", [40, 64, 100, 300])
def test_the_longest_window_is_read_whatever_the_positions_of_a_model(tmp_path, positions):
    tensors = random_tensors(architecture=replace(SMALL, positions=positions))
    convert(write_checkpoint(tmp_path / "checkpoint", tensors, max_position_embeddings=positions), tmp_path / "served")
    with pytest.raises(ModelError, match="0 <= overlap < window <=") as refused:
        nlp.load(tmp_path / "served", window=positions)
    longest = int(re.search(r"window <= (\d+)", str(refused.value))[1])
    assert nlp.load(tmp_path / "served", window=longest, overlap=10).annotate(["王小明在北京" * 200])


@pytest.mark.parametrize(("positions", "cut"), [(16, (14, 7)), (40, (30, 15)), (64, (62, 30)), (130, (126, 30))])
def test_the_default_window_and_overlap_are_those_that_fit_the_positions_of_a_model(tmp_path, positions, cut):
    tensors = random_tensors(architecture=replace(SMALL, positions=positions))
    convert(write_checkpoint(tmp_path / "checkpoint", tensors, max_position_embeddings=positions), tmp_path / "served")
    annotator = nlp.load(tmp_path / "served")
    assert (annotator.window, annotator.overlap) == cut
    assert annotator.annotate(["王小明在北京" * 200])


def test_a_refused_checkpoint_leaves_nothing_behind(tmp_path):
    tensors = random_tensors()
    del tensors["linear.bias"]
    with pytest.raises(CheckpointError):
        convert(write_checkpoint(tmp_path / "checkpoint", tensors), tmp_path / "served")
    assert not (tmp_path / "served").exists()
