import pytest

from nlp.windows import windows


def test_a_short_text_is_one_window():
    (only,) = windows(3, 5, 10, 2)
    assert (only.document, only.start, only.stop, only.own_start, only.own_stop) == (3, 0, 5, 0, 5)


def test_an_empty_text_has_no_window():
    assert windows(0, 0, 10, 2) == []


def test_neighbours_share_the_overlap_and_split_it_in_the_middle():
    cut = windows(0, 100, 50, 10)
    assert [(w.start, w.stop) for w in cut] == [(0, 50), (40, 90), (80, 100)]
    assert [(w.own_start, w.own_stop) for w in cut] == [(0, 45), (45, 85), (85, 100)]


def test_no_window_lies_inside_its_neighbour():
    assert [(w.start, w.stop) for w in windows(0, 50, 50, 49)] == [(0, 50)]
    assert [(w.start, w.stop) for w in windows(0, 51, 50, 10)] == [(0, 50), (40, 51)]


@pytest.mark.parametrize("overlap", [-1, 10, 11])
def test_an_overlap_that_leaves_no_step_is_refused(overlap):
    with pytest.raises(ValueError, match="expected 0 <= overlap < window"):
        windows(0, 5, 10, overlap)
