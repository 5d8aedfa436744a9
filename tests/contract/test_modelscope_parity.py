"""The core held against ModelScope's own pipeline on a trained checkpoint. Needs the extra `parity` and ../shared."""

import json
import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import parity_texts
import pytest
from checkpoints import write_checkpoint
from original import Original, Reading
from parity_texts import LONGEST, SHARED
from recorder import Recorder

import nlp
from nlp import synth
from nlp.checkpoint import read_checkpoint
from nlp.convert import convert
from nlp.decoder import Piece
from nlp.errors import CheckpointError
from nlp.evaluate import evaluate
from nlp.gold import Gold
from nlp.types import Span

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]  # the warnings are those of older libraries

CHECKPOINTS = ("bge4-mix", "minilm6-msra")
ODD = "😀🀄𠮷ＡＢＣ①½ﬁ\u3000\t\x00\u200b\u200d\ufeff\ufffd\ue000İıßÅéñ한あァｱ้ा[]【】“”‘’—…·"
INT8_TEXTS = 600
OWN_PIPELINE = 200  # texts that ModelScope's pipeline reads by itself, one by one


@dataclass(frozen=True, slots=True)
class Both:
    """The same texts as ModelScope reads them, and as the core does in float32 with `decode="modelscope"`."""

    texts: list[str]
    theirs: list[Reading]
    ours: Recorder
    spans: list[list[Span]]


def load_recorded(served, engine, **options):
    recorders = []

    def recorded(runtime):
        recorders.append(Recorder(runtime))
        return recorders[0]

    core = nlp.load(served, engine=engine, window=LONGEST, overlap=0, wrap=recorded, **options)
    return core, recorders[0]


def read_by_both(original, served, texts):
    core, recorder = load_recorded(served, "ct2-fp32", decode="modelscope")
    return Both(texts, original.read(texts), recorder, core.annotate(texts))


def entities(spans):
    return [(span.start, span.end, span.label) for span in spans]


@pytest.fixture(scope="module")
def sentences():
    path = SHARED / "data" / "msra" / "dev.jsonl"
    if not path.is_file():
        pytest.skip(f"no corpus at {path}")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module", params=CHECKPOINTS)
def checkpoint(request):
    path = SHARED / "models" / request.param
    if not path.is_dir():
        pytest.skip(f"no checkpoint at {path}")
    return path


@pytest.fixture(scope="module")
def served(checkpoint, tmp_path_factory):
    directory = tmp_path_factory.mktemp("served") / "model"
    convert(checkpoint, directory, quantization="both")
    return directory


@pytest.fixture(scope="module")
def original(checkpoint):
    return Original(checkpoint)


@pytest.fixture(scope="module")
def both(original, served):
    texts = list(dict.fromkeys(parity_texts.sentences() + parity_texts.generated()))
    assert len(texts) >= 3000
    return read_by_both(original, served, texts)


def test_every_text_has_modelscopes_ids(both):
    assert [both.ours.ids[i] for i in range(len(both.texts))] == [reading.ids for reading in both.theirs]


def test_float32_emissions_are_modelscopes(both):
    worst = max(np.abs(both.ours.scores[i] - reading.emissions).max() for i, reading in enumerate(both.theirs))
    assert worst < 1e-4


def test_every_text_has_modelscopes_entities_at_modelscopes_offsets(both):
    assert sum(len(reading.entities) for reading in both.theirs) > 3000
    assert [entities(spans) for spans in both.spans] == [reading.entities for reading in both.theirs]


def test_the_score_is_modelscopes_prob(both):
    ours = [span.score for spans in both.spans for span in spans]
    theirs = [prob for reading in both.theirs for prob in reading.probs]
    assert np.abs(np.subtract(ours, theirs)).max() < 1e-4


