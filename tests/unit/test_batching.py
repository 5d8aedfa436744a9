from hypothesis import given
from hypothesis import strategies as st

from nlp.batching import shared_out


def test_rows_are_shared_out_in_batches_alike_and_evenly_among_threads():
    def batches(rows, most, threads):
        cut = []
        while sum(cut) < rows:
            cut.append(shared_out(rows - sum(cut), most, threads))
        return cut

    assert batches(32, 10, 1) == [8, 8, 8, 8]
    assert batches(13, 5, 2) == [4, 4, 4, 1]
    assert batches(3, 5, 2) == [3]
    assert batches(6, 1, 2) == [1] * 6
    assert batches(7, 2, 4) == [2, 2, 2, 1]


@given(rows=st.integers(1, 500), most=st.integers(1, 64), threads=st.integers(1, 8))
def test_a_batch_has_at_least_a_row_and_no_more_than_fit(rows, most, threads):
    assert 1 <= shared_out(rows, most, threads) <= min(rows, most)
