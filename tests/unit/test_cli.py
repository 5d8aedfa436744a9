"""The commands as a person or a script runs them, in this process."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from checkpoints import write_checkpoint

from consumer import cli
from consumer.app import load_core
from consumer.metrics import Metrics
from consumer.processes import MODULE
from consumer.settings import Settings

WORKER = ("--bootstrap-servers", "127.0.0.1:1", "--input-topic", "in", "--output-topic", "out")


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
    first, second = lines(out)
    assert second["text"] == "上海"
    assert (first["id"], first["text"], first["entities"][0]["text"]) == (7, "王小明", "王小明")
    assert '"attributes": {"n":1.10}' in out


@pytest.mark.parametrize("rest", ["", "王小明"])
def test_blank_lines_before_a_text_are_texts(run, rest):
    _, out, _ = run("annotate", stdin=f"\n\n{rest}".encode())
    assert [line["text"] for line in lines(out)] == ["", "", *([rest] if rest else [])]


def test_a_byte_order_mark_is_no_part_of_json_lines(run):
    value = json.dumps({"id": 7, "text": "王小明"}, ensure_ascii=False)
    _, out, _ = run("annotate", stdin=f"{value}\n".encode("utf-8-sig"))
    assert [(line["id"], line["text"]) for line in lines(out)] == [(7, "王小明")]


def test_a_byte_order_mark_is_no_part_of_the_first_text_and_one_further_on_is(run):
    _, out, _ = run("annotate", stdin="王小明\n\ufeff王小明\n".encode("utf-8-sig"))
    assert [line["text"] for line in lines(out)] == ["王小明", "\ufeff王小明"]


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


def test_a_name_that_is_no_text_does_not_keep_the_other_lines_from_being_read(tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xc4\xe3.jsonl")
    Path(name).write_text('{bad\n{"text": "王小明"}\n', encoding="utf-8")
    done = subprocess.run([*MODULE, "consumer", "annotate", name], capture_output=True, check=False)
    assert (done.returncode, len(lines(done.stdout.decode()))) == (1, 1)
    assert b"\\udcc4\\udce3.jsonl:1: not_json" in done.stderr


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
        _, out, _ = run("annotate", "--model", served, *asked, stdin=text.encode())
        assert bool(json.loads(out)["entities"]) is some
    given = {"bootstrap_servers": "localhost:1", "input_topic": "in", "output_topic": "out"}
    given |= {"model": str(served)}
    for asked, some in (({}, False), ({"min_score": 0.0}, True)):
        core = load_core(Settings(**given, **asked), Metrics())
        assert any(core.annotator.annotate([text])) is some


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


def test_eval_refuses_gold_of_which_it_could_compare_nothing(run, tmp_path):
    (tmp_path / "gold").write_text("王 B-NR\n", encoding="utf-8")
    status, out, err = run("eval", tmp_path / "gold")
    assert (status, out) == (2, "")
    assert "the gold has the types NR, the model LOC, ORG, PER; rename those that mean the same" in err


def test_eval_refuses_a_map_that_maps_nothing(run, tmp_path):
    (tmp_path / "gold").write_text("王 O\n", encoding="utf-8")
    status, _, err = run("eval", tmp_path / "gold", "--map", "NR")
    assert (status, "'NR' renames nothing; expected FROM=TO" in err) == (2, True)


def test_check_config_prints_what_would_run_and_no_secret(run):
    secret = {"RANER_KAFKA_SASL_PASSWORD": "s3cret", "RANER_SASL_PASSWORD": "s3cret", "RANER_WINDOW": "100"}
    secret |= {"RANER_SASL_MECHANISM": "PLAIN", "RANER_SASL_USERNAME": "me"}
    status, out, _ = run("check-config", *WORKER, "--threads", "1", environment=secret)
    assert status == 0
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert rows["--window"] == ["100", "environment"]
    assert rows["--threads"] == ["1", "flag"]
    assert rows["--overlap"][-1] == "default"
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


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("bench note --repeats 0", "0 is not positive"),
        ("bench engines --seconds nan", "nan is no number above 0"),
        ("dlq replay --rate 0", "0 is no number above 0"),
        ("dlq show 4294967296:0 --bootstrap-servers b:1 --input-topic a --output-topic b", "is no place"),
        ("annotate --batch-tokens -7", "-7 is negative"),
        ("chaos --bootstrap-servers b:1 --messages 0", "0 is not positive"),
        ("chaos --bootstrap-servers b:1 --kafka foo=bar", 'No such configuration property: "foo"'),
        ("model convert a b --fallback fp32", "--fallback without --verify"),
        ("model synth a --seed -1", "-1 is negative"),
    ],
)
def test_a_number_or_an_option_that_makes_no_sense_is_refused(run, line, told):
    status, _, err = run(*line.split())
    assert (status, told in err) == (2, True)


def test_what_a_measurement_could_not_be_written_to_is_known_before_it(run, tmp_path):
    (tmp_path / "file").touch()
    status, _, err = run("bench", "engines", "--output", tmp_path / "file")
    assert (status, "File exists" in err) == (1, True)


def test_a_file_that_is_not_there_is_named(run):
    status, _, err = run("annotate", "/nowhere")
    assert (status, "/nowhere cannot be read" in err) == (2, True)


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


def test_eval_says_how_far_scores_can_be_trusted(run, tmp_path):
    (tmp_path / "gold.jsonl").write_text(
        json.dumps({"text": "王小明在北京。", "entities": [{"start": 0, "end": 3, "type": "PER"}]}), encoding="utf-8"
    )
    status, out, _ = run("eval", tmp_path / "gold.jsonl", "--calibration")
    assert (status, "expected calibration error" in out) == (0, True)
    status, out, _ = run("eval", tmp_path / "gold.jsonl", "--calibration", "--format", "json")
    assert json.loads(out)["calibration"]["bins"][-1]["spans"] == 1
