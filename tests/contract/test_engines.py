"""What every engine must keep, whatever its runtime."""

import numpy as np
import pytest

import nlp
from nlp import model
from nlp.batching import WIDTHS, token_batch
from nlp.engines import open_engine
from nlp.tokenizer import Tokenizer
from nlp.types import Window

TEXT = "中国足球协会主席王小明昨天在北京会见了来自上海的记者，双方就青年训练交换了意见。" * 20


@pytest.fixture(scope="module", params=[1, 2], ids=["one-thread", "two-threads"])
def engine(request):
    return open_engine("ct2-int8", model.DEFAULT, request.param)[1]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(model.read_vocabulary(model.DEFAULT), lower_case=True, strip_accents=True)


def windows(lengths, shift=0):
    return [Window(0, shift + i, shift + i + length, 0, 0) for i, length in enumerate(lengths)]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_rows_emissions_do_not_depend_on_its_neighbours_to_the_last_bit(engine, tokenizer, width):
    lengths = [width - 2, width - 2 - width // 4, width - 3, max(1, width // 2)]
    rows = windows(lengths)
    together = engine.emissions(token_batch([TEXT], rows, width, tokenizer))
    for i, row in enumerate(rows):
        alone = engine.emissions(token_batch([TEXT], [row], width, tokenizer))[0]
        tokens = lengths[i] + 2
        assert np.array_equal(together[i, :tokens], alone[:tokens])


def test_a_row_is_the_same_at_any_place_in_any_batch(engine, tokenizer):
    row = windows([40])[0]
    alone = engine.emissions(token_batch([TEXT], [row], 48, tokenizer))[0, :42]
    for rows in (2, 3, 7, 20):
        batch = [*windows([30 + i % 16 for i in range(rows - 1)], shift=100), row]
        last = engine.emissions(token_batch([TEXT], batch, 48, tokenizer))[-1, :42]
        assert np.array_equal(last, alone)


def test_emissions_have_a_score_for_every_token_and_tag(engine, tokenizer):
    batch = token_batch([TEXT], windows([10, 12]), 16, tokenizer)
    emissions = engine.emissions(batch)
    assert (emissions.shape, emissions.dtype) == ((2, 16, 13), np.float32)
    assert np.isfinite(emissions[0, :12]).all()


def test_threads_do_not_change_what_is_found():
    texts = [TEXT[i : i + 37] for i in range(0, 400, 13)]
    assert nlp.load(threads=1).annotate(texts) == nlp.load(threads=2).annotate(texts)
