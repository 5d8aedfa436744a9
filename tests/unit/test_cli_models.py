"""The `model` commands as a person or a script runs them, in this process."""

import shutil
import sys

import numpy as np
import pytest
from checkpoints import VOCABULARY, write_checkpoint

from nlp import model


def test_a_source_of_an_average_needs_a_share(run, tmp_path):
    for source in ("default", "default=half"):
        status, _, err = run("model", "average", tmp_path / "mean", source)
        assert status == 2
        assert "ends in no share; expected SRC=SHARE" in err


def test_a_model_is_converted_and_described(run, tmp_path):
    source = write_checkpoint(tmp_path / "checkpoint")
    status, out, _ = run("model", "convert", source, tmp_path / "served", "--name", "mine", "--licence", "MIT")
    assert (status, "mine" in out, "pair-safe" in out) == (0, True, True)
    assert run("model", "info", tmp_path / "served")[:2] == (0, out)
    status, _, err = run("model", "convert", source, tmp_path / "served")
    assert (status, "exists and is not empty" in err) == (2, True)
    assert run("model", "info")[0] == 0


def test_a_changed_model_is_not_described(run, tmp_path):
    copy = shutil.copytree(model.DEFAULT, tmp_path / "copy")
    (copy / "vocab.txt").write_text("x")
    status, out, err = run("model", "info", copy)
    assert (status, out, "vocab.txt has digest" in err) == (2, "", True)


def test_a_model_is_not_pulled_without_modelscope(run, tmp_path, monkeypatch):
    for name in ("modelscope", "modelscope.hub.snapshot_download"):
        monkeypatch.setitem(sys.modules, name, None)
    status, out, err = run("model", "pull", "damo/some-raner", tmp_path / "served")
    assert (status, out) == (2, "")
    assert "needs modelscope, which is not installed: pip install 'raner-stream[convert]'" in err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def compared(tmp_path):
    """A checkpoint with random weights, and texts of its vocabulary that int8 reads a little otherwise."""
    draw = np.random.default_rng(0)
    texts = ["".join(draw.choice(list(VOCABULARY[4:]), 30)) for _ in range(60)]
    (tmp_path / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    return write_checkpoint(tmp_path / "checkpoint"), tmp_path / "texts.txt"


def test_convert_compares_first_and_refuses_what_does_not_pass(run, compared, tmp_path):
    checkpoint, texts = compared
    command = ("model", "convert", checkpoint, tmp_path / "served", "--verify", texts, "--show", "1")
    status, out, err = run(*command, "--threshold", "1")
    assert (status, (tmp_path / "served").exists()) == (2, False)
    assert "int8's entities against float32's have F1" in err
    assert "more (--show)" in out
    assert run(*command, "--threshold", "0.5")[0] == 0
    assert model.read_manifest(tmp_path / "served").engines == ("ct2-int8",)


def test_an_occupied_place_is_refused_before_anything_is_compared(run, compared, tmp_path):
    checkpoint, texts = compared
    status, out, err = run("model", "convert", checkpoint, checkpoint, "--verify", texts)
    assert (status, out, "is not empty" in err) == (2, "", True)


def test_a_threshold_is_a_share(run, compared, tmp_path):
    status, _, err = run("model", "convert", compared[0], tmp_path / "served", "--threshold", "99")
    assert (status, "99.0 is not between 0 and 1" in err) == (2, True)


def test_convert_falls_back_to_float32_where_it_is_told_to(run, compared, tmp_path):
    checkpoint, texts = compared
    command = ("model", "convert", checkpoint, tmp_path / "served", "--verify", texts, "--threshold", "1")
    status, out, _ = run(*command, "--fallback", "fp32")
    assert (status, "float32 is kept" in out) == (0, True)
    assert model.read_manifest(tmp_path / "served").engines == ("ct2-fp32",)


def test_verify_needs_a_float32_to_compare_with(run, compared, tmp_path):
    checkpoint, texts = compared
    run("model", "convert", checkpoint, tmp_path / "served")
    status, _, err = run("model", "verify", tmp_path / "served", texts)
    assert (status, "name the checkpoint it was made from: --checkpoint" in err) == (2, True)
    assert "name the checkpoint it was made from" in run("model", "verify", "tiny", texts)[2]
    status, out, _ = run(
        "model", "verify", tmp_path / "served", texts, "--checkpoint", checkpoint, "--threshold", "0.5", "--show", "0"
    )
    assert (status, "characters whose highest tag agrees" in out) == (0, True)


def test_a_file_without_texts_compares_nothing(run, compared, tmp_path):
    checkpoint, _ = compared
    (tmp_path / "blank.txt").write_text("\n\n")
    status, _, err = run("model", "convert", checkpoint, tmp_path / "served", "--verify", tmp_path / "blank.txt")
    assert (status, "holds no text; expected a text a line, or JSON lines" in err) == (2, True)
