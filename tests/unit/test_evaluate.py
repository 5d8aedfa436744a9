from functools import partial

import numpy as np
import pytest

from nlp.errors import GoldError
from nlp.evaluate import by_length, evaluate, f1_interval
from nlp.gold import Gold, read_gold
from nlp.types import Span


def written(tmp_path, text):
    path = tmp_path / "gold"
    path.write_text(text, encoding="utf-8")
    return path


def test_json_lines_are_read(tmp_path):
    first = '{"text": "王小明在北京", "entities": [{"start": 0, "end": 3, "type": "PER"}]}'
    lines = f'{first}\n\n{{"text": "", "entities": []}}\n'
    assert read_gold(written(tmp_path, lines)) == [
        Gold("王小明在北京", frozenset({(0, 3, "PER")})),
        Gold("", frozenset()),
    ]


def test_entities_may_be_triples(tmp_path):
    line = '{"text": "王小明在北京", "ents": [[0, 3, "PER"], [4, 6, "LOC"]]}\n'
    [gold] = read_gold(written(tmp_path, line))
    assert gold.entities == {(0, 3, "PER"), (4, 6, "LOC")}


@pytest.mark.parametrize("line", ["王 S-PER", '{"text": "王", "ents": [[0, 1, "PER"]]}'])
def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path, line):
    assert read_gold(written(tmp_path, f"\ufeff{line}\n")) == [Gold("王", frozenset({(0, 1, "PER")}))]


@pytest.mark.parametrize("tags", ["B-PER I-PER I-PER O B-LOC I-LOC", "B-PER M-PER E-PER O B-LOC E-LOC"])
@pytest.mark.parametrize("separator", [" ", "\t", " x y "])
def test_conll_columns_are_read(tmp_path, tags, separator):
    lines = "".join(f"{c}{separator}{tag}\n" for c, tag in zip("王小明在北京", tags.split(), strict=True))
    gold = read_gold(written(tmp_path, f"# sent_id = 1\n{lines}\n人 O\n"))
    assert gold == [Gold("王小明在北京", frozenset({(0, 3, "PER"), (4, 6, "LOC")})), Gold("人", frozenset())]


def test_tokens_of_several_characters_and_blanks_keep_their_offsets(tmp_path):
    gold = read_gold(written(tmp_path, "iPhone O\n\u3000 O\n王 B-PER\n# O\n"))
    assert gold == [Gold("iPhone\u3000王#", frozenset({(7, 8, "PER")}))]


@pytest.mark.parametrize("token", ["\u3000", "\xa0", "\u2028", "\u3000\u3000", "中\u3000国"])
@pytest.mark.parametrize("border", [" ", "\t", " \t "])
def test_a_blank_that_is_a_token_is_no_border(tmp_path, token, border):
    lines = "".join(f"{each}{border}NN{border}{tag}\n" for each, tag in ((token, "O"), ("王", "S-PER")))
    end = len(token) + 1
    assert read_gold(written(tmp_path, lines)) == [Gold(f"{token}王", frozenset({(end - 1, end, "PER")}))]


@pytest.mark.parametrize("line", [" O", "\tO", "  O", "\t O "])
def test_a_line_of_a_tag_alone_is_that_of_the_blank_before_it(tmp_path, line):
    assert read_gold(written(tmp_path, f"{line}\n王 S-PER\n")) == [Gold(f"{line[0]}王", frozenset({(1, 2, "PER")}))]


@pytest.mark.parametrize("blank", ["", " ", "\t", "\u3000", " \u3000 "])
def test_a_line_of_blanks_alone_ends_a_sentence(tmp_path, blank):
    assert [gold.text for gold in read_gold(written(tmp_path, f"王 O\n{blank}\n小 O\n"))] == ["王", "小"]


@pytest.mark.parametrize("token", ["{", "[", "[笑]", "[{"])
@pytest.mark.parametrize("border", [" ", "\t", " PU "])
def test_a_conll_file_may_begin_with_a_bracket(tmp_path, token, border):
    gold = read_gold(written(tmp_path, f"{token}{border}O\n王{border}S-PER\n"))
    assert gold == [Gold(f"{token}王", frozenset({(len(token), len(token) + 1, "PER")}))]


