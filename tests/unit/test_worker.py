import json
from dataclasses import replace

import pytest
from twins import Bench, record

from consumer.errors import DeadLetterRefused, DrainExpired, MemoryCapExceeded
from consumer.inmemory import InMemoryDelivery

LONG = "王小明在北京。" * 50


def test_every_record_has_one_outcome_and_its_offset_is_committed():
    bench = Bench([record(0, "王小明"), record(1, None), record(2, b"\xff"), record(0, "", partition=1)])
    bench.run()
    assert bench.published() == [(0, 0, ""), (0, 1, ""), (0, 2, "not_utf8"), (1, 0, "")]
    assert bench.delivery.committed == {("in", 0): 3, ("in", 1): 1}
    assert json.loads(bench.delivery.published[0].value)["entities"][0]["text"] == "王小明"
    assert bench.delivery.published[1].value is None


def test_a_record_whose_headers_cannot_be_read_is_a_dead_letter_whatever_its_value():
    flawed = [replace(record(i, value), headers=(), headers_error="byte 0") for i, value in enumerate(("王小明", None))]
    bench = Bench([*flawed, record(2, "王小明")])
    bench.run()
    assert bench.published() == [(0, 0, "headers_not_utf8"), (0, 1, "headers_not_utf8"), (0, 2, "")]
    assert bench.delivery.published[0].value == flawed[0].value


def test_a_long_text_that_can_be_read_only_once_is_a_dead_letter_and_ends_nothing(monkeypatch):
    bench = Bench([record(0, LONG), record(1, "after")])
    decode, seen = bench.worker._processor.decode, []

    def once(each):
        seen.append(each.offset)
        return decode(each) if seen.count(0) < 2 or each.offset else decode(replace(each, value=b"\xff"))

    monkeypatch.setattr(bench.worker._processor, "decode", once)
    bench.run()
    assert bench.published() == [(0, 0, "not_utf8"), (0, 1, "")]


def test_what_happens_is_counted():
    bench = Bench([record(0, "王小明和王小明"), record(1, b"\xff")])
    bench.run()
    assert bench.sample("records_in_total") == 2
    assert bench.sample("records_out_total") == 1
    assert bench.sample("dead_letters_total", reason="not_utf8") == 1
    assert bench.sample("entities_total", type="PER") == 2
    assert bench.sample("characters_total") == 7
    assert bench.sample("end_to_end_seconds_sum") == 1.0


def test_while_a_long_text_is_worked_on_other_partitions_go_on_and_its_own_waits():
    records = [record(0, LONG), record(1, "after"), *(record(i, "short", partition=1) for i in range(8))]
    bench = Bench(records, batch_records=3)
    bench.run()
    published = bench.published()
    assert published.index((1, 7, "")) < published.index((0, 0, ""))
    assert published.index((0, 1, "")) == published.index((0, 0, "")) + 1
    assert bench.delivery.committed == {("in", 0): 2, ("in", 1): 8}


def test_a_partition_is_paused_once_for_its_long_text_and_polling_goes_on():
    bench = Bench([record(0, LONG), record(1, "after")])
    bench.run()
    assert bench.source.pauses == [("in", 0), None]  # the last is the stop
    assert bench.source.fetches > 30


def test_long_texts_get_as_much_time_as_the_short_ones_they_share_with():
    bench = Bench([record(0, LONG), *(record(i, "x" * 90, partition=1) for i in range(4))], batch_records=2)
    spent = []
    for _ in range(3):
        begun = bench.clock.time
        bench.worker.turn()
        spent.append(bench.clock.time - begun)
    # A short text takes nine seconds, the long one 35: it gets nine beside one, 18 beside two, and then its last eight.
    assert spent == [18, 36, 17]


class SlowDelivery(InMemoryDelivery):
    """Calls `on_wait` while it keeps the first outcomes waiting."""

    on_wait = None

    def deliver(self, outcomes):
        if outcomes and self.on_wait:
            self.on_wait()
            self.on_wait = None
        return super().deliver(outcomes)


def test_what_a_broker_keeps_the_short_ones_waiting_is_not_made_up_to_the_long_ones():
    delivery = SlowDelivery()
    bench = Bench([record(0, LONG), record(0, "x" * 90, partition=1)], delivery=delivery)
    delivery.on_wait = lambda: setattr(bench.clock, "time", bench.clock.time + 360)
    bench.worker.turn()
    assert bench.clock.time == 9 + 360 + 9
    assert bench.published() == [(1, 0, "")]


def test_the_group_is_tended_between_the_token_batches_of_long_texts():
    records = [record(0, LONG), record(1, "after"), record(2, LONG), record(0, "x" * 90, partition=1)]
    bench = Bench(records)
    served = []
    bench.annotator.on_step = lambda: served.append(bench.source.fetches + bench.source.tended)
    bench.run()
    assert len(served) == 35 + 1 + 35 + 9
    assert len(set(served)) == len(served)


@pytest.mark.parametrize("step", [1, 10])
def test_a_long_text_whose_partition_is_lost_while_it_is_worked_on_goes_no_further(step):
    bench = Bench([record(0, "x" * 100), record(0, "x" * 90, partition=1), record(1, "x" * 90, partition=1)])
    bench.annotator.on_step = lambda: bench.source.lose(("in", 0)) if bench.clock.time == 18 + step else None
    bench.run()
    assert bench.clock.time == 18 + step
    assert bench.published() == [(1, 0, ""), (1, 1, "")]


