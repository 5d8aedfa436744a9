import pytest

from nlp.calibration import Bin, calibrate
from nlp.gold import Gold
from nlp.types import Span


def test_spans_are_sorted_by_score_and_held_against_the_gold():
    gold = [Gold("王小明在北京。", ((0, 3, "NAME"), (4, 6, "LOC")))]
    predicted = [[Span(0, 3, "PER", 0.92), Span(4, 6, "LOC", 0.96), Span(3, 4, "PER", 0.31), Span(6, 7, "ORG", 0.9)]]
    found = calibrate(gold, predicted, ("PER", "LOC", "ORG"), gold_names={"NAME": "PER"}, predicted_names={})
    assert [(each.low, each.high, each.spans) for each in found.bins] == [(0.3, 0.4, 1), (0.9, 1.0, 2)]
    assert [(each.score, each.right) for each in found.bins] == [(0.31, 0), (pytest.approx(0.94), 1)]
    assert found.error == pytest.approx((0.31 + 2 * 0.06) / 3)


def test_a_score_of_one_lies_in_the_last_bin():
    gold = [Gold("北京", ((0, 2, "LOC"),))]
    found = calibrate(gold, [[Span(0, 2, "LOC", 1.0)]], ("LOC",), gold_names={}, predicted_names={})
    assert (found.bins, found.error) == ((Bin(0.9, 1.0, 1, 1.0, 1.0),), 0.0)


def test_no_spans_have_no_error():
    found = calibrate([Gold("北京", ((0, 2, "LOC"),))], [[]], ("LOC",), gold_names={}, predicted_names={})
    assert (found.bins, found.error) == ((), 0.0)
