from hypothesis import given
from hypothesis import strategies as st

from nlp.windows import windows


@st.composite
def cuts(draw):
    size = draw(st.integers(1, 40))
    return draw(st.integers(0, 400)), size, draw(st.integers(0, size - 1))


def distance(window, character, length):
    """How far a character sits from an inner edge of a window; a text's own ends are no edges."""
    left = character - window.start if window.start > 0 else length
    right = window.stop - 1 - character if window.stop < length else length
    return min(left, right)


@given(cuts())
def test_every_character_has_one_owner_and_owners_are_in_order(cut):
    length, size, overlap = cut
    owned = [i for w in windows(0, length, size, overlap) for i in range(w.own_start, w.own_stop)]
    assert owned == list(range(length))


@given(cuts())
def test_the_owner_is_the_window_where_a_character_sits_farthest_from_an_inner_edge(cut):
    length, size, overlap = cut
    all_windows = windows(0, length, size, overlap)
    for window in all_windows:
        assert window.stop - window.start <= size
        for character in range(window.own_start, window.own_stop):
            others = [distance(w, character, length) for w in all_windows if w.start <= character < w.stop]
            assert distance(window, character, length) == max(others)
