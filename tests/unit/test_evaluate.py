from functools import partial

import numpy as np
import pytest

from nlp.errors import GoldError
from nlp.evaluate import by_length, evaluate, f1_interval, require_shared
from nlp.gold import Gold
from nlp.types import Span


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


def test_gold_of_which_no_type_can_be_predicted_is_refused_with_what_to_do():
    gold = [Gold("王小明", frozenset({(0, 3, "name")}))]
    check = partial(require_shared, labels=("PER", "LOC"), predicted_names={})
    with pytest.raises(GoldError, match=r"the types name, the model LOC, PER; rename .* --map name=LOC"):
        check(gold, gold_names={})
    check(gold, gold_names={"name": "PER"})
    check([Gold("王小明", frozenset())], gold_names={})
