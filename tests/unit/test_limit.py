import pytest
from twins import Bench, record

from consumer.errors import DeadLetterLimitReached
from consumer.inmemory import InMemoryDelivery
from consumer.limit import Rule

BAD, GOOD = b"\xff", "王小明"


def bench(values, rule, partition=0, **options):
    records = [record(offset, value, partition=partition) for offset, value in enumerate(values)]
    return Bench(records, rule=rule, **options)


def test_so_many_dead_letters_in_a_row_stop_it_and_their_batch_publishes_nothing():
    stopped = bench([GOOD, BAD, BAD, GOOD, BAD, BAD, BAD, GOOD], Rule(consecutive=3), batch_records=5)
    with pytest.raises(DeadLetterLimitReached, match=r"3 records in a row of in\[0\] up to offset 6 .*not_utf8 2"):
        stopped.run()
    assert [offset for _, offset, _ in stopped.published()] == [0, 1, 2, 3, 4]
    assert stopped.delivery.committed == {("in", 0): 5}


def test_a_good_record_begins_the_row_anew_and_other_partitions_count_for_themselves():
    values = [BAD, BAD, GOOD] * 5
    other = [record(offset, BAD, partition=1) for offset in range(2)]
    calm = Bench([*(record(i, value) for i, value in enumerate(values)), *other], rule=Rule(consecutive=3))
    calm.run()
    assert len(calm.published()) == 17


def test_a_share_of_dead_letters_stops_it_once_the_window_is_full():
    stopped = bench([GOOD, BAD] * 10, Rule(ratio=0.5, window=8), batch_records=2)
    with pytest.raises(DeadLetterLimitReached, match=r"50% of the last 8 records of in\[0\] up to offset 7"):
        stopped.run()
    assert stopped.delivery.committed == {("in", 0): 6}
    calm = bench([GOOD, GOOD, BAD] * 10, Rule(ratio=0.5, window=8))
    calm.run()
    assert len(calm.published()) == 30


@pytest.mark.parametrize("batch_records", [2, 64])
def test_started_again_it_stops_at_the_same_record_and_publishes_no_more(batch_records):
    rule, values = Rule(consecutive=5), [GOOD, *[BAD] * 20]
    offset, notes, published = 0, {}, 0
    for _ in range(4):
        again = bench(values, rule, batch_records=batch_records)
        again.source._waiting = again.source._waiting[offset:]
        again.source.notes = notes
        with pytest.raises(DeadLetterLimitReached):
            again.run()
        published += len(again.published())
        offset = again.delivery.committed.get(("in", 0), offset)
        notes = again.delivery.notes | {place: note for place, note in notes.items() if not again.delivery.notes}
    assert published <= 5
    assert offset == published


def test_what_the_broker_refuses_counts_too():
    delivery = InMemoryDelivery(refuses=range(100))
    stopped = bench([GOOD] * 10, Rule(consecutive=4), delivery=delivery, batch_records=2)
    with pytest.raises(DeadLetterLimitReached, match="output_refused"):
        stopped.run()
    assert [reason for _, _, reason in stopped.published()] == ["output_refused"] * 2


def test_without_a_limit_nothing_is_remembered():
    free = bench([BAD] * 300, Rule())
    free.run()
    assert len(free.published()) == 300
    assert free.delivery.notes == {("in", 0): ""}


def test_a_note_of_someone_else_is_passed_over():
    calm = bench([BAD, GOOD], Rule(consecutive=2))
    calm.source.notes = {("in", 0): "theirs"}
    calm.run()
    assert len(calm.published()) == 2
