"""What ModelScope's pipeline does wrong, and the core does right: each failure is asserted beside ours."""

from itertools import product

import numpy as np
import pytest
from original import Original, read_tags
from parity_texts import LONGEST, SHARED
from readings import TAGS, both_readings, expanded, rows

import nlp
from nlp.batching import token_batch, width_of
from nlp.convert import convert
from nlp.crf import Crf
from nlp.decoder import Decoder, Piece
from nlp.windows import windows

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]  # the warnings are those of older libraries

TEXT = "周末在北京大学读书的王小明去上海看望李红。"
FOUND = [(3, 7, "ORG"), (10, 13, "PER"), (14, 16, "LOC"), (18, 20, "PER")]


@pytest.fixture(scope="module")
def checkpoint():
    path = SHARED / "models" / "bge4-mix"
    if not path.is_dir():
        pytest.skip(f"no checkpoint at {path}")
    return path


@pytest.fixture(scope="module")
def original(checkpoint):
    return Original(checkpoint)


@pytest.fixture(scope="module")
def served(checkpoint, tmp_path_factory):
    directory = tmp_path_factory.mktemp("served") / "model"
    convert(checkpoint, directory, quantization="fp32")
    return directory


def found(served, text, **options):
    [spans] = nlp.load(served, engine="ct2-fp32", **options).annotate([text])
    return [(span.start, span.end, span.label) for span in spans]


def moved(entities, offset):
    return [(start + offset, end + offset, label) for start, end, label in entities]


def test_a_text_over_510_characters_is_read_to_its_end(original, served):
    filler = "今天天气很好。" * 70
    text = TEXT + filler + TEXT
    assert len(text) > LONGEST
    with pytest.raises(RuntimeError, match="must match the size"):
        original.entities(text, padding=False)
    with pytest.raises(RuntimeError):
        original.entities(text)  # padded, as it is by default
    assert found(served, text) == FOUND + moved(FOUND, len(TEXT + filler))


def test_a_short_text_is_not_padded_to_512(original, served):
    assert original.pipeline.preprocessor(TEXT)["input_ids"].shape == (1, 512)
    (window,) = windows(0, len(TEXT), 126, 30)
    batch = token_batch([TEXT], [window], width_of(window), nlp.load(served, engine="ct2-fp32")._tokenizer)
    assert batch.ids.shape == (1, 32)


def test_what_follows_a_literal_sep_is_read(original, served):
    text = f"{TEXT}[SEP]{TEXT}"
    assert original.entities(text, padding=False) == FOUND
    assert found(served, text) == FOUND + moved(FOUND, len(TEXT) + len("[SEP]"))


def test_a_name_across_two_windows_is_read_whole(original, served):
    size = 12  # ends within the person's name
    assert (10, 12, "PER") in original.entities(TEXT, padding=False, split_max_length=size)
    pieces, _ = original.pipeline._auto_split([TEXT], size)
    assert "".join(pieces) == TEXT  # nothing is shared
    assert (10, 13, "PER") in found(served, TEXT, window=size, overlap=6)


def test_the_score_knows_the_transitions(original, served):
    torch, head = original.torch, original.pipeline.model.head
    before = original.read([TEXT])[0]
    kept = head.crf.transitions.data.clone()
    try:
        head.crf.transitions.data = kept * 0.5
        after = original.read([TEXT])[0]
    finally:
        head.crf.transitions.data = kept
    assert (after.entities, after.probs) == (before.entities, before.probs)
    crf = nlp.load(served, engine="ct2-fp32")._decoder._crf
    halved = crf.transitions[:-1, :-1] * 0.5
    others = Crf.of(crf.transitions[-1, :-1], crf.transitions[:-1, -1], halved, crf.scheme)
    scores = [[span.score for span in decoded(each, before.emissions)] for each in (crf, others)]
    assert len(scores[0]) == len(scores[1]) == len(FOUND)
    assert np.abs(np.subtract(*scores)).min() > 1e-4
    assert torch.equal(head.crf.transitions.data, kept)


def decoded(crf, emissions):
    decoder = Decoder(crf)
    decoding = decoder.begin()
    decoder.advance([Piece(decoding, emissions, last=True)])
    return decoding.take_spans()


def test_an_empty_text_has_no_entities(original, served):
    with pytest.raises(RuntimeError, match="cannot reshape"):
        original.entities("", padding=False)
    assert found(served, "") == []


@pytest.mark.parametrize(("tags", "modelscope", "_strict"), rows())
def test_tags_are_read_by_modelscope_as_the_page_says(tags, modelscope, _strict):
    assert read_tags(expanded(tags)) == modelscope


def test_every_short_sequence_of_tags_is_read_as_modelscope_does():
    sequences = [tags for length in range(1, 5) for tags in product(TAGS, repeat=length)]
    for tags, (modelscope, _) in zip(sequences, both_readings(sequences), strict=True):
        assert read_tags(tags) == modelscope, tags
