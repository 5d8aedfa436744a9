"""The parts of training, held against the core: likelihood, network, adversary, scripts, teachers. Needs `parity`."""

from dataclasses import astuple
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from checkpoints import SMALL, random_tensors, write_checkpoint

import nlp
from nlp.batching import token_batch
from nlp.convert import convert
from nlp.crf import Crf as ServedCrf
from nlp.crf import Place
from nlp.errors import ModelError, TrainingError
from nlp.gold import Gold
from nlp.labels import Scheme
from nlp.synth import bioes
from nlp.types import Window

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]  # the warnings are those of older libraries

TAGS = bioes(("PER", "LOC"))


def random_crf(seed):
    import torch

    from nlp.training.likelihood import Crf

    torch.manual_seed(seed)
    crf = Crf(len(TAGS))
    for values in crf.parameters():
        torch.nn.init.normal_(values)
    return crf


def scored(crf, emissions, tags):
    """Score one sequence of tags the long way."""
    start, end, moves = (
        p.detach().double().numpy() for p in (crf.start_transitions, crf.end_transitions, crf.transitions)
    )
    within = sum(moves[a, b] for a, b in pairwise(tags))
    return start[tags[0]] + end[tags[-1]] + within + sum(emissions[i, tag] for i, tag in enumerate(tags))


@pytest.mark.parametrize("seed", range(5))
def test_the_likelihood_is_that_of_counting_every_sequence_whatever_the_padding(seed):
    import torch

    crf, draw = random_crf(seed), np.random.default_rng(seed)
    lengths = np.array([1, 2, 3, 4])
    emissions = draw.normal(0, 2, (4, 4, len(TAGS))).astype(np.float32)
    tags = draw.integers(0, len(TAGS), (4, 4))
    loss = crf(torch.from_numpy(emissions), torch.from_numpy(tags), torch.from_numpy(lengths)).detach().numpy()
    for row, length in enumerate(lengths):
        scores = [scored(crf, emissions[row], path) for path in product(range(len(TAGS)), repeat=int(length))]
        expected = np.logaddexp.reduce(scores) - scored(crf, emissions[row], tags[row, :length])
        assert loss[row] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_a_cross_entropy_is_that_of_counting_every_sequence_as_often_as_the_teacher_expects_it():
    import torch

    teacher, student, draw = random_crf(0), random_crf(1), np.random.default_rng(0)
    lengths = np.array([1, 3, 2])
    theirs, ours = draw.normal(0, 2, (2, 3, 3, len(TAGS))).astype(np.float32)
    wanted = 0.0
    for row, length in enumerate(lengths):
        paths = list(product(range(len(TAGS)), repeat=int(length)))
        asked, told = (
            np.array([scored(crf, emissions[row], path) for path in paths])
            for crf, emissions in ((teacher, theirs), (student, ours))
        )
        probability = np.exp(asked - np.logaddexp.reduce(asked))
        wanted += np.logaddexp.reduce(told) - probability @ told
    expected = teacher.expected(torch.from_numpy(theirs), torch.from_numpy(lengths))
    found = student.cross_entropy(torch.from_numpy(ours), torch.from_numpy(lengths), expected)
    assert float(found.detach()) == pytest.approx(wanted, rel=1e-5)


def test_the_likelihood_gives_a_span_the_probability_that_the_core_gives_it():
    import torch

    crf, scheme = random_crf(1), Scheme.of(TAGS)
    emissions = np.random.default_rng(1).normal(0, 2, (3, len(TAGS))).astype(np.float32)
    arrays = (p.detach().numpy() for p in (crf.start_transitions, crf.end_transitions, crf.transitions))
    served = ServedCrf.of(*arrays, scheme)
    place = Place(served.padded(emissions, 1, 1), 2, 4, "PER")
    paths = np.array(
        [p for p in product(range(len(TAGS)), repeat=3) if (1, 3, "PER") in scheme.spans(np.array(p, np.int16))]
    )
    rows = torch.from_numpy(np.repeat(emissions[None], len(paths), 0))
    loss = crf(rows, torch.from_numpy(paths), torch.full((len(paths),), 3))
    assert served.span_scores([place])[0] == pytest.approx(float(torch.exp(-loss).sum()), rel=1e-4)


def test_the_network_scores_as_the_engine_that_serves_it(tmp_path):
    import torch

    from nlp.checkpoint import read_checkpoint
    from nlp.engines.pytorch import fp32
    from nlp.training.network import Network
    from nlp.training.score import NetworkEngine

    checkpoint = read_checkpoint(write_checkpoint(tmp_path / "checkpoint", random_tensors(1)))
    _, engine = fp32(tmp_path / "checkpoint", 1)
    network = Network(checkpoint.architecture, len(checkpoint.scheme.tags), 2, dropout=0.1, precision="float32")
    network.load(checkpoint.tensors)
    annotator = nlp.load(tmp_path / "checkpoint", engine="torch-fp32", window=20, overlap=0)
    windows = [Window(0, 0, 6, 0, 6), Window(1, 0, 9, 0, 9)]
    batch = token_batch(["王小明在北京", "中国人在北京读书。"], windows, 16, annotator._tokenizer)
    expected = engine.emissions(batch)
    found = NetworkEngine(network.eval(), "cpu").emissions(batch)
    for row, length in enumerate(batch.lengths):
        np.testing.assert_allclose(found[row, 1 : length - 1], expected[row, 1 : length - 1], atol=1e-5)
    assert torch.is_grad_enabled()


