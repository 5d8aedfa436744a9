"""Training runs from a recipe: what they learn, one that is killed, and what is made of them. Needs `parity`."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import nlp
from nlp.convert import convert
from nlp.synth import BASE, bioes, random_tensors, vocabulary_of

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]  # the warnings are those of older libraries

TAGS = bioes(("PER", "LOC"))
ROOT = Path(__file__).parents[2]
TINY = replace(BASE, layers=2, heads=2, hidden=32, intermediate=64, vocabulary=2500, positions=128)


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
    tensors = {n.removeprefix("encoder."): v for n, v in random_tensors(TINY, TAGS, 0) if n.startswith("encoder.")}
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


def test_more_epochs_go_on_where_a_part_of_one_ended(recipe):
    text = (recipe / "recipe.toml").read_text().replace('dev = "dev.jsonl"\n', "").replace("OUTPUT", "longer")
    ended = []
    for epochs in ("0.5", "1"):
        (recipe / "longer.toml").write_text(text.replace("epochs = 6", f"epochs = {epochs}"))
        command = [sys.executable, "-m", "consumer", "train", str(recipe / "longer.toml")]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ended.append(steps(recipe, "longer"))
    assert ended[0] == pytest.approx(ended[1] / 2, abs=0.5)
    assert (recipe / "longer" / "last").is_dir()
    assert not (recipe / "longer" / "best").exists(), "no dev set says what is best"


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


@pytest.mark.parametrize(("file", "old", "new"), [("unbroken.toml", "3e-3", "1e-3"), ("train.jsonl", "PER", "LOC")])
def test_a_state_of_another_recipe_or_of_other_texts_is_refused(recipe, unbroken, file, old, new):
    changed = recipe / file
    kept = changed.read_text(encoding="utf-8")
    changed.write_text(kept.replace(old, new, 1), encoding="utf-8")
    command = [sys.executable, "-m", "consumer", "train", str(recipe / "unbroken.toml")]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    changed.write_text(kept, encoding="utf-8")
    assert done.returncode == 2
    assert "belongs to another recipe" in done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('device = "gpu"', "device is 'gpu': Expected one of cpu, cuda"),
        ("windows = [127]", "windows has 127; the encoder reads 126"),
    ],
)
def test_what_the_machine_or_the_encoder_cannot_do_is_refused(recipe, line, said):
    (recipe / "refused.toml").write_text(f"{line}\n{(recipe / 'recipe.toml').read_text()}".replace("OUTPUT", "refused"))
    command = [sys.executable, "-m", "consumer", "train", str(recipe / "refused.toml")]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, said in done.stderr) == (2, True)


def test_a_part_of_an_epoch_is_a_step_at_least(recipe):
    told = (recipe / "recipe.toml").read_text().replace("OUTPUT", "short").replace("epochs = 6", "epochs = 0.001")
    (recipe / "short.toml").write_text(told)
    command = [sys.executable, "-m", "consumer", "train", str(recipe / "short.toml")]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    assert steps(recipe, "short") == 1


def test_an_epoch_that_draws_no_text_is_passed_over(recipe):
    corpus_file(recipe / "one.jsonl", 1, 3)
    told = (recipe / "recipe.toml").read_text().replace("OUTPUT", "sparse").replace("epochs = 6", "epochs = 3")
    told = told.replace('"train.jsonl"', '"one.jsonl"') + "repeat = 0.3\n"
    (recipe / "sparse.toml").write_text(told)
    command = [sys.executable, "-m", "consumer", "train", str(recipe / "sparse.toml")]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    assert steps(recipe, "sparse") < 3
