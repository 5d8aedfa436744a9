"""Training itself, held against the core: likelihood, network, script, and a run that is killed. Needs `parity`."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from checkpoints import random_tensors, write_checkpoint
from safetensors.numpy import load_file, save_file

import nlp
from nlp.batching import token_batch
from nlp.convert import convert
from nlp.crf import Crf as ServedCrf
from nlp.crf import Place
from nlp.labels import Scheme
from nlp.synth import BASE, bioes, vocabulary_of
from nlp.synth import random_tensors as spread
from nlp.types import Window

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]  # the warnings are those of older libraries

TAGS = bioes(("PER", "LOC"))
ROOT = Path(__file__).parents[2]
TINY = replace(BASE, layers=2, heads=2, hidden=32, intermediate=64, vocabulary=2500, positions=128)


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


def test_the_likelihood_gives_a_span_the_probability_that_the_core_gives_it():
    import torch

    crf, scheme = random_crf(1), Scheme.of(TAGS)
    emissions = np.random.default_rng(1).normal(0, 2, (3, len(TAGS))).astype(np.float32)
    arrays = (p.detach().numpy() for p in (crf.start_transitions, crf.end_transitions, crf.transitions))
    served = ServedCrf.of(*arrays, scheme)
    place = Place(served.padded(emissions, 1, 1), 2, 4, "PER")
    paths = np.array(
        [p for p in product(range(len(TAGS)), repeat=3) if (1, 3, "PER") in scheme.spans(np.array(p, np.int8))]
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


def test_the_adversary_moves_embeddings_to_where_the_loss_grows_and_puts_them_back():
    import torch

    from nlp.training.descent import adversary
    from nlp.training.network import DeviceBatch, Network, Weights

    torch.manual_seed(0)
    network = Network(TINY, len(TAGS), 1, dropout=0.0, precision="float32")
    embeddings = network.encoder.embeddings.word_embeddings.weight
    before = embeddings.detach().clone()
    ids, tags = torch.randint(1, TINY.vocabulary, (4, 12)), torch.randint(len(TAGS), (4, 10))
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


def corpus_file(path, count, seed):
    """Write sentences about invented people in invented places: what they are follows from the words around them."""
    draw = np.random.default_rng(seed)
    characters = [chr(point) for point in range(0x4E00, 0x4E00 + 400)]
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            person, place = ("".join(draw.choice(characters, draw.integers(2, 4))) for _ in "ab")
            text = f"丁{person}丈丌{place}万"
            spans = [[1, 1 + len(person), "PER"], [3 + len(person), 3 + len(person) + len(place), "LOC"]]
            file.write(json.dumps({"text": text, "ents": spans}, ensure_ascii=False) + "\n")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A recipe for a tiny model, and what it needs; `{output}` is to be filled in."""
    directory = tmp_path_factory.mktemp("training")
    encoder = directory / "bert"
    encoder.mkdir()
    config = {
        "model_type": "bert",
        "num_hidden_layers": TINY.layers,
        "num_attention_heads": TINY.heads,
        "hidden_size": TINY.hidden,
        "intermediate_size": TINY.intermediate,
        "vocab_size": TINY.vocabulary,
        "max_position_embeddings": TINY.positions,
    }
    (encoder / "config.json").write_text(json.dumps(config))
    (encoder / "vocab.txt").write_text("\n".join(vocabulary_of(TINY.vocabulary)) + "\n", encoding="utf-8")
    tensors = {n.removeprefix("encoder."): v for n, v in spread(TINY, TAGS, 0) if n.startswith("encoder.")}
    save_file(tensors, encoder / "model.safetensors")
    corpus_file(directory / "train.jsonl", 600, 1)
    corpus_file(directory / "dev.jsonl", 60, 2)
    (directory / "recipe.toml").write_text(
        'encoder = "bert"\noutput = "OUTPUT"\nepochs = 6\nbatch_tokens = 256\nrate = 3e-3\nhead_rate = 2\n'
        "transition_rate = 5\naveraging = 0.95\njoined = 0.3\ncorpus_loss = 0.3\ncorpus_heads = 0.3\nthreads = 1\n"
        "evaluate_every = 50\nsave_every_seconds = 0.0\n"
        'labels = ["PER", "LOC"]\n[variants]\ntraditional = 0.1\nunknown = 0.02\nreplaced = 0.2\n'
        '[corpora.some]\ntrain = "train.jsonl"\ndev = "dev.jsonl"\n'
    )
    return directory


def started(recipe, output):
    text = (recipe / "recipe.toml").read_text().replace("OUTPUT", output)
    (recipe / f"{output}.toml").write_text(text)
    command = [sys.executable, "-m", "consumer", "train", str(recipe / f"{output}.toml")]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def steps(recipe, output):
    path = recipe / output / "log.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
    return max((json.loads(line)["step"] for line in lines), default=0)


@pytest.fixture(scope="module")
def unbroken(recipe):
    assert started(recipe, "unbroken").wait(300) == 0
    return recipe / "unbroken"