@pytest.mark.parametrize("line", ['{ "text": "王", "entities": [] }', ' {"entities": [], "text": "王"}'])
def test_json_may_have_blanks_between(tmp_path, line):
    assert read_gold(written(tmp_path, line)) == [Gold("王", frozenset())]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no sentences"),
        ('[{"text": "a", "entities": []}]', ":1: TypeError: list in place of an object; expected JSON lines, "),
        ('[\n{"text": "a", "entities": []}\n]', ":1: JSONDecodeError: .*; expected JSON lines, "),
        ('[ {\n"text": "a", "entities": []}\n]', ":1: JSONDecodeError: .*; expected JSON lines, "),
        ('{\n"text": "a", "entities": []\n}', ":1: JSONDecodeError: .*; expected JSON lines, "),
        ('{ "text": "a",\n"entities": []\n}', ":1: JSONDecodeError: .*; expected JSON lines, "),
        ('{"text": "a", "entities": ' + "[" * 100_000, ":1: RecursionError: .*; expected JSON lines, "),
        ("王\u3000O", ":1: one column alone; expected a character and its tag, with a space or tab between"),
        ('{"text": "a"}', r":1: KeyError: 'entities'; expected"),
        ('{"text": 1, "entities": []}', ":1: TypeError: text is int"),
        ('{"text": "a", "entities": [{"start": 0, "end": 2, "type": "X"}]}', r"\[0, 2\) lies outside a text of 1"),
        ('{"text": "a", "entities": []}\n{', ":2: JSONDecodeError"),
        ("王 B-PER\n小 PER\n", ":2: 'PER' is no tag"),
        ("O\nB-PER\n", ":1: one column alone; expected a character and its tag"),
        (
            '{"text": "ab", "entities": [{"start": 0, "end": 1, "type": null}]}',
            ":1: TypeError: an entity is 0 to 1, of the type None",
        ),
        (
            '{"text": "ab", "entities": [{"start": 0.0, "end": 1.0, "type": "X"}]}',
            ":1: TypeError: an entity is 0.0 to 1.0",
        ),
    ],
)
def test_bad_gold_is_refused_with_its_line(tmp_path, text, told):
    with pytest.raises(GoldError, match=told):
        read_gold(written(tmp_path, text))


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GoldError, match="cannot be read as UTF-8"):
        read_gold(tmp_path / "binary")


def report(gold, predicted, labels=("PER", "LOC", "ORG"), gold_names=(), predicted_names=()):
    return evaluate(
        [Gold("x" * 50, frozenset(gold))],
        [[Span(start, end, label, 1.0) for start, end, label in predicted]],
        labels,
        gold_names=dict(gold_names),
        predicted_names=dict(predicted_names),
    )


def test_only_the_exact_span_and_type_counts():
    found = report({(0, 2, "PER"), (3, 5, "LOC"), (6, 8, "LOC")}, [(0, 2, "PER"), (3, 6, "LOC"), (6, 8, "PER")])
    assert (found.micro.gold, found.micro.predicted, found.micro.correct) == (3, 3, 1)
    assert found.micro.f1 == pytest.approx(1 / 3)
    assert (found.types["PER"].precision, found.types["PER"].recall) == (0.5, 1.0)


def test_types_are_renamed_on_either_side():
    found = report(
        {(0, 2, "NR"), (3, 5, "NS")},
        [(0, 2, "PER"), (3, 5, "GPE")],
        labels=("PER", "GPE"),
        gold_names=[("NR", "PER"), ("NS", "LOC")],
        predicted_names=[("GPE", "LOC")],
    )
    assert found.micro.f1 == 1.0


def test_types_without_a_counterpart_are_left_out_and_counted():
    found = report({(0, 2, "PER"), (3, 5, "TITLE")}, [(0, 2, "PER"), (6, 8, "LOC")])
    assert (found.micro.f1, set(found.types)) == (1.0, {"PER"})
    assert (found.gold_left_out, found.predicted_left_out) == ({"TITLE": 1}, {"LOC": 1})


def test_nothing_to_compare_is_no_error():
    found = report(set(), [])
    assert (found.micro.precision, found.micro.recall, found.micro.f1) == (0.0, 0.0, 0.0)


def test_the_interval_of_f1_is_that_of_a_share_over_texts():
    """One entity a text, found in 80 of 100: the standard error of such a share is 0.04."""
    counts = np.array([[1, 1, 1]] * 80 + [[1, 1, 0]] * 20)
    low, high = f1_interval(counts)
    assert (low, high) == pytest.approx((0.8 - 1.96 * 0.04, 0.8 + 1.96 * 0.04), abs=0.015)
    assert f1_interval(np.repeat(counts, 100, axis=0)) == pytest.approx((0.8, 0.8), abs=0.01)


def test_a_part_of_the_gold_counts_the_types_of_the_whole():
    """Texts of one length may have no entity of a type: one predicted there is wrong all the same."""
    gold, found = [Gold("x" * 50, frozenset({(0, 2, "PER")}))], [[Span(0, 2, "PER", 1.0), Span(3, 5, "LOC", 1.0)]]
    measure = partial(evaluate, labels=("PER", "LOC"), gold_names={}, predicted_names={})
    assert measure(gold, found).micro.precision == 1.0
    assert measure(gold, found, counted=("PER", "LOC")).micro.precision == 0.5


def test_texts_are_measured_by_their_length():
    gold = [Gold("王" * length, frozenset({(0, 2, "PER")})) for length in (24, 25, 300, 1_000)]
    predicted = [[Span(0, 2, "PER", 1.0)], [], [Span(0, 2, "PER", 1.0)], []]
    measure = partial(evaluate, labels=("PER",), gold_names={}, predicted_names={})
    found = by_length(gold, predicted, measure)
    assert {least: (each.micro.gold, each.micro.correct) for least, each in found.items()} == {
        0: (1, 1),
        25: (1, 0),
        200: (2, 1),
    }
