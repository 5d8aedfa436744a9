"""The commands as a person or a script runs them, in this process."""

import io
import json
import shutil
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from checkpoints import VOCABULARY, write_checkpoint

from consumer import cli
from consumer.app import load_core
from consumer.cli import main
from consumer.metrics import Metrics
from consumer.settings import Settings
from nlp import model


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command; return its exit status, what it printed and what it complained of."""

    def runner(*arguments, stdin=b"", environment=()):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        for name, value in dict(environment).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return runner


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_the_version_is_told(run):
    status, out, _ = run("--version")
    assert (status, out) == (0, f"raner-stream {metadata.version('raner-stream')}\n")


def test_an_interrupt_while_a_command_is_imported_ends_it_quietly(run, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "import_module", interrupted)
    assert run("annotate") == (130, "", "")


def test_annotate_gives_a_line_for_every_line(run):
    texts = ["王小明在北京。", "", "😀他去了上海", "　　", "[SEP]李明说"]
    status, out, _ = run("annotate", "-", stdin="\n".join(texts).encode())
    found = lines(out)
    assert status == 0
    assert [line["text"] for line in found] == texts
    for line in found:
        for entity in line["entities"]:
            assert line["text"][entity["start"] : entity["end"]] == entity["text"]
    assert [[e["text"] for e in line["entities"]] for line in found] == [["王小明", "北京"], [], ["上海"], [], ["李明"]]


@pytest.mark.parametrize("separator", ["\u2028", "\x0b", "\x85", "\r"])
def test_only_a_line_feed_ends_a_line(run, separator):
    text = f"王小明在北京。{separator}李明在上海。"
    _, out, _ = run("annotate", stdin=f"{text}\r\n".encode())
    assert [line["text"] for line in lines(out)] == [text]


def test_annotate_recognises_a_json_object_a_line_and_keeps_what_else_it_has(run, tmp_path):
    path = tmp_path / "messages.jsonl"
    path.write_text('\n{"id": 7, "text": "王小明", "n": 1.10}\n\n{"text": "上海"}\n', encoding="utf-8")
    status, out, _ = run("annotate", path)
    assert status == 0
    blank, first, second = lines(out)
    assert (blank["text"], second["text"]) == ("", "上海")
    assert (first["id"], first["text"], first["entities"][0]["text"]) == (7, "王小明", "王小明")
    assert '"attributes": {"n":1.10}' in out


def test_a_byte_order_mark_is_no_part_of_json_lines(run):
    value = json.dumps({"id": 7, "text": "王小明"}, ensure_ascii=False)
    _, out, _ = run("annotate", stdin=f"{value}\n".encode("utf-8-sig"))
    assert [(line["id"], line["text"]) for line in lines(out)] == [(7, "王小明")]


def test_annotate_takes_several_fields(run):
    value = json.dumps({"title": "王小明", "body": "在上海"}).encode()
    _, out, _ = run("annotate", "--text-fields", "title,body", stdin=value)
    (line,) = lines(out)
    assert line["text"] == {"title": "王小明", "body": "在上海"}
    assert [(e["field"], e["text"]) for e in line["entities"]] == [("title", "王小明"), ("body", "上海")]


def test_plain_text_has_one_field_however_many_an_object_would_have(run):
    _, out, _ = run("annotate", "--text-fields", "title,body", stdin="王小明".encode())
    assert lines(out)[0]["text"] == "王小明"


def test_annotate_goes_on_after_a_bad_line_and_says_which(run):
    status, out, err = run("annotate", stdin="王小明\n".encode() + b"\xff\n" + "上海".encode())
    assert (status, len(lines(out))) == (1, 2)
    assert "-:2: not_utf8" in err


def test_a_text_that_looks_like_json_can_be_read_as_text(run):
    _, out, _ = run("annotate", "--input", "text", stdin="{王小明}".encode())
    assert lines(out)[0]["text"] == "{王小明}"


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ("text", "[王小明 PER]在[北京 LOC]\n"),
        ("table", "line\tfield\tstart\tend\ttype\tscore\ttext\n1\ttext\t0\t3\tPER\t"),
    ],
)
def test_annotate_has_formats_for_people(run, format, expected):
    _, out, _ = run("annotate", "--format", format, stdin="王小明在北京".encode())
    assert out.startswith(expected)


def test_a_models_least_score_holds_for_commands_and_for_a_worker_unless_they_ask_for_another(run, tmp_path):
    text, served = "王小明在北京读书，abc中国人。" * 20, tmp_path / "served"
    run("model", "convert", write_checkpoint(tmp_path / "checkpoint"), served, "--min-score", 1)
    for asked, some in (((), False), (("--min-score", 0), True)):
        _, out, _ = run("annotate", "--model", served, "--window", 60, *asked, stdin=text.encode())
        assert bool(json.loads(out)["entities"]) is some
    given = {"bootstrap_servers": "localhost:1", "input_topic": "in", "output_topic": "out"}
    given |= {"model": str(served), "window": 60}
    for asked, some in (({}, False), ({"min_score": 0.0}, True)):
        core = load_core(Settings(**given, **asked), Metrics())
        assert any(core.annotator.annotate([text])) is some


def test_a_source_of_an_average_needs_a_share(run, tmp_path):
    for source in ("default", "default=half"):
        status, _, err = run("model", "average", tmp_path / "mean", source)
        assert status == 2
        assert "ends in no share; expected SRC=SHARE" in err


def test_eval_prints_exact_figures(run, tmp_path):
    gold = {
        "text": "王小明在北京。",
        "entities": [{"start": 0, "end": 3, "type": "NR"}, {"start": 4, "end": 5, "type": "NS"}],
    }
    (tmp_path / "gold.jsonl").write_text(json.dumps(gold), encoding="utf-8")
    options = ("--map", "NR=PER", "--map", "NS=LOC")
    status, out, _ = run("eval", tmp_path / "gold.jsonl", *options, "--format", "json")
    report = json.loads(out)
    assert status == 0
    counted = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "gold": 2, "predicted": 2}
    assert report["micro"] == {**counted, "f1_low": 0.5, "f1_high": 0.5}  # there is no other sample of one text
    assert (report["types"]["PER"]["f1"], report["types"]["LOC"]["f1"]) == (1.0, 0.0)
    _, table, _ = run("eval", tmp_path / "gold.jsonl", "--map", "NR=PER")
    assert "left out, without a counterpart, gold: NS 1" in table
    assert "left out, without a counterpart, predicted: LOC 1" in table


def test_eval_refuses_a_map_that_maps_nothing(run, tmp_path):
    (tmp_path / "gold").write_text("王 O\n", encoding="utf-8")
    status, _, err = run("eval", tmp_path / "gold", "--map", "NR")
    assert (status, "'NR' renames nothing; expected FROM=TO" in err) == (2, True)


def test_a_model_is_converted_and_described(run, tmp_path):
    source = write_checkpoint(tmp_path / "checkpoint")
    status, out, _ = run("model", "convert", source, tmp_path / "served", "--name", "mine", "--licence", "MIT")
    assert (status, "mine" in out, "pair-safe" in out) == (0, True, True)
    assert run("model", "info", tmp_path / "served")[:2] == (0, out)
    status, _, err = run("model", "convert", source, tmp_path / "served")
    assert (status, "exists and is not empty" in err) == (2, True)
    assert run("model", "info")[0] == 0


def test_a_changed_model_is_not_described(run, tmp_path):
    copy = shutil.copytree(model.DEFAULT, tmp_path / "copy")
    (copy / "vocab.txt").write_text("x")
    status, out, err = run("model", "info", copy)
    assert (status, out, "vocab.txt has digest" in err) == (2, "", True)


WORKER = ("--bootstrap-servers", "127.0.0.1:1", "--input-topic", "in", "--output-topic", "out")


def test_check_config_prints_what_would_run_and_no_secret(run):
    secret = {"RANER_KAFKA_SASL_PASSWORD": "s3cret", "RANER_SASL_PASSWORD": "s3cret", "RANER_WINDOW": "100"}
    status, out, _ = run("check-config", *WORKER, "--threads", "1", environment=secret)
    assert status == 0
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert rows["--window"] == ["100", "environment"]
    assert rows["--threads"] == ["1", "flag"]
    assert rows["--overlap"] == ["30", "default"]
    assert "sasl.password" in out
    assert "s3cret" not in out
    assert "memory plan" in out


def test_a_pattern_is_shown_as_it_is(run):
    _, out, _ = run("check-config", *WORKER, "--input-topic", r"^news\.[a-z]+[/]$", "--output-topic", "annotated")
    assert r"^news\.[a-z]+[/]$" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "bootstrap_servers is not set"),
        ((*WORKER, "--model", "/nowhere"), "model: /nowhere holds no model.json"),
        ((*WORKER, "--memory-cap", "50MiB"), "a memory cap of 50 MiB cannot hold this worker"),
        ((*WORKER, "--window", "600"), "window 600"),
        ((*WORKER, "--kafka", "no.such.property=1"), 'No such configuration property: "no.such.property"'),
        ((*WORKER, "--delivery", "at-most-once"), "'at-least-once' or 'exactly-once'"),
    ],
)
def test_check_config_refuses_what_could_not_run(run, arguments, told):
    status, _, err = run("check-config", *arguments)
    assert status == 2
    assert told in err


def test_schema_prints_the_published_schema(run):
    published = Path(__file__).parents[2] / "schemas" / "annotated-message-1.0.schema.json"
    assert run("schema")[1] == published.read_text(encoding="utf-8")


def test_a_file_that_is_not_there_is_named(run):
    status, _, err = run("annotate", "/nowhere")
    assert (status, "/nowhere cannot be read" in err) == (2, True)


def test_a_model_is_not_pulled_without_modelscope(run, tmp_path, monkeypatch):
    for name in ("modelscope", "modelscope.hub.snapshot_download"):
        monkeypatch.setitem(sys.modules, name, None)
    status, out, err = run("model", "pull", "damo/some-raner", tmp_path / "served")
    assert (status, out) == (2, "")
    assert "needs modelscope, which is not installed: pip install 'raner-stream[convert]'" in err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_trained_without_torch(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "nlp.training.trainer", raising=False)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('encoder = "default"\noutput = "run"\n[corpora.a]\ntrain = "a.jsonl"\n')
    status, out, err = run("train", recipe)
    assert (status, out) == (2, "")
    assert "training needs torch: pip install 'raner-stream[train]'" in err
    assert list(tmp_path.iterdir()) == [recipe]


def test_a_recipe_that_cannot_be_read_is_named(run):
    status, _, err = run("train", "/nowhere.toml")
    assert (status, "/nowhere.toml cannot be read" in err) == (2, True)


@pytest.fixture
def compared(tmp_path):
    """A checkpoint with random weights, and texts of its vocabulary that int8 reads a little otherwise."""
    draw = np.random.default_rng(0)
    texts = ["".join(draw.choice(list(VOCABULARY[4:]), 30)) for _ in range(60)]
    (tmp_path / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    return write_checkpoint(tmp_path / "checkpoint"), tmp_path / "texts.txt"


def test_convert_compares_first_and_refuses_what_does_not_pass(run, compared, tmp_path):
    checkpoint, texts = compared
    command = ("model", "convert", checkpoint, tmp_path / "served", "--verify", texts, "--show", "1")
    status, out, err = run(*command, "--threshold", "1")
    assert (status, (tmp_path / "served").exists()) == (2, False)
    assert "int8's entities against float32's have F1" in err
    assert "more (--show)" in out
    assert run(*command, "--threshold", "0.5")[0] == 0
    assert model.read_manifest(tmp_path / "served").engines == ("ct2-int8",)


def test_convert_falls_back_to_float32_where_it_is_told_to(run, compared, tmp_path):
    checkpoint, texts = compared
    command = ("model", "convert", checkpoint, tmp_path / "served", "--verify", texts, "--threshold", "1")
    status, out, _ = run(*command, "--fallback", "fp32")
    assert (status, "float32 is kept" in out) == (0, True)
    assert model.read_manifest(tmp_path / "served").engines == ("ct2-fp32",)


def test_verify_needs_a_float32_to_compare_with(run, compared, tmp_path):
    checkpoint, texts = compared
    run("model", "convert", checkpoint, tmp_path / "served")
    status, _, err = run("model", "verify", tmp_path / "served", texts)
    assert (status, "name the checkpoint it was made from: --checkpoint" in err) == (2, True)
    assert "name the checkpoint it was made from" in run("model", "verify", "tiny", texts)[2]
    status, out, _ = run(
        "model", "verify", tmp_path / "served", texts, "--checkpoint", checkpoint, "--threshold", "0.5", "--show", "0"
    )
    assert (status, "characters whose highest tag agrees" in out) == (0, True)


def test_a_file_without_texts_compares_nothing(run, compared, tmp_path):
    checkpoint, _ = compared
    (tmp_path / "blank.txt").write_text("\n\n")
    status, _, err = run("model", "convert", checkpoint, tmp_path / "served", "--verify", tmp_path / "blank.txt")
    assert (status, "holds no text; expected a text a line, or JSON lines" in err) == (2, True)


def test_eval_says_how_far_scores_can_be_trusted(run, tmp_path):
    (tmp_path / "gold.jsonl").write_text(
        json.dumps({"text": "王小明在北京。", "entities": [{"start": 0, "end": 3, "type": "PER"}]}), encoding="utf-8"
    )
    status, out, _ = run("eval", tmp_path / "gold.jsonl", "--calibration")
    assert (status, "expected calibration error" in out) == (0, True)
    status, out, _ = run("eval", tmp_path / "gold.jsonl", "--calibration", "--format", "json")
    assert json.loads(out)["calibration"]["bins"][-1]["spans"] == 1