def test_a_dev_set_is_read_in_windows_that_the_encoder_has(tmp_path):
    from nlp.training.corpora import Corpus
    from nlp.training.network import Network
    from nlp.training.score import score
    from nlp.training.start import read_start

    start = read_start(write_checkpoint(tmp_path / "checkpoint"))
    network = Network(start.architecture, len(start.tags), conventions=1, dropout=0.0, precision="float32")
    network.load(start.tensors)
    text = "王小明在北京" * 20
    assert len(text) > start.architecture.positions
    corpus = Corpus("long", (), (Gold(text, frozenset({(0, 3, "PER")})),), 1.0, in_dev_sets=0, twice=0)
    assert score(network, start, [corpus], "cpu")["long"].micro.gold == 1


def test_the_adversary_moves_embeddings_to_where_the_loss_grows_and_puts_them_back():
    import torch

    from nlp.training.descent import adversary
    from nlp.training.network import DeviceBatch, Network, Weights

    torch.manual_seed(0)
    network = Network(SMALL, len(TAGS), 1, dropout=0.0, precision="float32")
    embeddings = network.encoder.embeddings.word_embeddings.weight
    before = embeddings.detach().clone()
    ids, tags = torch.randint(1, SMALL.vocabulary, (4, 12)), torch.randint(len(TAGS), (4, 10))
    batch = DeviceBatch(ids, tags, torch.full((4,), 10), torch.zeros(4, dtype=torch.long))
    weights = Weights(corpus=0.0, heads=0.0, teacher=0.0)
    loss = network.loss(batch, None, weights)
    loss.backward()
    with adversary(network, 0.5):
        step = embeddings.detach() - before
        assert float(step.norm()) == pytest.approx(0.5, rel=1e-3)
        assert float(network.loss(batch, None, weights)) > float(loss) + 0.01
    assert torch.equal(embeddings, before)


def test_traditional_characters_are_chosen_by_words_and_keep_the_length():
    from nlp.training.scripts import Scripts

    scripts = Scripts()
    made = {scripts.traditional("皇后的头发，发展里程", form) for form in range(scripts.forms)}
    assert "皇后的頭髮，發展里程" in made
    assert {len(text) for text in made} == {10}
    assert next(iter(scripts.relatives("马"))) == "馬"
    assert "马" in scripts.relatives("馬")
    assert scripts.traditional("马\ud800", 0) == "马\ud800", "half of a surrogate pair"


def test_a_teacher_may_have_its_characters_and_tags_in_another_order_and_lack_some(tmp_path):
    import torch

    from nlp.training.start import read_start
    from nlp.training.teacher import Teachers

    tensors = random_tensors(1)
    start = read_start(write_checkpoint(tmp_path / "plain", tensors))
    words = "encoder.embeddings.word_embeddings.weight"
    order = [*range(4), *range(len(start.vocabulary) - 2, 3, -1)]  # all but the last one, the other way round
    head = {name: value[::-1].copy() for name, value in tensors.items() if name.startswith(("linear.", "crf."))}
    head["crf.transitions"] = head["crf.transitions"][:, ::-1].copy()
    theirs = {**tensors, **head, words: tensors[words][order]}
    turned = write_checkpoint(tmp_path / "turned", theirs, vocab_size=len(order), tags=start.tags[::-1])
    (turned / "vocab.txt").write_text("\n".join(start.vocabulary[i] for i in order) + "\n", encoding="utf-8")
    last, unknown = len(start.vocabulary) - 1, start.tokenizer.unknown
    ids = torch.tensor([[2, 4, 9, 6, last, 3]])
    found = Teachers([turned], start, "cpu", "float32").expected(ids, torch.tensor([4]))
    ids[ids == last] = unknown
    both = Teachers([tmp_path / "plain", turned], start, "cpu", "float32").expected(ids, torch.tensor([4]))
    for one, other in zip(astuple(found), astuple(both), strict=True):
        torch.testing.assert_close(one, other)


def test_an_average_is_of_the_weights_by_their_shares(tmp_path):
    from nlp.training.average import average
    from nlp.training.start import read_start

    one, other = random_tensors(1), random_tensors(2)
    sources = [(write_checkpoint(tmp_path / "one", one), 3.0), (write_checkpoint(tmp_path / "other", other), 1.0)]
    average(sources, tmp_path / "mean")
    mean = read_start(tmp_path / "mean")
    assert {name for name in one if "pooler" not in name} <= set(mean.tensors)
    for name, value in mean.tensors.items():
        assert np.allclose(value, 0.75 * one[name] + 0.25 * other[name], atol=1e-7), name
    assert mean.tags == read_start(sources[0][0]).tags
    convert(tmp_path / "mean", tmp_path / "served")
    assert nlp.load(tmp_path / "served").annotate(["王小明在北京。"])
    with pytest.raises(ModelError, match="is not empty"):
        average(sources, tmp_path / "mean")


def test_models_of_two_kinds_have_no_average(tmp_path):
    from nlp.training.average import average

    one = (write_checkpoint(tmp_path / "one", random_tensors(1)), 1.0)
    with pytest.raises(TrainingError, match=r"default has another architecture than .*one"):
        average([one, (Path("default"), 1.0)], tmp_path / "mean")
    with pytest.raises(TrainingError, match="no sum above 0"):
        average([(one[0], 0.0)], tmp_path / "mean")
    with pytest.raises(TrainingError, match="no sum above 0"):
        average([(one[0], float("nan"))], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
