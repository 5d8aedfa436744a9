"""What every engine must keep, whatever its runtime."""

from dataclasses import replace

import numpy as np
import pytest

import nlp
from nlp.batching import WIDTHS, token_batch
from nlp.convert import convert
from nlp.engines import ENGINES, open_engine
from nlp.synth import BASE, synthesize
from nlp.tokenizer import Tokenizer
from nlp.types import Window

TEXT = "中国足球协会主席王小明昨天在北京会见了来自上海的记者，双方就青年训练交换了意见。" * 20


SMALL = replace(BASE, layers=2, heads=2, hidden=64, intermediate=128)


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    """A checkpoint, as torch's engines read it, and the serving directory made of it, for all others."""
    directory = tmp_path_factory.mktemp("engines")
    synthesize(directory / "checkpoint", SMALL, format="safetensors")
    convert(directory / "checkpoint", directory / "served", quantization="both")
    return {"torch": directory / "checkpoint", "ct2": directory / "served"}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((name, threads), id=f"{name}-{threads}", marks=[pytest.mark.parity] * name.startswith("torch"))
        for name in ENGINES
        for threads in (1, 2)
    ],
)
def opened(request, directories):
    name, threads = request.param
    return open_engine(name, directories[name.partition("-")[0]], threads)


@pytest.fixture
def engine(opened):
    return opened[1]


@pytest.fixture
def tokenizer(opened):
    return Tokenizer(opened[0].vocabulary, lower_case=True, strip_accents=True)


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


def test_engines_of_one_checkpoint_score_alike(engine, tokenizer, directories):
    batch = token_batch([TEXT], windows([60, 126]), 128, tokenizer)
    expected = open_engine("ct2-fp32", directories["ct2"], 1)[1].emissions(batch)
    scores = engine.emissions(batch)
    for row, length in enumerate(batch.lengths):
        difference = scores[row, :length] - expected[row, :length]
        assert np.sqrt(np.mean(difference**2)) < 0.25 * expected[row, :length].std()
