"""What measurements are made of: figures, tables, the machine, sums. No test here looks at a clock."""

import json
from dataclasses import replace

import pytest

from consumer.bench import ceiling, engines, machine, note, spawn
from consumer.bench.figures import Figure, Table
from consumer.bench.inputs import FULL_CHARS, LONG_CHARS, SENTENCE_CHARS, prepared
from consumer.bench.original import TECHNIQUES
from consumer.bench.products import METHODS
from consumer.bench.row import KINDS
from consumer.bench.spawn import Job
from consumer.bench.subject import Subject, Texts, measure
from consumer.cli import build_parser
from consumer.errors import BenchFailed
from nlp import synth
from nlp.engines import ENGINES
from nlp.gold import Gold

TINY = replace(synth.BASE, layers=1, heads=2, hidden=16, intermediate=32, vocabulary=500)
MACHINE = machine.Machine("Some CPU", ("avx2",), 4, 1, 8 * 2**30, "Linux x86_64", "3.11", {"numpy": "2"})
CPUINFO = """processor\t: 0
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
flags\t\t: fpu avx2

processor\t: 1
model name\t: another
"""


@pytest.mark.parametrize(
    ("values", "median", "shown"),
    [((3.0,), 3.0, "3"), ((1000.0, 1300.0, 1100.0), 1100.0, "1,100 ± 200"), ((1.0, 2.0), 1.5, "2 ± 0")],
)
def test_a_figure_is_the_median_and_how_far_the_farthest_lies_from_it(values, median, shown):
    figure = Figure.of(values)
    assert (figure.median, figure.low, figure.high) == (median, min(values), max(values))
    assert figure.shown() == shown


def test_a_figure_in_another_unit_has_its_spread_in_it_too():
    assert Figure.of([1e9, 3e9, 2e9]).scaled(1e9).shown(1) == "2.0 ± 1.0"


def test_a_table_in_markdown_is_aligned_and_tells_its_remarks():
    table = Table("t", ("", "memory"), (("one", "1,000"), ("模型", "2")), ("a remark",))
    assert table.markdown() == (
        "|      | memory |\n| ---- | -----: |\n| one  |  1,000 |\n| 模型 |      2 |\n\n- a remark\n"
    )


def test_the_processor_is_named_with_what_tells_it_from_its_namesakes():
    assert machine.cpu_name(CPUINFO) == "AMD EPYC, family 25, model 17"
    assert machine.cpu_name("Features : asimd\n") == ""


def test_a_machine_is_told_in_one_sentence():
    assert str(MACHINE) == "Some CPU (avx2), 1 thread on 4 cores, 8 GiB, Linux x86_64, Python 3.11, numpy 2"
    assert machine.describe(2).threads == 2
    assert machine.describe(1).cores >= 1


def test_the_multiply_adds_of_a_base_model_are_those_of_its_layers():
    base = synth.BASE
    assert ceiling.macs_per_token(base.layers, base.hidden, base.intermediate, 128) == 87_293_952
    assert ceiling.macs_per_token(1, 2, 3, 0) == 4 * 4 + 2 * 2 * 3


def test_the_ceiling_of_a_number_type_is_its_fastest_product_whatever_is_not_installed():
    jobs = [Job(name, "ceiling", {}) for name in ("int8, a", "int8, b", "fp32, c")]
    results = [[{"rates": {"small": 3.0, "large": 5.0}}], [{"rates": {"small": 4.0}}], [{"missing": "torch"}]]
    found = ceiling.fastest(jobs, results)
    assert list(found) == ["int8"]
    assert (found["int8"].method, found["int8"].shape, found["int8"].rate.median) == ("a", "large", 5.0)


def test_every_method_of_the_ceiling_names_its_number_type():
    assert {name.split(", ")[0] for name in METHODS} == {"int8", "fp32"} == set(map(engines.type_of, ENGINES))


def result(**figures):
    told = {"peak_bytes": 2**20, "resident_bytes": 2**19, "first_seconds": 1.0, "short": 10.0, "long": 5.0}
    return {name: value for name, value in (told | figures).items() if value is not None}


GOLD = [Gold("王小明", frozenset({(0, 3, "PER")})), Gold("北京", frozenset({(0, 2, "LOC")}))]


def test_a_row_of_the_note_has_medians_and_the_f1_of_its_entities():
    found = [[[0, 3, "PER"]], [[0, 1, "LOC"]]]
    row = note.summary(
        Job("a", "library", {}), [result(entities=found), result(short=30.0), result(short=20.0)], GOLD, ("PER", "LOC")
    )
    assert (row.figures["short"].median, row.f1, row.ours, row.problem) == (20.0, 0.5, True, None)


