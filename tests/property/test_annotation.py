"""The promises of the core, each for any text."""

import re

import numpy as np
import pytest
from engines import (
    ALPHABET,
    BIO,
    BIOES,
    PlaceEngine,
    WidthEngine,
    context_free_annotator,
    random_crf,
    spelling_annotator,
    tokenizer,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import nlp
from nlp.annotator import Annotator
from nlp.batching import by_width, stitch, token_batch
from nlp.synth import bioes
from nlp.windows import windows

TEXTS = st.text(st.sampled_from(ALPHABET), max_size=300)
ANY_TEXT = st.text(
    st.one_of(
        st.sampled_from("中国北京市长王小明李教授在上海华为公司说　，。ABC 12"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=200,
)


@pytest.fixture(scope="module")
def annotator() -> Annotator:
    return nlp.load()


@given(text=ANY_TEXT)
@settings(max_examples=60, deadline=None)
def test_spans_lie_in_the_text_in_order_and_never_overlap(annotator, text):
    (spans,) = annotator.annotate([text])
    borders = [edge for span in spans for edge in (span.start, span.end)]
    assert borders == sorted(borders)
    assert all(0 <= s.start < s.end <= len(text) and 0 <= s.score <= 1 for s in spans)


@given(text=st.text(st.one_of(st.sampled_from("甲乙"), st.characters()), max_size=200), window=st.integers(2, 90))
@settings(deadline=None)
def test_text_from_start_to_end_is_the_name_whatever_characters_stand_around_it(text, window):
    (spans,) = spelling_annotator(window, overlap=window // 3).annotate([text])
    assert [text[s.start : s.end] for s in spans] == re.findall("甲乙*", text)


@given(
    text=TEXTS,
    cut=st.integers(1, 60).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))),
    tags=st.sampled_from([BIO, BIOES]),
    seed=st.integers(0, 50),
)
@settings(max_examples=150, deadline=None)
def test_any_window_and_overlap_give_the_result_of_none(text, cut, tags, seed):
    whole = context_free_annotator(seed, tags, window=510, overlap=0).annotate([text])
    assert context_free_annotator(seed, tags, *cut).annotate([text]) == whole


@given(length=st.integers(0, 500), size=st.integers(1, 60), share=st.floats(0, 0.99))
@settings(max_examples=150, deadline=None)
def test_each_character_takes_its_emissions_from_its_owner(length, size, share):
    text, overlap = "甲" * length, int(size * share)
    cut = windows(0, length, size, overlap)
    came_from = []
    for width, group in by_width(cut):
        batch = token_batch([text], group, width, tokenizer())
        came_from += [row for _, rows in stitch(batch, PlaceEngine().emissions(batch)) for row in rows.tolist()]
    owners = [(w.start, i - w.start) for w in cut for i in range(w.own_start, w.own_stop)]
    assert [tuple(row) for row in came_from] == owners


@given(texts=st.lists(ANY_TEXT, max_size=6), other=st.lists(ANY_TEXT, max_size=6), budget=st.integers(1, 600))
@settings(max_examples=25, deadline=None)
def test_the_same_text_gives_the_same_bits_in_any_company(annotator, texts, other, budget):
    alone = [annotator.annotate([text])[0] for text in texts]
    annotator.batch_tokens = budget
    try:
        together = annotator.annotate([*other, *texts])
    finally:
        annotator.batch_tokens = 512
    assert together[len(other) :] == alone


@given(
    texts=st.lists(st.text(st.sampled_from(ALPHABET), min_size=9, max_size=90), min_size=2, max_size=5),
    seed=st.integers(0, 9),
    budget=st.integers(128, 600),
)
@settings(max_examples=20, deadline=None)
def test_the_same_text_gives_the_same_bits_in_any_company_where_tags_are_many(texts, seed, budget):
    tags = bioes([f"T{i}" for i in range(54)])
    alone = [context_free_annotator(seed, tags, window=60, overlap=20).annotate([text])[0] for text in texts]
    assert context_free_annotator(seed, tags, window=60, overlap=20, budget=budget).annotate(texts) == alone


@given(text=TEXTS, others=st.lists(TEXTS, max_size=5))
@settings(deadline=None)
def test_a_rows_width_follows_from_its_own_length(text, others):
    engine, crf = WidthEngine(0, len(BIO)), random_crf(1, BIO)
    annotator = Annotator(engine, tokenizer(), crf, window=100, overlap=20, batch_tokens=512)
    assert annotator.annotate([*others, text])[-1:] == annotator.annotate([text])


@given(texts=st.lists(TEXTS, max_size=5))
@settings(deadline=None)
def test_control_comes_back_after_every_token_batch(texts):
    engine_calls = []

    class Counting:
        def emissions(self, batch):
            engine_calls.append(batch.ids.size)
            return np.zeros((*batch.ids.shape, len(BIO)), np.float32)

    annotator = context_free_annotator(0, BIO, window=20, overlap=5, budget=64)
    annotator._engine = Counting()
    ended = []
    for number, step in enumerate(annotator.iter_annotate(texts)):
        assert len(engine_calls) == number  # the first step brings the empty texts, every other one a batch
        ended += [found.document for found in step if found.last]
    assert sorted(ended) == list(range(len(texts)))
    assert all(size <= 64 for size in engine_calls)