def test_a_run_learns_what_the_words_around_an_entity_tell(unbroken):
    measured = [json.loads(line) for line in (unbroken / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    scores = [entry["f1"]["some"] for entry in measured if "f1" in entry]
    assert scores[-1] > 0.95
    assert (unbroken / "curve.png").stat().st_size > 10_000


def test_a_run_that_was_killed_goes_on_to_the_same_weights(recipe, unbroken):
    for least in (40, 120):
        process = started(recipe, "broken")
        deadline = time.monotonic() + 300
        while steps(recipe, "broken") < least and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        assert process.poll() is None, "it ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert started(recipe, "broken").wait(300) == 0
    for name in ("last", "best"):
        for file in sorted((unbroken / name).iterdir()):
            assert (recipe / "broken" / name / file.name).read_bytes() == file.read_bytes(), f"{name}/{file.name}"

    def told(directory):
        lines = (directory / "log.jsonl").read_text(encoding="utf-8").splitlines()
        return [{k: v for k, v in json.loads(line).items() if k in ("step", "f1")} for line in lines]

    assert told(recipe / "broken") == told(unbroken)


def test_what_was_trained_converts_and_annotates_and_modelscope_reads_it_too(unbroken, tmp_path):
    from nlp.checkpoint import read_checkpoint

    convert(unbroken / "last", tmp_path / "served")
    text = "丁乙亖丈丌仈仉万"
    [spans] = nlp.load(tmp_path / "served").annotate([text])
    found = [(span.start, span.end, span.label) for span in spans]
    assert found == [(1, 3, "PER"), (5, 7, "LOC")]

    from modelscope.pipelines import pipeline

    assert read_checkpoint(unbroken / "last").scheme.tags == TAGS
    theirs = pipeline("named-entity-recognition", model=str(unbroken / "last"), device="cpu")(text)["output"]
    assert [(entity["start"], entity["end"], entity["type"]) for entity in theirs] == found


def test_a_run_that_has_ended_can_be_written_as_the_mean_with_its_start(recipe, unbroken):
    import torch

    shutil.copytree(unbroken, recipe / "between")
    text = (recipe / "recipe.toml").read_text().replace("OUTPUT", "between")
    (recipe / "between.toml").write_text(f"start_share = 0.25\n{text}")
    command = [sys.executable, "-m", "consumer", "train", str(recipe / "between.toml")]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    name = "encoder.layer.0.attention.self.query.weight"
    start = torch.from_numpy(load_file(recipe / "bert" / "model.safetensors")[name])
    end, between = (
        torch.load(run / "last" / "pytorch_model.bin")[f"encoder.{name}"] for run in (unbroken, recipe / "between")
    )
    assert (end - start).abs().max() > 0.01
    torch.testing.assert_close(between, 0.75 * end + 0.25 * start, atol=1e-3, rtol=0)


def test_a_smaller_network_learns_from_a_teacher_what_nobody_labelled(recipe, unbroken):
    lines = (recipe / "train.jsonl").read_text(encoding="utf-8").splitlines()
    (recipe / "raw.txt").write_text("\n".join(json.loads(line)["text"] for line in lines), encoding="utf-8")
    (recipe / "student.toml").write_text(
        'encoder = "bert"\noutput = "student"\nlayers = [1]\nintermediate = 32\nepochs = 8\n'
        'batch_tokens = 256\nteachers = ["unbroken/last", "unbroken/best"]\nteacher_loss = 1.0\n'
        'rate = 3e-3\nthreads = 1\nlabels = ["PER", "LOC"]\n[corpora.raw]\nraw = "raw.txt"\ndev = "dev.jsonl"\n'
    )
    command = [sys.executable, "-m", "consumer", "train", str(recipe / "student.toml")]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    measured = [json.loads(line) for line in (recipe / "student/log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert measured[-1]["f1"]["raw"] > 0.9
    shape = json.loads((recipe / "student/last/config.json").read_text())
    assert (shape["num_hidden_layers"], shape["intermediate_size"]) == (1, 32)


def test_a_teacher_may_have_its_characters_in_another_order_and_lack_some(tmp_path):
    import torch

    from nlp.training.start import read_start
    from nlp.training.teacher import Teachers

    tensors = random_tensors(1)
    start = read_start(write_checkpoint(tmp_path / "plain", tensors))
    words = "encoder.embeddings.word_embeddings.weight"
    order = [*range(4), *range(len(start.vocabulary) - 2, 3, -1)]  # all but the last one, the other way round
    turned = write_checkpoint(tmp_path / "turned", tensors | {words: tensors[words][order]}, vocab_size=len(order))
    (turned / "vocab.txt").write_text("\n".join(start.vocabulary[i] for i in order) + "\n", encoding="utf-8")
    last, unknown = len(start.vocabulary) - 1, start.tokenizer.unknown
    ids = torch.tensor([[2, 4, 9, 6, last, 3]])
    found = Teachers([turned], start, "cpu", "float32").emissions(ids, torch.tensor([4]))
    ids[ids == last] = unknown
    both = Teachers([tmp_path / "plain", turned], start, "cpu", "float32").emissions(ids, torch.tensor([4]))
    torch.testing.assert_close(found, both)


def test_a_state_of_another_recipe_is_refused(recipe, unbroken):
    changed = recipe / "unbroken.toml"
    kept = changed.read_text()
    changed.write_text(kept.replace("rate = 3e-3", "rate = 1e-3"))
    command = [sys.executable, "-m", "consumer", "train", str(changed)]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    changed.write_text(kept)
    assert done.returncode == 2
    assert "belongs to another recipe" in done.stderr