def test_what_a_row_cannot_do_is_said_in_place_of_a_figure():
    jobs = [Job("a", "modelscope", {}), Job("b", "modelscope", {}), Job("c", "library", {})]
    results = [[{"missing": "modelscope"}], [result(long=None, long_error="RuntimeError: 512")], [{"error": "E: x"}]]
    rows = tuple(note.summary(job, its, [], ()) for job, its in zip(jobs, results, strict=True))
    table = note.Note("m", MACHINE, 1, 0, rows).table()
    assert table.rows[0] == ("a", "not installed: modelscope", "", "", "", "")
    assert table.rows[1] == ("b", "1", "0", "1.0", "10", "fails")
    assert table.rows[2][1] == "E: x"
    assert any("1,024 characters: RuntimeError: 512" in remark for remark in table.remarks)
    assert "F1" not in table.columns


def test_the_rows_of_the_note_add_one_technique_after_another(tmp_path):
    with prepared(synthetic(tmp_path), "int8") as inputs:
        jobs = note.jobs_of(inputs, 1.0, "localhost:9092")
    told = [job.options["techniques"] for job in jobs if job.kind == "modelscope"]
    assert [len(techniques) for techniques in told] == list(range(len(TECHNIQUES) + 1))
    assert [job.kind for job in jobs[-2:]] == ["library", "worker"]
    assert {job.kind for job in jobs} <= set(KINDS)


def test_an_engine_that_is_not_installed_has_a_row_that_says_so():
    ran = engines.Row("ct2-int8", 16, 100, {1: Figure(50, 50, 50)}, Figure(2**20, 2**20, 2**20), None)
    missing = engines.Row("torch-int8", 16, 100, {}, None, "not installed: torch")
    found = ceiling.Ceiling("int8", "m", "s", Figure(10_000, 10_000, 10_000))
    table = engines.Engines("m", MACHINE, 1, (1,), {"int8": found}, (ran, missing)).table()
    assert table.rows == (("ct2-int8, 16", "50 (50%)", "1"), ("torch-int8, 16", "not installed: torch", ""))


def synthetic(directory):
    synth.synthesize(directory / "tiny", TINY, format="safetensors")
    return directory / "tiny"


def test_the_texts_have_the_lengths_that_the_table_names(tmp_path):
    with prepared(synthetic(tmp_path), "int8") as inputs:
        texts = Texts.read(inputs.texts)
        folder = inputs.directory
    assert {len(sentence) for sentence in texts.sentences} == {SENTENCE_CHARS}
    assert (len(texts.full), len(texts.long), texts.gold) == (FULL_CHARS, LONG_CHARS, ())
    assert not folder.exists()


def test_every_subject_is_put_through_the_same_work_and_may_fail_at_a_long_text(tmp_path):
    content = {"sentences": ["一二", "三四"], "full": "五" * 4, "long": "六" * 9, "gold": ["七", "八" * 9]}
    (tmp_path / "texts.json").write_text(json.dumps(content), encoding="utf-8")
    seen = []

    def annotate(texts):
        seen.extend(texts)
        if len(texts[0]) > 8:
            raise ValueError("too long\nfor this")
        return [[(0, 1, "PER")] for _ in texts]

    options = {"texts": str(tmp_path / "texts.json"), "begun": 0.0, "seconds": 0.0, "repeat": 0}
    found = measure(lambda: Subject(annotate, lambda spans: spans), options)
    assert seen[:2] == ["一二", "一二"]
    assert {"五" * 4, "六" * 9} <= set(seen)
    assert (found["long_error"], found["entities"]) == ("ValueError: too long", [[(0, 1, "PER")], []])
    assert found["peak_bytes"] >= found["resident_bytes"] > 0


def test_repeats_take_turns_and_what_is_missing_is_not_tried_again(monkeypatch):
    asked, shown = [], []

    def run(job, threads, repeat):
        asked.append((job.name, repeat))
        return {"missing": "torch"} if job.name == "b" else {"at": repeat}

    monkeypatch.setattr(spawn, "run", run)
    jobs = [Job(name, "engine", {}) for name in "ab"]
    found = spawn.run_all(jobs, 3, 1, lambda *progress: shown.append(progress))
    assert asked == [("a", 0), ("b", 0), ("a", 1), ("a", 2)]
    assert found == [[{"at": 0}, {"at": 1}, {"at": 2}], [{"missing": "torch"}]]
    assert shown[-1] == (6, 6, "")


def test_a_rows_error_is_its_result(tmp_path):
    options = {"engine": "ct2-int8", "model": str(tmp_path), "tokens": 16, "batches": [1], "seconds": 0}
    found = spawn.run(Job("a", "engine", options), 1)
    assert "holds no model.json" in found["error"]


def test_a_process_that_says_nothing_ends_the_measurement(monkeypatch):
    monkeypatch.setattr(spawn, "MODULE", ("/bin/false",))
    with pytest.raises(BenchFailed, match="the process of 'a' ended with status 1: it printed nothing"):
        spawn.run(Job("a", "engine", {}), 1)


def test_the_commands_defaults_are_those_of_the_measurement():
    parsed = build_parser().parse_args(["bench", "engines"])
    assert (set(parsed.engines), parsed.lengths, parsed.batches) == (set(ENGINES), engines.LENGTHS, engines.BATCHES)
