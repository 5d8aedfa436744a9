from itertools import pairwise, product

import numpy as np
import pytest
from engines import BIO, BIOES, random_crf

from nlp.crf import NEIGHBOURHOOD, Place
from nlp.decoder import Decoder, Piece
from nlp.synth import bioes


def all_sequences(crf, emissions):
    """Score every sequence of tags the long way."""
    for tags in product(range(crf.edge), repeat=len(emissions)):
        path = [crf.edge, *tags, crf.edge]
        moves = sum(crf.transitions[a, b] for a, b in pairwise(path))
        yield tags, moves + sum(float(emissions[i, tag]) for i, tag in enumerate(tags))


def decode(crf, emissions, pieces=1):
    decoder = Decoder(crf)
    decoding = decoder.begin()
    parts = np.array_split(emissions, pieces)
    for i, part in enumerate(parts):
        decoder.advance([Piece(decoding, part, last=i == len(parts) - 1)])
    return decoding.take_spans()


@pytest.mark.parametrize("tags", [BIO, BIOES[:5]])
@pytest.mark.parametrize("seed", range(12))
def test_spans_and_scores_are_those_of_counting_every_sequence(tags, seed):
    crf = random_crf(seed, tags)
    emissions = np.random.default_rng(seed).normal(0, 1.5, (1 + seed % 6, crf.edge)).astype(np.float32)
    sequences = list(all_sequences(crf, emissions))
    best, _ = max(sequences, key=lambda pair: pair[1])
    expected = crf.scheme.spans(np.array(best, np.int16))
    total = sum(np.exp(score) for _, score in sequences)
    for span, (start, end, label) in zip(decode(crf, emissions), expected, strict=True):
        assert (span.start, span.end, span.label) == (start, end, label)
        same = [
            np.exp(score)
            for sequence, score in sequences
            if (start, end, label) in crf.scheme.spans(np.array(sequence, np.int16))
        ]
        assert span.score == pytest.approx(sum(same) / total, abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_a_text_decoded_in_pieces_gives_the_same_to_the_last_bit(seed):
    crf = random_crf(seed, BIOES)
    emissions = np.random.default_rng(seed).normal(0, 1, (200, crf.edge)).astype(np.float32)
    assert decode(crf, emissions, pieces=1 + seed * 3) == decode(crf, emissions)


def test_what_lies_beyond_the_neighbourhood_moves_a_score_by_less_than_promised():
    crf = random_crf(5, BIOES)
    emissions = np.random.default_rng(5).normal(0, 1, (400, crf.edge)).astype(np.float32)
    whole = crf.padded(emissions, NEIGHBOURHOOD, NEIGHBOURHOOD)
    spans = decode(crf, emissions)
    assert len(spans) > 20
    exact = crf.span_scores([Place(whole, s.start + NEIGHBOURHOOD, s.end + NEIGHBOURHOOD, s.label) for s in spans])
    assert max(abs(span.score - score) for span, score in zip(spans, exact, strict=True)) < 1e-4


def test_memory_of_a_text_in_progress_does_not_grow_with_it():
    crf = random_crf(7, BIOES)
    draw = np.random.default_rng(7)
    decoder = Decoder(crf)
    decoding = decoder.begin()
    kept = []
    for _ in range(200):
        decoder.advance([Piece(decoding, draw.normal(0, 2, (100, crf.edge)).astype(np.float32), last=False)])
        kept.append(len(decoding.emissions) + len(decoding.tags) + len(decoding.pointers))
    assert max(kept) < 400


def test_a_model_may_have_more_tags_than_a_byte_counts():
    crf = random_crf(11, bioes([f"T{i}" for i in range(100)]))
    emissions = np.zeros((4, crf.edge), np.float32)
    emissions[[0, 3], crf.scheme.outside] = 50
    emissions[[1, 2], [crf.scheme.tags.index("B-T99"), crf.scheme.tags.index("E-T99")]] = 50
    assert [(span.start, span.end, span.label) for span in decode(crf, emissions)] == [(1, 3, "T99")]


@pytest.mark.parametrize(("tags", "count"), [(BIOES, 200), (bioes([f"T{i}" for i in range(54)]), 12)])
def test_a_span_has_the_score_that_it_has_alone_however_many_are_scored_with_it(tags, count):
    crf, draw = random_crf(3, tags), np.random.default_rng(3)
    places = []
    for length in draw.integers(1, 40, count).tolist():
        emissions = draw.normal(0, 1, (length, crf.edge)).astype(np.float32)
        whole = crf.padded(emissions, NEIGHBOURHOOD, NEIGHBOURHOOD)
        label = crf.scheme.types[length % len(crf.scheme.types)]
        places.append(Place(whole, NEIGHBOURHOOD, NEIGHBOURHOOD + 1 + length // 8, label))
    assert crf.span_scores(places) == [crf.span_scores([place])[0] for place in places]


def test_no_spans_need_no_scores():
    assert random_crf(0, BIO).span_scores([]) == []