def test_the_pipeline_itself_finds_the_same(both, original):
    picked = range(0, len(both.texts), len(both.texts) // OWN_PIPELINE)
    assert len(picked) >= OWN_PIPELINE
    for i in picked:
        assert original.entities(both.texts[i], padding=False) == entities(both.spans[i])
    for i in picked[::30]:
        assert original.entities(both.texts[i]) == entities(both.spans[i])  # padded to 512, as it is by default


def test_every_character_has_modelscopes_id(checkpoint, served):
    from modelscope.preprocessors import Preprocessor

    theirs = Preprocessor.from_pretrained(str(checkpoint), padding=False, max_length=512)
    ours = nlp.load(served)._tokenizer
    texts = [ODD] + ["".join(map(chr, range(start, start + 256))) for start in range(0, 0xD800, 256)]
    for text in texts:
        expected = theirs(text)["input_ids"][0].tolist()[1:-1]
        assert ours.encode(text[:510]).tolist() == expected


@pytest.fixture(scope="module")
def in_int8(both, served):
    core, recorder = load_recorded(served, "ct2-int8")
    spans = core.annotate(both.texts[:INT8_TEXTS])
    return [recorder.scores[i] for i in range(INT8_TEXTS)], spans


def test_int8_emissions_stay_close_to_modelscopes(both, in_int8):
    ours = np.concatenate(in_int8[0])
    theirs = np.concatenate([reading.emissions for reading in both.theirs[:INT8_TEXTS]])
    assert np.sqrt(np.mean((ours - theirs) ** 2)) / np.std(theirs) < 0.06
    assert np.mean(ours.argmax(1) == theirs.argmax(1)) > 0.995


def test_int8_and_the_strict_reading_find_the_same_as_modelscope_but_for_a_few(both, in_int8):
    theirs = [
        Gold(text, frozenset(reading.entities))
        for text, reading in zip(both.texts[:INT8_TEXTS], both.theirs[:INT8_TEXTS], strict=True)
    ]
    report = evaluate(theirs, in_int8[1], ("PER", "LOC", "ORG"), gold_names={}, predicted_names={})
    assert report.micro.gold > 400
    assert report.micro.f1 > 0.95  # what int8 and the stricter reading of tags change


def test_the_packaged_model_is_as_good_as_it_was(sentences):
    gold = [Gold(s["text"], frozenset((a, b, c) for a, b, c in s["ents"])) for s in sentences]
    predicted: list[list[Span]] = nlp.load(threads=2).annotate([g.text for g in gold])
    report = evaluate(gold, predicted, ("PER", "LOC", "ORG"), gold_names={}, predicted_names={})
    assert report.micro.f1 > 0.905


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def test_a_pickle_that_would_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    directory = write_checkpoint(tmp_path / "checkpoint")
    (directory / "model.safetensors").unlink()
    (directory / "pytorch_model.bin").write_bytes(pickle.dumps({"encoder": Bomb()}))
    with pytest.raises(CheckpointError, match="could not be read as a dictionary of tensors"):
        read_checkpoint(directory)
    assert not (tmp_path / "exploded").exists()


def test_a_file_cut_short_is_refused(tmp_path, checkpoint):
    directory = tmp_path / "checkpoint"
    directory.mkdir()
    for path in checkpoint.iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    weights = directory / "pytorch_model.bin"
    weights.write_bytes(weights.read_bytes()[:1_000_000])
    with pytest.raises(CheckpointError, match="could not be read"):
        read_checkpoint(directory)


def test_a_synthetic_checkpoint_is_read_by_modelscopes_own_pipeline(tmp_path):
    from modelscope.pipelines import pipeline

    sizes = replace(synth.BASE, layers=1, heads=2, hidden=32, intermediate=64, vocabulary=500)
    for copy in ("one", "same"):
        synth.synthesize(tmp_path / copy, sizes, seed=2)
    one, same = ((tmp_path / copy / "pytorch_model.bin").read_bytes() for copy in ("one", "same"))
    assert one == same
    text = "".join(map(chr, range(0x4E00, 0x4F00)))
    convert(tmp_path / "one", tmp_path / "served")
    [spans] = nlp.load(tmp_path / "served", window=500).annotate([text])
    oracle = pipeline("named-entity-recognition", model=str(tmp_path / "one"), device="cpu")
    theirs = {(e["start"], e["end"], e["type"]) for e in oracle(text)["output"]}
    assert len(theirs) > 3
    assert len(theirs & {(s.start, s.end, s.label) for s in spans}) > 0.8 * len(theirs)


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    directory = tmp_path_factory.mktemp("base")
    synth.synthesize(directory / "checkpoint", seed=3)
    convert(directory / "checkpoint", directory / "served", quantization="fp32")
    return read_by_both(Original(directory / "checkpoint"), directory / "served", parity_texts.of_base()), directory


def test_a_base_size_model_has_modelscopes_ids_and_emissions(base):
    both, _ = base
    assert len(both.texts) >= 200
    for i, reading in enumerate(both.theirs):
        assert both.ours.ids[i] == reading.ids
        assert np.abs(both.ours.scores[i] - reading.emissions).max() < 1e-4


def test_modelscopes_emissions_of_a_base_size_model_decode_to_its_entities(base):
    both, directory = base
    decoder = nlp.load(directory / "served", engine="ct2-fp32", decode="modelscope")._decoder
    pieces = [Piece(decoder.begin(), reading.emissions, last=True) for reading in both.theirs]
    decoder.advance(pieces)
    spans = [piece.decoding.take_spans() for piece in pieces]
    assert sum(map(len, spans)) > 200
    assert [entities(each) for each in spans] == [reading.entities for reading in both.theirs]
    probs = [prob for reading in both.theirs for prob in reading.probs]
    assert np.abs(np.subtract([span.score for each in spans for span in each], probs)).max() < 1e-5