def test_a_long_text_whose_partition_is_lost_while_the_short_ones_are_delivered_is_not_begun():
    delivery = SlowDelivery()
    bench = Bench([record(0, LONG), record(0, "x", partition=1)], delivery=delivery)
    delivery.on_wait = lambda: bench.source.lose(("in", 0))
    bench.run()
    assert bench.clock.time == 1
    assert bench.published() == [(1, 0, "")]


def test_long_texts_one_after_the_other_take_turns_with_those_of_other_partitions():
    records = [record(0, LONG), record(1, LONG), record(0, LONG, partition=1)]
    bench = Bench(records)
    bench.run()
    assert bench.published() == [(0, 0, ""), (1, 0, ""), (0, 1, "")]


def test_long_texts_are_counted_one_by_one_also_those_of_one_partition(caplog):
    records = [record(0, LONG), record(1, "x"), record(2, LONG), record(3, b"\xff"), record(0, LONG, partition=1)]
    bench = Bench([*records, record(0, LONG, partition=2), record(1, LONG, partition=2)], drain_seconds=200)
    bench.worker.turn()
    assert bench.sample("long_documents") == 5
    bench.source.lose(("in", 2))
    bench.worker.turn()
    assert bench.sample("long_documents") == 3
    bench.shutdown.request()
    with caplog.at_level("INFO"):
        bench.worker.run()
    assert [event.long_documents for event in caplog.records if event.message == "draining"] == [3]
    assert bench.sample("long_documents") == 0
    assert (bench.worker.backlog.texts, bench.worker.backlog.bytes) == (0, 0)


def test_when_long_texts_hold_back_too_much_nothing_more_is_fetched_until_they_are_done():
    records = [record(i, LONG, partition=i) for i in range(4)]
    bench = Bench(records, batch_records=1, backlog_bytes=1_500)
    bench.run()
    pauses = bench.source.pauses
    assert pauses.count(None) >= 2
    assert pauses.index(None) < pauses.index(("in", 3))
    assert len(bench.published()) == 4


def test_nothing_of_a_lost_partition_is_delivered():
    bench = Bench([record(0, LONG), record(1, "after"), record(0, "other", partition=1)])
    for _ in range(5):
        bench.worker.turn()
    bench.source.lose(("in", 0))
    bench.run()
    assert bench.published() == [(1, 0, "")]
    assert ("in", 0) not in bench.delivery.committed


def test_a_stop_finishes_long_texts_and_commits():
    bench = Bench([record(0, LONG), record(1, "after")])
    bench.worker.turn()
    bench.shutdown.request()
    bench.worker.run()
    assert bench.delivery.committed == {("in", 0): 2}


def test_a_stop_that_takes_too_long_ends_without_committing():
    bench = Bench([record(0, LONG)], drain_seconds=5)
    bench.worker.turn()
    bench.shutdown.request()
    with pytest.raises(DrainExpired, match="RANER_DRAIN_SECONDS"):
        bench.worker.run()
    assert bench.delivery.committed == {}


def test_a_text_whose_entities_cannot_fit_is_given_up_early():
    bench = Bench([record(0, "王小明" * 300), record(1, "after")], max_output_bytes=640)
    bench.run()
    assert bench.published() == [(0, 0, "output_too_large"), (0, 1, "")]
    assert bench.clock.time < 20


def test_passing_the_memory_cap_ends_the_process_before_committing():
    bench = Bench([record(0, "王小明")], cap=100)
    bench.annotator.on_step = lambda: setattr(bench, "resident", 101)
    with pytest.raises(MemoryCapExceeded, match="RANER_MEMORY_CAP"):
        bench.run()
    assert bench.delivery.committed == {}
    assert bench.sample("memory_actions_total", action="stop") == 1


def test_the_loop_beats_between_token_batches():
    bench = Bench([record(0, "x" * 99)])
    bench.annotator.on_step = lambda: None if bench.health.dead() is None else pytest.fail("no beat")
    bench.run()
    bench.clock.time += 61
    assert bench.health.dead() == "the loop has not moved for 61 s"


def test_the_group_is_tended_between_token_batches_and_what_is_lost_meanwhile_is_not_delivered():
    bench = Bench([record(0, "x" * 30), record(0, "x" * 30, partition=1)])
    bench.annotator.on_step = lambda: bench.source.lose(("in", 1)) if bench.clock.time == 4 else None
    bench.run()
    assert bench.source.tended == 6
    assert bench.published() == [(0, 0, "")]
    assert bench.delivery.committed == {("in", 0): 1}


def test_only_the_refused_record_goes_to_the_dead_letters():
    bench = Bench([record(i, "x") for i in range(4)], delivery=InMemoryDelivery(refuses=[2]))
    bench.run()
    assert bench.published() == [(0, 0, ""), (0, 1, ""), (0, 3, ""), (0, 2, "output_refused")]
    assert bench.delivery.committed == {("in", 0): 4}
    headers = dict(bench.delivery.published[-1].headers)
    assert (headers["raner.stage"], headers["raner.error"]) == (b"deliver", b"refused by the test")


def test_a_refused_dead_letter_is_cut_down():
    bench = Bench([record(0, b"\xff" * 900)], delivery=InMemoryDelivery(max_bytes=500))
    bench.run()
    (letter,) = bench.delivery.published
    assert json.loads(letter.value)["length"] == 900
    assert bench.delivery.committed == {("in", 0): 1}
    assert bench.sample("dead_letters_total", reason="not_utf8") == 1


def test_a_dead_letter_refused_even_when_cut_down_stops_the_worker_without_committing():
    bench = Bench([record(0, b"\xff" * 900)], delivery=InMemoryDelivery(max_bytes=10))
    with pytest.raises(DeadLetterRefused, match=r"in\[0\] offset 0"):
        bench.run()
    assert bench.delivery.committed == {}
