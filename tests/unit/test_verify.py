import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from checkpoints import SMALL, VOCABULARY, random_tensors, write_checkpoint

from nlp import load
from nlp.convert import convert
from nlp.errors import ModelError, VerificationError
from nlp.evaluate import Counts
from nlp.types import Span
from nlp.verify import Comparison, compare, compare_conversion, float32_of

TEXTS = ["".join(np.random.default_rng(i).choice(list(VOCABULARY[4:]), 5 + i % 40)) for i in range(150)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("verify") / "checkpoint")


@pytest.fixture(scope="module")
def both(checkpoint, tmp_path_factory):
    convert(checkpoint, tmp_path_factory.mktemp("verify") / "both", quantization="both")
    return next(tmp_path_factory.getbasetemp().glob("verify*/both"))


def test_what_is_counted_is_what_both_engines_find(both):
    found = compare(both, both, TEXTS)
    int8, fp32 = (load(both, engine=f"ct2-{kind}", window=60).annotate(TEXTS) for kind in ("int8", "fp32"))
    places = [[{(span.start, span.end, span.label) for span in its} for its in each] for each in (int8, fp32)]
    expected = [text for text, ours, theirs in zip(TEXTS, *places, strict=True) if ours != theirs]
    assert [difference.text for difference in found.differences] == expected != []
    assert found.entities == Counts(
        sum(map(len, places[1])), sum(map(len, places[0])), sum(len(a & b) for a, b in zip(*places, strict=True))
    )
    assert (found.texts, found.characters) == (150, sum(map(len, TEXTS)))
    assert 0 < found.error < 0.1
    assert 0.9 < found.agreement < 1
    assert 0.8 < found.low < found.entities.f1 < found.high <= 1


def test_a_difference_says_what_was_lost_and_what_was_added(both):
    text, lost, added = ((d.text, d.lost, d.added) for d in compare(both, both, TEXTS).differences).__next__()
    int8, fp32 = (load(both, engine=f"ct2-{kind}", window=60).annotate([text])[0] for kind in ("int8", "fp32"))

    def places(spans: list[Span]) -> set[tuple[int, int, str]]:
        return {(span.start, span.end, span.label) for span in spans}

    assert places(lost) == places(fp32) - places(int8)
    assert places(added) == places(int8) - places(fp32)


def test_the_same_texts_give_the_same_interval(both):
    assert compare(both, both, TEXTS[:40]) == compare(both, both, TEXTS[:40])


def test_an_f1_below_the_threshold_is_refused():
    comparison = Comparison(1, 5, 0.01, 1.0, Counts(100, 100, 98), 0.95, 1.0, ())
    comparison.require(0.98)
    with pytest.raises(VerificationError, match=r"98\.00% on these texts; expected at least 98\.10%"):
        comparison.require(0.981)


def test_texts_without_a_name_compare_nothing(both):
    with pytest.raises(VerificationError, match="finds no entity in 1 texts"):
        compare(both, both, [""])


def test_float32_is_the_directorys_own_or_made_from_the_checkpoint(both, checkpoint, tmp_path):
    with float32_of(both, None) as directory:
        assert directory == both
    convert(checkpoint, tmp_path / "int8", min_score=1.0)  # all that the best path has is compared
    with (
        pytest.raises(ModelError, match="holds no float32 encoder; name the checkpoint"),
        float32_of(tmp_path / "int8", None),
    ):
        pass
    with float32_of(tmp_path / "int8", checkpoint) as directory:
        again = compare(tmp_path / "int8", directory, TEXTS)
    assert again == compare(both, both, TEXTS) == compare_conversion(checkpoint, TEXTS, scale="pair-safe")
    assert not directory.exists()


def test_models_of_other_labels_are_not_compared(both, tmp_path):
    tags = ("O", "B-LOC", "I-LOC", "E-LOC", "S-LOC")
    other = write_checkpoint(tmp_path / "other", random_tensors(1), tags=tags)
    with float32_of(_int8(other, tmp_path), other) as directory, pytest.raises(ModelError, match="other labels"):
        compare(both, directory, TEXTS)


@pytest.mark.parametrize(
    ("shape", "config", "told"),
    [
        ({"positions": 100}, {"max_position_embeddings": 100}, r"other max_length \(64 and 100\)"),
        ({"layers": 1}, {"num_hidden_layers": 1}, r"other layers \(2 and 1\)"),
        ({}, {"num_attention_heads": 4}, r"other heads \(2 and 4\)"),
        ({"hidden": 16}, {"hidden_size": 16}, r"other hidden \(32 and 16\)"),
        ({"intermediate": 32}, {"intermediate_size": 32}, r"other intermediate \(64 and 32\)"),
    ],
)
def test_models_of_other_shapes_are_not_compared(both, tmp_path, shape, config, told):
    tensors = random_tensors(architecture=replace(SMALL, **shape))
    convert(write_checkpoint(tmp_path / "other", tensors, **config), tmp_path / "served", quantization="fp32")
    with pytest.raises(ModelError, match=told):
        compare(both, tmp_path / "served", TEXTS)


@pytest.mark.parametrize("name", ["do_lower_case", "strip_accents"])
def test_models_that_read_characters_otherwise_are_not_compared(both, tmp_path, name):
    other = write_checkpoint(tmp_path / "other")
    (other / "tokenizer_config.json").write_text(
        json.dumps({"do_lower_case": True, "strip_accents": True, name: False})
    )
    convert(other, tmp_path / "served", quantization="fp32")
    with pytest.raises(ModelError, match=rf"other {name.removeprefix('do_')} \(True and False\); name the checkpoint"):
        compare(both, tmp_path / "served", TEXTS)


def test_a_manifest_that_lists_no_vocabulary_is_refused(both, tmp_path):
    copy = shutil.copytree(both, tmp_path / "copy")
    content = json.loads((copy / "model.json").read_text())
    del content["files"]["vocab.txt"]
    (copy / "model.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"lists no vocab.txt"):
        compare(copy, copy, TEXTS)


def _int8(checkpoint, directory):
    convert(checkpoint, directory / "served")
    return directory / "served"


def test_a_text_without_characters_is_read_too(both):
    assert compare(both, both, [*TEXTS, ""]).texts == 151
