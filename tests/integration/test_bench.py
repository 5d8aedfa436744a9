"""The measurements, run for real on tiny models: what is written, never how fast it was."""

import json
from dataclasses import replace

import pytest

from consumer.cli import main
from nlp import synth
from nlp.engines import ENGINES, open_engine

TINY = replace(synth.BASE, layers=1, heads=2, hidden=16, intermediate=32, vocabulary=500)


@pytest.fixture
def checkpoint(tmp_path):
    synth.synthesize(tmp_path / "tiny", TINY, format="safetensors")
    return tmp_path / "tiny"


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


def test_bench_engines_measures_and_writes_what_it_found(checkpoint, tmp_path, capsys):
    sizes = ("--engines", "ct2-int8", "--lengths", "16,48", "--batches", "1,4")
    out = tmp_path / "out"
    short = ("--repeats", "2", "--seconds", "0.001")
    assert run("bench", "engines", "--model", checkpoint, *sizes, *short, "--output", out) == 0
    written = json.loads((out / "engines.json").read_text(encoding="utf-8"))
    assert [(row["engine"], row["tokens"], row["problem"]) for row in written["rows"]] == [
        ("ct2-int8", 16, None),
        ("ct2-int8", 48, None),
    ]
    for row in written["rows"]:
        assert set(row["rates"]) == {"1", "4"}
        assert all(0 < rate["low"] <= rate["median"] <= rate["high"] for rate in row["rates"].values())
        assert row["peak_bytes"]["low"] > 2**20
        assert row["macs"] == 4 * 16**2 + 2 * 16 * 32 + 2 * row["tokens"] * 16
    assert written["ceilings"]["int8"]["rate"]["median"] > 0
    assert written["machine"]["threads"] == 1
    assert (written["model"], written["repeats"]) == ("tiny (1 layer of 16, intermediate size 32)", 2)
    page = (out / "engines.md").read_text(encoding="utf-8")
    assert "| ct2-int8, 48" in page
    assert "Ceiling, int8:" in capsys.readouterr().out


def test_bench_note_goes_on_without_what_is_not_installed(checkpoint, tmp_path, monkeypatch, capsys):
    (tmp_path / "hidden" / "modelscope").mkdir(parents=True)
    (tmp_path / "hidden" / "modelscope" / "__init__.py").write_text("raise ModuleNotFoundError(name='modelscope')")
    (tmp_path / "hidden" / "torch.py").write_text("raise ModuleNotFoundError(name='torch')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hidden"))
    gold = {"text": "北京", "entities": [{"start": 0, "end": 2, "type": "LOC"}]}
    (tmp_path / "gold.jsonl").write_text(json.dumps(gold), encoding="utf-8")
    short = ("--repeats", "1", "--seconds", "0.001", "--gold", tmp_path / "gold.jsonl")
    assert run("bench", "note", "--model", checkpoint, *short, "--output", tmp_path / "out") == 0
    rows = json.loads((tmp_path / "out" / "note.json").read_text(encoding="utf-8"))["rows"]
    theirs, ours = [row for row in rows if not row["ours"]], [row for row in rows if row["ours"]]
    assert {row["problem"].partition(":")[0] for row in theirs} == {"not installed"}
    assert [row["problem"] for row in ours] == [None, None]
    for row in ours:
        assert set(row["figures"]) == {"peak_bytes", "resident_bytes", "first_seconds", "short", "long"}
        assert row["f1"] is not None
    assert "not installed" in capsys.readouterr().out


@pytest.mark.parity
def test_bench_note_puts_modelscopes_pipeline_through_every_technique_and_draws_it(tmp_path):
    synth.synthesize(tmp_path / "tiny", TINY, seed=2)
    gold = {"text": "北京" * 300, "entities": [{"start": 0, "end": 2, "type": "LOC"}]}
    (tmp_path / "gold.jsonl").write_text(json.dumps(gold), encoding="utf-8")
    short = ("--repeats", "1", "--seconds", "0.001", "--gold", tmp_path / "gold.jsonl")
    assert run("bench", "note", "--model", tmp_path / "tiny", *short, "--output", tmp_path / "out") == 0
    rows = json.loads((tmp_path / "out" / "note.json").read_text(encoding="utf-8"))["rows"]
    assert [row["problem"] for row in rows] == [None] * len(rows)
    fails = [row["long_problem"] is not None for row in rows]
    assert fails == [True] * 4 + [False] * (len(rows) - 4), "the pipeline reads long texts from the windows on"
    assert (tmp_path / "out" / "note.png").read_bytes().startswith(b"\x89PNG")
    assert ">raner-stream, worker<" in (tmp_path / "out" / "note.svg").read_text(encoding="utf-8")


@pytest.mark.parity
def test_bench_engines_compares_all_of_them_and_draws_it(checkpoint, tmp_path):
    sizes = ("--lengths", "16", "--batches", "1,4", "--repeats", "1", "--seconds", "0.001")
    assert run("bench", "engines", "--model", checkpoint, *sizes, "--output", tmp_path / "out") == 0
    written = json.loads((tmp_path / "out" / "engines.json").read_text(encoding="utf-8"))
    assert [(row["engine"], row["problem"]) for row in written["rows"]] == [(name, None) for name in ENGINES]
    assert set(written["ceilings"]) == {"int8", "fp32"}
    assert ">torch-int8<" in (tmp_path / "out" / "engines.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("note", "--gold", "gold.jsonl"), "--gold without --model"),
        (("engines", "--engines", "abacus"), "no engine is called abacus; expected of ct2-int8"),
        (("engines", "--lengths", "16,600"), "a length of 600 tokens; tiny takes 512 at most"),
    ],
)
def test_what_cannot_be_measured_is_refused(checkpoint, capsys, arguments, told):
    model = () if "--gold" in arguments else ("--model", checkpoint)
    assert run("bench", *arguments, *model) == 2
    assert told in capsys.readouterr().err


def test_a_synthetic_checkpoint_is_made_by_the_command(tmp_path):
    sizes = ("--layers", 1, "--hidden", 16, "--heads", 2, "--intermediate", 32, "--vocabulary", 100, "--labels", "A,B")
    assert run("model", "synth", tmp_path / "made", *sizes, "--seed", 3, "--format", "safetensors") == 0
    assert run("model", "convert", tmp_path / "made", tmp_path / "served") == 0
    opened, _ = open_engine("ct2-int8", tmp_path / "served", 1)
    assert (opened.manifest.labels[:2], opened.manifest.hidden) == (("O", "B-A"), 16)
