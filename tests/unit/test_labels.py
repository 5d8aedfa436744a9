import numpy as np
import pytest

from nlp.errors import LabelError
from nlp.labels import MAX_SPAN, Scheme, gold_spans

BIOES = Scheme.of(["O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "E-LOC", "S-LOC"])
BIO = Scheme.of(["B-PER", "I-PER", "O", "B-LOC", "I-LOC"])


def spans(scheme: Scheme, tags: str) -> list[tuple[int, int, str]]:
    return scheme.spans(np.array([scheme.tags.index(tag) for tag in tags.split()], np.int16))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O O", []),
        ("B-PER E-PER", [(0, 2, "PER")]),
        ("S-PER S-PER", [(0, 1, "PER"), (1, 2, "PER")]),
        ("O B-PER I-PER I-PER E-PER O S-LOC", [(1, 5, "PER"), (6, 7, "LOC")]),
        ("B-PER I-PER O", [(0, 2, "PER")]),  # no E, but the O closes
        ("B-PER O O E-PER", [(0, 1, "PER")]),  # O closes; the E is an orphan
        ("I-PER E-PER", []),  # orphans open nothing
        ("B-PER E-PER I-PER", [(0, 2, "PER")]),  # E closes; the I is an orphan
        ("B-PER I-LOC E-LOC", [(0, 1, "PER")]),  # another label closes, and is an orphan itself
        ("B-PER B-PER E-PER", [(0, 1, "PER"), (1, 3, "PER")]),
    ],
)
def test_bioes_tags_read_as_spans(tags, expected):
    assert spans(BIOES, tags) == expected


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-PER I-PER I-PER", [(0, 3, "PER")]),
        ("B-PER B-PER I-PER", [(0, 1, "PER"), (1, 3, "PER")]),
        ("I-PER B-LOC I-LOC O I-LOC", [(1, 3, "LOC")]),
    ],
)
def test_bio_tags_read_as_spans(tags, expected):
    assert spans(BIO, tags) == expected


def test_a_run_longer_than_any_name_is_no_span():
    assert spans(BIO, "B-PER" + " I-PER" * (MAX_SPAN - 1)) == [(0, MAX_SPAN, "PER")]
    assert spans(BIO, "B-PER" + " I-PER" * MAX_SPAN + " B-LOC") == [(MAX_SPAN + 1, MAX_SPAN + 2, "LOC")]


def test_bmes_is_read_as_bioes():
    assert Scheme.of(["O", "B-NS", "M-NS", "E-NS", "S-NS"]).continues[1].tolist() == [False, False, True, True, False]


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        (["O", "positive", "negative"], "'positive' is no tag"),
        (["B-PER", "I-PER"], "no 'O'"),
        (["O", "O", "B-PER"], "one tag twice"),
        (["O", "I-PER", "I-LOC", "B-LOC"], "no tag opens PER"),
        (["O", "B-", "I-"], "'B-' is no tag"),
        (["O", "X-PER"], "'X-PER' is no tag"),
    ],
)
def test_a_label_set_that_is_no_scheme_is_refused_by_name(tags, told):
    with pytest.raises(LabelError, match=told):
        Scheme.of(tags)


def test_gold_files_are_read_as_conlleval_reads_them():
    tags = ["I-PER", "I-PER", "O", "B-LOC", "I-ORG", "E-ORG", "I-ORG", "S-PER", "B-PER"]
    assert list(gold_spans(tags)) == [
        (0, 2, "PER"), (3, 4, "LOC"), (4, 6, "ORG"), (6, 7, "ORG"), (7, 8, "PER"), (8, 9, "PER")
    ]  # fmt: skip
